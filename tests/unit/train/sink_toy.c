#include "sink_toy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    T = 32,
    D = 16,       // of tokens and of the head
    CONTENT = 12, // elements of a token that carry its content; then a flag for each kind, and a 1
    IS_CONTENT = CONTENT,
    IS_TRIGGER,
    IS_ANCHOR,
    ONE,
    TRIGGERS_IN = 8, // a token in so many is a trigger
    TEST_SEQUENCES = 64,
};

#define RATE 5e-3
#define DEVIATION 0.25 // of weights at first: 1/√D

// One sequence on its way.
typedef struct sequence {
    double x[T][D], target[T][CONTENT];
    bool trigger[T];
    double q[T][D], k[T + 1][D], v[T + 1][D]; // the last is the slot
    double z[T][T + 1], w[T][T + 1], rest[T];
    double mixed[T][D], gate[T][D], gated[T][D], out[T][CONTENT];
} sequence;

typedef struct toy_net {
    const toy_options *options;
    tb_params *params;
    tb_param *wq, *wk, *wv, *wo, *wg, *extra, *slot_k, *slot_v;
} toy_net;

static const double *values(const tb_param *p)
{
    return p->value;
}

static double *gradients(tb_param *p)
{
    return p->gradient;
}

// ---- data ----

static void draw_sequence(sequence *s, const toy_options *o, uint64_t stream)
{
    tb_rng rng;
    double sum[CONTENT] = {0};
    size_t contents = 0;
    memset(s, 0, sizeof *s);
    tb_rng_init(&rng, o->seed, stream);
    for (size_t t = 0; t < T; t++) {
        bool anchor = o->anchor && t == 0;
        s->trigger[t] = !anchor && tb_rng_below(&rng, TRIGGERS_IN) == 0;
        s->x[t][ONE] = 1;
        s->x[t][anchor ? IS_ANCHOR : s->trigger[t] ? IS_TRIGGER : IS_CONTENT] = 1;
        contents += !anchor;
        for (size_t i = 0; i < CONTENT && !anchor; i++) {
            sum[i] += s->x[t][i] = tb_rng_normal(&rng);
            s->target[t][i] = s->trigger[t] ? sum[i] / (double)contents : 0;
        }
    }
}

// ---- forward ----

// y[rows] = W·x
static void apply(double *y, const tb_param *w, const double *x)
{
    for (size_t r = 0; r < w->rows; r++) {
        y[r] = 0;
        for (size_t c = 0; c < w->cols; c++)
            y[r] += values(w)[r * w->cols + c] * x[c];
    }
}

static void unapply(double *dx, const double *dy, tb_param *w, const double *x)
{
    for (size_t r = 0; r < w->rows; r++)
        for (size_t c = 0; c < w->cols; c++) {
            gradients(w)[r * w->cols + c] += dy[r] * x[c];
            if (dx)
                dx[c] += dy[r] * values(w)[r * w->cols + c];
        }
}

static double extra_of(const toy_net *toy)
{
    return toy->extra ? values(toy->extra)[0] : 0;
}

// The key at `place` of a row: the slot's first, where there is one.
static size_t key_at(const toy_net *toy, size_t place)
{
    return !toy->slot_k ? place : place ? place - 1 : T;
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < D; i++)
        sum += a[i] * b[i];
    return sum;
}

static double gamma_of(void)
{
    return -4.0 / T;
}

static void attend(const toy_net *toy, sequence *s, size_t t)
{
    size_t n = t + 1 + (toy->slot_k != NULL);
    for (size_t j = 0; j < n; j++)
        s->z[t][j] = dot(s->q[t], s->k[key_at(toy, j)]) / sqrt(D);
    s->rest[t] = tb_lm_weigh_f64(s->w[t], s->z[t], n, toy->options->normalizer, gamma_of(), extra_of(toy));
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < D; i++)
            s->mixed[t][i] += s->w[t][j] * s->v[key_at(toy, j)][i];
}

static void run_forward(const toy_net *toy, sequence *s)
{
    for (size_t t = 0; t < T; t++) {
        apply(s->q[t], toy->wq, s->x[t]);
        apply(s->k[t], toy->wk, s->x[t]);
        apply(s->v[t], toy->wv, s->x[t]);
        if (toy->wg)
            apply(s->gate[t], toy->wg, s->x[t]);
    }
    if (toy->slot_k) {
        memcpy(s->k[T], values(toy->slot_k), sizeof s->k[T]);
        memcpy(s->v[T], values(toy->slot_v), sizeof s->v[T]);
    }
    for (size_t t = 0; t < T; t++) {
        attend(toy, s, t);
        for (size_t i = 0; i < D; i++)
            s->gated[t][i] = s->mixed[t][i] * (toy->wg ? 1 / (1 + exp(-s->gate[t][i % toy->wg->rows])) : 1);
        apply(s->out[t], toy->wo, s->gated[t]);
    }
}

// ---- backward ----

static void unattend(const toy_net *toy, sequence *s, size_t t, const double *dmixed, double dk[T + 1][D],
                     double dv[T + 1][D])
{
    size_t n = t + 1 + (toy->slot_k != NULL);
    double g[T + 1], dq[D] = {0};
    for (size_t j = 0; j < n; j++) {
        g[j] = dot(dmixed, s->v[key_at(toy, j)]);
        for (size_t i = 0; i < D; i++)
            dv[key_at(toy, j)][i] += s->w[t][j] * dmixed[i];
    }
    double by_extra = tb_lm_unweigh_f64(s->z[t], s->w[t], g, n, toy->options->normalizer, gamma_of(), s->rest[t]);
    if (toy->extra)
        gradients(toy->extra)[0] += by_extra;
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < D; i++) {
            dq[i] += s->z[t][j] * s->k[key_at(toy, j)][i] / sqrt(D);
            dk[key_at(toy, j)][i] += s->z[t][j] * s->q[t][i] / sqrt(D);
        }
    unapply(NULL, dq, toy->wq, s->x[t]);
}

static void ungate(const toy_net *toy, const sequence *s, size_t t, double *d)
{
    double da[D] = {0};
    for (size_t i = 0; toy->wg && i < D; i++) {
        size_t at = i % toy->wg->rows;
        double open = 1 / (1 + exp(-s->gate[t][at]));
        da[at] += d[i] * s->mixed[t][i] * open * (1 - open);
        d[i] *= open;
    }
    if (toy->wg)
        unapply(NULL, da, toy->wg, s->x[t]);
}

static void run_backward(const toy_net *toy, sequence *s, double weight)
{
    double dk[T + 1][D] = {{0}}, dv[T + 1][D] = {{0}};
    for (size_t t = 0; t < T; t++) {
        double dout[CONTENT], d[D] = {0};
        for (size_t i = 0; i < CONTENT; i++)
            dout[i] = 2 * weight * (s->out[t][i] - s->target[t][i]);
        unapply(d, dout, toy->wo, s->gated[t]);
        ungate(toy, s, t, d);
        unattend(toy, s, t, d, dk, dv);
    }
    for (size_t t = 0; t < T; t++) {
        unapply(NULL, dk[t], toy->wk, s->x[t]);
        unapply(NULL, dv[t], toy->wv, s->x[t]);
    }
    for (size_t i = 0; toy->slot_k && i < D; i++) {
        gradients(toy->slot_k)[i] += dk[T][i];
        gradients(toy->slot_v)[i] += dv[T][i];
    }
}

// ---- training ----

static tb_param *add(toy_net *toy, const char *name, size_t rows, size_t cols, double deviation, double mean)
{
    tb_param *p;
    tb_rng rng;
    if (tb_params_add(&p, toy->params, name, rows, cols, NULL) != TB_OK)
        abort();
    tb_rng_init(&rng, toy->options->seed, 1000 + tb_params_count(toy->params));
    for (size_t i = 0; i < rows * cols; i++)
        tb_param_set(toy->params, p, i, mean + deviation * tb_rng_normal(&rng));
    return p;
}

static void make_toy(toy_net *toy, const toy_options *o)
{
    *toy = (toy_net){.options = o};
    if (tb_params_new(&toy->params, TB_DOUBLE, true, NULL) != TB_OK)
        abort();
    toy->wq = add(toy, "wq", D, D, DEVIATION, 0);
    toy->wk = add(toy, "wk", D, D, DEVIATION, 0);
    toy->wv = add(toy, "wv", D, D, DEVIATION, 0);
    toy->wo = add(toy, "wo", CONTENT, D, DEVIATION, 0);
    if (o->normalizer == TB_LM_SINK)
        toy->extra = add(toy, "extra", 1, 1, 0, 0);
    if (o->normalizer == TB_LM_SIGMOID)
        toy->extra = add(toy, "extra", 1, 1, 0, -log(T));
    if (o->normalizer == TB_LM_ELASTIC)
        toy->extra = add(toy, "extra", 1, 1, 0, -0.5); // at −1 a uniform row learns nothing
    if (o->gate != TB_LM_GATE_NONE)
        toy->wg = add(toy, "wg", o->gate == TB_LM_GATE_HEAD ? 1 : D, D, DEVIATION, 0);
    if (o->slot) {
        toy->slot_k = add(toy, "slot_k", 1, D, 0.02, 0);
        toy->slot_v = add(toy, "slot_v", 1, D, 0.02, 0);
    }
}

static void train(toy_net *toy)
{
    const toy_options *o = toy->options;
    static sequence s;
    for (uint64_t step = 1; step <= o->steps; step++) {
        for (size_t i = 0; i < tb_params_count(toy->params); i++) {
            tb_param *p = tb_params_at(toy->params, i);
            memset(p->gradient, 0, p->rows * p->cols * sizeof(double));
        }
        for (size_t b = 0; b < o->batch; b++) {
            draw_sequence(&s, o, 100000 + step * o->batch + b);
            run_forward(toy, &s);
            run_backward(toy, &s, 1.0 / (double)(o->batch * T * CONTENT));
        }
        tb_adam_step(toy->params, &(tb_adam){.threads = 1}, RATE, step);
    }
}

// Of a value as it comes out: what the output matrix does not see is nobody's concern.
static double size_of(const toy_net *toy, const double *v)
{
    double out[D] = {0};
    apply(out, toy->wo, v);
    return sqrt(dot(out, out));
}

static void measure_row(toy_result *r, const toy_net *toy, const sequence *s, size_t t, double counts[2])
{
    bool slot = toy->slot_k != NULL;
    for (size_t i = 0; i < CONTENT; i++)
        r->error += pow(s->out[t][i] - s->target[t][i], 2) / (TEST_SEQUENCES * T * CONTENT);
    if (t == 0) // it sees nothing but itself
        return;
    counts[s->trigger[t]]++;
    *(s->trigger[t] ? &r->trigger_anchor : &r->anchor_mass) += s->w[t][slot];
    for (size_t j = 0; !s->trigger[t] && j < t + 1 + slot; j++)
        r->row_sum += s->w[t][j];
}

static toy_result measure(const toy_net *toy)
{
    toy_result r = {0};
    double counts[2] = {0}, others = 0;
    static sequence s;
    for (size_t i = 0; i < TEST_SEQUENCES; i++) {
        draw_sequence(&s, toy->options, i);
        run_forward(toy, &s);
        for (size_t t = 0; t < T; t++)
            measure_row(&r, toy, &s, t, counts);
        r.anchor_value += size_of(toy, s.v[0]);
        for (size_t t = 1; t < T; t++)
            others += size_of(toy, s.v[t]) / (T - 1);
    }
    r.row_sum /= counts[0];
    r.anchor_mass /= counts[0];
    r.trigger_anchor /= counts[1];
    r.anchor_value /= others;
    return r;
}

toy_result toy_run(const toy_options *options)
{
    toy_net toy;
    make_toy(&toy, options);
    train(&toy);
    toy_result result = measure(&toy);
    tb_params_free(toy.params);
    return result;
}
