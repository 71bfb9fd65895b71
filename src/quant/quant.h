// quant: quantizers as pure functions of weights and second moments, and the one pipeline
// that knows files. Sources: RTN (round to nearest), clip (the clipping search of AWQ's code, weighted by inputs), HQQ
// (Badri and Shaji, mobiusml.github.io/hqq_blog, 2023), AWQ (Lin et al., arXiv 2306.00978), GPTQ (Frantar et al., arXiv
// 2210.17323), BPDQ (Chen et al., arXiv 2602.04163), PTQTP (arXiv 2509.16989).
#ifndef TB_QUANT_H
#define TB_QUANT_H

#include "model/model.h"
#include "quant/allocate.h"
#include "quant/analyze.h"
#include "quant/lieq.h"

// ---- pure functions ----

typedef enum tb_method {
    TB_METHOD_RTN,
    TB_METHOD_CLIP,
    TB_METHOD_HQQ,
    TB_METHOD_AWQ,
    TB_METHOD_GPTQ,
    TB_METHOD_BPDQ,
    TB_METHOD_PTQTP,
    TB_METHODS
} tb_method;

// A zeroed object means: every default.
typedef struct tb_quant_options {
    unsigned bits;       // planes: 1 … 4; 0: the method's default. PTQTP: always two trit-planes
    size_t group;        // columns per group, a multiple of 32; 0: the method's default
    double damping;      // δ: H_jj += δ·mean(diag H); 0: 0.05
    unsigned iterations; // BPDQ sweeps (0: 10), most steps of HQQ (0: 20) and PTQTP (0: 50)
    bool no_shrinkage;   // the pipeline leaves second moments as the text gave them (see tb_moments_shrink)
    // As the paper has it: no shrinkage, and in BPDQ the ridge of the coefficient fit is added as it stands, not times
    // the mean diagonal of the fit, and coefficients are rounded to half when they are packed, not before errors are
    // propagated.
    bool published;
    size_t threads; // 0: 1. Results do not depend on it
} tb_quant_options;

// Shrinks H[cols][cols], gathered over N = `tokens` tokens, towards its diagonal, in place: (N·H + cols·diag H)/(N +
// cols). That is what H would be had the text gone on for as many tokens as there are inputs, as loud as before but
// with no input correlated to another. Correlations that few tokens show are mostly chance, and error feedback would
// follow them (Ledoit and Wolf, J. Multivariate Analysis 88, 2004, shrink for the same reason).
void tb_moments_shrink(double *moments, size_t cols, size_t tokens);

// Second moments of the inputs of a matrix, made ready for error feedback: dead inputs found,
// columns ordered, the damped matrix factored. Matrices that read the same input share one.
typedef struct tb_curvature tb_curvature;

// From H[cols][cols] = 2/N·Σ x·xᵀ (symmetric; only read). Uses group, damping and
// threads of `options`, with group given. TB_EINVAL: H not finite; TB_EUNSUPPORTED: not positive
// definite after the whole damping ladder. Free with tb_curvature_free.
tb_code tb_curvature_new(tb_curvature **out, const double *moments, size_t cols, const tb_quant_options *options,
                         tb_error *err);
void tb_curvature_free(tb_curvature *curvature);

// One matrix to quantize. Non-finite weights count as 0 and are reported (PTQTP leaves them
// out of its fit).
typedef struct tb_quant_problem {
    const float *weights; // [rows][cols]
    size_t rows, cols;
    // What the method's traits ask for; NULL otherwise.
    const double *moments;         // H[cols][cols] = 2/N·Σ x·xᵀ
    const tb_curvature *curvature; // made with the same cols and group
} tb_quant_problem;

// What happened to one matrix, for the report.
typedef struct tb_quant_report {
    size_t dead_columns;      // inputs that were always zero
    size_t nonfinite_weights; // counted as 0
    size_t clamped_coefs;     // coefficients beyond the range of half
    double damping_used;      // δ after the damping ladder; 0 without curvature
    double error;             // tr((W−Q)(H+λI)(W−Q)ᵀ), with moments alone λ = 0; without either: Σ(W−Q)²
    double energy;            // the same of W itself (Q = 0): error/energy is the relative error
} tb_quant_report;

// Quantizes into new storage of the method's plane type. TB_EINVAL: moments or curvature missing,
// not finite, or made for another shape; an option out of range (says which).
tb_code tb_quantize_matrix(tb_packed *out, tb_quant_report *report, tb_method method, const tb_quant_problem *problem,
                           const tb_quant_options *options, tb_error *err);

// The row of the method table: "rtn", "gptq" … and what it needs.
typedef struct tb_method_traits {
    const char *name;
    const char *title;    // one line for people
    tb_type type;         // what it packs into
    bool needs_moments;   // of the inputs, as they are
    bool needs_curvature; // made ready for error feedback
    bool scales_inputs;   // wants columns scaled beforehand, and the scales folded into what precedes the matrix
    unsigned least_bits, most_bits, default_bits;
    size_t default_group;
} tb_method_traits;
const tb_method_traits *tb_method_get(tb_method method);
bool tb_method_find(tb_method *out, const char *name);
#define TB_METHOD_NAMES "rtn, clip, hqq, awq, gptq, bpdq or ptqtp"

// True where the method needs text to be shown to the model.
bool tb_method_is_calibrated(tb_method method);

// The options with every default of the method filled in. TB_EINVAL: one is out of range.
tb_code tb_quant_options_resolve(tb_quant_options *out, tb_method method, const tb_quant_options *options,
                                 tb_error *err);

// ---- pipeline ----

// Texts that twobit brings along (share/text): one to calibrate on, and one to measure with that
// shares no document with it. Borrowed for ever.
typedef enum tb_builtin_text { TB_TEXT_CALIBRATION, TB_TEXT_HELDOUT } tb_builtin_text;
tb_text tb_builtin_text_get(tb_builtin_text which);

typedef struct tb_pipeline_options {
    tb_method method;
    tb_quant_options quant;
    const char *calibration_path; // text; NULL: the text built into twobit
    size_t calibration_tokens;    // in whole windows, at least one; 0: 16384
    size_t window;                // tokens per window; 0: 512 (or the model's context when shorter)
    const char *fingerprint;      // of the model, where it is known already; NULL: computed
    const uint8_t *block_bits;    // [blocks], planes of each block instead of quant.bits; NULL: all the same
    unsigned head_bits;           // of the head, 4 … 8; 0: 8 (Q8_0)
    unsigned embedding_bits;      // of an embedding that is not the head as well, 2 … 8; 0: those of the head
    bool keep_head;               // leave embedding and head as they are instead
    bool unmeasured;              // leave out the measurement of the finished file
    const tb_report *report;      // may be NULL
} tb_pipeline_options;

typedef struct tb_pipeline_result {
    size_t matrices, blocks_reused; // blocks taken over from an interrupted run
    size_t dead_columns, nonfinite_weights;
    double relative_error; // Σ error / Σ energy over all matrices
    double seconds;        // of this run until the file was written
    // On the built-in held-out text, after writing; 0: not measured (told so, or no tokenizer).
    double perplexity, reference_perplexity;
    size_t heldout_tokens;
    bool broken; // the result is unusable (a warning was noted)
} tb_pipeline_result;

// Quantizes the model block by block and writes `out_path`. Finished blocks are kept in
// "OUT.partial/" until the file is complete; the same command continues there and the result is
// byte-identical. A folder made with another model, text or option is refused with a clear
// sentence (TB_EINVAL). `model` should be opened for this purpose.
tb_code tb_pipeline_run(tb_pipeline_result *result, const char *out_path, const tb_model *model,
                        const tb_pipeline_options *options, tb_error *err);

// Exactly the bytes of the file that tb_pipeline_run would write.
tb_code tb_pipeline_file_bytes(uint64_t *bytes, const tb_model *model, const tb_pipeline_options *options,
                               tb_error *err);

// What a file is made from. Two files that agree in all of it are the same, byte for byte. The file says it
// itself: twobit.source, twobit.calibration, twobit.recipe.
typedef struct tb_quant_identity {
    char model[65];  // fingerprint of the checkpoint
    char tokens[65]; // SHA-256 of the calibration tokens; empty without calibration
    tb_str recipe;   // JSON object: everything else that bears on the result
    uint64_t file_bytes;
} tb_quant_identity;

// The identity of the file that tb_pipeline_run would write. Clear with tb_quant_identity_clear, also after failure.
tb_code tb_pipeline_identify(tb_quant_identity *out, const tb_model *model, const tb_pipeline_options *options,
                             tb_error *err);
void tb_quant_identity_clear(tb_quant_identity *identity);

// How the widths of blocks are chosen, and what they may cost: an average or a size, not both.
typedef struct tb_widths_options {
    tb_allocation_rule rule;
    bool published;      // LieQ's own count of blocks (tb_allocate_two): rule lieq or lieq-v1, average_bits, two widths
    double average_bits; // most bits per weight, nominal, over the linears of all blocks; 0: not limited
    uint64_t file_bytes; // most bytes of the whole file; 0: not limited
    unsigned widths[TB_MAX_WIDTHS];
    size_t width_count;   // ascending
    uint64_t seed;        // of the random weights that LieQ compares with, and of the random order
    const double *scores; // [blocks] of tb_score_blocks, made before; NULL: made when the rule needs them
} tb_widths_options;

// The diagnostic of tb_analyze that a rule reads; false when it reads none.
bool tb_allocation_rule_score(tb_score *out, tb_allocation_rule rule);

// scores[blocks] as tb_choose_widths makes them: by a short analysis on the calibration text of `pipeline`.
tb_code tb_score_blocks(double *scores, tb_score score, const tb_model *model, const tb_pipeline_options *pipeline,
                        uint64_t seed, tb_error *err);

// Fills bits[blocks] for tb_pipeline_options.block_bits; analyses the model where the rule needs it. The same
// input gives the same widths, so an interrupted run can be continued. TB_EINVAL: a width that the method does
// not have, or a budget below the narrowest widths (the sentence says what the least is).
tb_code tb_choose_widths(uint8_t *bits, const tb_model *model, const tb_pipeline_options *pipeline,
                         const tb_widths_options *options, tb_error *err);

#endif
