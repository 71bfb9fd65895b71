// The plain cache, and what memories do with their heads by whatever policy.
#include "model/kv.h"

#include <assert.h>
#include <string.h>

// ---- segments ----

// Rows in front of `position`.
static size_t rows_below(const tb_kv_segment *s, size_t position)
{
    if (!s->positions)
        return position <= s->first ? 0 : position - s->first < s->count ? position - s->first : s->count;
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((size_t)s->positions[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t tb_kv_get_old_end(const tb_kv_aging *aging, size_t position)
{
    size_t young = aging->first + aging->lag, seen = position + 1;
    return seen <= young ? aging->first : aging->first + (seen - young) / aging->group * aging->group;
}

tb_kv_range tb_kv_get_seen(const tb_kv_segment *segment, size_t position)
{
    size_t reach = segment->reach;
    size_t from = reach && position >= reach ? position - reach + 1 : 0, to = position + 1;
    if (segment->age != TB_KV_ANY_AGE) {
        size_t border = tb_kv_get_old_end(&segment->aging, position);
        if (segment->age == TB_KV_OLD)
            to = border < to ? border : to;
        else
            from = border > from ? border : from;
    }
    tb_kv_range seen = {.begin = from ? rows_below(segment, from) : 0, .end = rows_below(segment, to)};
    seen.begin = seen.begin < seen.end ? seen.begin : seen.end;
    return seen;
}

// ---- the plain cache: keys [capacity][head_size], then values ----

static size_t row_bytes(const tb_kv_head *head)
{
    return head->head_size * (head->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float));
}

static char *key_at(const tb_kv_head *head, size_t row)
{
    return (char *)head->storage + row * row_bytes(head);
}

static char *value_at(const tb_kv_head *head, size_t row)
{
    return key_at(head, head->capacity + row);
}

static bool plain_bytes(size_t *out, const tb_kv_head *head)
{
    return tb_mul_size(out, 2 * row_bytes(head), head->capacity);
}

static void write_row(char *to, const float *from, const tb_kv_head *head, const tb_kernels *kernels)
{
    if (head->type == TB_KV_CACHE_F16)
        kernels->half_from_float((uint16_t *)(void *)to, from, head->head_size);
    else
        memcpy(to, from, head->head_size * sizeof *from);
}

static void plain_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    assert(rows->count <= head->capacity - head->count);
    if (head->count == 0)
        head->first = (size_t)rows->positions[0];
    for (size_t i = 0; i < rows->count; i++, head->count++) {
        assert((size_t)rows->positions[i] == head->first + head->count);
        write_row(key_at(head, head->count), rows->keys + i * rows->stride, head, kernels);
        write_row(value_at(head, head->count), rows->values + i * rows->stride, head, kernels);
    }
}

static size_t plain_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    out[0] = (tb_kv_segment){
        .type = head->type,
        .keys = key_at(head, 0),
        .values = value_at(head, 0),
        .count = head->count,
        .first = head->first,
        .reach = head->reach,
    };
    return 1;
}

static void plain_truncate(tb_kv_head *head, size_t position)
{
    size_t kept = position > head->first ? position - head->first : 0;
    head->count = kept < head->count ? kept : head->count;
}

static void plain_copy(tb_kv_head *to, const tb_kv_head *from)
{
    assert(from->count <= to->capacity);
    to->first = from->first;
    to->count = from->count;
    memcpy(key_at(to, 0), key_at(from, 0), from->count * row_bytes(from));
    memcpy(value_at(to, 0), value_at(from, 0), from->count * row_bytes(from));
}

const tb_kv_policy tb_kv_plain = {plain_bytes, plain_store, plain_segments, plain_truncate, plain_copy};

// ---- memories ----

// Bytes of a head's storage, so that the next one's is aligned too.
static bool storage_bytes(size_t *out, const tb_kv_head *head)
{
    size_t bytes;
    if (!head->policy->bytes(&bytes, head) || !tb_add_size(&bytes, bytes, TB_ALIGNMENT - 1))
        return false;
    *out = bytes / TB_ALIGNMENT * TB_ALIGNMENT;
    return true;
}

static bool add_heads(tb_memory *memory, size_t *bytes, const tb_settings *settings, size_t block,
                      tb_kv_cache_type type)
{
    const tb_config *config = &settings->config;
    tb_kv_block *kv = tb_memory_get_kv(memory, block);
    kv->head_count = config->kv_heads;
    kv->heads = tb_arena_array(&memory->arena, kv->head_count, sizeof *kv->heads);
    for (size_t h = 0; kv->heads && h < kv->head_count; h++) {
        size_t own;
        kv->heads[h] = (tb_kv_head){
            .policy = &tb_kv_plain,
            .type = type,
            .head_size = config->head_size,
            .capacity = memory->capacity,
            .reach = settings->near[block] ? settings->reach : 0,
        };
        if (!storage_bytes(&own, &kv->heads[h]) || !tb_add_size(bytes, *bytes, own))
            return false;
    }
    return kv->heads;
}

// Gives every head its part of the storage.
static void share_storage(tb_memory *memory)
{
    char *next = memory->storage;
    for (size_t b = 0; b < memory->blocks; b++)
        for (size_t h = 0; h < memory->kv[b].head_count; h++) {
            tb_kv_head *head = &memory->kv[b].heads[h];
            size_t own = 0;
            storage_bytes(&own, head);
            head->storage = next;
            next += own;
        }
}

tb_code tb_memory_init(tb_memory *memory, const tb_settings *settings, size_t first_block, size_t blocks,
                       tb_kv_cache_type type, size_t capacity, tb_error *err)
{
    size_t bytes = 0;
    *memory = (tb_memory){.first_block = first_block, .blocks = blocks, .capacity = capacity};
    memory->kv = tb_arena_array(&memory->arena, blocks, sizeof *memory->kv);
    bool ok = memory->kv;
    for (size_t b = 0; b < blocks && ok; b++)
        ok = add_heads(memory, &bytes, settings, first_block + b, type);
    memory->storage = ok ? tb_alloc(bytes) : NULL;
    if (!memory->storage)
        return tb_fail(err, TB_ENOMEM, "no memory for a KV cache of %zu tokens (a shorter context needs less)",
                       capacity);
    share_storage(memory);
    return TB_OK;
}

void tb_memory_clear(tb_memory *memory)
{
    tb_free(memory->storage);
    tb_arena_clear(&memory->arena);
    *memory = (tb_memory){0};
}

void tb_memory_truncate(tb_memory *memory, size_t position)
{
    for (size_t b = 0; b < memory->blocks; b++)
        for (size_t h = 0; h < memory->kv[b].head_count; h++) {
            tb_kv_head *head = &memory->kv[b].heads[h];
            head->policy->truncate(head, position);
        }
}

void tb_memory_copy(tb_memory *to, const tb_memory *from)
{
    for (size_t b = 0; b < from->blocks; b++)
        for (size_t h = 0; h < from->kv[b].head_count; h++) {
            tb_kv_head *head = &to->kv[b].heads[h];
            head->policy->copy(head, &from->kv[b].heads[h]);
        }
}

// ---- rows ----

typedef struct store_job {
    const tb_kv_block *kv;
    const tb_kernels *kernels;
    const tb_kv_rows *rows;
} store_job;

static void store_heads(void *user, size_t begin, size_t end, size_t worker)
{
    const store_job *job = user;
    (void)worker;
    for (size_t h = begin; h < end; h++) {
        tb_kv_head *head = &job->kv->heads[h];
        tb_kv_rows own = *job->rows;
        own.keys += h * head->head_size;
        own.values += h * head->head_size;
        head->policy->store(head, job->kernels, &own);
    }
}

void tb_kv_store(tb_kv_block *kv, const tb_compute *compute, const tb_kv_rows *rows)
{
    enum { WORTH_A_THREAD = 16 }; // rows: converting fewer takes less time than waking a thread
    store_job job = {kv, &compute->kernels, rows};
    tb_parallel(rows->count < WORTH_A_THREAD ? 1 : compute->threads, kv->head_count, 1, store_heads, &job);
}
