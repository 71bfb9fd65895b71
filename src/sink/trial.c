#include "sink/trial.h"

#include <math.h>
#include <string.h>

#include "sink/sequences.h"

// Of one prediction.
typedef struct prediction {
    bool finite;
    double nll, kl, entropy;
} prediction;

typedef struct trials {
    const tb_model *model;
    tb_sink_score_fn *score;
    tb_sink_sequences sequences;
    size_t vocab;
    const int32_t *tokens;     // of the sequence under way
    float *logits, *reference; // [length][vocab]: of the form under way, of the untouched model
    prediction *predictions;   // [length]
    double *means;             // [count + 1][sequences]: mean nll
    tb_arena arena;
} trials;

// Of the distribution that logits stand for, in nats.
static double entropy_of(const float *logits, size_t vocab)
{
    double top = -INFINITY, sum = 0, weighted = 0;
    for (size_t i = 0; i < vocab; i++)
        top = fmax(top, (double)logits[i]);
    for (size_t i = 0; i < vocab; i++) {
        double x = (double)logits[i] - top, weight = exp(x);
        sum += weight;
        weighted += weight * x;
    }
    return log(sum) - weighted / sum;
}

static void score_range(void *user, size_t begin, size_t end, size_t worker)
{
    trials *t = user;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t at = i + 1;
        const float *logits = t->logits + at * t->vocab;
        prediction *p = &t->predictions[i];
        p->finite = t->score(&p->nll, &p->kl, logits, t->reference + at * t->vocab, t->vocab, t->tokens[at + 1]);
        p->entropy = p->finite ? entropy_of(logits, t->vocab) : 0;
    }
}

// Adds a sequence to a form's sums; returns its mean nll.
static double score_sequence(tb_sink_trial *form, trials *t)
{
    size_t n = t->sequences.length - 2, finite = 0;
    double nll = 0;
    tb_parallel(tb_model_compute(t->model)->threads, n, 1, score_range, t);
    for (size_t i = 0; i < n; i++) {
        const prediction *p = &t->predictions[i];
        form->broken += !p->finite;
        finite += p->finite;
        nll += p->finite ? p->nll : 0;
        form->kl += p->finite ? p->kl : 0;
        form->entropy += p->entropy;
    }
    form->nll += nll;
    return finite ? nll / (double)finite : 0;
}

// How much more a form has than the untouched model, from the differences sequence by sequence.
static void compare(tb_sink_trial *form, const double *means, const double *untouched, size_t sequences)
{
    double n = (double)sequences, sum = 0, squares = 0;
    for (size_t i = 0; i < sequences; i++)
        sum += (means[i] - untouched[i]) / n;
    for (size_t i = 0; i < sequences; i++)
        squares += pow(means[i] - untouched[i] - sum, 2);
    form->more_error = sequences > 1 ? sqrt(squares / (n - 1) / n) : NAN;
}

static tb_code finish(tb_sink_trial *out, size_t count, const trials *t, tb_error *err)
{
    size_t all = t->sequences.count * (t->sequences.length - 2);
    for (size_t v = 0; v <= count; v++) {
        double finite = (double)(all - out[v].broken);
        out[v].nll = finite > 0 ? out[v].nll / finite : INFINITY;
        out[v].kl = finite > 0 ? out[v].kl / finite : INFINITY;
        out[v].entropy = finite > 0 ? out[v].entropy / finite : 0;
        out[v].more = out[v].nll - out[0].nll;
        compare(&out[v], t->means + v * t->sequences.count, t->means, t->sequences.count);
    }
    return out[0].broken ? tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite") : TB_OK;
}

static tb_code prepare(trials *t, size_t count, tb_error *err)
{
    size_t n = t->sequences.length, logits;
    bool ok = tb_mul_size(&logits, n, t->vocab);
    t->logits = ok ? tb_arena_array(&t->arena, logits, sizeof *t->logits) : NULL;
    t->reference = ok ? tb_arena_array(&t->arena, logits, sizeof *t->reference) : NULL;
    t->predictions = tb_arena_array(&t->arena, n, sizeof *t->predictions);
    t->means = tb_arena_array(&t->arena, count + 1, t->sequences.count * sizeof *t->means);
    ok = t->logits && t->reference && t->predictions && t->means;
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the logits of %zu tokens", n);
}

tb_code tb_sink_try(tb_sink_trial *out, size_t count, const tb_model *model, const tb_sink_options *options,
                    tb_sink_score_fn *score, tb_sink_form_fn *compute, void *user, tb_sink_protocol *protocol,
                    tb_error *err)
{
    trials t = {.model = model, .score = score, .vocab = tb_model_config(model)->vocab};
    memset(out, 0, (count + 1) * sizeof *out);
    tb_code rc = tb_sink_sequences_init(&t.sequences, model, options, err);
    size_t n = t.sequences.length, sequences = t.sequences.count;
    *protocol = (tb_sink_protocol){.ctx = n, .sequences = sequences, .predictions = sequences * (n - 2)};
    protocol->bos = t.sequences.bos;
    if (!rc)
        rc = prepare(&t, count, err);
    for (size_t i = 0; i < sequences * (count + 1) && !rc; i++) {
        size_t v = i % (count + 1), s = i / (count + 1);
        if (tb_report_progress(options->report, "passes", (double)i, (double)(sequences * (count + 1)), "passes")) {
            rc = tb_fail(err, TB_ECANCELLED, "stopped");
            break;
        }
        t.tokens = tb_sink_text(&t.sequences, s);
        rc = compute(user, v, t.tokens, n, t.logits, err);
        if (!rc && v == 0)
            memcpy(t.reference, t.logits, n * t.vocab * sizeof *t.logits);
        if (!rc)
            t.means[v * sequences + s] = score_sequence(&out[v], &t);
    }
    if (!rc)
        rc = finish(out, count, &t, err);
    tb_sink_sequences_clear(&t.sequences);
    tb_arena_clear(&t.arena);
    return rc;
}
