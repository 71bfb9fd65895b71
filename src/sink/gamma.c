// The sequences of all factors take turns, so that the untouched model's logits are there to compare with.
#include "sink/trial.h"

#include <math.h>

typedef struct sweep {
    tb_seq **seqs; // [count + 1]: of the untouched model, and of each factor
} sweep;

static tb_code compute(void *user, size_t variant, const int32_t *tokens, size_t n, float *logits, tb_error *err)
{
    sweep *s = user;
    tb_seq_truncate(s->seqs[variant], 0);
    return tb_seq_push_all(s->seqs[variant], tokens, n, logits, err);
}

static tb_code open_sequences(sweep *s, const tb_model *model, const double *gammas, size_t count, size_t ctx,
                              tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i <= count && !rc; i++) {
        const tb_seq_options options = {.context = ctx,
                                        .batch = tb_model_config(model)->registers + ctx,
                                        .kv_cache = TB_KV_CACHE_F32,
                                        .sink_bias = i ? tb_sink_bias_of(gammas[i - 1]) : 0};
        rc = tb_seq_new(&s->seqs[i], model, &options, err);
    }
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
    sweep s = {0};
    *out = (tb_gamma_result){.count = count};
    size_t ctx = options->ctx ? options->ctx : TB_SINK_CTX;
    for (size_t i = 0; i < count; i++)
        if (!(gammas[i] >= 0 && isfinite(gammas[i])))
            return tb_fail(err, TB_EINVAL, "%g is no factor; it is at least 0", gammas[i]);
    tb_sink_trial *trials = tb_arena_array(&out->arena, count + 1, sizeof *trials);
    s.seqs = tb_alloc_array(count + 1, sizeof *s.seqs);
    tb_code rc = trials && s.seqs ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu factors", count);
    if (!rc)
        rc = open_sequences(&s, model, gammas, count, ctx, err);
    if (!rc)
        rc = tb_sink_try(trials, count, model, options, score, compute, &s, &out->protocol, err);
    for (size_t i = 0; s.seqs && i <= count; i++)
        tb_seq_free(s.seqs[i]);
    tb_free(s.seqs);
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
