// The chain of stages. Paper (section 6 of the article's code; all four stages are subnets):
//
//     q0 = Wᵀr → H1;   q1 = r − √(ρ/N)·W·H1 → D1;   q2 = Wᵀ(r − √(1−ρ)·slice(D1)) → H2;   q3 likewise → D2
//
// with inputs standardised over the whole batch, the frame, or by what ρ and s2 make one expect. That takes the scale
// from the estimates: H keeps the shrinkage kt of the operating point of training, whatever the frame's is. With gain
// it is multiplied by √(γ/(1+γ))/kt, γ that of two hard passes. Hybrid: CSI is estimated in closed form (ρ and s2 are
// known), one subnet per detection works on each real block of R symbols:
//
//     in:  z_j/a for the R symbols, ln(((1−c)ρ + s2)/(1−ρ)), ln(ρ/(1−ρ));   out: tanh, the expected signs
//
// whose expectations are cancelled; (1−ρ)·(1 − mean of their squares) of the data's power stays.
#include <math.h>
#include <string.h>

#include "csi/csi_net.h"
#include "csi/receiver.h"

#define PI 3.14159265358979323846

static const double root_half = 0.70710678118654752440;

// ---- graphs ----

static tb_node *activate(tb_graph *g, tb_node *a, tb_csi_activation activation)
{
    switch (activation) {
    case TB_CSI_TANH:
        return tb_graph_tanh(g, a);
    case TB_CSI_LEAKY_RELU:
        return tb_graph_leaky_relu(g, a, 0.3);
    case TB_CSI_RELU:
        return tb_graph_leaky_relu(g, a, 0);
    default:
        return tb_graph_swish(g, a);
    }
}

static tb_node *multiply(tb_graph *g, tb_node *x, tb_node *w, const tb_packed *packed, const tb_compute *compute)
{
    return packed->view.rows ? tb_graph_packed(g, x, &packed->view, compute) : tb_graph_matmul(g, x, w);
}

static tb_code build_stage(tb_csi_chain_stage *s, const tb_csi_net *net, tb_csi_stage stage, size_t rows, bool training,
                           double penalty, tb_error *err)
{
    const tb_csi_subnet *subnet = &net->subnets[stage];
    tb_csi_stage_shape shape = tb_csi_net_stage_shape(&net->options, stage);
    bool hybrid = net->options.kind == TB_CSI_HYBRID;
    tb_code rc = tb_graph_new(&s->graph, net->params, err);
    if (rc)
        return rc;
    tb_graph *g = s->graph;
    tb_node *w1 = subnet->w1 ? tb_graph_param(g, subnet->w1) : NULL, *b1 = tb_graph_param(g, subnet->b1);
    tb_node *w2 = subnet->w2 ? tb_graph_param(g, subnet->w2) : NULL, *b2 = tb_graph_param(g, subnet->b2);
    s->x = tb_graph_input(g, rows, shape.in, true);
    s->in = hybrid || net->normaliser != TB_CSI_BY_BATCH ? s->x : tb_graph_standardize(g, s->x);
    tb_node *first = multiply(g, s->in, w1, &subnet->packed1, &net->compute);
    s->hidden = activate(g, tb_graph_add_row(g, first, b1), net->options.activation);
    tb_node *second = multiply(g, s->hidden, w2, &subnet->packed2, &net->compute);
    tb_node *linear = tb_graph_add_row(g, second, b2);
    s->y = hybrid ? tb_graph_tanh(g, linear) : linear;
    if (training) {
        tb_node *squares = tb_graph_add(g, tb_graph_squares(g, w1), tb_graph_squares(g, w2));
        s->target = tb_graph_input(g, rows, shape.out, true);
        s->fit = tb_graph_nmse(g, s->y, s->target);
        s->loss = tb_graph_add(g, s->fit, tb_graph_scale(g, squares, penalty));
    }
    tb_graph_set_threads(g, net->compute.threads);
    return tb_graph_finish(g, err);
}

tb_code tb_csi_chain_init(tb_csi_chain *chain, const tb_csi_net *net, const tb_csi_link *link, size_t capacity,
                          tb_csi_stage training, double penalty, tb_error *err)
{
    size_t n = link->options.n, p = link->options.p;
    *chain = (tb_csi_chain){.net = net, .link = link, .capacity = capacity, .rows_per_frame = 1};
    if (net->options.kind == TB_CSI_HYBRID)
        chain->rows_per_frame = 2 * n;
    chain->h = tb_arena_array(&chain->arena, capacity, 2 * n * sizeof(double));
    chain->z = tb_arena_array(&chain->arena, capacity, 2 * p * sizeof(double));
    chain->data = tb_arena_array(&chain->arena, capacity, 2 * p * sizeof(double));
    chain->shrinkage = tb_arena_array(&chain->arena, capacity, sizeof(double));
    chain->interference = tb_arena_array(&chain->arena, capacity, sizeof(double));
    bool complete = chain->h && chain->z && chain->data && chain->shrinkage && chain->interference;
    tb_code rc = complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a network at work on %zu frames", capacity);
    for (int stage = 0; !rc && stage < TB_CSI_STAGES; stage++)
        if (net->subnets[stage].exists)
            rc = build_stage(&chain->stages[stage], net, (tb_csi_stage)stage, capacity * chain->rows_per_frame,
                             stage == (int)training, penalty, err);
    if (rc)
        tb_csi_chain_clear(chain);
    return rc;
}

void tb_csi_chain_clear(tb_csi_chain *chain)
{
    for (size_t i = 0; i < TB_CSI_STAGES; i++)
        tb_graph_free(chain->stages[i].graph);
    tb_arena_clear(&chain->arena);
    *chain = (tb_csi_chain){0};
}

// ---- one frame: what a stage reads and gives ----

// Where the values of frame f lie in a node.
static size_t first_of(const tb_csi_chain *chain, size_t f, const tb_node *node)
{
    return f * chain->rows_per_frame * tb_node_cols(node);
}

static void put(const tb_csi_chain *chain, tb_csi_stage stage, tb_node *node, size_t f, const double *values, size_t n)
{
    size_t first = first_of(chain, f, node);
    for (size_t i = 0; i < n; i++)
        tb_node_set(chain->stages[stage].graph, node, first + i, values[i]);
}

static void get(double *values, const tb_csi_chain *chain, tb_csi_stage stage, size_t f, size_t n)
{
    const tb_csi_chain_stage *s = &chain->stages[stage];
    size_t first = first_of(chain, f, s->y);
    for (size_t i = 0; i < n; i++)
        values[i] = tb_node_get(s->graph, s->y, first + i);
}

// y = r − √(1−ρ)·data
static void cancel_data(double *y, const tb_csi_chain *chain, const tb_csi_frame *frame, size_t f)
{
    size_t p = chain->link->options.p;
    const double *data = chain->data + f * 2 * p;
    double gain = sqrt(1 - frame->rho);
    for (size_t i = 0; i < 2 * p; i++)
        y[i] = frame->r[i] - gain * data[i];
}

// Mean square of a real block's sum q = Σ_j (r_j − a·ŝ_j), where ŝ_j are the signs of z_j = r_j − c·r̄ and r̄ is the
// mean of r_j = √ρ·u + a·s_j + w_j. Decisions follow the noise and the CSI that was not cancelled, so that their
// errors are not independent of either: for z_j = m·s_j + g_j with g_j taken as Gaussian,
//     E[r̄·ŝ_j] = a/R·(1 − 2Q(m/σ)) + 2·f·Cov(r̄, g_j),   E[ŝ_i·ŝ_j] = 4·f²·Cov(z_i, z_j) (to first order),
// where f is the density of z_j at 0.
static double decided_block_power(const tb_csi_frame *frame, double r, double c)
{
    double rho = frame->rho, s2 = frame->s2, a = sqrt((1 - rho) / 2);
    double mean_power = rho / 2 + (a * a + s2 / 2) / r; // E[r̄²]
    double others = a * a * (r - 1) / (r * r);          // of the signs s_i, i ≠ j, in r̄
    double m = a * (1 - c / r);
    double variance = (1 - c) * (1 - c) * rho / 2 + s2 / 2 * (1 - 2 * c / r + c * c / r) + c * c * others;
    double density = exp(-m * m / (2 * variance)) / sqrt(2 * PI * variance);
    double with_mean = (1 - c) * rho / 2 + s2 / 2 * (1 - c) / r - c * others; // Cov(r̄, g_j)
    double between = rho / 2 - (2 * c - c * c) * mean_power;                  // Cov(z_i, z_j)
    double mean_sign = a / r * (1 - 2 * tb_csi_tail(m / sqrt(variance))) + 2 * density * with_mean;
    double signs = r + r * (r - 1) * 4 * density * density * between;
    return r * r * (mean_power - 2 * a * mean_sign) + a * a * signs;
}

double tb_csi_expected_deviation(const tb_csi_link *link, const tb_csi_frame *f, tb_csi_stage stage)
{
    double n = (double)link->options.n, r = (double)link->r, data = 1 - f->rho;
    double c = tb_csi_shrinkage(f->rho, data, f->s2, link->r);
    if (stage == TB_CSI_CSI1)
        return sqrt(n * (r * r * f->rho + r * (data + f->s2)) / 2);
    if (stage == TB_CSI_CSI2)
        return sqrt(n * decided_block_power(f, r, c));
    // z = √(1−ρ)·d + w + √(ρ/N)·W·(h − ĥ). The last term has the power (1−c)ρ, but is no independent one: it holds
    // −c/R of the noise and of the data that were not cancelled: all of it at first, then an error whose product
    // with the data is half its power.
    double shared = data;
    if (stage == TB_CSI_DET2) {
        double interference = tb_csi_power_after_decisions(f, link->r);
        shared = interference / 2;
        c = tb_csi_shrinkage(f->rho, interference, f->s2, link->r);
    }
    return sqrt((data + f->s2 + (1 - c) * f->rho - 2 * c / r * (f->s2 + shared)) / 2);
}

static double deviation(const double *x, size_t n, double mean)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)n);
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

// The frame's part of the input of a paper's subnet, standardised unless the graph does that. Overwrites x.
static void feed_paper(const tb_csi_chain *chain, const tb_csi_frame *frame, size_t f, tb_csi_stage stage, double *x,
                       size_t n)
{
    bool by_frame = chain->net->normaliser == TB_CSI_BY_FRAME;
    if (chain->net->normaliser != TB_CSI_BY_BATCH) {
        double mean = by_frame ? mean_of(x, n) : 0;
        double spread = by_frame ? deviation(x, n, mean) : tb_csi_expected_deviation(chain->link, frame, stage);
        for (size_t i = 0; i < n; i++)
            x[i] = spread > 0 ? (x[i] - mean) / spread : 0;
    }
    put(chain, stage, chain->stages[stage].x, f, x, n);
}

// Wᵀ(r − √(1−ρ)·data)
static void feed_csi(const tb_csi_chain *chain, const tb_csi_batch *batch, size_t f, tb_csi_stage stage)
{
    size_t n = chain->link->options.n, p = chain->link->options.p;
    double *y = batch->scratch, *out = batch->scratch + 2 * p;
    cancel_data(y, chain, &batch->frames[f], f);
    tb_csi_despread(out, chain->link, y, out + n);
    tb_csi_despread(out + n, chain->link, y + p, y);
    feed_paper(chain, &batch->frames[f], f, stage, out, 2 * n);
}

// r − √(ρ/N)·W·H
static void feed_data(const tb_csi_chain *chain, const tb_csi_batch *batch, size_t f, tb_csi_stage stage)
{
    size_t p = chain->link->options.p;
    memcpy(batch->scratch, chain->z + f * 2 * p, 2 * p * sizeof(double));
    feed_paper(chain, &batch->frames[f], f, stage, batch->scratch, 2 * p);
}

static double log_ratio(double above, double below)
{
    const double least = 1e-6; // keeps the ends of ρ finite
    return log(fmax(above, least) / fmax(below, least));
}

// Rows (part, antenna) of the hybrid's input.
static void feed_blocks(const tb_csi_chain *chain, const tb_csi_frame *frame, size_t f, tb_csi_stage stage)
{
    size_t n = chain->link->options.n, p = chain->link->options.p, r = chain->link->r;
    const tb_csi_chain_stage *s = &chain->stages[stage];
    const double *z = chain->z + f * 2 * p;
    double rest = (1 - chain->shrinkage[f]) * frame->rho + frame->s2, data = 1 - frame->rho;
    double around = log_ratio(rest, data), share = log_ratio(frame->rho, data);
    double gain = 1 / (root_half * sqrt(fmax(data, 1e-6)));
    size_t at = first_of(chain, f, s->x);
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < r; j++)
                tb_node_set(s->graph, s->x, at++, gain * z[part * p + j * n + i]);
            tb_node_set(s->graph, s->x, at++, around);
            tb_node_set(s->graph, s->x, at++, share);
        }
}

// What scales a subnet's estimate for the frame's operating point.
static double gain_of(const tb_csi_chain *chain, const tb_csi_frame *f, tb_csi_stage stage)
{
    double trained = chain->net->shrinkage[stage == TB_CSI_CSI2], data = 1 - f->rho;
    size_t r = chain->link->r;
    if (!(trained > 0))
        return 1;
    double c = tb_csi_shrinkage(f->rho, data, f->s2, r);
    if (stage == TB_CSI_CSI2)
        c = tb_csi_shrinkage(f->rho, data * 4 * tb_csi_error_after_cancel(f->rho, f->s2, c, r), f->s2, r);
    return sqrt(c) / trained;
}

static void take_csi(tb_csi_chain *chain, const tb_csi_batch *batch, size_t f, tb_csi_stage stage)
{
    size_t n = chain->link->options.n, p = chain->link->options.p;
    const tb_csi_frame *frame = &batch->frames[f];
    double *h = chain->h + f * 2 * n;
    if (chain->stages[stage].graph) {
        double gain = gain_of(chain, frame, stage);
        get(h, chain, stage, f, 2 * n);
        for (size_t i = 0; i < 2 * n; i++)
            h[i] *= gain;
    } else {
        double *y = batch->scratch, *room = batch->scratch + 2 * p;
        chain->shrinkage[f] = tb_csi_shrinkage(frame->rho, chain->interference[f], frame->s2, chain->link->r);
        cancel_data(y, chain, frame, f);
        tb_csi_estimate_h(h, chain->link, y, frame->rho, chain->shrinkage[f], room);
    }
    tb_csi_cancel_h(chain->z + f * 2 * p, chain->link, frame, h);
}

static void take_data(tb_csi_chain *chain, size_t f, tb_csi_stage stage)
{
    size_t p = chain->link->options.p;
    double *data = chain->data + f * 2 * p;
    get(data, chain, stage, f, 2 * p);
    for (size_t i = 0; i < 2 * p; i++)
        data[i] = copysign(root_half, data[i]);
}

static void take_blocks(tb_csi_chain *chain, const tb_csi_frame *frame, size_t f, tb_csi_stage stage)
{
    size_t n = chain->link->options.n, p = chain->link->options.p, r = chain->link->r;
    const tb_csi_chain_stage *s = &chain->stages[stage];
    double *data = chain->data + f * 2 * p, certain = 0;
    size_t at = first_of(chain, f, s->y);
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < r; j++) {
                double sign = tb_node_get(s->graph, s->y, at++);
                data[part * p + j * n + i] = root_half * sign;
                certain += sign * sign;
            }
    chain->interference[f] = (1 - frame->rho) * (1 - certain / (double)(2 * p));
}

// ---- batches ----

void tb_csi_chain_begin(tb_csi_chain *chain, const tb_csi_batch *batch)
{
    size_t p = chain->link->options.p;
    memset(chain->data, 0, batch->count * 2 * p * sizeof(double));
    for (size_t f = 0; f < batch->count; f++)
        chain->interference[f] = 1 - batch->frames[f].rho;
    for (int stage = 0; stage < TB_CSI_STAGES; stage++)
        if (chain->stages[stage].graph)
            tb_graph_set_rows(chain->stages[stage].graph, batch->count * chain->rows_per_frame);
}

void tb_csi_chain_feed(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage)
{
    if (!chain->stages[stage].graph)
        return;
    for (size_t f = 0; f < batch->count; f++)
        if (!tb_csi_stage_is_det(stage))
            feed_csi(chain, batch, f, stage);
        else if (chain->net->options.kind == TB_CSI_HYBRID)
            feed_blocks(chain, &batch->frames[f], f, stage);
        else
            feed_data(chain, batch, f, stage);
}

void tb_csi_chain_aim(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage)
{
    size_t n = chain->link->options.n, p = chain->link->options.p, r = chain->link->r;
    const tb_csi_chain_stage *s = &chain->stages[stage];
    for (size_t f = 0; f < batch->count; f++) {
        const tb_csi_frame *frame = &batch->frames[f];
        if (!tb_csi_stage_is_det(stage)) {
            put(chain, stage, s->target, f, frame->h, 2 * n);
        } else if (chain->net->options.kind == TB_CSI_PAPER) {
            put(chain, stage, s->target, f, frame->d, 2 * p);
        } else {
            size_t at = first_of(chain, f, s->target);
            for (size_t part = 0; part < 2; part++)
                for (size_t i = 0; i < n; i++)
                    for (size_t j = 0; j < r; j++)
                        tb_node_set(s->graph, s->target, at++, copysign(1, frame->d[part * p + j * n + i]));
        }
    }
}

void tb_csi_chain_take(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage)
{
    for (size_t f = 0; f < batch->count; f++)
        if (!tb_csi_stage_is_det(stage))
            take_csi(chain, batch, f, stage);
        else if (chain->net->options.kind == TB_CSI_HYBRID)
            take_blocks(chain, &batch->frames[f], f, stage);
        else
            take_data(chain, f, stage);
}

void tb_csi_chain_run(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage end)
{
    tb_csi_chain_begin(chain, batch);
    for (int stage = 0; stage < (int)end; stage++) {
        tb_csi_chain_feed(chain, batch, (tb_csi_stage)stage);
        if (chain->stages[stage].graph)
            tb_graph_forward(chain->stages[stage].graph);
        tb_csi_chain_take(chain, batch, (tb_csi_stage)stage);
    }
}

void tb_csi_chain_receive(tb_csi_chain *chain, tb_csi_batch *batch)
{
    size_t n = chain->link->options.n, p = chain->link->options.p;
    tb_csi_chain_run(chain, batch, TB_CSI_STAGES);
    for (size_t f = 0; f < batch->count; f++) {
        memcpy(batch->estimates[f].h, chain->h + f * 2 * n, 2 * n * sizeof(double));
        tb_csi_demodulate(batch->estimates[f].bits, chain->link, chain->data + f * 2 * p, 1);
    }
}
