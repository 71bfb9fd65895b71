// Optimizers beside Adam: gradient descent with momentum, Muon, and Adam in turned coordinates. In single precision.
#include <math.h>
#include <string.h>

#include "train/train.h"

const char *const tb_optimizer_names[TB_OPTIMIZERS] = {"sgd", "adamw", "muon", "orthoadam"};

// Momentum of gradient descent and of Muon.
#define SGD_MOMENTUM 0.9f
#define MUON_MOMENTUM 0.95f

// Adam's, as language models are trained.
#define BETA1 0.9
#define BETA2 0.95
#define EPSILON 1e-8

struct tb_optimizer {
    tb_optimizer_kind kind;
    tb_params *params;
    double decay;
    uint64_t seed;
    float *room; // [4][largest]
    size_t largest;
};

tb_code tb_optimizer_new(tb_optimizer **out, tb_optimizer_kind kind, tb_params *params, double decay, uint64_t seed,
                         tb_error *err)
{
    *out = NULL;
    if (tb_params_precision(params) != TB_SINGLE)
        return tb_fail(err, TB_EINVAL, "optimizers move parameters of single precision");
    tb_optimizer *o = tb_new(tb_optimizer);
    if (!o)
        return tb_fail(err, TB_ENOMEM, "no memory for an optimizer");
    *o = (tb_optimizer){.kind = kind, .params = params, .decay = decay, .seed = seed, .largest = 1};
    for (size_t i = 0; i < tb_params_count(params); i++) {
        const tb_param *p = tb_params_at(params, i);
        o->largest = p->rows * p->cols > o->largest ? p->rows * p->cols : o->largest;
    }
    // Products of Muon are square in the smaller dimension, and no larger than the matrix.
    o->room = tb_alloc_array(o->largest, 4 * sizeof *o->room);
    if (!o->room) {
        tb_optimizer_free(o);
        return tb_fail(err, TB_ENOMEM, "no memory for an optimizer");
    }
    *out = o;
    return TB_OK;
}

void tb_optimizer_free(tb_optimizer *optimizer)
{
    if (!optimizer)
        return;
    tb_free(optimizer->room);
    tb_free(optimizer);
}

// ---- gradient descent ----

static float decay_of(const tb_optimizer *o, const tb_param *p, double rate)
{
    return p->vector ? 0 : (float)(rate * o->decay);
}

static void descend(const tb_optimizer *o, tb_param *p, double rate)
{
    float *w = p->value, *m = p->mean, shrink = decay_of(o, p, rate);
    const float *g = p->gradient;
    for (size_t i = 0; i < p->rows * p->cols; i++) {
        m[i] = SGD_MOMENTUM * m[i] + g[i];
        w[i] -= (float)rate * m[i] + shrink * w[i];
    }
}

// ---- Muon ----

// Five steps of a Newton–Schulz iteration take X[r][c], r ≤ c, to a matrix whose singular values are near 1 (Jordan et
// al., 2024): A = XXᵀ, X ← aX + (bA + cA²)X.
static void orthogonalize(float *x, size_t r, size_t c, float *room, size_t largest)
{
    const float a = 3.4445f, b = -4.7750f, d = 2.0315f;
    float *square = room, *poly = room + largest, *next = room + 2 * largest;
    double norm = 0;
    for (size_t i = 0; i < r * c; i++)
        norm += (double)x[i] * (double)x[i];
    float scale = norm > 0 ? (float)(1 / sqrt(norm)) : 0;
    for (size_t i = 0; i < r * c; i++)
        x[i] *= scale;
    for (int step = 0; step < 5; step++) {
        tb_gemm_f32(square, r, x, c, false, x, c, true, r, r, c, 1, 0);
        memcpy(poly, square, r * r * sizeof *poly);
        tb_gemm_f32(poly, r, square, r, false, square, r, false, r, r, r, d, b);
        memcpy(next, x, r * c * sizeof *next);
        tb_gemm_f32(next, c, poly, r, false, x, c, false, r, c, r, 1, a);
        memcpy(x, next, r * c * sizeof *next);
    }
}

static void transpose(float *out, const float *x, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            out[c * rows + r] = x[r * cols + c];
}

static void move_muon(const tb_optimizer *o, tb_param *p, double rate)
{
    size_t n = p->rows * p->cols;
    bool tall = p->rows > p->cols;
    size_t r = tall ? p->cols : p->rows, c = tall ? p->rows : p->cols;
    float *w = p->value, *m = p->mean, *x = o->room + 3 * o->largest, shrink = decay_of(o, p, rate);
    const float *g = p->gradient;
    for (size_t i = 0; i < n; i++)
        m[i] = MUON_MOMENTUM * m[i] + g[i];
    if (tall)
        transpose(x, m, p->rows, p->cols);
    else
        memcpy(x, m, n * sizeof *x);
    orthogonalize(x, r, c, o->room, o->largest);
    if (tall) {
        transpose(o->room, x, r, c);
        x = o->room;
    }
    // Updates of the size that Adam's have, whatever the shape (Liu et al., arXiv 2502.16982).
    float step = (float)(rate * 0.2 * sqrt((double)c));
    for (size_t i = 0; i < n; i++)
        w[i] -= step * x[i] + shrink * w[i];
}

// ---- Adam in turned coordinates ----

// Signs, then a Hadamard transform, along runs of the largest power of two that divides the length: orthogonal, and its
// own inverse but for the order. `stride` lies between elements.
static void hadamard(float *x, size_t n, size_t stride)
{
    size_t run = n & (~n + 1);
    float scale = 1 / sqrtf((float)run);
    for (size_t half = 1; half < run; half *= 2)
        for (size_t i = 0; i < n; i++)
            if (!(i & half)) {
                float a = x[i * stride], b = x[(i + half) * stride];
                x[i * stride] = a + b;
                x[(i + half) * stride] = a - b;
            }
    for (size_t i = 0; i < n; i++)
        x[i * stride] *= scale;
}

static void flip(float *x, const tb_param *p, uint64_t seed, uint64_t stream)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, stream);
    for (size_t r = 0; r < p->rows; r++) {
        bool minus = tb_rng_u32(&rng) & 1;
        for (size_t c = 0; minus && c < p->cols; c++)
            x[r * p->cols + c] = -x[r * p->cols + c];
    }
    for (size_t c = 0; c < p->cols; c++) {
        bool minus = tb_rng_u32(&rng) & 1;
        for (size_t r = 0; minus && r < p->rows; r++)
            x[r * p->cols + c] = -x[r * p->cols + c];
    }
}

static void transform(float *x, const tb_param *p)
{
    for (size_t r = 0; r < p->rows; r++)
        hadamard(x + r * p->cols, p->cols, 1);
    for (size_t c = 0; c < p->cols; c++)
        hadamard(x + c, p->rows, p->cols);
}

// Kaul et al., arXiv 2410.17174: moments of Qg, and the step turned back by Qᵀ. Q turns rows and columns.
static void move_turned(const tb_optimizer *o, tb_param *p, size_t index, double rate, uint64_t step)
{
    size_t n = p->rows * p->cols;
    float *w = p->value, *m = p->mean, *v = p->square, *u = o->room, shrink = decay_of(o, p, rate);
    const float beta1 = (float)BETA1, beta2 = (float)BETA2;
    float correct1 = (float)(1 / (1 - pow(BETA1, (double)step))),
          correct2 = (float)(1 / (1 - pow(BETA2, (double)step)));
    memcpy(u, p->gradient, n * sizeof *u);
    flip(u, p, o->seed, index);
    transform(u, p);
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * u[i];
        v[i] = beta2 * v[i] + (1 - beta2) * u[i] * u[i];
        u[i] = m[i] * correct1 / (sqrtf(v[i] * correct2) + (float)EPSILON);
    }
    transform(u, p);
    flip(u, p, o->seed, index);
    for (size_t i = 0; i < n; i++)
        w[i] -= (float)rate * u[i] + shrink * w[i];
}

// ---- steps ----

// Muon is for the matrices inside of blocks (GGUF's names).
static bool is_muons(const tb_param *p)
{
    return !p->vector && strncmp(p->name, "blk.", 4) == 0;
}

typedef struct move {
    const tb_optimizer *optimizer;
    double rate;
    uint64_t step;
} move;

static void move_param(const move *s, size_t i)
{
    const tb_optimizer *o = s->optimizer;
    tb_param *p = tb_params_at(o->params, i);
    if (o->kind == TB_SGD)
        descend(o, p, s->rate);
    else if (o->kind == TB_MUON && is_muons(p))
        move_muon(o, p, s->rate);
    else if (o->kind == TB_ORTHOADAM)
        move_turned(o, p, i, s->rate, s->step);
}

// Adam moves what is frozen for nobody else.
static void move_rest_by_adam(tb_optimizer *o, double rate, uint64_t step, size_t threads)
{
    bool muon = o->kind == TB_MUON;
    for (size_t i = 0; muon && i < tb_params_count(o->params); i++)
        tb_params_at(o->params, i)->frozen = is_muons(tb_params_at(o->params, i));
    const tb_adam adam = {.beta1 = BETA1, .beta2 = BETA2, .epsilon = EPSILON, .decay = o->decay, .threads = threads};
    tb_adam_step(o->params, &adam, rate, step);
    for (size_t i = 0; muon && i < tb_params_count(o->params); i++)
        tb_params_at(o->params, i)->frozen = false;
}

void tb_optimizer_step(tb_optimizer *optimizer, double rate, uint64_t step, size_t threads)
{
    const move s = {optimizer, rate, step};
    for (size_t i = 0; i < tb_params_count(optimizer->params); i++)
        move_param(&s, i);
    if (optimizer->kind == TB_ADAMW || optimizer->kind == TB_MUON)
        move_rest_by_adam(optimizer, rate, step, threads);
}

double tb_params_clip(tb_params *params, double most)
{
    double squares = 0;
    for (size_t i = 0; i < tb_params_count(params); i++) {
        const tb_param *p = tb_params_at(params, i);
        const float *g = p->gradient;
        for (size_t j = 0; j < p->rows * p->cols; j++)
            squares += (double)g[j] * (double)g[j];
    }
    double norm = sqrt(squares);
    float scale = (float)(most / norm);
    for (size_t i = 0; norm > most && i < tb_params_count(params); i++) {
        float *g = tb_params_at(params, i)->gradient;
        for (size_t j = 0; j < tb_params_at(params, i)->rows * tb_params_at(params, i)->cols; j++)
            g[j] *= scale;
    }
    return norm;
}
