// The pipeline: the one place of quant that knows files. Model in, text in, quantized model out.
#ifndef TB_QUANT_PIPELINE_H
#define TB_QUANT_PIPELINE_H

#include "model/model.h"
#include "quant/allocate.h"
#include "quant/analyze.h"
#include "quant/identity.h"
#include "quant/options.h"

typedef struct tb_pipeline_options {
    tb_method method;
    tb_quant_options quant;
    const char *calibration_path; // text; NULL: the text built into twobit
    size_t calibration_tokens;    // in whole windows, at least one; 0: 16384
    size_t window;                // tokens per window; 0: 512 (or the model's context when shorter)
    const char *fingerprint;      // of the model, where it is known already; NULL: computed
    unsigned head_bits;           // of the head, 4 … 8; 0: 8 (Q8_0)
    unsigned embedding_bits;      // of an embedding that is not the head as well, 2 … 8; 0: those of the head
    bool keep_head;               // leave embedding and head as they are instead
    const bool *held_out;         // [tb_model_linear_count]: matrices that are not quantized (held_out.h); NULL: none
    const tb_report *report;      // may be NULL
} tb_pipeline_options;

// A quantization made ready: options checked against the model, the calibration text in tokens. What is asked of it
// afterwards reads the text no second time and hashes the model once. One thread at a time.
typedef struct tb_pipeline tb_pipeline;

// The model and what the options point to are borrowed; `model` should be opened for this purpose. TB_EINVAL: an option
// is out of range, or the text is too short; TB_EUNSUPPORTED: the model was quantized already, or has no tokenizer to
// read a text with.
tb_code tb_pipeline_new(tb_pipeline **out, const tb_model *model, const tb_pipeline_options *options, tb_error *err);
void tb_pipeline_free(tb_pipeline *pipeline);

// ---- widths of blocks ----

// Planes of each block, bits[blocks], instead of quant.bits. TB_EINVAL: a width that the method does not have.
tb_code tb_pipeline_set_widths(tb_pipeline *pipeline, const uint8_t *bits, tb_error *err);
// [blocks], borrowed; NULL: all have the same.
const uint8_t *tb_pipeline_get_widths(const tb_pipeline *pipeline);

// How the widths of blocks are chosen, and what they may cost: an average or a size, not both.
typedef struct tb_widths_options {
    tb_allocation_rule rule;
    bool published;      // LieQ's own count of blocks (tb_allocate_two): rule lieq or lieq-v1, average_bits, two widths
    double average_bits; // most bits per weight, nominal, over the linears of all blocks; 0: not limited
    uint64_t file_bytes; // most bytes of the whole file; 0: not limited
    unsigned widths[TB_MAX_WIDTHS];
    size_t width_count;   // ascending
    uint64_t seed;        // of the random weights that LieQ compares with, and of the random order
    const double *scores; // [blocks] of tb_pipeline_score_blocks, made before; NULL: made when the rule needs them
} tb_widths_options;

// Sets the widths by a rule; analyses the model where the rule needs it. The same input gives the same widths, so an
// interrupted run can be continued. TB_EINVAL: a width that the method does not have, or a budget below the narrowest
// widths (the sentence says what the least is).
tb_code tb_pipeline_choose_widths(tb_pipeline *pipeline, const tb_widths_options *options, tb_error *err);

// The diagnostic of tb_analyze that a rule reads; false when it reads none.
bool tb_allocation_rule_score(tb_score *out, tb_allocation_rule rule);

// scores[blocks] as tb_pipeline_choose_widths makes them: by a short analysis on the calibration text.
tb_code tb_pipeline_score_blocks(double *scores, const tb_pipeline *pipeline, tb_score score, uint64_t seed,
                                 tb_error *err);

// ---- the file ----

// What the file will be made from, and its size. Borrowed until the widths change or the pipeline is freed.
tb_code tb_pipeline_identify(const tb_quant_identity **out, tb_pipeline *pipeline, tb_error *err);

typedef struct tb_pipeline_result {
    size_t matrices, blocks_reused; // blocks taken over from an interrupted run
    size_t dead_columns, nonfinite_weights;
    double relative_error; // Σ error / Σ energy over all matrices
    double seconds;        // of the run until the file was written
} tb_pipeline_result;

// Quantizes the model block by block and writes `out_path`. Finished blocks are kept in
// "OUT.partial/" until the file is complete; the same command continues there and the result is
// byte-identical. A folder made with another model, text or option is refused with a clear
// sentence (TB_EINVAL), and so is one in which another process works (TB_EIO).
tb_code tb_pipeline_run(tb_pipeline_result *result, tb_pipeline *pipeline, const char *out_path, tb_error *err);

#endif
