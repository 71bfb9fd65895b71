// A heap entry is stale when its symbol has since been merged or paired otherwise; it is then
// recognised by a priority that is no longer the symbol's own and dropped.
#include "text/merge.h"

#define NONE UINT32_MAX

static tb_code grow(void **memory, size_t *capacity, size_t need, size_t item, tb_error *err)
{
    if (need <= *capacity)
        return TB_OK;
    size_t wanted = need + need / 2, bytes;
    void *grown = tb_mul_size(&bytes, wanted, item) ? tb_alloc(bytes) : NULL;
    if (!grown)
        return tb_fail(err, TB_ENOMEM, "no memory to merge %zu symbols", need);
    tb_free(*memory);
    *memory = grown;
    *capacity = wanted;
    return TB_OK;
}

tb_code tb_merger_reset(tb_merger *merger, size_t symbols, tb_error *err)
{
    merger->count = merger->heap_size = 0;
    if (symbols >= NONE / 2)
        return tb_fail(err, TB_ELIMIT, "a stretch of %zu symbols is too long to be tokenized", symbols);
    void *memory = merger->symbols;
    tb_code rc = grow(&memory, &merger->capacity, symbols, sizeof *merger->symbols, err);
    merger->symbols = memory;
    return rc;
}

void tb_merger_clear(tb_merger *merger)
{
    tb_free(merger->symbols);
    tb_free(merger->heap);
    *merger = (tb_merger){0};
}

void tb_merger_push(tb_merger *merger, size_t start, size_t size, int32_t id)
{
    uint32_t at = (uint32_t)merger->count++;
    merger->symbols[at] = (tb_symbol){
        .start = (uint32_t)start,
        .size = (uint32_t)size,
        .id = id,
        .previous = at ? at - 1 : NONE,
        .next = NONE,
        .priority = TB_NO_MERGE,
    };
    if (at)
        merger->symbols[at - 1].next = at;
}

static void heap_push(tb_merger *merger, uint64_t key)
{
    size_t at = merger->heap_size++;
    while (at > 0 && merger->heap[(at - 1) / 2] > key) {
        merger->heap[at] = merger->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    merger->heap[at] = key;
}

static uint64_t heap_pop(tb_merger *merger)
{
    uint64_t top = merger->heap[0], last = merger->heap[--merger->heap_size];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < merger->heap_size) {
        if (child + 1 < merger->heap_size && merger->heap[child + 1] < merger->heap[child])
            child++;
        if (merger->heap[child] >= last)
            break;
        merger->heap[at] = merger->heap[child];
        at = child;
    }
    merger->heap[at] = last;
    return top;
}

// Finds out what symbol `left` and the one behind it become, and enters it.
static void consider(tb_merger *merger, uint32_t left, tb_pair_fn pair, const void *user)
{
    tb_symbol *symbol = &merger->symbols[left];
    symbol->priority = TB_NO_MERGE;
    if (symbol->next == NONE)
        return;
    uint32_t priority = TB_NO_MERGE;
    symbol->merged = pair(user, &priority, symbol, &merger->symbols[symbol->next]);
    if (symbol->merged < 0)
        return;
    symbol->priority = priority;
    heap_push(merger, (uint64_t)priority << 32 | left);
}

// Appends the next symbol to symbol `left`.
static void join(tb_merger *merger, uint32_t left)
{
    tb_symbol *symbol = &merger->symbols[left], *right = &merger->symbols[symbol->next];
    symbol->size += right->size;
    symbol->id = symbol->merged;
    symbol->next = right->next;
    right->size = 0;
    right->priority = TB_NO_MERGE;
    if (symbol->next != NONE)
        merger->symbols[symbol->next].previous = left;
}

tb_code tb_merger_run(tb_merger *merger, tb_pair_fn pair, const void *user, tb_error *err)
{
    // At most count − 1 entries at first, and each of at most count − 1 merges adds one at most.
    void *memory = merger->heap;
    tb_code rc = grow(&memory, &merger->heap_capacity, 2 * merger->count, sizeof *merger->heap, err);
    merger->heap = memory;
    if (rc)
        return rc;
    for (size_t i = 0; i + 1 < merger->count; i++)
        consider(merger, (uint32_t)i, pair, user);
    while (merger->heap_size > 0) {
        uint64_t key = heap_pop(merger);
        uint32_t left = (uint32_t)key, priority = (uint32_t)(key >> 32);
        if (merger->symbols[left].priority != priority)
            continue;
        join(merger, left);
        consider(merger, left, pair, user);
        if (merger->symbols[left].previous != NONE)
            consider(merger, merger->symbols[left].previous, pair, user);
    }
    return TB_OK;
}
