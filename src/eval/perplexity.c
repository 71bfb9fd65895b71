// Perplexity and divergence of whole texts: the scores of all windows, and what they amount to.
#include "eval/eval.h"

#include <math.h>

#include "eval/score.h"

// ---- results ----

void tb_text_scores_summarize(tb_perplexity_result *r, const tb_text_scores *s)
{
    size_t predictions = s->windows * s->predictions;
    *r = (tb_perplexity_result){.windows = s->windows, .tokens = predictions, .broken = s->broken};
    if (r->broken)
        return;
    tb_mean nll = tb_mean_of_windows(s->nll, s->windows, s->predictions);
    r->nll = nll.mean;
    r->nll_stderr = nll.error;
    r->perplexity = exp(nll.mean);
    r->stderr_ = r->perplexity * nll.error;
    r->has_reference = s->kl != NULL;
    if (!r->has_reference)
        return;
    tb_mean kl = tb_mean_of_windows(s->kl, s->windows, s->predictions);
    r->kl_mean = kl.mean;
    r->kl_stderr = kl.error;
    r->kl_p99 = tb_percentile(s->kl, predictions, 0.99);
    r->kl_max = s->kl[predictions - 1]; // tb_percentile has sorted them
    r->top1_agreement = (double)s->agreements / (double)predictions;
}

void tb_text_scores_compare(double *more, double *error, const tb_text_scores *scores, const tb_text_scores *base)
{
    for (size_t i = 0; i < scores->windows * scores->predictions; i++)
        scores->nll[i] -= base->nll[i];
    tb_mean difference = tb_mean_of_windows(scores->nll, scores->windows, scores->predictions);
    *more = difference.mean;
    *error = difference.error;
}

// ---- many models at once ----

typedef struct collection {
    tb_arena arena;
    tb_text_scores *texts; // [count + 1]: of each model, then of the reference
    size_t count;
} collection;

static tb_code collect(void *user, const tb_window_scores *scores, size_t n, tb_error *err)
{
    (void)err;
    collection *c = user;
    for (size_t i = 0; i < n; i++) {
        const tb_window_scores *from = &scores[i];
        tb_text_scores *to = &c->texts[from->model];
        for (size_t p = 0; p < from->predictions; p++) {
            to->nll[from->window * from->predictions + p] = from->nll[p];
            if (from->kl)
                to->kl[from->window * from->predictions + p] = from->kl[p];
        }
        to->agreements += from->agreements;
        to->broken |= from->broken;
    }
    return TB_OK;
}

static tb_code prepare(collection *c, const tb_window_plan *plan, bool compared, tb_error *err)
{
    size_t predictions = plan->windows * plan->predictions;
    c->texts = tb_arena_array(&c->arena, c->count + 1, sizeof *c->texts);
    bool complete = c->texts != NULL;
    for (size_t i = 0; complete && i <= c->count; i++) {
        tb_text_scores *t = &c->texts[i];
        *t = (tb_text_scores){.windows = plan->windows, .predictions = plan->predictions};
        t->nll = tb_arena_array(&c->arena, predictions, sizeof *t->nll);
        t->kl = compared && i < c->count ? tb_arena_array(&c->arena, predictions, sizeof *t->kl) : NULL;
        complete = t->nll && (t->kl || !compared || i == c->count);
    }
    return complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to measure %zu predictions", predictions);
}

static void fill_results(tb_perplexity_result *results, const collection *c, const tb_window_plan *plan)
{
    tb_perplexity_result reference;
    tb_text_scores_summarize(&reference, &c->texts[c->count]);
    for (size_t i = 0; i < c->count; i++) {
        tb_perplexity_result *r = &results[i];
        tb_text_scores_summarize(r, &c->texts[i]);
        r->ctx = plan->ctx;
        r->skip = plan->skip;
        if (!r->has_reference)
            continue;
        r->reference_nll = reference.nll;
        r->reference_perplexity = reference.perplexity;
        r->reference_stderr = reference.stderr_;
    }
}

tb_code tb_measure_perplexities(tb_perplexity_result *results, const tb_model *const *models, size_t count,
                                const tb_model *reference, const int32_t *tokens, size_t token_count,
                                const tb_perplexity_options *options, tb_error *err)
{
    collection c = {.count = count};
    tb_window_pass pass = {.models = models,
                           .count = count,
                           .reference = reference,
                           .tokens = tokens,
                           .token_count = token_count,
                           .options = options,
                           .take = collect,
                           .user = &c};
    tb_window_plan plan;
    tb_code rc = tb_window_plan_init(&plan, tb_window_pass_context(&pass), token_count, options, err);
    if (!rc)
        rc = prepare(&c, &plan, reference != NULL, err);
    if (!rc)
        rc = tb_measure_windows(&pass, err);
    if (!rc)
        fill_results(results, &c, &plan);
    tb_arena_clear(&c.arena);
    return rc;
}

tb_code tb_measure_perplexity(tb_perplexity_result *result, const tb_model *model, const tb_model *reference,
                              const int32_t *tokens, size_t token_count, const tb_perplexity_options *options,
                              tb_error *err)
{
    return tb_measure_perplexities(result, &model, 1, reference, tokens, token_count, options, err);
}
