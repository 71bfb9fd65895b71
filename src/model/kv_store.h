// Storage of rows that are kept as they are: keys [capacity][head_size], then values. Private to the policies.
#ifndef TB_MODEL_KV_STORE_H
#define TB_MODEL_KV_STORE_H

#include <string.h>

#include "model/kv.h"

static inline size_t tb_kv_row_bytes(const tb_kv_head *head)
{
    return head->head_size * (head->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float));
}

static inline char *tb_kv_key_at(const tb_kv_head *head, size_t slot)
{
    return (char *)head->storage + slot * tb_kv_row_bytes(head);
}

static inline char *tb_kv_value_at(const tb_kv_head *head, size_t slot)
{
    return tb_kv_key_at(head, head->capacity + slot);
}

static inline bool tb_kv_store_bytes(size_t *out, const tb_kv_head *head)
{
    return tb_mul_size(out, 2 * tb_kv_row_bytes(head), head->capacity);
}

static inline void tb_kv_write_numbers(char *to, const float *from, const tb_kv_head *head, const tb_kernels *kernels)
{
    if (head->type == TB_KV_CACHE_F16)
        kernels->half_from_float((uint16_t *)(void *)to, from, head->head_size);
    else
        memcpy(to, from, head->head_size * sizeof *from);
}

// Row `index` of `rows` becomes that of a slot.
static inline void tb_kv_write_row(const tb_kv_head *head, size_t slot, const tb_kernels *kernels,
                                   const tb_kv_rows *rows, size_t index)
{
    tb_kv_write_numbers(tb_kv_key_at(head, slot), rows->keys + index * rows->stride, head, kernels);
    tb_kv_write_numbers(tb_kv_value_at(head, slot), rows->values + index * rows->stride, head, kernels);
}

// Slots first … first + count − 1 as a segment of consecutive positions.
static inline tb_kv_segment tb_kv_slots(const tb_kv_head *head, size_t first, size_t count, size_t position)
{
    return (tb_kv_segment){
        .type = head->type,
        .keys = tb_kv_key_at(head, first),
        .values = tb_kv_value_at(head, first),
        .count = count,
        .first = position,
        .reach = head->reach,
    };
}

// The first `count` slots of a head of the same shape.
static inline void tb_kv_copy_slots(tb_kv_head *to, const tb_kv_head *from, size_t count)
{
    memcpy(tb_kv_key_at(to, 0), tb_kv_key_at(from, 0), count * tb_kv_row_bytes(from));
    memcpy(tb_kv_value_at(to, 0), tb_kv_value_at(from, 0), count * tb_kv_row_bytes(from));
}

#endif
