// The methods: pure functions of weights and second moments.
#ifndef TB_QUANT_METHOD_H
#define TB_QUANT_METHOD_H

#include "layout/layout.h"
#include "quant/options.h"

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
    size_t tokens;            // that the moments are of; 0 where there are none
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

#endif
