// The feed-forward part of a block: dense, one of the three matrices of every kind; or a mixture of experts, of which
// each row chooses a few.
//
// A router gives every expert a score; its share is the softmax over all of them, or σ of its own, and the experts with
// the largest shares are chosen, of equal ones the first; a bias may change the choice and not the shares. Rows that
// chose the same expert are gathered, span by span, and go through its matrices together, so that decoding a tile of
// them is paid once; what nobody chose is not touched. A row sums up its experts in their order, so that it gets the
// same bits whoever else chose them. One more expert, the shared one, may be every row's: its share is 1, or σ(gate·x).
#include "model/forward.h"

#include <string.h>

// ---- what both have ----

// gate = act(gate) ⊙ up. Rows have room for the widest of the model; the padding that kernels read behind n is made 0.
static void activate(float *restrict gate, const float *restrict up, tb_activation activation, size_t n)
{
    const float limit = 7.0f, slope = 1.702f; // of gpt-oss
    if (activation == TB_GELU_TANH)
        for (size_t i = 0; i < n; i++)
            gate[i] = tb_gelu_tanh(gate[i]) * up[i];
    else if (activation == TB_SILU)
        for (size_t i = 0; i < n; i++)
            gate[i] = tb_silu(gate[i]) * up[i];
    else
        for (size_t i = 0; i < n; i++) {
            float g = gate[i] > limit ? limit : gate[i], u = up[i] > limit ? limit : up[i]; // NaN stays NaN
            gate[i] = g / (1.0f + tb_exp(-slope * g)) * ((u < -limit ? -limit : u) + 1.0f);
        }
    memset(gate + n, 0, (tb_padded(n) - n) * sizeof *gate);
}

static void activate_rows(const tb_runner *r, size_t width, size_t begin, size_t end)
{
    for (size_t t = begin; t < end; t++)
        activate(r->gate + t * r->ffn_stride, r->up + t * r->ffn_stride, r->model->settings.arch->activation, width);
}

// ---- dense ----

static void activate_dense(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    (void)worker;
    activate_rows(pass->runner, pass->runner->model->settings.config.ffn_width, begin, end);
}

static void run_dense(const tb_pass *pass, tb_activations *normed)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    tb_activations hidden = tb_pass_input(pass, r->gate, r->ffn_stride, config->ffn_width);
    tb_pass_show_input(pass, TB_INPUT_FFN, r->normed, r->width_stride, config->width);
    tb_pass_multiply(r->gate, r->ffn_stride, pass, TB_LINEAR_GATE, normed);
    tb_pass_multiply(r->up, r->ffn_stride, pass, TB_LINEAR_UP, normed);
    tb_pass_each_row(pass, activate_dense);
    tb_pass_show_input(pass, TB_INPUT_DOWN, r->gate, r->ffn_stride, config->ffn_width);
    tb_pass_multiply(r->delta, r->width_stride, pass, TB_LINEAR_DOWN, &hidden);
}

// ---- routing ----

// Turns scores into shares of 1.
static void softmax(float *x, size_t n)
{
    float top = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += x[i] = tb_exp(x[i] - top);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

static float merit(const float *shares, const float *bias, size_t expert)
{
    return bias ? shares[expert] + bias[expert] : shares[expert];
}

// Marks the `used` experts with the largest shares, bias included, of equal ones the first. A row of NaN chooses the
// first experts, and is NaN behind them.
static void choose(unsigned char *chosen, const float *shares, const float *bias, size_t n, size_t used)
{
    memset(chosen, 0, n);
    for (size_t k = 0; k < used; k++) {
        size_t best = 0;
        while (chosen[best])
            best++;
        for (size_t i = best + 1; i < n; i++)
            if (!chosen[i] && merit(shares, bias, i) > merit(shares, bias, best))
                best = i;
        chosen[best] = 1;
    }
}

// Makes the shares of those chosen sum to 1. Where σ made all of them 0 they stay so, by the same small number that
// transformers adds.
static void share_to_one(float *shares, const unsigned char *chosen, size_t n)
{
    float sum = 1e-20f;
    for (size_t i = 0; i < n; i++)
        sum += chosen[i] ? shares[i] : 0;
    for (size_t i = 0; i < n; i++)
        shares[i] /= sum;
}

static void route_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    const tb_runner *r = pass->runner;
    const tb_settings *settings = &r->model->settings;
    const float *bias = pass->weights->router_bias;
    size_t n = settings->config.experts;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *shares = r->shares + t * n;
        for (size_t i = 0; bias && i < n; i++)
            shares[i] += bias[i];
        if (settings->gating == TB_GATING_SOFTMAX)
            softmax(shares, n);
        for (size_t i = 0; settings->gating == TB_GATING_SIGMOID && i < n; i++)
            shares[i] = tb_sigmoid(shares[i]);
        choose(r->chosen + t * n, shares, pass->weights->choice_bias, n, settings->config.experts_used);
        if (settings->shares_to_one)
            share_to_one(shares, r->chosen + t * n, n);
        for (size_t i = 0; settings->expert_scale != 1 && i < n; i++)
            shares[i] *= (float)settings->expert_scale;
    }
}

static void route(const tb_pass *pass, tb_activations *normed)
{
    const tb_runner *r = pass->runner;
    size_t n = r->model->settings.config.experts;
    for (size_t i = 0; i < pass->batch->span_count; i++) {
        const tb_span *span = &pass->batch->spans[i];
        tb_matmul(&r->model->compute, r->shares + span->first * n, n, &pass->weights->router, normed, span->first,
                  span->count, r->matmul_scratch);
    }
    tb_pass_each_row(pass, route_rows);
}

// ---- one expert ----

// Rows of a span on their way through an expert.
typedef struct visit {
    const tb_pass *pass;
    size_t span, expert, width; // width: the expert's
    size_t count;               // rows, gathered in front; which of the batch they are is in runner->members
} visit;

static void gather(visit *v)
{
    const tb_pass *pass = v->pass;
    const tb_runner *r = pass->runner;
    const tb_span *span = &pass->batch->spans[v->span];
    size_t experts = r->model->settings.config.experts;
    for (size_t t = span->first; t < span->first + span->count; t++) {
        if (v->expert < experts && !r->chosen[t * experts + v->expert])
            continue;
        memcpy(r->gathered + v->count * r->width_stride, r->normed + t * r->width_stride,
               r->width_stride * sizeof *r->normed);
        r->gathered_positions[v->count] = pass->batch->positions[t];
        r->members[v->count++] = t;
    }
}

static void activate_visit(void *user, size_t begin, size_t end, size_t worker)
{
    const visit *v = user;
    (void)worker;
    activate_rows(v->pass->runner, v->width, begin, end);
}

// What the row's share of the expert is.
static float share_of(const visit *v, size_t row)
{
    const tb_runner *r = v->pass->runner;
    const tb_config *config = &r->model->settings.config;
    const float *gate = v->pass->weights->shared_gate;
    if (v->expert < config->experts)
        return r->shares[row * config->experts + v->expert];
    if (!gate)
        return 1;
    return tb_sigmoid(r->model->compute.kernels.dot_f32(r->normed + row * r->width_stride, gate, config->width));
}

static void scatter(void *user, size_t begin, size_t end, size_t worker)
{
    const visit *v = user;
    const tb_runner *r = v->pass->runner;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        r->model->compute.kernels.axpy_f32(r->delta + r->members[i] * r->width_stride, share_of(v, r->members[i]),
                                           r->expert_out + i * r->width_stride, r->model->settings.config.width);
}

static void run_expert(const tb_pass *pass, size_t span, size_t expert, size_t width)
{
    const tb_runner *r = pass->runner;
    size_t threads = r->model->compute.threads, model_width = r->model->settings.config.width;
    visit v = {.pass = pass, .span = span, .expert = expert, .width = width};
    gather(&v);
    if (v.count == 0)
        return;
    tb_activations gathered = {
        .x = r->gathered, .stride = r->width_stride, .rows = v.count, .cols = model_width, .room = r->room};
    tb_activations hidden = {.x = r->gate, .stride = r->ffn_stride, .rows = v.count, .cols = width, .room = r->room};
    tb_probe_place at = {.block = pass->block, .span = span, .expert = expert};
    tb_pass_show_rows(pass, &at, TB_INPUT_FFN,
                      &(tb_edit_rows){r->gathered, r->width_stride, v.count, model_width, r->gathered_positions});
    tb_pass_multiply_rows(r->gate, r->ffn_stride, pass, TB_LINEAR_GATE, expert, &gathered, v.count);
    tb_pass_multiply_rows(r->up, r->ffn_stride, pass, TB_LINEAR_UP, expert, &gathered, v.count);
    tb_parallel(threads, v.count, TB_ROW_GRAIN, activate_visit, &v);
    tb_pass_show_rows(pass, &at, TB_INPUT_DOWN,
                      &(tb_edit_rows){r->gate, r->ffn_stride, v.count, width, r->gathered_positions});
    tb_pass_multiply_rows(r->expert_out, r->width_stride, pass, TB_LINEAR_DOWN, expert, &hidden, v.count);
    tb_pass_edit_rows(pass, &at, TB_EDIT_EXPERT,
                      &(tb_edit_rows){r->expert_out, r->width_stride, v.count, model_width, r->gathered_positions});
    tb_parallel(threads, v.count, TB_ROW_GRAIN, scatter, &v);
}

static void run_mixture(const tb_pass *pass, tb_activations *normed)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    route(pass, normed);
    memset(r->delta, 0, pass->batch->rows * r->width_stride * sizeof *r->delta);
    for (size_t span = 0; span < pass->batch->span_count; span++) {
        for (size_t expert = 0; expert < config->experts; expert++)
            run_expert(pass, span, expert, config->expert_width);
        if (config->shared_width)
            run_expert(pass, span, config->experts, config->shared_width);
    }
}

// ---- both ----

void tb_forward_ffn(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    tb_activations normed = tb_pass_input(pass, r->normed, r->width_stride, r->model->settings.config.width);
    tb_pass_norm(pass, TB_INPUT_FFN);
    if (pass->weights->router.rows)
        run_mixture(pass, &normed);
    else
        run_dense(pass, &normed);
    tb_pass_edit(pass, TB_EDIT_FFN, r->delta, r->width_stride, r->model->settings.config.width);
    tb_pass_add(pass, pass->weights->ffn_post_norm);
}
