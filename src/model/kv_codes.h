// Groups of rows in codes: how they lie, and what attention does with them. Private to the policy that makes them
// (kv_coded.c) and to attention.
//
//     keys of a group          s [channel], o [channel], halves; codes [channel][row]
//     values of a group        for each block of channels s [row], o [row]; codes [row][channel], a row begins at a
//     byte
//
// All keys lie in front of all values, as attention reads them. Keys lie so that the scores of a row of keys are sums
// of rows of codes, as the mix of values is: one kernel serves both. Where keys or values have all their bits, they are
// halves instead, [row][channel].
#ifndef TB_MODEL_KV_CODES_H
#define TB_MODEL_KV_CODES_H

#include "model/kv.h"

enum { TB_KV_WHOLE = 16 }; // bits of halves

typedef struct tb_kv_group {
    uint16_t *key_ranges, *value_ranges;
    void *keys, *values; // codes or halves
} tb_kv_group;

// Bytes of a group.
size_t tb_kv_group_bytes(const tb_kv_head *head);

// Makes group `index` of `to` that of `from`, a head of the same shape.
void tb_kv_group_copy(const tb_kv_head *to, const tb_kv_head *from, size_t index);

// Group `index`, counted from the sequence's first one.
tb_kv_group tb_kv_group_get(const tb_kv_head *head, size_t index);

// The codes of all keys of a group, [head_size] rows; of the values of a block of channels, [group] rows.
tb_codes tb_kv_group_keys(const tb_kv_group *group, const tb_kv_head *head);
tb_codes tb_kv_group_values(const tb_kv_group *group, const tb_kv_head *head, size_t block);

// Blocks of channels of values, and the channels of each of them.
size_t tb_kv_value_blocks(const tb_kv_head *head);
tb_kv_range tb_kv_value_block(const tb_kv_head *head, size_t block);

// Rows [begin, end) of a segment of groups:

// Their keys as floats, out[channel] rows of `stride`; begin is a multiple of 8. Their values, out[row][channel].
void tb_kv_decode_keys(float *out, size_t stride, const tb_kernels *kernels, const tb_kv_segment *segment, size_t begin,
                       size_t end);
void tb_kv_decode_values(float *out, const tb_kernels *kernels, const tb_kv_segment *segment, size_t begin, size_t end);

// As tb_scores_fn and tb_mix_fn, x and y with rows of tb_padded(head_size).
void tb_kv_score_codes(float *scores, size_t stride, const float *x, size_t queries, const tb_kernels *kernels,
                       const tb_kv_segment *segment, size_t begin, size_t end);
void tb_kv_mix_codes(float *y, const float *weights, size_t stride, size_t queries, const tb_kernels *kernels,
                     const tb_kv_segment *segment, size_t begin, size_t end);

#endif
