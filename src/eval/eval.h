// eval: how good a model is, in numbers. Perplexity, divergence from another model, speed.
#ifndef TB_EVAL_H
#define TB_EVAL_H

#include "eval/act_rounding.h"
#include "eval/prefix_search.h"
#include "eval/score.h"
#include "model/model.h"

// The protocol: the text's tokens (without BOS) are cut into consecutive windows of `ctx` that do not
// overlap, a last shorter one is dropped; where the tokenizer's own settings add a BOS, it
// replaces the first token of each window; the predictions made at positions skip … ctx−2 of
// each window are scored. Where less is kept of a prompt, the first `skip` tokens of a window are one: half of it,
// where skip is 0.
typedef struct tb_perplexity_options {
    size_t ctx;        // 0: 512 (or the model's context when shorter)
    size_t skip;       // first scored position; llama.cpp's convention is ctx/2
    size_t max_tokens; // of the text, in whole windows; 0: all
    const tb_report *report;
    // How the measured models remember; NULL: every token, as 32-bit floats, as the reference does in any case.
    const tb_seq_options *memory;
    const tb_probe *probe; // of the measured models, not of the reference; NULL: nobody watches
} tb_perplexity_options;

typedef struct tb_perplexity_result {
    size_t ctx, skip, windows, tokens; // tokens: predictions scored
    bool broken;                       // logits were not finite (NaN weights …): what follows is not set
    double nll;                        // mean negative log likelihood, nats per token
    double nll_stderr; // standard error of that mean: from the window means when there are ≥ 2 windows
    double perplexity; // exp(nll)
    double stderr_;    // perplexity · nll_stderr
    // With a reference model p, this model q, over the same predictions:
    bool has_reference;
    double reference_nll, reference_perplexity, reference_stderr; // as nll, perplexity, stderr_
    double kl_mean, kl_stderr, kl_p99, kl_max;                    // KL(p‖q), nats
    double top1_agreement;                                        // share of positions where both prefer the same token
} tb_perplexity_result;

// `reference` may be NULL; it must have the same vocabulary size. TB_EINVAL when the sizes differ,
// the text does not fill one window, or the reference is broken; TB_ELIMIT when ctx exceeds
// a model's context.
tb_code tb_measure_perplexity(tb_perplexity_result *result, const tb_model *model, const tb_model *reference,
                              const int32_t *tokens, size_t token_count, const tb_perplexity_options *options,
                              tb_error *err);

// The same for `count` models in one pass over the text: results[i] belongs to models[i], and the
// reference is computed once for all of them.
tb_code tb_measure_perplexities(tb_perplexity_result *results, const tb_model *const *models, size_t count,
                                const tb_model *reference, const int32_t *tokens, size_t token_count,
                                const tb_perplexity_options *options, tb_error *err);

// ---- a text as one sequence ----

// Where on the way through a text a model stands how well: the means of a piece.
typedef struct tb_curve_point {
    size_t first;   // position of its first prediction
    double nll, kl; // nats per token; kl is 0 without a reference
    double reference_nll;
} tb_curve_point;

typedef struct tb_curve {
    tb_curve_point *points; // [count]; free with tb_free
    size_t count;
    size_t dropped; // tokens that had fallen out of the stream in the end
} tb_curve;

// Perplexity along a text that is one sequence, a stream by options->memory. The text's tokens follow one another, with
// the BOS, where the tokenizer's own settings add one, in the place of the first. The prediction of every token but the
// first is scored; options->ctx of them are a piece of the curve (which result->windows counts), a last shorter one is
// dropped. options->skip is 0. The reference, which may be NULL, sees all of the text: TB_ELIMIT where it is longer
// than its context. Else fails as tb_measure_perplexity does. Clear also after failure.
tb_code tb_measure_stream(tb_perplexity_result *result, tb_curve *curve, const tb_model *model,
                          const tb_model *reference, const int32_t *tokens, size_t token_count,
                          const tb_perplexity_options *options, tb_error *err);
void tb_curve_clear(tb_curve *curve);

// ---- a quantized model beside its original ----

typedef struct tb_heldout_result {
    double perplexity, reference_perplexity; // infinite where logits are not finite
    size_t tokens;                           // of the text; 0: not measured, for there is no tokenizer (a note says so)
    bool broken;                             // the model is unusable (a warning was noted)
} tb_heldout_result;

// The perplexities of both on the held-out text that comes with twobit, and whether what was made is of use.
tb_code tb_measure_heldout(tb_heldout_result *result, const tb_model *model, const tb_model *original,
                           const tb_report *report, tb_error *err);

// ---- window by window, for results that are kept and continued ----

// What a protocol makes of a text.
typedef struct tb_window_plan {
    size_t ctx, skip;   // defaults filled in
    size_t prompt;      // first tokens of a window that are a prompt; 0: none are
    size_t windows;     // at least 1
    size_t predictions; // scored in each window
} tb_window_plan;

// `context` is the shortest of the models' contexts. TB_EINVAL, TB_ELIMIT as above.
tb_code tb_window_plan_init(tb_window_plan *plan, size_t context, size_t token_count,
                            const tb_perplexity_options *options, tb_error *err);

// What one model says in one window.
typedef struct tb_window_scores {
    size_t model;       // its index; the number of models for the reference
    size_t window;      // of the text
    size_t predictions; // in it
    bool broken;        // logits were not finite: what follows is not set
    const double *nll;  // [predictions], nats
    const double *kl;   // [predictions], KL(reference‖model); NULL for the reference and where there is none
    size_t agreements;  // predictions where model and reference prefer the same token
} tb_window_scores;

// A pass over a text: many models and the reference, which may be NULL.
typedef struct tb_window_pass {
    const tb_model *const *models; // [count], count > 0
    size_t count;
    const tb_model *reference;
    const int32_t *tokens;
    size_t token_count;
    const tb_perplexity_options *options;
    // Whether the scores of a model in a window are asked for; NULL: all are.
    bool (*wants)(void *user, size_t model, size_t window);
    // Takes the scores of some windows: those that are asked for, and the reference's beside them. Borrowed.
    tb_code (*take)(void *user, const tb_window_scores *scores, size_t n, tb_error *err);
    void *user;
} tb_window_pass;

// The shortest context of its models.
size_t tb_window_pass_context(const tb_window_pass *pass);

// Computes what is asked for, in order of the windows. A window's scores are the same bits whatever else is asked for.
// Fails as tb_measure_perplexities does, and with what `take` fails with.
tb_code tb_measure_windows(const tb_window_pass *pass, tb_error *err);

// The scores of one model in all windows of a text, one after the other.
typedef struct tb_text_scores {
    size_t windows, predictions; // predictions in each window
    bool broken;
    double *nll; // [windows · predictions]
    double *kl;  // the same, or NULL
    size_t agreements;
} tb_text_scores;

// Sums up. Sorts kl. Leaves ctx, skip and the reference's own figures at 0.
void tb_text_scores_summarize(tb_perplexity_result *result, const tb_text_scores *scores);

// How many more nats per token `scores` has than `base` on the same windows, and the standard error of that: from the
// differences window by window, so that what makes a window hard for both does not count. Changes scores->nll.
void tb_text_scores_compare(double *more, double *error, const tb_text_scores *scores, const tb_text_scores *base);

// ---- speed ----

typedef struct tb_bench_result {
    size_t prompt_tokens, generated_tokens, repeats;
    double prefill_tps, decode_tps;       // medians
    double prefill_spread, decode_spread; // (max − min)/median over the repeats
    size_t peak_rss_bytes;
} tb_bench_result;

// Pushes `prompt` random tokens at once, then `generate` one by one; `repeats` times after one
// warm-up. All counts are at least 1; TB_ELIMIT when the model's context is shorter, unless `memory` (NULL: all is
// kept) makes a stream of it.
tb_code tb_measure_speed(tb_bench_result *result, const tb_model *model, size_t prompt, size_t generate, size_t repeats,
                         const tb_seq_options *memory, const tb_report *report, tb_error *err);

#endif
