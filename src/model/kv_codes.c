#include "model/kv_codes.h"

#include <string.h>

#include "model/kv_store.h"

// ---- layout ----

static size_t code_bytes(size_t codes, unsigned bits)
{
    return (codes * bits + 7) / 8;
}

size_t tb_kv_value_blocks(const tb_kv_head *head)
{
    return (head->head_size + head->bits.group - 1) / head->bits.group;
}

tb_kv_range tb_kv_value_block(const tb_kv_head *head, size_t block)
{
    size_t first = block * head->bits.group;
    return (tb_kv_range){first, tb_min_size(first + head->bits.group, head->head_size)};
}

// Halves of scales and offsets.
static size_t key_ranges(const tb_kv_head *head)
{
    return head->bits.keys == TB_KV_WHOLE ? 0 : 2 * head->head_size;
}

static size_t value_ranges(const tb_kv_head *head)
{
    return head->bits.values == TB_KV_WHOLE ? 0 : 2 * head->bits.group * tb_kv_value_blocks(head);
}

// All keys and all values of a group, so many bytes that halves behind them are aligned.
static size_t key_bytes(const tb_kv_head *head)
{
    size_t codes = head->head_size * code_bytes(head->bits.group, head->bits.keys);
    return key_ranges(head) * sizeof(uint16_t) + tb_round_up(codes, sizeof(uint16_t));
}

static size_t value_bytes(const tb_kv_head *head)
{
    size_t codes = head->bits.group * code_bytes(head->head_size, head->bits.values);
    return value_ranges(head) * sizeof(uint16_t) + tb_round_up(codes, sizeof(uint16_t));
}

size_t tb_kv_group_bytes(const tb_kv_head *head)
{
    return key_bytes(head) + value_bytes(head);
}

tb_kv_group tb_kv_group_get(const tb_kv_head *head, size_t index)
{
    size_t slot = index % head->group_slots;
    char *keys = (char *)head->storage + 2 * head->capacity * tb_kv_row_bytes(head);
    char *values = keys + head->group_slots * key_bytes(head);
    tb_kv_group g = {
        .key_ranges = (uint16_t *)(void *)(keys + slot * key_bytes(head)),
        .value_ranges = (uint16_t *)(void *)(values + slot * value_bytes(head)),
    };
    g.keys = g.key_ranges + key_ranges(head);
    g.values = g.value_ranges + value_ranges(head);
    return g;
}

void tb_kv_group_copy(const tb_kv_head *to, const tb_kv_head *from, size_t index)
{
    tb_kv_group copy = tb_kv_group_get(to, index), original = tb_kv_group_get(from, index);
    memcpy(copy.key_ranges, original.key_ranges, key_bytes(from));
    memcpy(copy.value_ranges, original.value_ranges, value_bytes(from));
}

tb_codes tb_kv_group_keys(const tb_kv_group *group, const tb_kv_head *head)
{
    return (tb_codes){
        .scales = group->key_ranges,
        .offsets = group->key_ranges + head->head_size,
        .codes = group->keys,
        .stride = code_bytes(head->bits.group, head->bits.keys),
        .bits = head->bits.keys,
    };
}

tb_codes tb_kv_group_values(const tb_kv_group *group, const tb_kv_head *head, size_t block)
{
    const size_t rows = head->bits.group;
    return (tb_codes){
        .scales = group->value_ranges + 2 * block * rows,
        .offsets = group->value_ranges + (2 * block + 1) * rows,
        .codes = (const uint8_t *)group->values + block * rows / 8 * head->bits.values,
        .stride = code_bytes(head->head_size, head->bits.values),
        .bits = head->bits.values,
    };
}

// ---- rows ----

// Rows of a segment that lie in one group.
typedef struct piece {
    tb_kv_group group;
    size_t begin, count; // of the group's rows
} piece;

// From a row on, at most up to `end`. A segment begins with a whole group.
static piece get_piece(const tb_kv_segment *segment, size_t row, size_t end)
{
    const tb_kv_head *head = segment->coded;
    size_t size = head->bits.group, first = segment->first - head->window_first + row;
    return (piece){
        .group = tb_kv_group_get(head, first / size),
        .begin = first % size,
        .count = tb_min_size(size - first % size, end - row),
    };
}

static tb_codes keys_from(const piece *p, const tb_kv_head *head, size_t row)
{
    tb_codes all = tb_kv_group_keys(&p->group, head);
    return tb_codes_from(&all, 0, row);
}

static tb_codes values_of(const piece *p, const tb_kv_head *head, size_t block)
{
    tb_codes all = tb_kv_group_values(&p->group, head, block);
    return tb_codes_from(&all, p->begin, 0);
}

// A row of halves.
static const uint16_t *halves_at(const void *halves, const tb_kv_head *head, size_t row)
{
    return (const uint16_t *)halves + row * head->head_size;
}

// ---- as floats ----

void tb_kv_decode_keys(float *out, size_t stride, const tb_kernels *kernels, const tb_kv_segment *segment, size_t begin,
                       size_t end)
{
    const tb_kv_head *head = segment->coded;
    const size_t n = head->head_size;
    for (size_t row = begin, count; row < end; row += count, out += count) {
        piece p = get_piece(segment, row, end);
        count = p.count;
        if (head->bits.keys == TB_KV_WHOLE) {
            for (size_t r = 0; r < count; r++)
                for (size_t c = 0; c < n; c++)
                    out[c * stride + r] = tb_half_to_float(halves_at(p.group.keys, head, p.begin + r)[c]);
        } else {
            tb_codes keys = keys_from(&p, head, p.begin);
            kernels->decode_codes(out, stride, &keys, n, count);
        }
    }
}

void tb_kv_decode_values(float *out, const tb_kernels *kernels, const tb_kv_segment *segment, size_t begin, size_t end)
{
    const tb_kv_head *head = segment->coded;
    const size_t n = head->head_size;
    for (size_t row = begin, count; row < end; row += count, out += count * n) {
        piece p = get_piece(segment, row, end);
        count = p.count;
        if (head->bits.values == TB_KV_WHOLE) {
            tb_matrix halves = {
                .type = TB_TYPE_F16, .rows = count, .cols = n, .data = halves_at(p.group.values, head, p.begin)};
            tb_kernels_decode(kernels, TB_TYPE_F16)(out, n, &halves, 0, count);
            continue;
        }
        for (size_t b = 0; b < tb_kv_value_blocks(head); b++) {
            tb_kv_range channels = tb_kv_value_block(head, b);
            tb_codes values = values_of(&p, head, b);
            kernels->decode_codes(out + channels.begin, n, &values, count, channels.end - channels.begin);
        }
    }
}

// ---- in place ----

// Scores of rows of keys in codes from `row` of a group on, a multiple of 8.
static void score_rows(float *scores, size_t stride, const float *x, size_t queries, const tb_kernels *kernels,
                       const piece *p, const tb_kv_head *head, size_t row, size_t count)
{
    tb_codes keys = keys_from(p, head, row);
    for (size_t q = 0; q < queries; q++)
        memset(scores + q * stride, 0, count * sizeof *scores);
    kernels->mix_codes(scores, stride, x, tb_padded(head->head_size), queries, &keys, head->head_size, count);
}

static void score_piece(float *scores, size_t stride, const float *x, size_t queries, const tb_kernels *kernels,
                        const piece *p, const tb_kv_head *head)
{
    const size_t n = head->head_size, odd = p->begin % 8, skipped = odd ? tb_min_size(8 - odd, p->count) : 0;
    if (head->bits.keys == TB_KV_WHOLE) {
        kernels->scores_f16(scores, stride, x, tb_padded(n), queries, halves_at(p->group.keys, head, p->begin),
                            p->count, n);
        return;
    }
    for (size_t q = 0; q < queries && odd; q++) { // those in front of the first multiple of 8
        float eight[8];
        score_rows(eight, 8, x + q * tb_padded(n), 1, kernels, p, head, p->begin - odd, odd + skipped);
        memcpy(scores + q * stride, eight + odd, skipped * sizeof *scores);
    }
    score_rows(scores + skipped, stride, x, queries, kernels, p, head, p->begin + skipped, p->count - skipped);
}

void tb_kv_score_codes(float *scores, size_t stride, const float *x, size_t queries, const tb_kernels *kernels,
                       const tb_kv_segment *segment, size_t begin, size_t end)
{
    for (size_t row = begin, count; row < end; row += count, scores += count) {
        piece p = get_piece(segment, row, end);
        count = p.count;
        score_piece(scores, stride, x, queries, kernels, &p, segment->coded);
    }
}

static void mix_piece(float *y, const float *weights, size_t stride, size_t queries, const tb_kernels *kernels,
                      const piece *p, const tb_kv_head *head)
{
    const size_t n = head->head_size;
    if (head->bits.values == TB_KV_WHOLE) {
        kernels->mix_f16(y, tb_padded(n), weights, stride, queries, halves_at(p->group.values, head, p->begin),
                         p->count, n);
        return;
    }
    for (size_t b = 0; b < tb_kv_value_blocks(head); b++) {
        tb_kv_range channels = tb_kv_value_block(head, b);
        tb_codes values = values_of(p, head, b);
        kernels->mix_codes(y + channels.begin, tb_padded(n), weights, stride, queries, &values, p->count,
                           channels.end - channels.begin);
    }
}

void tb_kv_mix_codes(float *y, const float *weights, size_t stride, size_t queries, const tb_kernels *kernels,
                     const tb_kv_segment *segment, size_t begin, size_t end)
{
    for (size_t row = begin, count; row < end; row += count, weights += count) {
        piece p = get_piece(segment, row, end);
        count = p.count;
        mix_piece(y, weights, stride, queries, kernels, &p, segment->coded);
    }
}
