#include "model/kv_ring.h"

#include <assert.h>

void tb_kv_ring_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    const size_t ring = head->capacity - head->sinks;
    assert(rows->count <= ring);
    for (size_t i = 0; i < rows->count; i++, head->count++) {
        if (head->count == 0)
            head->first = (size_t)rows->positions[i];
        if (head->count == head->sinks)
            head->window_first = (size_t)rows->positions[i];
        assert((size_t)rows->positions[i] == tb_kv_ring_position(head, head->count));
        tb_kv_write_row(head, tb_kv_ring_slot(head, head->count), kernels, rows, i);
    }
    size_t dropped = head->count > head->capacity ? head->count - ring : 0;
    head->oldest = tb_max_size(tb_max_size(head->oldest, dropped), head->sinks);
}

size_t tb_kv_ring_sinks(tb_kv_segment *out, const tb_kv_head *head)
{
    if (head->sinks == 0)
        return 0;
    *out = tb_kv_slots(head, 0, tb_min_size(head->sinks, head->count), head->first);
    out->reach = head->sink_reach;
    out->pinned = head->pinned_from != SIZE_MAX;
    return 1;
}

size_t tb_kv_ring_newest(tb_kv_segment *out, const tb_kv_head *head, size_t row)
{
    size_t n = 0;
    for (size_t count; row < head->count; row += count) {
        size_t slot = tb_kv_ring_slot(head, row);
        count = tb_min_size(head->count - row, head->capacity - slot);
        out[n++] = tb_kv_slots(head, slot, count, tb_kv_ring_position(head, row));
    }
    return n;
}

size_t tb_kv_ring_rows_below(const tb_kv_head *head, size_t position)
{
    size_t in_window = head->count > head->sinks && position > head->window_first ? position - head->window_first : 0;
    size_t all = position > head->first ? position - head->first : 0;
    return tb_min_size(in_window ? head->sinks + in_window : tb_min_size(all, head->sinks), head->count);
}

void tb_kv_ring_cut(tb_kv_head *head, size_t kept)
{
    head->count = kept;
    if (kept <= head->sinks)
        head->oldest = head->sinks;
}

void tb_kv_ring_copy(tb_kv_head *to, const tb_kv_head *from)
{
    assert(to->capacity == from->capacity && to->sinks == from->sinks);
    to->first = from->first;
    to->count = from->count;
    to->window_first = from->window_first;
    to->oldest = from->oldest;
    tb_kv_copy_slots(to, from, tb_min_size(from->count, from->capacity));
}
