// Computes batches: rows of several sequences at once. Private to model.
//
// A batch gives the bits that each of its sequences would get alone: every row is computed by itself, but for products
// and attention, which go span by span, on the path that the rows of the span ask for.
#ifndef TB_MODEL_RUNNER_H
#define TB_MODEL_RUNNER_H

#include "model/kv.h"
#include "model/rope.h"
#include "model/weights.h"

// Rows of one sequence in a batch. No two spans of a batch share a memory.
typedef struct tb_span {
    tb_memory *memory;   // has room for `count` more; takes them in
    size_t length;       // tokens that the sequence has or is about to have: some kinds of RoPE depend on it
    size_t first, count; // rows of the batch; count > 0
    size_t wanted;       // logits of the last so many rows; ≤ count
    float *logits;       // [wanted][vocab]
    size_t prefixed;     // so many first tokens of the sequence are the model's prefix
} tb_span;

typedef struct tb_batch {
    const int32_t *tokens;    // [rows], below the vocabulary's size; negative: a register (tb_register_id)
    const int32_t *positions; // [rows]; of a span ascending, and behind all that its memory has seen
    size_t rows;
    const tb_span *spans; // one behind the other, they cover all rows
    size_t span_count;
} tb_batch;

// The workspace of a pass, for batches of up to `rows` rows over memories of one plan. Rows are padded as the
// kernels want it; the padding is zero and stays so. Serves any sequences of its model, one batch at a time.
typedef struct tb_runner {
    const tb_model *model;
    size_t rows, capacity;
    size_t keys; // that a query sees, at most: those of tokens and learned ones
    size_t width_stride, query_stride, raw_stride, gate_stride, key_stride, ffn_stride;
    float *x;                // [rows][width_stride]: the residual stream
    float *normed, *delta;   // [rows][width_stride]
    float *query, *attended; // [rows][query_stride]
    float *pinned_query;     // the same; NULL where the plan pins nothing
    float *raw_query;        // [rows][raw_stride]: queries with a gate between them; NULL where there is none
    float *gates;            // [rows][gate_stride]: of attention; NULL where it has none, or one that is no row's
    float *key, *value;      // [rows][key_stride]
    bool *apart;             // [rows]: whose stream has an activation of apart_ratio times the median; or NULL
    double apart_ratio;
    float *gate, *up;            // [rows][ffn_stride], which has room for the widest of blocks and experts
    float *shares;               // [rows][experts]: of the experts in the sum
    unsigned char *chosen;       // [rows][experts]: 1 where the row goes through the expert
    float *gathered;             // [rows][width_stride]: those of `normed` that go through an expert
    float *expert_out;           // [rows][width_stride]: what it makes of them
    size_t *members;             // [rows] which rows they are
    int32_t *gathered_positions; // [rows]
    void *room;                  // of tb_activations, for any of the inputs of linears
    float *matmul_scratch, *attention_scratch;
    tb_rope_table rope, near_rope; // angles of the rows
    tb_rope_table pinned_rope;     // those of pinned queries
    int32_t *pinned_positions;     // [rows]
    tb_arena arena;                // owns all of it
} tb_runner;

// TB_ELIMIT where the plan keeps more than TB_MOST_POSITIONS rows. Clear also after failure. Nothing else allocates or
// fails.
tb_code tb_runner_init(tb_runner *runner, const tb_model *model, size_t rows, const tb_kv_plan *plan, tb_error *err);
void tb_runner_clear(tb_runner *runner);

// From tokens to the logits that are wanted. `probe` may be NULL.
void tb_runner_run(const tb_runner *runner, const tb_batch *batch, const tb_probe *probe);

// One block only, in place over x[rows][width_stride]; the batch's tokens and wanted logits are not looked at. The
// memories need to have that block only. `override` and `probe` may be NULL.
void tb_runner_run_block(const tb_runner *runner, float *x, const tb_batch *batch, size_t block,
                         const tb_block_override *override, const tb_probe *probe);

// logits[n][vocab] ← final norm and head of x[n] (rows of `stride`), n ≤ rows.
void tb_runner_run_head(float *logits, const tb_runner *runner, const float *x, size_t stride, size_t n);

// What stands for a register among tokens.
static inline int32_t tb_register_id(size_t index)
{
    return -1 - (int32_t)index;
}

static inline size_t tb_register_of(int32_t id)
{
    return (size_t)(-1 - id);
}

// x[n] rows of tb_padded(width) ← embeddings.
void tb_embed(float *x, const tb_model *model, const int32_t *tokens, size_t n);

#endif
