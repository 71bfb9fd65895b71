// A short look at a quantized model on text that calibration did not see.
#include "eval/eval.h"

#include <math.h>

enum { TOKENS = 2048 };

// A model is called broken when its perplexity on held-out text is this many times the
// original's, or no better than guessing. Measured on SmolLM2: models that still write sentences
// stay below 7, RTN and GPTQ at two bits lie above 200.
#define BROKEN_RATIO 10.0

static void judge(tb_heldout_result *r, size_t vocab, const tb_report *report)
{
    r->broken = !(r->perplexity < BROKEN_RATIO * r->reference_perplexity) || r->perplexity > (double)vocab;
    if (r->broken && isfinite(r->reference_perplexity))
        tb_report_note(report, TB_NOTE_WARNING,
                       "the result is broken: perplexity %.4g on held-out text, the original has %.4g; use more bits, "
                       "smaller groups or method 'bpdq'",
                       r->perplexity, r->reference_perplexity);
    else if (r->broken)
        tb_report_note(report, TB_NOTE_WARNING, "the original model is broken: its logits are not finite");
}

// Infinite when logits are not finite.
static tb_code measure(double *perplexity, size_t *tokens, const tb_model *model, const tb_ids *ids,
                       const tb_report *report, tb_error *err)
{
    tb_perplexity_result result;
    const size_t prefix = tb_model_prefix(model)->count; // in the place of as many tokens
    const tb_perplexity_options options = {.skip = prefix ? prefix - 1 : 0, .max_tokens = TOKENS, .report = report};
    tb_code rc = tb_measure_perplexity(&result, model, NULL, ids->data, ids->size, &options, err);
    if (rc)
        return rc;
    *perplexity = result.broken ? INFINITY : result.perplexity;
    *tokens = result.windows * result.ctx;
    return TB_OK;
}

tb_code tb_measure_heldout(tb_heldout_result *r, const tb_model *model, const tb_model *original,
                           const tb_report *report, tb_error *err)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(original);
    tb_ids ids = {0};
    *r = (tb_heldout_result){0};
    if (!tokenizer) {
        tb_report_note(report, TB_NOTE_INFO, "the model has no tokenizer: the result is not measured");
        return TB_OK;
    }
    tb_code rc = tb_encode(&ids, tokenizer, tb_builtin_text_get(TB_TEXT_HELDOUT), 0, err);
    if (!rc)
        rc = measure(&r->perplexity, &r->tokens, model, &ids, report, err);
    if (!rc)
        rc = measure(&r->reference_perplexity, &r->tokens, original, &ids, report, err);
    if (!rc)
        judge(r, tb_model_vocab_size(original), report);
    tb_ids_clear(&ids);
    return rc;
}
