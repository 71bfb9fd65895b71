// The steps of a training. What a step works on follows from the seed and its number, so that training that was
// interrupted goes on to the same bits.
#include "train/lm_train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train/lm_folder.h"

enum {
    HELD_WINDOWS = 64, // of a loss on the way; the last one takes all
    PROBE_WINDOWS = 8,
};

// Streams of random numbers: those of parameters are hashes of their names.
#define WINDOW_STREAM ((uint64_t)1 << 63)

typedef struct training {
    const tb_lm_training *options;
    tb_lm_folder folder;
    tb_lm *lm;
    tb_optimizer *optimizer;
    tb_params *log;
    double *loss, *held, *probes;
    uint64_t step;             // made
    int32_t *tokens, *targets; // [most windows][context]
    double *watched;           // room of a probe
    tb_str description;
} training;

// ---- windows ----

// Window `index` of a batch from ids[start …]: with `first` in front, or without.
static void take_window(training *t, size_t index, const int32_t *ids, size_t start, size_t length)
{
    int32_t first = t->options->text.first, *tokens = t->tokens + index * length,
            *targets = t->targets + index * length;
    size_t put = first >= 0;
    if (put)
        tokens[0] = first;
    memcpy(tokens + put, ids + start, (length - put) * sizeof *ids);
    memcpy(targets, ids + start + !put, length * sizeof *ids);
}

// Tokens that a window of `length` takes from a text.
static size_t span_of(const training *t, size_t length)
{
    return length + (t->options->text.first < 0);
}

static tb_lm_batch batch_of(const training *t, size_t windows, size_t length)
{
    return (tb_lm_batch){t->tokens, t->targets, windows, length};
}

static tb_lm_batch draw_batch(training *t)
{
    const tb_lm_training *o = t->options;
    size_t length = o->shape.context;
    for (size_t i = 0; i < o->batch; i++) {
        tb_rng rng;
        tb_rng_init(&rng, o->seed, WINDOW_STREAM | (t->step * o->batch + i));
        take_window(t, i, o->text.ids, tb_rng_below(&rng, o->text.count - span_of(t, length) + 1), length);
    }
    return batch_of(t, o->batch, length);
}

// `windows` windows spread evenly over a text, from window `from` of them on; all of one length.
static tb_lm_batch spread_batch(training *t, const int32_t *ids, size_t count, size_t windows, size_t from, size_t most)
{
    size_t length = t->options->shape.context, span = span_of(t, length);
    if (span > count) { // one that is shorter
        length -= span - count;
        span = count;
    }
    size_t n = windows - from < most ? windows - from : most;
    for (size_t i = 0; i < n; i++) {
        size_t start = windows > 1 ? (count - span) * (from + i) / (windows - 1) : 0;
        take_window(t, i, ids, start, length);
    }
    return batch_of(t, n, length);
}

// ---- measuring ----

static tb_code measure_held(double *out, training *t, size_t windows, tb_error *err)
{
    const tb_lm_text *text = &t->options->text;
    double sum = 0;
    size_t scored = 0;
    tb_code rc = TB_OK;
    for (size_t from = 0; !rc && from < windows; from += HELD_WINDOWS) {
        tb_lm_batch batch = spread_batch(t, text->held, text->held_count, windows, from, HELD_WINDOWS);
        tb_lm_loss loss;
        rc = tb_lm_run(&loss, t->lm, &batch, TB_LM_PLAIN, false, t->options->threads, NULL, err);
        if (rc)
            return rc;
        sum += loss.sum;
        scored += loss.scored;
    }
    *out = sum / (double)scored;
    return rc;
}

static size_t held_windows(const training *t)
{
    size_t windows = t->options->text.held_count / span_of(t, t->options->shape.context);
    return windows ? windows : 1;
}

// A text of so few tokens says nothing.
static bool holds_out(const training *t)
{
    return t->options->text.held_count >= 2;
}

static tb_code probe(double out[TB_LM_PROBES], training *t, tb_error *err)
{
    const tb_lm_training *o = t->options;
    const tb_lm_shape *s = &o->shape;
    size_t heads = s->blocks * s->heads, span = s->registers + s->context;
    memset(t->watched, 0, (heads + 2 * s->blocks + span) * sizeof *t->watched);
    tb_lm_watch watch = {.first_mass = t->watched, .largest = t->watched + heads};
    watch.kurtosis = watch.largest + s->blocks;
    watch.gradient_norm = watch.kurtosis + s->blocks;
    tb_lm_batch batch = spread_batch(t, o->text.ids, o->text.count, PROBE_WINDOWS, 0, PROBE_WINDOWS);
    tb_lm_loss loss;
    tb_lm_clear_gradients(t->lm);
    tb_code rc = tb_lm_run(&loss, t->lm, &batch, TB_LM_PLAIN, true, o->threads, &watch, err);
    memset(out, 0, TB_LM_PROBES * sizeof *out);
    for (size_t i = 0; i < heads; i++) {
        out[TB_LM_PROBE_SINK] = fmax(out[TB_LM_PROBE_SINK], watch.first_mass[i]);
        out[TB_LM_PROBE_HEADS] += (watch.first_mass[i] > 0.3) / (double)heads;
    }
    for (size_t i = 0; i < s->blocks; i++) {
        out[TB_LM_PROBE_LARGEST] = fmax(out[TB_LM_PROBE_LARGEST], watch.largest[i]);
        out[TB_LM_PROBE_KURTOSIS] = fmax(out[TB_LM_PROBE_KURTOSIS], watch.kurtosis[i]);
    }
    out[TB_LM_PROBE_FIRST_GRADIENT] = watch.gradient_norm[0];
    for (size_t i = 1; i < span; i++)
        out[TB_LM_PROBE_GRADIENT] += watch.gradient_norm[i] / (double)(span - 1);
    return rc;
}

static void tell_probe(const training *t, const double p[TB_LM_PROBES])
{
    tb_report_note(t->options->report, TB_NOTE_INFO,
                   "step %" PRIu64 ": weight of the first position %.3f in the strongest head, above 0.3 in %.0f %% of "
                   "the heads; largest activation %.4g, kurtosis %.3g; gradient %.3g at the first position, %.3g "
                   "elsewhere",
                   t->step, p[TB_LM_PROBE_SINK], 100 * p[TB_LM_PROBE_HEADS], p[TB_LM_PROBE_LARGEST],
                   p[TB_LM_PROBE_KURTOSIS], p[TB_LM_PROBE_FIRST_GRADIENT], p[TB_LM_PROBE_GRADIENT]);
}

// The measurement, counted from 0, that was best among the first `count`.
static uint64_t best_of(const training *t, uint64_t count)
{
    uint64_t best = 0;
    for (uint64_t i = 1; i < count; i++)
        if (t->held[i] < t->held[best])
            best = i;
    return best;
}

// ---- steps ----

static tb_code run_step(training *t, tb_error *err)
{
    const tb_lm_training *o = t->options;
    const tb_schedule schedule = {TB_RATE_COSINE, o->rate, (uint64_t)(o->warmup * (double)o->steps), o->steps};
    tb_lm_batch batch = draw_batch(t);
    tb_lm_loss loss;
    tb_lm_clear_gradients(t->lm);
    tb_code rc = tb_lm_run(&loss, t->lm, &batch, o->penalty, true, o->threads, NULL, err);
    if (rc)
        return rc;
    double mean = loss.sum / (double)loss.scored;
    double norm = tb_params_clip(tb_lm_params(t->lm), o->clip);
    if (!isfinite(mean + loss.penalty) || !isfinite(norm))
        return tb_fail(err, TB_EINVAL, "the loss of step %" PRIu64 " is not a number; a lower rate may help",
                       t->step + 1);
    t->loss[t->step++] = mean;
    tb_optimizer_step(t->optimizer, tb_schedule_rate(&schedule, t->step), t->step, o->threads);
    return TB_OK;
}

static void tell(const training *t, uint64_t since, double seconds)
{
    const tb_lm_training *o = t->options;
    double mean = 0, rate = seconds > 0 ? (double)((t->step - since) * o->batch * o->shape.context) / seconds : 0;
    uint64_t first = t->step > o->measure_every ? t->step - o->measure_every : 0;
    for (uint64_t i = first; i < t->step; i++)
        mean += t->loss[i] / (double)(t->step - first);
    if (holds_out(t))
        tb_report_note(o->report, TB_NOTE_INFO,
                       "step %" PRIu64 " of %" PRIu64 ": loss %.4f, held out %.4f, %.0f tokens/s", t->step, o->steps,
                       mean, t->held[t->step / o->measure_every - 1], rate);
    else
        tb_report_note(o->report, TB_NOTE_INFO, "step %" PRIu64 " of %" PRIu64 ": loss %.4f, %.0f tokens/s", t->step,
                       o->steps, mean, rate);
}

static tb_code measure(training *t, uint64_t since, double seconds, tb_error *err)
{
    uint64_t index = t->step / t->options->measure_every - 1;
    size_t windows = held_windows(t);
    tb_code rc = TB_OK;
    if (holds_out(t)) {
        rc = measure_held(&t->held[index], t, windows < HELD_WINDOWS ? windows : HELD_WINDOWS, err);
        if (!rc && best_of(t, index + 1) == index)
            rc = tb_lm_folder_save_best(&t->folder, t->lm, err);
    }
    if (!rc)
        tell(t, since, seconds);
    return rc;
}

// Nothing better has come for as long as patience lasts.
static bool is_over(const training *t)
{
    uint64_t patience = t->options->patience, count = t->step / t->options->measure_every;
    return t->step >= t->options->steps ||
           (patience && holds_out(t) && count && best_of(t, count) + 1 + patience <= count);
}

static tb_code after_step(training *t, uint64_t since, double seconds, tb_error *err)
{
    const tb_lm_training *o = t->options;
    double done = (double)o->batch * (double)o->shape.context;
    tb_code rc = TB_OK;
    if (o->probe_every && t->step % o->probe_every == 0) {
        double *told = t->probes + (t->step / o->probe_every - 1) * TB_LM_PROBES;
        rc = probe(told, t, err);
        if (!rc)
            tell_probe(t, told);
    }
    if (!rc && t->step % o->measure_every == 0)
        rc = measure(t, since, seconds, err);
    bool stop = tb_report_progress(o->report, "train", (double)t->step * done, (double)o->steps * done, "tokens");
    if (!rc && (stop || t->step % o->checkpoint_every == 0))
        rc = tb_lm_folder_save(&t->folder, t->lm, t->log, tb_str_get(&t->description), t->step, err);
    if (!rc && stop)
        rc = tb_fail(err, TB_ECANCELLED, "training was stopped; the same command goes on with it");
    return rc;
}

static tb_code run_steps(tb_lm_log *log, training *t, tb_error *err)
{
    uint64_t since = t->step;
    double began = tb_clock_seconds();
    tb_code rc = TB_OK;
    while (!rc && !is_over(t)) {
        rc = run_step(t, err);
        if (!rc)
            rc = after_step(t, since, tb_clock_seconds() - began, err);
    }
    log->seconds = tb_clock_seconds() - began;
    log->own_steps = t->step - since;
    return rc;
}

// ---- beginning and end ----

static tb_code check(const tb_lm_training *o, tb_error *err)
{
    size_t window = o->shape.context + (o->text.first < 0);
    if (o->text.count < window)
        return tb_fail(err, TB_EINVAL, "the training text has %zu tokens, fewer than one window of %zu", o->text.count,
                       window);
    if (o->steps < 1 || o->batch < 1 || o->measure_every < 1 || o->checkpoint_every < 1)
        return tb_fail(err, TB_EINVAL, "a training needs steps, and windows in each");
    return TB_OK;
}

static tb_code hash_ids(char out[65], const tb_lm_text *text, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a hash");
    tb_hash_update(hash, text->ids, text->count * sizeof *text->ids);
    tb_hash_update(hash, text->held, text->held_count * sizeof *text->held);
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return TB_OK;
}

static tb_code describe(training *t, tb_error *err)
{
    const tb_lm_training *o = t->options;
    const tb_lm_shape *s = &o->shape;
    char hash[65];
    tb_code rc = hash_ids(hash, &o->text, err);
    if (!rc)
        rc = tb_str_printf(&t->description, err, "text=%s first=%d seed=%" PRIu64 " steps=%" PRIu64 " batch=%zu", hash,
                           o->text.first, o->seed, o->steps, o->batch);
    if (!rc)
        rc = tb_str_printf(&t->description, err,
                           " vocab=%zu width=%zu blocks=%zu heads=%zu kv_heads=%zu head_size=%zu ffn_width=%zu "
                           "context=%zu registers=%zu reach=%zu",
                           s->vocab, s->width, s->blocks, s->heads, s->kv_heads, s->head_size, s->ffn_width, s->context,
                           s->registers, s->reach);
    if (!rc)
        rc = tb_str_printf(&t->description, err, " attn=%s gate=%s kv_bias=%s norm=%s ffn=%s loss=%s optimizer=%s",
                           tb_lm_normalizer_names[s->normalizer], tb_lm_gate_names[s->gate],
                           tb_lm_kv_bias_names[s->kv_bias], tb_lm_norm_names[s->norm], tb_lm_ffn_names[s->ffn],
                           tb_lm_penalty_names[o->penalty], tb_optimizer_names[o->optimizer]);
    if (!rc)
        rc = tb_str_printf(&t->description, err,
                           " alpha=%.17g base=%.17g eps=%.17g tied=%d biases=%d ternary=%d rate=%.17g warmup=%.17g "
                           "decay=%.17g clip=%.17g measure=%" PRIu64 " patience=%" PRIu64 " probe=%" PRIu64,
                           s->clip_alpha, s->rope_base, s->norm_epsilon, s->tied, s->biases, s->ternary, o->rate,
                           o->warmup, o->decay, o->clip, o->measure_every, o->patience, o->probe_every);
    return rc;
}

static tb_code make_log(training *t, tb_error *err)
{
    const tb_lm_training *o = t->options;
    tb_param *loss, *held, *probes;
    size_t measures = (size_t)(o->steps / o->measure_every),
           probed = o->probe_every ? (size_t)(o->steps / o->probe_every) : 0;
    tb_code rc = tb_params_new(&t->log, TB_DOUBLE, false, err);
    if (!rc)
        rc = tb_params_add(&loss, t->log, "loss", 1, (size_t)o->steps, err);
    if (!rc)
        rc = tb_params_add(&held, t->log, "held", 1, measures ? measures : 1, err);
    if (!rc)
        rc = tb_params_add(&probes, t->log, "probes", probed ? probed : 1, TB_LM_PROBES, err);
    if (rc)
        return rc;
    t->loss = loss->value;
    t->held = held->value;
    t->probes = probes->value;
    return TB_OK;
}

static tb_code make_room(training *t, tb_error *err)
{
    const tb_lm_training *o = t->options;
    const tb_lm_shape *s = &o->shape;
    size_t windows = o->batch > HELD_WINDOWS ? o->batch : HELD_WINDOWS;
    t->tokens = tb_alloc_array(windows, s->context * sizeof *t->tokens);
    t->targets = tb_alloc_array(windows, s->context * sizeof *t->targets);
    t->watched = tb_alloc_array(s->blocks * (s->heads + 2) + s->registers + s->context, sizeof *t->watched);
    if (!t->tokens || !t->targets || !t->watched)
        return tb_fail(err, TB_ENOMEM, "no memory for batches of %zu windows", o->batch);
    return TB_OK;
}

static tb_code prepare(training *t, const char *path, tb_error *err)
{
    const tb_lm_training *o = t->options;
    tb_code rc = check(o, err);
    if (!rc)
        rc = tb_lm_new(&t->lm, &o->shape, TB_SINGLE, o->seed, err);
    if (!rc)
        rc = tb_optimizer_new(&t->optimizer, o->optimizer, tb_lm_params(t->lm), o->decay, o->seed, err);
    if (!rc)
        rc = make_log(t, err);
    if (!rc)
        rc = make_room(t, err);
    if (!rc)
        rc = describe(t, err);
    if (!rc)
        rc = tb_lm_folder_open(&t->folder, path, err);
    if (!rc)
        rc = tb_lm_folder_load(&t->step, &t->folder, t->lm, t->log, tb_str_get(&t->description), err);
    if (!rc && t->step)
        tb_report_note(o->report, TB_NOTE_INFO, "going on from '%s': step %" PRIu64, t->folder.work, t->step);
    return rc;
}

static tb_code finish(tb_lm_log *log, training *t, tb_error *err)
{
    uint64_t measures = t->step / t->options->measure_every;
    bool best = holds_out(t) && measures > 0;
    log->best_step = best ? (best_of(t, measures) + 1) * t->options->measure_every : t->step;
    log->held_loss = NAN;
    tb_code rc = best ? tb_lm_folder_load_best(&t->folder, t->lm, err) : TB_OK;
    if (!rc && holds_out(t)) // which also makes three-valued matrices of what was loaded
        rc = measure_held(&log->held_loss, t, held_windows(t), err);
    return rc ? rc : tb_lm_folder_finish(&t->folder, t->lm, t->options, err);
}

tb_code tb_lm_train(tb_lm_log *log, const char *folder, const tb_lm_training *options, tb_error *err)
{
    training t = {.options = options};
    *log = (tb_lm_log){0};
    tb_code rc = prepare(&t, folder, err);
    if (!rc)
        rc = run_steps(log, &t, err);
    if (!rc)
        rc = finish(log, &t, err);
    if (!rc) {
        log->steps = t.step;
        log->loss = t.loss;
        log->held = t.held;
        log->probes = t.probes;
        log->values = t.log;
        t.log = NULL;
    }
    tb_lm_folder_close(&t.folder);
    tb_optimizer_free(t.optimizer);
    tb_lm_free(t.lm);
    tb_params_free(t.log);
    tb_free(t.tokens);
    tb_free(t.targets);
    tb_free(t.watched);
    tb_str_clear(&t.description);
    return rc;
}

void tb_lm_log_clear(tb_lm_log *log)
{
    tb_params_free(log->values);
    *log = (tb_lm_log){0};
}
