// Streaming: the first rows for ever, and a window of the newest. The ring has the window's rows and, so that the first
// query of a batch sees its whole window when the last row is there, a batch's.
//
// No key is ever turned again. StreamingLLM numbers kept rows afresh: sinks 0 … S−1, the window S … S+W−1 with the
// query at its end. Within the window distances stay what they are; to sinks the distance is that of a query at min(p,
// S+W−1). So a query is turned twice, and sinks are scored with the one that stands still (tb_kv_segment.pinned). A
// head that streams while others of its block keep everything (DuoAttention, arXiv 2410.10819) stays within the trained
// length, and has sinks where they are.
#include "model/kv_ring.h"

// No query sees sinks pinned or has rows between them and its window.
static bool sees_all(const tb_kv_head *head)
{
    if (head->pinned_from == SIZE_MAX)
        return head->count <= head->sinks + head->reach;
    return tb_kv_ring_position(head, head->count - 1) <= head->pinned_from;
}

// All rows lie in one piece, and queries see it as one.
static bool is_whole(const tb_kv_head *head)
{
    return head->count <= head->capacity && (head->sinks == 0 || head->count == 0 || sees_all(head));
}

static size_t stream_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    if (is_whole(head)) {
        out[0] = tb_kv_slots(head, 0, head->count, head->first);
        out[0].reach = head->sinks ? 0 : head->reach; // all rows are in the window, or sinks
        return 1;
    }
    size_t n = tb_kv_ring_sinks(out, head);
    return n + tb_kv_ring_newest(out + n, head, head->oldest);
}

static bool stream_truncate(tb_kv_head *head, size_t position)
{
    size_t kept = tb_kv_ring_rows_below(head, position);
    bool is_there = kept <= head->sinks || head->oldest <= head->sinks || head->oldest + head->reach <= kept + 1;
    if (kept == head->count)
        return true;
    tb_kv_ring_cut(head, kept);
    return is_there;
}

const tb_kv_policy tb_kv_stream = {
    .bytes = tb_kv_store_bytes,
    .store = tb_kv_ring_store,
    .segments = stream_segments,
    .truncate = stream_truncate,
    .copy = tb_kv_ring_copy,
};
