// The first rows of a head for ever, and the newest in a ring, all as they are. Private to the policies.
//
// Row r of the sequence lies in slot r while r < sinks, else in slot sinks + (r − sinks) mod ring, where the ring has
// capacity − sinks slots.
#ifndef TB_MODEL_KV_RING_H
#define TB_MODEL_KV_RING_H

#include "model/kv_store.h"

static inline size_t tb_kv_ring_slot(const tb_kv_head *head, size_t row)
{
    return row < head->sinks ? row : head->sinks + (row - head->sinks) % (head->capacity - head->sinks);
}

static inline size_t tb_kv_ring_position(const tb_kv_head *head, size_t row)
{
    return row < head->sinks ? head->first + row : head->window_first + row - head->sinks;
}

// At most as many rows as the ring has slots. Moves count and oldest.
void tb_kv_ring_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows);

// The sinks as a segment, which is none where there are no sinks; then those behind them from `row` on, in two at most.
// Returns how many segments.
size_t tb_kv_ring_sinks(tb_kv_segment *out, const tb_kv_head *head);
size_t tb_kv_ring_newest(tb_kv_segment *out, const tb_kv_head *head, size_t row);

// Rows in front of a position, forgotten ones included.
size_t tb_kv_ring_rows_below(const tb_kv_head *head, size_t position);

// Forgets rows from `kept` on.
void tb_kv_ring_cut(tb_kv_head *head, size_t kept);

// The rows and all that says where they lie.
void tb_kv_ring_copy(tb_kv_head *to, const tb_kv_head *from);

#endif
