// Streaming: the first rows for ever, and a window of the newest.
//
// Row r of the sequence lies in slot r while r < sinks, else in slot sinks + (r − sinks) mod ring; the ring has the
// window's rows and, so that the first query of a batch sees its whole window when the last row is there, a batch's.
//
// No key is ever turned again. StreamingLLM numbers kept rows afresh: sinks 0 … S−1, the window S … S+W−1 with the
// query at its end. Within the window distances stay what they are; to sinks the distance is that of a query at min(p,
// S+W−1). So a query is turned twice, and sinks are scored with the one that stands still (tb_kv_segment.pinned).
#include <assert.h>

#include "model/kv_store.h"

static size_t ring_of(const tb_kv_head *head)
{
    return head->capacity - head->sinks;
}

static size_t slot_of(const tb_kv_head *head, size_t row)
{
    return row < head->sinks ? row : head->sinks + (row - head->sinks) % ring_of(head);
}

static size_t position_of(const tb_kv_head *head, size_t row)
{
    return row < head->sinks ? head->first + row : head->window_first + row - head->sinks;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void stream_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    assert(rows->count <= ring_of(head));
    for (size_t i = 0; i < rows->count; i++, head->count++) {
        if (head->count == 0)
            head->first = (size_t)rows->positions[i];
        if (head->count == head->sinks)
            head->window_first = (size_t)rows->positions[i];
        assert((size_t)rows->positions[i] == position_of(head, head->count));
        tb_kv_write_row(head, slot_of(head, head->count), kernels, rows, i);
    }
    size_t dropped = head->count > head->capacity ? head->count - ring_of(head) : 0;
    head->oldest = max_size(max_size(head->oldest, dropped), head->sinks);
}

// All rows lie in one piece, and no query sees sinks pinned.
static bool is_whole(const tb_kv_head *head)
{
    return head->count <= head->capacity &&
           (head->sinks == 0 || head->count == 0 || position_of(head, head->count - 1) <= head->pinned_from);
}

static size_t stream_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    size_t n = 0;
    if (is_whole(head)) {
        out[0] = tb_kv_slots(head, 0, head->count, head->first);
        out[0].reach = head->sinks ? 0 : head->reach; // in front of `pinned_from` all rows are in the window, or sinks
        return 1;
    }
    if (head->sinks > 0) {
        out[n] = tb_kv_slots(head, 0, head->sinks, head->first);
        out[n].reach = 0;
        out[n++].pinned = true;
    }
    for (size_t row = head->oldest, count; row < head->count; row += count) {
        size_t to_end = head->capacity - slot_of(head, row), left = head->count - row;
        count = left < to_end ? left : to_end;
        out[n++] = tb_kv_slots(head, slot_of(head, row), count, position_of(head, row));
    }
    return n;
}

// Rows in front of a position, dropped ones included.
static size_t rows_below(const tb_kv_head *head, size_t position)
{
    size_t in_window = head->count > head->sinks && position > head->window_first ? position - head->window_first : 0;
    size_t all = position > head->first ? position - head->first : 0;
    size_t rows = in_window ? head->sinks + in_window : all < head->sinks ? all : head->sinks;
    return rows < head->count ? rows : head->count;
}

static bool stream_truncate(tb_kv_head *head, size_t position)
{
    size_t kept = rows_below(head, position);
    bool is_there = kept <= head->sinks || head->oldest <= head->sinks || head->oldest + head->reach <= kept + 1;
    if (kept == head->count)
        return true;
    head->count = kept;
    head->oldest = kept <= head->sinks ? head->sinks : head->oldest;
    return is_there;
}

static void stream_copy(tb_kv_head *to, const tb_kv_head *from)
{
    assert(to->capacity == from->capacity && to->sinks == from->sinks);
    to->first = from->first;
    to->count = from->count;
    to->window_first = from->window_first;
    to->oldest = from->oldest;
    tb_kv_copy_slots(to, from, from->count < from->capacity ? from->count : from->capacity);
}

const tb_kv_policy tb_kv_stream = {tb_kv_store_bytes, stream_store, stream_segments, stream_truncate, stream_copy};
