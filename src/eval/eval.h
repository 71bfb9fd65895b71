// eval: how good a model is, in numbers. Perplexity, divergence from another model, speed.
#ifndef TB_EVAL_H
#define TB_EVAL_H

#include "model/model.h"

// The protocol: the text's tokens (without BOS) are cut into consecutive windows of `ctx` that do not
// overlap, a last shorter one is dropped; where the tokenizer's own settings add a BOS, it
// replaces the first token of each window; the predictions made at positions skip … ctx−2 of
// each window are scored.
typedef struct tb_perplexity_options {
    size_t ctx;        // 0: 512 (or the model's context when shorter)
    size_t skip;       // first scored position; llama.cpp's convention is ctx/2
    size_t max_tokens; // of the text, in whole windows; 0: all
    const tb_report *report;
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

typedef struct tb_bench_result {
    size_t prompt_tokens, generated_tokens, repeats;
    double prefill_tps, decode_tps;       // medians
    double prefill_spread, decode_spread; // (max − min)/median over the repeats
    size_t peak_rss_bytes;
} tb_bench_result;

// Pushes `prompt` random tokens at once, then `generate` one by one; `repeats` times after one
// warm-up. All counts are at least 1; TB_ELIMIT when the model's context is shorter.
tb_code tb_measure_speed(tb_bench_result *result, const tb_model *model, size_t prompt, size_t generate, size_t repeats,
                         const tb_report *report, tb_error *err);

#endif
