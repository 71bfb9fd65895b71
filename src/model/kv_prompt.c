// A budget for prompts. While a prompt is read every row is there; behind its last row each head keeps `budget` of
// them: the first `sinks`, the newest `recent`, and of those between the ones that score best, of equal ones the newer.
// What comes then stays, until another prompt ends. Kept rows keep their positions.
//
//     SnapKV (arXiv 2404.14469)     s_j = Σ_i p_ij over the last `recent` queries of the prompt,
//                                   score_j = s_{j−2} + … + s_{j+2}: neighbours of what is looked at stay with it
//     PyramidKV (arXiv 2406.02069)  the same; the budgets fall from the first block to the last (kv.c)
//
// p_ij is summed over the query heads that share the KV head. Rows lie in slots in the order of their positions, so
// that they are one segment. Neighbours are those of the slots: of what an earlier prompt has left, the nearest ones.
//
// A batch ends where the prompt does, and the last of its queries to be observed makes the cut: the next row does not
// see what is gone.
#include <assert.h>

#include "model/kv_store.h"

// Rows to either side that score along: SnapKV's kernel of 5.
enum { AROUND = 2 };

// Behind keys and values.
typedef struct slots {
    int32_t *positions; // [capacity]
    float *scores;      // [capacity]: Σ_i p_ij
} slots;

static slots slots_of(const tb_kv_head *head)
{
    slots s = {.positions = (int32_t *)(void *)tb_kv_value_at(head, head->capacity)};
    s.scores = (float *)(void *)(s.positions + head->capacity);
    return s;
}

static bool prompt_bytes(size_t *out, const tb_kv_head *head)
{
    size_t rows, arrays;
    return tb_kv_store_bytes(&rows, head) && tb_mul_size(&arrays, head->capacity, sizeof(int32_t) + sizeof(float)) &&
           tb_add_size(out, rows, arrays);
}

static void prompt_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    slots s = slots_of(head);
    assert(rows->count <= head->capacity - head->count);
    for (size_t i = 0; i < rows->count; i++) {
        size_t slot = head->count++;
        tb_kv_write_row(head, slot, kernels, rows, i);
        s.positions[slot] = rows->positions[i];
        s.scores[slot] = 0;
    }
}

static size_t prompt_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    out[0] = tb_kv_slots(head, 0, head->count, 0);
    out[0].positions = slots_of(head).positions;
    return 1;
}

// What a cut has taken is gone, and scores know of the queries that are taken back.
static bool prompt_truncate(tb_kv_head *head, size_t position)
{
    const int32_t *positions = slots_of(head).positions;
    size_t kept = head->count;
    while (kept > 0 && (size_t)positions[kept - 1] >= position)
        kept--;
    if (kept == head->count)
        return true;
    bool is_there = kept == 0 || position >= tb_max_size(head->cut_end, head->observed_end);
    head->count = kept;
    if (kept == 0)
        head->cut_end = head->observed_end = 0;
    return is_there;
}

static void prompt_copy(tb_kv_head *to, const tb_kv_head *from)
{
    slots old = slots_of(from), new = slots_of(to);
    assert(from->count <= to->capacity && to->budget == from->budget);
    to->count = from->count;
    to->prompt_end = from->prompt_end;
    to->scored_end = from->scored_end;
    to->cut_end = from->cut_end;
    to->observed_end = from->observed_end;
    tb_kv_copy_slots(to, from, from->count);
    memcpy(new.positions, old.positions, from->count * sizeof *new.positions);
    memcpy(new.scores, old.scores, from->count * sizeof *new.scores);
}

// ---- the cut ----

// Each of scores[n] becomes the sum of itself and those around it; there are none in front of the first and behind the
// last.
static void pool(float *scores, size_t n)
{
    float before[AROUND] = {0};
    for (size_t i = 0; i < n; i++) {
        float own = scores[i], sum = own;
        for (size_t k = 0; k < AROUND; k++) {
            sum += before[k];
            sum += i + 1 + k < n ? scores[i + 1 + k] : 0;
        }
        before[1] = before[0];
        before[0] = own;
        scores[i] = sum;
    }
}

// Scores are no less than 0, and such floats are in the order of their bits.
static uint32_t bits_of(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits;
}

static size_t count_above(const float *scores, size_t n, uint32_t border)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += bits_of(scores[i]) > border;
    return count;
}

// The lowest score above which there are at most `kept` of scores[n].
static uint32_t find_border(const float *scores, size_t n, size_t kept)
{
    uint32_t low = 0, high = UINT32_MAX;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (count_above(scores, n, middle) <= kept)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void move_slot(const tb_kv_head *head, size_t to, size_t from)
{
    size_t row = tb_kv_row_bytes(head);
    memmove(tb_kv_key_at(head, to), tb_kv_key_at(head, from), row);
    memmove(tb_kv_value_at(head, to), tb_kv_value_at(head, from), row);
    slots_of(head).positions[to] = slots_of(head).positions[from];
}

static void cut(tb_kv_head *head)
{
    slots s = slots_of(head);
    size_t end = head->count - head->recent, n = end - head->sinks, next = head->sinks;
    size_t kept = head->budget - head->sinks - head->recent;
    pool(s.scores, end);
    const float *scores = s.scores + head->sinks;
    uint32_t border = find_border(scores, n, kept);
    size_t equal = kept - count_above(scores, n, border), seen = 0; // so many of those at the border stay, the newest
    size_t at_border = 0;
    for (size_t i = 0; i < n; i++)
        at_border += bits_of(scores[i]) == border;
    for (size_t i = 0; i < n; i++) {
        bool is_at = bits_of(scores[i]) == border;
        seen += is_at;
        if (bits_of(scores[i]) > border || (is_at && seen + equal > at_border))
            move_slot(head, next++, head->sinks + i);
    }
    for (size_t slot = end; slot < head->count; slot++)
        move_slot(head, next++, slot);
    head->count = next;
    head->cut_end = head->prompt_end;
}

// ---- what attention needs to know ----

static size_t prompt_at_once(const tb_kv_head *head, size_t position, size_t count)
{
    return position < head->prompt_end ? tb_min_size(count, head->prompt_end - position) : count;
}

static bool prompt_observes(const tb_kv_head *head, size_t position)
{
    return position < head->prompt_end && position + head->recent >= head->prompt_end;
}

static void prompt_observe(tb_kv_head *head, size_t position, const float *weights, size_t count)
{
    slots s = slots_of(head);
    assert(count <= head->count);
    if (head->scored_end != head->prompt_end) // what was seen so far was no end of a prompt
        memset(s.scores, 0, head->count * sizeof *s.scores);
    head->scored_end = head->prompt_end;
    for (size_t i = 0; i < count; i++)
        s.scores[i] += weights[i];
    head->observed_end = position + 1;
    if (position + 1 < head->prompt_end)
        return;
    if (head->count > head->budget)
        cut(head);
    memset(s.scores, 0, head->count * sizeof *s.scores);
    head->observed_end = 0;
}

const tb_kv_policy tb_kv_prompt = {
    .bytes = prompt_bytes,
    .store = prompt_store,
    .segments = prompt_segments,
    .truncate = prompt_truncate,
    .copy = prompt_copy,
    .at_once = prompt_at_once,
    .observes = prompt_observes,
    .observe = prompt_observe,
};
