// A sequence is made for each pass: its factor is for life.
#include "sink/trial.h"

#include <math.h>

typedef struct sweep {
    const tb_model *model;
    const double *gammas; // that of form 1 comes first
} sweep;

static tb_code compute(void *user, size_t variant, const int32_t *tokens, size_t n, float *logits, tb_error *err)
{
    const sweep *s = user;
    const tb_seq_options options = {.context = n,
                                    .batch = tb_model_config(s->model)->registers + n,
                                    .kv_cache = TB_KV_CACHE_F32,
                                    .sink_bias = variant ? tb_sink_bias_of(s->gammas[variant - 1]) : 0};
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, s->model, &options, err);
    if (rc)
        return rc;
    rc = tb_seq_push_all(seq, tokens, n, logits, err);
    tb_seq_free(seq);
    return rc;
}

static size_t least(const tb_sink_trial *trials, size_t count, bool entropy)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (entropy ? trials[i].entropy < trials[best].entropy : trials[i].nll < trials[best].nll)
            best = i;
    return best;
}

tb_code tb_sink_sweep_gamma(tb_gamma_result *out, const tb_model *model, const double *gammas, size_t count,
                            const tb_sink_options *options, tb_sink_score_fn *score, tb_error *err)
{
    sweep s = {model, gammas};
    *out = (tb_gamma_result){.count = count};
    for (size_t i = 0; i < count; i++)
        if (!(gammas[i] >= 0 && isfinite(gammas[i])))
            return tb_fail(err, TB_EINVAL, "%g is no factor; it is at least 0", gammas[i]);
    tb_sink_trial *trials = tb_arena_array(&out->arena, count + 1, sizeof *trials);
    tb_code rc = trials ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu factors", count);
    if (!rc)
        rc = tb_sink_try(trials, count, model, options, score, compute, &s, &out->protocol, err);
    if (rc)
        return rc;
    out->untouched = trials;
    out->trials = trials + 1;
    out->least_nll = least(out->trials, count, false);
    out->least_entropy = least(out->trials, count, true);
    return TB_OK;
}

void tb_gamma_result_clear(tb_gamma_result *result)
{
    tb_arena_clear(&result->arena);
    *result = (tb_gamma_result){0};
}
