#include "forward_ref.h"

#include <math.h>
#include <stdlib.h>

// Rows of doubles, [rows][cols].
typedef struct rows {
    double *at;
    size_t rows, cols;
} rows;

typedef struct ref {
    const tb_model *model;
    const tb_settings *settings;
    const tb_config *config;
    const tb_probe *probe;
    size_t tokens;
    bool failed;
    size_t sinks, window; // of a stream; window 0: none
    ref_mask *mask;       // or NULL
    void *mask_user;
} ref;

// Keys are numbered afresh for every query of this block.
static bool renumbers(const ref *r, size_t block)
{
    return r->window > 0 && !r->settings->near[block];
}

static rows new_rows(ref *r, size_t count, size_t cols)
{
    rows x = {calloc(count * cols, sizeof(double)), count, cols};
    r->failed = r->failed || !x.at;
    return x;
}

static rows multiply(ref *r, const tb_matrix *w, const float *bias, rows x)
{
    rows y = new_rows(r, x.rows, w->rows);
    float *row = malloc(w->cols * sizeof *row);
    r->failed = r->failed || !row;
    for (size_t o = 0; o < w->rows && !r->failed; o++) {
        tb_matrix_decode_row(row, w, o);
        for (size_t t = 0; t < x.rows; t++) {
            double sum = bias ? (double)bias[o] : 0;
            for (size_t i = 0; i < w->cols; i++)
                sum += (double)row[i] * x.at[t * x.cols + i];
            y.at[t * y.cols + o] = sum;
        }
    }
    free(row);
    return y;
}

static rows apply_expert(ref *r, size_t block, tb_linear_kind kind, size_t expert, rows x)
{
    tb_linears linears = tb_model_linears(r->model, block);
    const tb_linear *linear = &linears.at[tb_linears_find(linears, kind, expert)];
    return multiply(r, &linear->matrix, linear->bias, x);
}

static rows apply(ref *r, size_t block, tb_linear_kind kind, rows x)
{
    return apply_expert(r, block, kind, 0, x);
}

static void norm(double *x, size_t n, const float *weight, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / sqrt(sum / (double)n + eps) * (double)weight[i];
}

// The norm in front of a part, or of the head.
static rows normed(ref *r, rows x, const float *weight, const tb_tanh_norm *tanh_norm)
{
    rows y = new_rows(r, x.rows, x.cols);
    for (size_t i = 0; i < x.rows * x.cols && !r->failed; i++)
        y.at[i] = x.at[i];
    for (size_t i = 0; i < x.rows * x.cols && tanh_norm->alpha && !r->failed; i++)
        y.at[i] = (double)weight[i % x.cols] * tanh((double)tanh_norm->alpha[0] * x.at[i]) +
                  (double)tanh_norm->bias[i % x.cols];
    for (size_t t = 0; t < x.rows && !tanh_norm->alpha && !r->failed; t++)
        norm(y.at + t * y.cols, y.cols, weight, r->config->norm_eps);
    return y;
}

static void turn(double *head, const ref *r, const tb_rope *rope, size_t position)
{
    double *frequencies = malloc(rope->pairs * sizeof *frequencies);
    if (frequencies)
        tb_rope_get_frequencies(frequencies, rope, r->tokens);
    for (size_t i = 0; frequencies && i < rope->pairs; i++) {
        double angle = (double)position * frequencies[i];
        double c = rope->magnitude * cos(angle), s = rope->magnitude * sin(angle);
        size_t first = rope->halves ? i : 2 * i, second = rope->halves ? i + rope->pairs : 2 * i + 1;
        double a = head[first], b = head[second];
        head[first] = a * c - b * s;
        head[second] = a * s + b * c;
    }
    free(frequencies);
}

static void finish_heads(const ref *r, rows x, size_t block, const float *weight)
{
    size_t n = r->config->head_size;
    const tb_rope *rope = r->settings->near[block] ? &r->settings->near_rope : &r->settings->rope;
    for (size_t t = 0; t < x.rows && !r->failed; t++)
        for (size_t head = 0; head < x.cols / n; head++) {
            double *at = x.at + t * x.cols + head * n;
            if (weight)
                norm(at, n, weight, r->config->norm_eps);
            if (r->settings->rotated[block] && !renumbers(r, block))
                turn(at, r, rope, t);
        }
}

// What a probe is shown of x: floats, to be freed, and positions. The pass fails when memory runs out.
typedef struct shown_rows {
    float *x;
    int32_t *positions;
    tb_probe_rows rows;
} shown_rows;

static shown_rows show_rows(ref *r, rows x)
{
    shown_rows s = {malloc(x.rows * x.cols * sizeof *s.x), malloc(x.rows * sizeof *s.positions), {0}};
    r->failed = !s.x || !s.positions;
    for (size_t i = 0; i < x.rows * x.cols && !r->failed; i++)
        s.x[i] = (float)x.at[i];
    for (size_t t = 0; t < x.rows && !r->failed; t++)
        s.positions[t] = (int32_t)t;
    s.rows = (tb_probe_rows){s.x, x.cols, x.rows, x.cols, s.positions};
    return s;
}

static void show_input(ref *r, size_t block, tb_linear_input input, rows x)
{
    if (r->failed || !r->probe || !r->probe->linear_input)
        return;
    shown_rows s = show_rows(r, x);
    if (!r->failed)
        r->probe->linear_input(r->probe->user, &(tb_probe_place){.block = block}, input, &s.rows);
    free(s.x), free(s.positions);
}

static void show_residual(ref *r, size_t block, rows x)
{
    if (r->failed || !r->probe || !r->probe->residual)
        return;
    shown_rows s = show_rows(r, x);
    if (!r->failed)
        r->probe->residual(r->probe->user, &(tb_probe_place){.block = block}, &s.rows);
    free(s.x), free(s.positions);
}

static double capped(double x, double cap)
{
    return cap > 0 ? cap * tanh(x / cap) : x;
}

static double scale_score(const tb_settings *s, double score, size_t position)
{
    double growth = s->query_growth.rate > 0
                        ? s->query_growth.rate * log(1 + floor((double)position / (double)s->query_growth.length))
                        : 0;
    return capped(score * s->query_scale * (1 + growth), s->attention_cap);
}

// The product of a query with a key, as they are.
static double product(const ref *r, const double *q, const double *k)
{
    double sum = 0;
    for (size_t i = 0; i < r->config->head_size; i++)
        sum += q[i] * k[i];
    return sum;
}

// The same of a stream, both turned by their new numbers; −∞ where the key is not seen.
static double renumbered_product(ref *r, const double *q, const double *k, size_t block, size_t position, size_t key)
{
    size_t n = r->config->head_size, last = r->sinks + r->window - 1, at = position < last ? position : last;
    if (key >= r->sinks && position - key >= r->window)
        return -INFINITY;
    double *turned = malloc(2 * n * sizeof *turned);
    r->failed = r->failed || !turned;
    if (r->failed)
        return 0;
    for (size_t i = 0; i < n; i++) {
        turned[i] = q[i];
        turned[n + i] = k[i];
    }
    if (r->settings->rotated[block]) {
        turn(turned, r, &r->settings->rope, at);
        turn(turned + n, r, &r->settings->rope, key < r->sinks ? key : at - (position - key));
    }
    double sum = product(r, turned, turned + n);
    free(turned);
    return sum;
}

// q·k of a learned key, which stands nowhere and is not turned. In a stream it is kept as sinks are.
static double slot_product(ref *r, const double *q, const float *k, size_t block, size_t position)
{
    size_t n = r->config->head_size, last = r->sinks + r->window - 1;
    double *turned = malloc(n * sizeof *turned), sum = 0;
    r->failed = r->failed || !turned;
    for (size_t i = 0; i < n && !r->failed; i++)
        turned[i] = q[i];
    if (!r->failed && renumbers(r, block) && r->settings->rotated[block])
        turn(turned, r, &r->settings->rope, position < last ? position : last);
    for (size_t i = 0; i < n && !r->failed; i++)
        sum += turned[i] * (double)k[i];
    free(turned);
    return sum;
}

// Scores of the keys that a query sees become weights; those of keys that it does not are −∞ and become 0.
static void weigh(const ref *r, double *w, size_t count, size_t block, size_t head)
{
    const tb_block *b = &r->model->blocks[block];
    tb_weighing_kind kind = r->settings->arch->weighing;
    double top = b->sink_logits ? (double)b->sink_logits[head] : -INFINITY, seen = 0, sum = 0, distance = 0;
    double number = b->weighing ? (double)b->weighing[head] : 0;
    for (size_t i = 0; i < count; i++) {
        top = fmax(top, w[i]);
        seen += w[i] > -INFINITY;
    }
    double from_zero = fmax(top, 0); // that softpick's terms have in common
    sum = b->sink_logits ? exp((double)b->sink_logits[head] - top) : 0;
    for (size_t i = 0; i < count; i++) {
        sum += exp(w[i] - top);
        distance += w[i] > -INFINITY ? fabs(exp(w[i] - from_zero) - exp(-from_zero)) : 0;
    }
    for (size_t i = 0; i < count; i++) {
        double z = w[i], p = exp(z - top) / sum;
        w[i] = kind == TB_CLIP       ? fmin(fmax((1 + number) * p - number, 0), 1)
               : kind == TB_SIGMOID  ? 1 / (1 + exp(-z - number))
               : kind == TB_RELU     ? fmax(z, 0) / seen
               : kind == TB_SOFTPICK ? fmax(exp(z - from_zero) - exp(-from_zero), 0) / (distance + 1e-8)
               : kind == TB_ELASTIC  ? fmax(p + number / seen, 0)
                                     : p;
        w[i] = z > -INFINITY ? w[i] : 0;
    }
}

// Weights of one query over the keys 0 … position and, if there is one, the learned one, in double and for the probe
// in float.
static void attend_row(ref *r, double *out, double *weights, float *shown, rows q, rows k, rows v, size_t block,
                       size_t head, size_t position)
{
    size_t n = r->config->head_size, kv_head = head / (r->config->heads / r->config->kv_heads);
    size_t reach = r->settings->near[block] ? r->settings->reach : SIZE_MAX;
    const tb_block *b = &r->model->blocks[block];
    const double *query = q.at + position * q.cols + head * n;
    for (size_t p = 0; p <= position; p++) {
        const double *key = k.at + p * k.cols + kv_head * n;
        weights[p] =
            renumbers(r, block) ? renumbered_product(r, query, key, block, position, p) : product(r, query, key);
        bool masked = r->mask && !r->settings->near[block] && !r->mask(r->mask_user, block, kv_head, position, p);
        bool seen = position - p < reach && weights[p] > -INFINITY && !masked;
        weights[p] = seen ? scale_score(r->settings, weights[p], position) : -INFINITY;
    }
    size_t slots = r->config->sink_keys;
    double *of_slots = weights + position + 1;
    for (size_t i = 0; i < slots; i++) {
        const float *key = b->sink_keys + (kv_head * slots + i) * n;
        of_slots[i] = scale_score(r->settings, slot_product(r, query, key, block, position), position);
    }
    weigh(r, weights, position + 1 + slots, block, head);
    for (size_t i = 0; i < slots * n; i++)
        out[i % n] += of_slots[i / n] * (double)b->sink_values[kv_head * slots * n + i];
    for (size_t p = 0; p <= position; p++) {
        shown[p] = (float)weights[p];
        for (size_t i = 0; i < n; i++)
            out[i] += weights[p] * v.at[p * v.cols + kv_head * n + i];
    }
    tb_attention_piece all = {.weights = shown, .count = position + 1};
    if (r->probe && r->probe->attention_row)
        r->probe->attention_row(r->probe->user, &(tb_probe_place){.block = block}, head, position, &all, 1);
}

static rows attend(ref *r, rows q, rows k, rows v, size_t block)
{
    rows out = new_rows(r, q.rows, q.cols);
    double *weights = malloc((q.rows + r->config->sink_keys) * sizeof *weights);
    float *shown = malloc(q.rows * sizeof *shown);
    r->failed = r->failed || !weights || !shown;
    for (size_t head = 0; head < r->config->heads && !r->failed; head++)
        for (size_t t = 0; t < q.rows; t++)
            attend_row(r, out.at + t * out.cols + head * r->config->head_size, weights, shown, q, k, v, block, head, t);
    free(weights);
    free(shown);
    return out;
}

static double activate(double gate, double up, tb_activation activation)
{
    if (activation == TB_GELU_TANH)
        return 0.5 * gate * (1 + tanh(0.79788456080286535588 * (gate + 0.044715 * gate * gate * gate))) * up;
    if (activation == TB_SILU)
        return gate / (1 + exp(-gate)) * up;
    gate = fmin(gate, 7);
    return gate / (1 + exp(-1.702 * gate)) * (fmax(fmin(up, 7), -7) + 1);
}

// x += y, normed before where there is a weight; frees y.
static void add_and_free(ref *r, rows x, rows y, const float *post_norm)
{
    for (size_t t = 0; t < x.rows && post_norm && !r->failed; t++)
        norm(y.at + t * y.cols, y.cols, post_norm, r->config->norm_eps);
    for (size_t i = 0; i < x.rows * x.cols && !r->failed; i++)
        x.at[i] += y.at[i];
    free(y.at);
}

// Heads of a row [heads][size] become [kv_heads][head_size] of the model: each stands for several, with zeros behind.
static void spread(ref *r, rows *x, size_t heads, size_t size, double scale)
{
    const tb_config *c = r->config;
    rows y = new_rows(r, x->rows, c->kv_heads * c->head_size);
    for (size_t i = 0; i < y.rows * y.cols && !r->failed; i++) {
        size_t t = i / y.cols, head = i % y.cols / c->head_size, at = i % c->head_size;
        y.at[i] = at < size ? scale * x->at[t * x->cols + head * heads / c->kv_heads * size + at] : 0;
    }
    free(x->at);
    *x = y;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

// The gate of all rows, and queries without what belongs to it: *q is replaced.
static rows take_gates(ref *r, rows *q, rows n, size_t index)
{
    const tb_arch *arch = r->settings->arch;
    const tb_config *c = r->config;
    if (arch->gate == TB_GATE_NONE || arch->gate_source == TB_GATE_FREE)
        return (rows){0};
    if (!tb_gate_is_in_query(arch))
        return apply(r, index, TB_LINEAR_ATTENTION_GATE, n);
    rows raw = *q, gates = new_rows(r, raw.rows, tb_gate_length(arch->gate, c));
    *q = new_rows(r, raw.rows, c->heads * c->head_size);
    size_t pieces = arch->gate_source == TB_GATE_OF_HEADS ? c->heads : c->kv_heads;
    size_t queries = q->cols / pieces, own = gates.cols / pieces;
    for (size_t i = 0; i < raw.rows * raw.cols && !r->failed; i++) {
        size_t t = i / raw.cols, piece = i % raw.cols / (queries + own), at = i % raw.cols % (queries + own);
        if (at < queries)
            q->at[t * q->cols + piece * queries + at] = raw.at[i];
        else
            gates.at[t * gates.cols + piece * own + at - queries] = raw.at[i];
    }
    free(raw.at);
    return gates;
}

// Norm and gate of what the heads have read.
static void finish_mixed(ref *r, rows mixed, rows gates, size_t index)
{
    const tb_block *b = &r->model->blocks[index];
    tb_gate gate = r->settings->arch->gate;
    size_t n = r->config->head_size;
    for (size_t i = 0; i < mixed.rows * mixed.cols / n && b->mix_norm && !r->failed; i++)
        norm(mixed.at + i * n, n, b->mix_norm + i % r->config->heads * n, r->config->norm_eps);
    for (size_t i = 0; i < mixed.rows * mixed.cols && gate && gate != TB_GATE_VALUE && !r->failed; i++) {
        size_t t = i / mixed.cols, at = i % mixed.cols;
        at = gate == TB_GATE_HEAD ? at / n : gate == TB_GATE_SHARED ? at % n : at;
        mixed.at[i] *= sigmoid(b->free_gate ? (double)b->free_gate[at] : gates.at[t * gates.cols + at]);
    }
}

static void run_attention(ref *r, rows x, size_t index)
{
    const tb_block *b = &r->model->blocks[index];
    rows n = normed(r, x, b->attention_norm, &b->attention_tanh);
    show_input(r, index, TB_INPUT_ATTENTION, n);
    rows q = apply(r, index, TB_LINEAR_Q, n), gates = take_gates(r, &q, n, index);
    rows k = apply(r, index, TB_LINEAR_K, n);
    rows v = apply(r, index, TB_LINEAR_V, n);
    spread(r, &k, r->settings->kv_heads[index], r->config->head_size, 1);
    spread(r, &v, r->settings->kv_heads[index], r->config->value_size, r->settings->value_scale);
    for (size_t i = 0; i < v.rows * v.cols && r->settings->arch->gate == TB_GATE_VALUE && !r->failed; i++)
        v.at[i] *= sigmoid(gates.at[i]);
    finish_heads(r, q, index, b->query_norm);
    finish_heads(r, k, index, b->key_norm);
    rows mixed = attend(r, q, k, v, index);
    finish_mixed(r, mixed, gates, index);
    rows packed = new_rows(r, mixed.rows, r->config->heads * r->config->value_size);
    for (size_t i = 0; i < packed.rows * packed.cols && !r->failed; i++) {
        size_t t = i / packed.cols, head = i % packed.cols / r->config->value_size;
        packed.at[i] = mixed.at[t * mixed.cols + head * r->config->head_size + i % r->config->value_size];
    }
    free(mixed.at);
    mixed = packed;
    show_input(r, index, TB_INPUT_OUTPUT, mixed);
    add_and_free(r, x, apply(r, index, TB_LINEAR_O, mixed), b->attention_post_norm);
    free(n.at), free(q.at), free(k.at), free(v.at), free(mixed.at), free(gates.at);
}

// Every row through one expert; its input of down in *hidden, to be freed.
static rows run_expert(ref *r, rows *hidden, rows n, size_t index, size_t expert)
{
    *hidden = apply_expert(r, index, TB_LINEAR_GATE, expert, n);
    rows up = apply_expert(r, index, TB_LINEAR_UP, expert, n);
    for (size_t i = 0; i < up.rows * up.cols && !r->failed; i++)
        hidden->at[i] = activate(hidden->at[i], up.at[i], r->settings->arch->activation);
    free(up.at);
    return apply_expert(r, index, TB_LINEAR_DOWN, expert, *hidden);
}

// The share of an expert in a row whose scores are given: of the largest `experts_used`, of equal ones the first.
static double share(ref *r, const tb_block *b, const double *scores, size_t expert)
{
    bool sigmoids = r->settings->gating == TB_GATING_SIGMOID;
    size_t n = r->config->experts, before = 0;
    double *shares = malloc(2 * n * sizeof *shares), *merits = shares + n, sum = 0, used = 0;
    r->failed = r->failed || !shares;
    for (size_t i = 0; i < n && shares; i++)
        sum += sigmoids ? 0 : exp(scores[i]);
    for (size_t i = 0; i < n && shares; i++) {
        shares[i] = sigmoids ? sigmoid(scores[i]) : exp(scores[i]) / sum;
        merits[i] = shares[i] + (b->choice_bias ? (double)b->choice_bias[i] : 0);
    }
    for (size_t i = 0; i < n && shares; i++) {
        size_t rank = 0;
        for (size_t k = 0; k < n; k++)
            rank += merits[k] > merits[i] || (merits[k] == merits[i] && k < i);
        used += rank < r->config->experts_used ? shares[i] : 0;
        before = i == expert ? rank : before;
    }
    double of_expert = !shares || before >= r->config->experts_used ? 0 : shares[expert];
    free(shares);
    return of_expert * r->settings->expert_scale / (r->settings->shares_to_one ? used : 1);
}

static double shared_share(const tb_block *b, const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; b->shared_gate && i < n; i++)
        sum += x[i] * (double)b->shared_gate[i];
    return b->shared_gate ? 1 / (1 + exp(-sum)) : 1;
}

static rows run_mixture(ref *r, rows n, size_t index)
{
    const tb_block *b = &r->model->blocks[index];
    rows scores = multiply(r, &b->router, b->router_bias, n), out = new_rows(r, n.rows, n.cols), hidden;
    size_t experts = r->config->experts;
    for (size_t e = 0; e < experts + (r->config->shared_width ? 1 : 0); e++) {
        rows y = run_expert(r, &hidden, n, index, e);
        for (size_t i = 0; i < y.rows * y.cols && !r->failed; i++) {
            size_t t = i / y.cols;
            out.at[i] += y.at[i] * (e < experts ? share(r, b, scores.at + t * experts, e)
                                                : shared_share(b, n.at + t * n.cols, n.cols));
        }
        free(y.at), free(hidden.at);
    }
    free(scores.at);
    return out;
}

static void run_ffn(ref *r, rows x, size_t index)
{
    const tb_block *b = &r->model->blocks[index];
    rows n = normed(r, x, b->ffn_norm, &b->ffn_tanh), hidden = {0}, y;
    if (b->router.rows) {
        y = run_mixture(r, n, index);
    } else {
        show_input(r, index, TB_INPUT_FFN, n);
        y = run_expert(r, &hidden, n, index, 0);
        show_input(r, index, TB_INPUT_DOWN, hidden);
    }
    add_and_free(r, x, y, b->ffn_post_norm);
    free(n.at), free(hidden.at);
}

static rows embed(ref *r, const int32_t *ids)
{
    size_t registers = r->config->registers;
    rows x = new_rows(r, registers + r->tokens, r->config->width);
    float *row = malloc(x.cols * sizeof *row);
    r->failed = r->failed || !row;
    for (size_t t = 0; t < x.rows && !r->failed; t++) {
        const tb_matrix *table = t < registers ? &r->model->registers : &r->model->embedding;
        tb_matrix_decode_row(row, table, t < registers ? t : (size_t)ids[t - registers]);
        for (size_t i = 0; i < x.cols; i++)
            x.at[t * x.cols + i] = (double)row[i] * (t < registers ? 1 : r->settings->embedding_scale);
    }
    free(row);
    return x;
}

static bool forward(double *logits, ref r, const int32_t *ids)
{
    const tb_model *model = r.model;
    rows x = embed(&r, ids);
    show_residual(&r, SIZE_MAX, x);
    for (size_t i = 0; i < r.config->blocks && !r.failed; i++) {
        run_attention(&r, x, i);
        run_ffn(&r, x, i);
        show_residual(&r, i, x);
    }
    rows last = normed(&r, x, model->output_norm, &model->output_tanh);
    rows y = multiply(&r, &model->head, NULL, last);
    size_t first = r.config->registers * y.cols;
    for (size_t i = first; i < y.rows * y.cols && !r.failed; i++)
        logits[i - first] = capped(y.at[i], model->settings.final_cap);
    free(x.at), free(last.at), free(y.at);
    return !r.failed;
}

bool ref_forward(double *logits, const tb_model *model, const int32_t *ids, size_t n, const tb_probe *probe)
{
    ref r = {
        .model = model, .settings = &model->settings, .config = &model->settings.config, .probe = probe, .tokens = n};
    return forward(logits, r, ids);
}

bool ref_forward_stream(double *logits, const tb_model *model, const int32_t *ids, size_t n, size_t sinks,
                        size_t window)
{
    ref r = {.model = model, .settings = &model->settings, .config = &model->settings.config, .tokens = n};
    r.sinks = sinks;
    r.window = window;
    return forward(logits, r, ids);
}

bool ref_forward_masked(double *logits, const tb_model *model, const int32_t *ids, size_t n, ref_mask *mask, void *user)
{
    ref r = {.model = model, .settings = &model->settings, .config = &model->settings.config, .tokens = n};
    r.mask = mask;
    r.mask_user = user;
    return forward(logits, r, ids);
}
