// What the rows of attention of one block sum up to, per head and column. Private to sink.
//
// Rows come from all workers at once and in any order; a result must not depend on that. So sums are kept as integers,
// in units of 2^-32, which add up to the same whatever the order: a set of sums per worker, joined when the block is
// done.
#ifndef TB_SINK_COLUMNS_H
#define TB_SINK_COLUMNS_H

#include "sink/spots.h"

// Sums over the rows of one head: in units of 2^-32, then counts.
typedef enum tb_sink_sum {
    TB_SINK_SUM_ENTROPY,
    TB_SINK_SUM_ENTROPY_SHARE,
    TB_SINK_SUM_SINK_LOGIT,
    TB_SINK_SUM_FIRST,
    TB_SINK_COUNT_ROWS,
    TB_SINK_COUNT_WIDE,  // rows that see two keys
    TB_SINK_COUNT_LATER, // i ≥ 1, and sees position 0
    TB_SINK_COUNT_ARGMAX,
    TB_SINK_SUMS
} tb_sink_sum;

// Of one sequence in one block.
typedef struct tb_sink_columns {
    size_t workers, heads, ctx;
    int64_t *weights; // [workers][heads][ctx]: of each column
    int32_t *seen;    // [workers][heads][ctx + 1]: queries that see a column, as differences between neighbours
    int64_t *sums;    // [workers][heads][TB_SINK_SUMS]
} tb_sink_columns;

tb_code tb_sink_columns_init(tb_sink_columns *columns, tb_arena *arena, size_t workers, size_t heads, size_t ctx,
                             tb_error *err);

// A row, as tb_probe.attention_row has it.
void tb_sink_columns_add(tb_sink_columns *columns, size_t worker, size_t head, size_t position,
                         const tb_attention_piece *pieces, size_t count);

// The weights out[n] that a row gives the keys at positions 0 … n − 1; 0 where it does not see one.
void tb_sink_first_weights(float *out, size_t n, const tb_attention_piece *pieces, size_t count);

// The block is done: adds what one sequence has to say of each head to heads[heads], the mean weight of each column
// to alpha[heads][ctx], its sinks to marks[ctx] (may be NULL), and forgets it.
void tb_sink_columns_take(tb_sink_head *heads, double *alpha, tb_sink_mark *marks, size_t band,
                          tb_sink_columns *columns, double epsilon);

// A column is asked for being a sink where this share of the queries sees it: of the last few columns a mean would be
// that of a few weights, and the last query's weight on itself no sink.
enum { TB_SINK_SEEN_BY = 4 };

static inline size_t tb_sink_columns_asked(size_t ctx)
{
    return ctx - ctx / TB_SINK_SEEN_BY + 1;
}

#endif
