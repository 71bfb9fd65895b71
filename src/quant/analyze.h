// The diagnostics of LieQ on a model, block by block: how concentrated the outputs of a block's projections are
// against random weights on the same inputs, how much of their energy lies in the leading directions, and what skipping
// the block costs. docs/lieq.md explains each.
#ifndef TB_QUANT_ANALYZE_H
#define TB_QUANT_ANALYZE_H

#include "model/model.h"
#include "quant/calibration.h"

// Which diagnostic ranks the blocks.
typedef enum tb_score {
    TB_SCORE_V2,   // rank gap on calibration text
    TB_SCORE_V1,   // composite of loss increase, rank gap and energy gain
    TB_SCORE_PPL,  // loss increase when the block is skipped
    TB_SCORE_FREE, // rank gap of the weights alone
    TB_SCORES
} tb_score;

const char *tb_score_name(tb_score score); // "v2", "v1", "ppl", "free"
bool tb_score_find(tb_score *out, const char *name);

// Linears whose outputs are looked at.
typedef enum tb_projection_set { TB_PROJECT_QKV, TB_PROJECT_QKVO, TB_PROJECT_ALL } tb_projection_set;

// A zeroed object means: every default.
typedef struct tb_analyze_options {
    tb_score score;
    bool only_score; // leave at 0 what the score does not need
    tb_projection_set projections;
    bool per_head;                // q, k and v in slices of one head each
    bool center;                  // subtract each token's mean over its outputs, divide by its norm
    bool keep_first;              // also count position 0 of each window, often an attention sink
    size_t draws;                 // random counterparts that are averaged; 0: 1
    uint64_t seed;                // of the random counterparts
    const tb_windows *windows;    // the text in tokens, where somebody has read it already; NULL: it is read
    const char *calibration_path; // text; NULL: the text built into twobit
    size_t calibration_tokens;    // in whole windows, at least one; 0: 2048
    size_t skip_tokens;           // most of these for skipping blocks, in whole windows; 0: one window
    size_t window;                // tokens per window; 0: 512 (or the model's context when shorter)
    const tb_report *report;      // may be NULL
} tb_analyze_options;

// Means over the projections (and heads) of a block.
typedef struct tb_block_analysis {
    double score;
    double effective_rank, random_rank; // of the outputs, with the model's and with random weights
    double rank_gap;                    // relative: (random − trained)/random
    double energy_gain;                 // share of the leading tenth of the directions, trained − random
    double free_gap;                    // rank_gap of the weights, against the formula for random ones
    double loss_increase;               // nats per token when the block is skipped
    double perplexity_drop;             // the same as a difference of perplexities: skipped − whole
    uint64_t weights;                   // in the linears of the block
} tb_block_analysis;

typedef struct tb_analysis {
    tb_block_analysis *blocks;
    size_t block_count;
    size_t tokens, skip_tokens; // used for the spectra, and for skipping; 0 where nothing needed them
    double perplexity;          // of the whole model on the tokens for skipping; 0: not measured
} tb_analysis;

// One pass over the windows, and a pass over the blocks behind each skipped one. Results do not depend on threads.
// TB_EUNSUPPORTED: no tokenizer to read the text with; TB_EINVAL: the model's numbers are not finite, or the text is
// too short. Clear with tb_analysis_clear; after a failure there is nothing to clear.
tb_code tb_analyze(tb_analysis *out, const tb_model *model, const tb_analyze_options *options, tb_error *err);
void tb_analysis_clear(tb_analysis *analysis);

#endif
