// quant: quantizers as pure functions of weights and second moments, and the one pipeline
// that knows files. Sources: RTN (round to nearest), GPTQ (Frantar et al., arXiv 2210.17323),
// BPDQ (Chen et al., arXiv 2602.04163), PTQTP (arXiv 2509.16989).
#ifndef TB_QUANT_H
#define TB_QUANT_H

#include "model/model.h"

// ---- pure functions ----

typedef enum tb_method { TB_METHOD_RTN, TB_METHOD_GPTQ, TB_METHOD_BPDQ, TB_METHOD_PTQTP, TB_METHODS } tb_method;

typedef struct tb_quant_options {
    unsigned bits;     // planes: 1 … 4; 0: the method's default (2). PTQTP: always two trit-planes
    size_t group;      // columns per group, a multiple of 32; 0: the method's default
    double damping;    // δ: H_jj += δ·mean(diag H); 0: 0.05 (spec bpdq 3.4)
    unsigned iterations; // BPDQ sweeps (0: 10), PTQTP cap (0: 50)
    double ridge;      // BPDQ α; 0: 1e-4
    bool keep_order;   // no group-aware reordering (spec bpdq 4)
    bool exact_coefs;  // BPDQ: fit and select with unrounded coefficients as the authors do, and round
                       // to half only when packing. By default they are rounded before the errors are propagated.
    size_t threads;    // ≥ 1
} tb_quant_options;

// What happened to one matrix, for the report.
typedef struct tb_quant_report {
    size_t dead_columns;     // inputs that were always zero
    size_t nonfinite_weights; // replaced by 0
    double damping_used;     // δ after the damping ladder; 0 without H
    double error;            // Σ E²: tr((W−Q)(H+λI)(W−Q)ᵀ); without H: Σ(W−Q)²
    double energy;           // the same of W itself (Q = 0): error/energy is the relative error
} tb_quant_report;

// One matrix to quantize. W is read; non-finite weights count as 0 and are reported.
typedef struct tb_quant_problem {
    const float *weights; // [rows][cols]
    size_t rows, cols;
    const double *moments; // H[cols][cols] = 2/N·Σ x·xᵀ, or NULL (allowed for RTN and PTQTP)
} tb_quant_problem;

// Quantizes into new storage of the method's plane type. Results do not depend on
// options->threads. TB_EINVAL: moments missing, shape or option out of range (says which);
// TB_EUNSUPPORTED: H not positive definite after the whole damping ladder.
tb_code tb_quantize_matrix(tb_packed *out, tb_quant_report *report, tb_method method, const tb_quant_problem *problem,
                           const tb_quant_options *options, tb_error *err);

// The row of the method table: "rtn", "gptq" … and what it needs.
typedef struct tb_method_traits {
    const char *name;
    const char *title;     // one line for people
    tb_type type;          // what it packs into
    bool needs_moments;
    unsigned least_bits, most_bits, default_bits;
    size_t default_group;
} tb_method_traits;
const tb_method_traits *tb_method_get(tb_method method);
bool tb_method_find(tb_method *out, const char *name);

// ---- pipeline ----

typedef struct tb_pipeline_options {
    tb_method method;
    tb_quant_options quant;
    const char *calibration_path; // text; NULL: the text built into twobit
    size_t calibration_tokens;    // 0: 16384
    size_t window;                // tokens per window; 0: 512 (or the model's context when shorter)
    uint64_t seed;
    bool keep_head;               // leave embedding and head as they are instead of Q8_0
    const tb_report *report;      // may be NULL
} tb_pipeline_options;

typedef struct tb_pipeline_result {
    size_t matrices, blocks_reused; // blocks taken over from an interrupted run
    size_t dead_columns, nonfinite_weights;
    double relative_error; // Σ error / Σ energy over all matrices
    double seconds;        // of this run
    double perplexity, reference_perplexity; // on held-out text, after writing; 0: not measured
    size_t heldout_tokens;
    bool broken; // the result is unusable (a warning was noted)
} tb_pipeline_result;

// Quantizes the model block by block and writes `out_path`. Finished blocks are kept in
// "OUT.partial/" until the file is complete; the same command continues there and the result is
// byte-identical. A folder made with another model, text or option is refused with a clear
// sentence (TB_EINVAL). `model` should be opened for this purpose.
tb_code tb_pipeline_run(tb_pipeline_result *result, const char *out_path, const tb_model *model,
                        const tb_pipeline_options *options, tb_error *err);

#endif
