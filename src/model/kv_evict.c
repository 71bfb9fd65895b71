// Eviction: a budget of rows for each head. The first `sinks` and the newest `recent` stay; of those between, the one
// with the lowest score goes when a new row needs its place, of equal ones the oldest. Kept rows keep their positions.
//
//     H2O (arXiv 2306.14048)      score_j = Σ_i p_ij over the queries so far
//     A2SF (arXiv 2407.20485)     score_j ← γ·score_j + p_ij with each query: what came early has no head start
//     VATP (arXiv 2406.12335)     score_j = ‖v_j‖₁·Σ_i p_ij; the sinks, whose values are small, must be exempt, and are
//     KeyDiff (arXiv 2504.15364)  score_j = −cos(k_j, mean k): the most typical key goes; needs no weights
//
// p_ij is summed over the query heads that share the KV head. Rows lie in slots in the order of their positions, so
// that they are one segment, and a slot's key, value, position, score and size move together.
//
// A row that comes when there is no room changes what the next one sees: rows are stored as many at a time as
// tb_kv_at_once says, and each is attended and observed before the next ones are stored.
#include <assert.h>

#include "model/kv_store.h"

// γ. The paper tunes it; of its candidates 0.9, 0.97 and 0.99 that in the middle.
static const float forgetting = 0.97f;

// Behind keys and values lie arrays of `capacity`, and the sum of keys.
typedef struct slots {
    int32_t *positions;
    float *scores; // without ‖v‖₁
    float *sizes;  // ‖v‖₁ for VATP, ‖k‖₂ for KeyDiff
    float *sum;    // [head_size] of keys
} slots;

static slots slots_of(const tb_kv_head *head)
{
    slots s = {.positions = (int32_t *)(void *)tb_kv_value_at(head, head->capacity)};
    s.scores = (float *)(void *)(s.positions + head->capacity);
    s.sizes = s.scores + head->capacity;
    s.sum = s.sizes + head->capacity;
    return s;
}

static bool evict_bytes(size_t *out, const tb_kv_head *head)
{
    size_t rows, arrays;
    return tb_kv_store_bytes(&rows, head) &&
           tb_mul_size(&arrays, head->capacity, sizeof(int32_t) + 2 * sizeof(float)) &&
           tb_add_size(out, rows, arrays) && tb_add_size(out, *out, head->head_size * sizeof(float));
}

// ---- scores ----

static float size_of_value(const float *value, size_t n)
{
    float size = 0;
    for (size_t i = 0; i < n; i++)
        size += fabsf(value[i]);
    return size;
}

// cos(k, sum of all keys), but for a factor that all share.
static float likeness(const tb_kv_head *head, const tb_kernels *kernels, size_t slot, slots s)
{
    const void *key = tb_kv_key_at(head, slot);
    if (s.sizes[slot] == 0)
        return 0;
    float dot = head->type == TB_KV_CACHE_F16 ? kernels->dot_f32_f16(s.sum, key, head->head_size)
                                              : kernels->dot_f32(s.sum, key, head->head_size);
    return dot / s.sizes[slot];
}

static void sum_keys(const tb_kv_head *head, const tb_kernels *kernels, slots s)
{
    memset(s.sum, 0, head->head_size * sizeof *s.sum);
    for (size_t i = 0; i < head->count; i++) {
        const void *key = tb_kv_key_at(head, i);
        if (head->type == TB_KV_CACHE_F16)
            kernels->axpy_f16(s.sum, 1, key, head->head_size);
        else
            kernels->axpy_f32(s.sum, 1, key, head->head_size);
    }
}

static float score_of(const tb_kv_head *head, const tb_kernels *kernels, size_t slot, slots s)
{
    switch (head->eviction) {
    case TB_EVICT_KEYDIFF:
        return -likeness(head, kernels, slot, s);
    case TB_EVICT_VATP:
        return s.scores[slot] * s.sizes[slot];
    default:
        return s.scores[slot];
    }
}

// The slot that goes for a new row, which is one of the `recent`.
static size_t choose_slot(const tb_kv_head *head, const tb_kernels *kernels)
{
    slots s = slots_of(head);
    size_t chosen = head->sinks, end = head->count + 1 - head->recent;
    if (head->eviction == TB_EVICT_KEYDIFF)
        sum_keys(head, kernels, s);
    float least = score_of(head, kernels, chosen, s);
    for (size_t slot = chosen + 1; slot < end; slot++) {
        float score = score_of(head, kernels, slot, s);
        if (score < least) {
            least = score;
            chosen = slot;
        }
    }
    return chosen;
}

// ---- slots ----

static void remove_slot(tb_kv_head *head, size_t slot)
{
    slots s = slots_of(head);
    size_t behind = --head->count - slot, row = tb_kv_row_bytes(head);
    memmove(tb_kv_key_at(head, slot), tb_kv_key_at(head, slot + 1), behind * row);
    memmove(tb_kv_value_at(head, slot), tb_kv_value_at(head, slot + 1), behind * row);
    memmove(s.positions + slot, s.positions + slot + 1, behind * sizeof *s.positions);
    memmove(s.scores + slot, s.scores + slot + 1, behind * sizeof *s.scores);
    memmove(s.sizes + slot, s.sizes + slot + 1, behind * sizeof *s.sizes);
}

static void evict_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    slots s = slots_of(head);
    assert(head->sinks + head->recent <= head->capacity && head->recent > 0);
    for (size_t i = 0; i < rows->count; i++) {
        const float *key = rows->keys + i * rows->stride, *value = rows->values + i * rows->stride;
        if (head->count == head->capacity)
            remove_slot(head, choose_slot(head, kernels));
        size_t slot = head->count++;
        tb_kv_write_row(head, slot, kernels, rows, i);
        s.positions[slot] = rows->positions[i];
        s.scores[slot] = 0;
        s.sizes[slot] = head->eviction == TB_EVICT_VATP ? size_of_value(value, head->head_size)
                                                        : sqrtf(kernels->dot_f32(key, key, head->head_size));
    }
}

static size_t evict_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    out[0] = tb_kv_slots(head, 0, head->count, 0);
    out[0].positions = slots_of(head).positions;
    return 1;
}

// Scores know of the queries that are taken back, and rows that went for their sake are gone.
static bool evict_truncate(tb_kv_head *head, size_t position)
{
    size_t last = head->count ? (size_t)slots_of(head).positions[head->count - 1] : 0;
    if (position == 0)
        head->count = 0;
    return head->count == 0 || position > last;
}

static void evict_copy(tb_kv_head *to, const tb_kv_head *from)
{
    slots old = slots_of(from), new = slots_of(to);
    assert(from->count <= to->capacity && to->eviction == from->eviction);
    to->count = from->count;
    tb_kv_copy_slots(to, from, from->count);
    memcpy(new.positions, old.positions, from->count * sizeof *new.positions);
    memcpy(new.scores, old.scores, from->count * sizeof *new.scores);
    memcpy(new.sizes, old.sizes, from->count * sizeof *new.sizes);
}

// ---- what attention needs to know ----

static size_t evict_at_once(const tb_kv_head *head, size_t position, size_t count)
{
    (void)position;
    return tb_min_size(count, tb_max_size(head->capacity - head->count, 1));
}

static bool evict_observes(const tb_kv_head *head, size_t position)
{
    (void)position;
    return head->eviction != TB_EVICT_KEYDIFF;
}

static void evict_observe(tb_kv_head *head, size_t position, const float *weights, size_t count)
{
    (void)position;
    slots s = slots_of(head);
    assert(count <= head->count);
    for (size_t i = 0; i < count; i++)
        s.scores[i] =
            head->eviction == TB_EVICT_A2SF ? forgetting * s.scores[i] + weights[i] : s.scores[i] + weights[i];
}

const tb_kv_policy tb_kv_evict = {
    .bytes = evict_bytes,
    .store = evict_store,
    .segments = evict_segments,
    .truncate = evict_truncate,
    .copy = evict_copy,
    .at_once = evict_at_once,
    .observes = evict_observes,
    .observe = evict_observe,
};

// ---- options ----

tb_code tb_seq_options_set_eviction(tb_seq_options *options, const char *text, tb_error *err)
{
    static const char *const names[] = {NULL, "h2o", "a2sf", "vatp", "keydiff", "snapkv", "pyramid"};
    const char *colon = strchr(text, ':');
    uint64_t budget = 0;
    if (!colon)
        return tb_fail(err, TB_EINVAL, "'%s' is not a method and a number of tokens, METHOD:BUDGET", text);
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(names[i]);
        if (length != (size_t)(colon - text) || memcmp(text, names[i], length) != 0)
            continue;
        tb_code rc = tb_parse_count(&budget, colon + 1, err);
        if (rc)
            return rc;
        options->eviction = (tb_eviction)i;
        options->budget = budget < TB_MOST_POSITIONS ? (size_t)budget : TB_MOST_POSITIONS;
        return TB_OK;
    }
    return tb_fail(err, TB_EINVAL, "eviction '%.*s' is none of h2o, a2sf, vatp, keydiff, snapkv and pyramid",
                   (int)(colon - text), text);
}
