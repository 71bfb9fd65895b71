// What a sequence remembers of its tokens, block by block. Private to model.
//
// Attention remembers rows: the key and the value of a token, once per KV head. Which rows a head keeps, where they lie
// and in which precision is the business of the head's policy. Attention asks for segments and knows nothing else; a
// new way of keeping rows is a new policy and leaves attention alone.
//
// A block that carries a state through the sequence instead of rows (delta-net, Mamba, short convolution) has no heads
// in `kv`; its state belongs into tb_memory, beside that array, and takes part in truncate and copy there.
//
// One thread at a time per memory, but for tb_kv_store: different heads of a block may store side by side.
#ifndef TB_MODEL_KV_H
#define TB_MODEL_KV_H

#include "model/settings.h"

// Most segments of a head: what a sequence begins with, what was chosen to stay, the bulk in few bits, the newest rows
// as a ring in two pieces, as many again for policies that mix two of those, a learned slot, and rows that lie apart,
// each with a piece of the bulk in front of it.
enum { TB_KV_APART = 16, TB_KV_SEGMENTS = 9 + 2 * TB_KV_APART };

typedef struct tb_kv_head tb_kv_head;
typedef struct tb_kv_segment tb_kv_segment;

// Rows that are stored in another form once they are old: of those from position `first` on, whole groups of `group`
// rows, as soon as `lag` newer ones lie behind them. A batch of rows needs some of them in both forms, for each of its
// queries sees what it would see if the rows came one by one. group 0: rows do not age.
typedef struct tb_kv_aging {
    size_t first, group, lag;
} tb_kv_aging;

// Rows in front of this position are old for a query at `position`.
size_t tb_kv_get_old_end(const tb_kv_aging *aging, size_t position);

typedef enum tb_kv_age { TB_KV_ANY_AGE, TB_KV_OLD, TB_KV_YOUNG } tb_kv_age;

// Keys in pages of so many rows, of which bounds are known.
enum { TB_KV_PAGE = 16 };

typedef struct tb_kv_pages {
    const void *bounds; // [pages][2][head_size] of the keys' type: most and least of every channel; NULL: unknown
    const float *sizes; // [pages] at least ‖max(|most|, |least|)‖₂
} tb_kv_pages;

// Rows of one head that lie one behind the other, in the order of their positions. Borrowed until the head changes.
struct tb_kv_segment {
    tb_kv_cache_type type;     // where they are not `coded`
    const void *keys, *values; // [count][head_size] each
    const tb_kv_head *coded;   // whose groups they are (model/kv_codes.h); NULL: keys and values lie as they are
    size_t count;
    size_t from;              // rows in front of this one belong to another segment
    const int32_t *positions; // [count], ascending; NULL: first, first + 1, …
    size_t first;
    size_t reach;      // a query at position p sees positions p − reach + 1 … p; 0: 0 … p
    bool slot;         // learned: stands at no position, so that every query sees it, and no probe
    bool pinned;       // scored with the pinned query (tb_attention), if there is one
    size_t hidden;     // positions below are not seen by queries at this one and later; 0: all are
    tb_kv_pages pages; // of rows 0 …
    tb_kv_aging aging;
    tb_kv_age age; // a query sees those rows that are so for it
};

// Rows [begin, end) of a segment.
typedef struct tb_kv_range {
    size_t begin, end;
} tb_kv_range;

// Those that a query at `position` sees.
tb_kv_range tb_kv_get_seen(const tb_kv_segment *segment, size_t position);

// New rows of one head. Positions ascend and lie behind all that the head has seen.
typedef struct tb_kv_rows {
    const float *keys, *values; // [count] rows of `stride` floats, head_size of them used
    size_t stride, count;
    const int32_t *positions; // [count]
    const bool *apart;        // [count]: those that do not go well with others; NULL: none
} tb_kv_rows;

typedef struct tb_kv_policy tb_kv_policy;

// What one head of one block of one sequence keeps, in storage that the policy lays out.
struct tb_kv_head {
    const tb_kv_policy *policy;
    tb_kv_cache_type type;
    size_t head_size, capacity, reach; // capacity: rows; reach as segments have it
    size_t first, count;               // first: position of the first row; count: rows so far
    // Where the first `sinks` rows are kept for ever, and `capacity` is of rows as they are:
    size_t sinks, sink_reach;
    size_t pinned_from;          // queries from this position on see them pinned; SIZE_MAX: none
    size_t window_first, oldest; // position of row `sinks`; the oldest row behind the sinks still there
    // Where other rows are kept in codes:
    tb_kv_bits bits;
    size_t group_slots;          // most groups
    size_t groups, oldest_group; // so far; the oldest still there
    size_t apart_slots, apart;   // rows that lie apart: most, and how many there are
    // Where keys are skipped: whether bounds of pages are kept; how many pages queries came by so far, and skipped.
    bool paged;
    size_t pages_met, pages_skipped;
    // Where there is a budget: how the rows between the sinks and the newest `recent` are chosen.
    tb_eviction eviction;
    size_t recent;
    // Where it is one of a prompt, `budget` of its rows stay:
    size_t budget;
    size_t prompt_end;            // position behind the prompt; 0: not known
    size_t scored_end;            // the prompt_end that scores are for
    size_t cut_end, observed_end; // positions behind the last cut, and behind the last query observed since; 0: none
    void *storage;                // aligned to TB_ALIGNMENT; borrowed from the memory
};

struct tb_kv_policy {
    // Bytes of storage for a head; false on overflow.
    bool (*bytes)(size_t *out, const tb_kv_head *head);
    // Takes in rows, as many as have room.
    void (*store)(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows);
    // Fills out[TB_KV_SEGMENTS] in the order of positions; returns how many there are.
    size_t (*segments)(tb_kv_segment *out, const tb_kv_head *head);
    // Forgets positions from `position` on. False: what a query at `position` would see is gone, for it was dropped;
    // the head must be emptied.
    bool (*truncate)(tb_kv_head *head, size_t position);
    // Makes `to` keep what `from` keeps. Same policy, type and head size; the rows have room.
    void (*copy)(tb_kv_head *to, const tb_kv_head *from);
    // How many of `count` new rows, the first at `position`, may be stored before they are attended; at least one.
    // NULL: all.
    size_t (*at_once)(const tb_kv_head *head, size_t position, size_t count);
    // Whether the head wants to see the weights of a query; NULL: of none.
    bool (*observes)(const tb_kv_head *head, size_t position);
    // weights [count] of a query for the first `count` rows, summed over the query heads that share the head. Queries
    // come in the order of their positions.
    void (*observe)(tb_kv_head *head, size_t position, const float *weights, size_t count);
};

// Keeps every row, one behind the other: one segment. Its positions are consecutive, from any first one on.
extern const tb_kv_policy tb_kv_plain;

// Keeps the first `sinks` rows and a window of the newest, `reach` for every query (StreamingLLM, arXiv 2309.17453).
// Where `pinned_from` is SIZE_MAX, sinks are seen from afar, at their own positions.
extern const tb_kv_policy tb_kv_stream;

// Keeps the first `sinks` rows and the newest as they are, and those between, all or those of a window, in few bits.
extern const tb_kv_policy tb_kv_coded;

// Keeps `capacity` rows: the first `sinks`, the newest `recent`, and those between that score best.
extern const tb_kv_policy tb_kv_evict;

// Keeps every row until a prompt ends, and then `budget` of those there: the first `sinks`, the newest `recent`, and
// those between that score best. What comes then stays, until another prompt ends.
extern const tb_kv_policy tb_kv_prompt;

// The newest rows of a prompt, whose queries say what of it stays.
enum { TB_KV_PROMPT_RECENT = 32 };

// ---- memories ----

// How a memory keeps its rows.
typedef struct tb_kv_plan {
    tb_kv_cache_type type; // of rows kept as they are
    size_t capacity;       // rows, where none is dropped
    // A stream: blocks that see everything keep the first `sinks` rows and the newest `window`; near blocks see what
    // they always see. window 0: no row is dropped.
    size_t sinks, window;
    tb_kv_bits bits; // of rows that are neither among the first `sinks` nor new; 0: as they are
    double apart;    // rows with an activation so many times the median lie apart, as they are; 0: none do
    // Blocks that see everything keep `budget` rows of each head, or that many in the mean, chosen by `eviction`.
    tb_eviction eviction;
    size_t budget;
    // Of blocks that see everything, heads that do not read far keep and see the first and the newest rows only. NULL:
    // all keep everything.
    const tb_head_split *split;
    size_t batch;                    // of a stream, with bits or a split: most rows stored at once
    float sink_bias;                 // joins the score of the key at position 0
    const tb_head_bias *head_biases; // [head_bias_count]: so do those
    size_t head_bias_count;
    tb_redistribution redistribution;
    double skip; // of a query's weight, at most so much is left out with pages that are not read; 0: nothing
} tb_kv_plan;

// What the options of a sequence ask for.
tb_kv_plan tb_kv_plan_of(const tb_seq_options *options, const tb_settings *settings);

// Most rows that a head keeps; SIZE_MAX on overflow.
size_t tb_kv_plan_rows(const tb_kv_plan *plan, const tb_settings *settings);

// TB_EINVAL, TB_ELIMIT or TB_EUNSUPPORTED where the model cannot run so.
tb_code tb_kv_plan_check(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err);

// Rows of sinks are seen by queries that are turned at min(position, this): the place where a query stood if kept rows
// were numbered afresh, 0 … sinks + window − 1. SIZE_MAX: at their own position.
size_t tb_kv_plan_pin(const tb_kv_plan *plan);

// The rows that one block remembers.
typedef struct tb_kv_block {
    size_t head_count;
    tb_kv_head *heads; // [head_count]
} tb_kv_block;

// Blocks first_block … first_block + blocks − 1 of one sequence.
typedef struct tb_memory {
    tb_kv_plan plan;
    size_t first_block, blocks, heads; // heads: of queries
    tb_kv_block *kv;                   // [blocks]
    size_t bytes;                      // of storage
    float *first_bias;                 // [blocks][heads]: the plan's, as attention takes it; NULL: 0
    // [blocks][heads][plan.capacity]: what each token was given so far (redistribution.h); NULL: nobody asks
    float *columns;
    size_t column_count;
    tb_arena arena; // owns kv and all heads
    void *storage;  // the heads' rows; left uninitialised, so that unused ones take no memory
} tb_memory;

// Empty memory by a plan that tb_kv_plan_check took. TB_ENOMEM names the rows. Clear also after failure.
tb_code tb_memory_init(tb_memory *memory, const tb_settings *settings, size_t first_block, size_t blocks,
                       const tb_kv_plan *plan, tb_error *err);
void tb_memory_clear(tb_memory *memory);

// Forgets positions from `position` on; false: all positions, for a stream has dropped what a query there would see.
bool tb_memory_truncate(tb_memory *memory, size_t position);

// The rows in front of `position` are a prompt, of which less is kept once all of it is there. Holds for what is stored
// from now on, until it is set again.
void tb_memory_set_prompt(tb_memory *memory, size_t position);

// `to` remembers what `from` does: the fork of a sequence. Both were made for the same blocks, by the same plan but for
// the capacity, and what `from` holds has room in `to`.
void tb_memory_copy(tb_memory *to, const tb_memory *from);

// The rows of a block of the model.
static inline tb_kv_block *tb_memory_get_kv(const tb_memory *memory, size_t block)
{
    return &memory->kv[block - memory->first_block];
}

// What a sequence remembers. Borrowed.
const tb_memory *tb_seq_memory(const tb_seq *seq);

// How many of `count` new rows, the first at `position`, may be stored before they are attended, at least one: each row
// sees what is kept when it comes.
size_t tb_kv_at_once(const tb_kv_block *kv, size_t position, size_t count);

// Takes in rows of all heads: head h has keys + h·head_size and values + h·head_size.
void tb_kv_store(tb_kv_block *kv, const tb_compute *compute, const tb_kv_rows *rows);

#endif
