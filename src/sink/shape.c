// The squares of the stream's singular values are the eigenvalues of the products of its tokens with one another, or of
// its channels with one another, whichever are fewer: the others have 0.
#include "sink/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink/columns.h"

enum { LATE = 4 }; // one token in so many is a late one

// A number and where it stands.
struct tb_sink_ranked {
    double value;
    size_t at;
};

tb_code tb_sink_shapes_init(tb_sink_shapes *s, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    size_t stages = c->blocks + 1, positions, rows;
    bool ok = tb_mul_size(&positions, stages, ctx);
    *s = (tb_sink_shapes){.config = c, .ctx = ctx, .early = ctx - ctx / LATE};
    s->x = tb_arena_array(arena, ctx, c->width * sizeof *s->x);
    s->gram = tb_arena_array(arena, ctx, ctx * sizeof *s->gram);
    s->spectrum = tb_arena_array(arena, ctx, sizeof *s->spectrum);
    s->mean = tb_arena_array(arena, c->head_size, sizeof *s->mean);
    s->by_position = ok ? tb_arena_array(arena, positions, c->width * sizeof *s->by_position) : NULL;
    s->squares = tb_arena_array(arena, stages, sizeof *s->squares);
    s->stages = tb_arena_array(arena, stages, sizeof *s->stages);
    s->keys = tb_arena_array(arena, c->blocks, c->kv_heads * sizeof *s->keys);
    s->updates = tb_arena_array(arena, c->blocks, sizeof *s->updates);
    s->cosines = tb_arena_array(arena, c->kv_heads, ctx * sizeof *s->cosines);
    ok = ok && tb_mul_size(&rows, c->heads, ctx - s->early);
    s->weights = ok ? tb_arena_array(arena, rows, s->early * sizeof *s->weights) : NULL;
    s->received = tb_arena_array(arena, s->early, sizeof *s->received);
    s->ranks[0] = tb_arena_array(arena, s->early, sizeof *s->ranks[0]);
    s->ranks[1] = tb_arena_array(arena, s->early, sizeof *s->ranks[1]);
    s->order = tb_arena_array(arena, s->early, sizeof *s->order);
    ok = s->x && s->gram && s->spectrum && s->mean && s->by_position && s->squares && s->stages && s->keys &&
         s->updates && s->cosines && s->weights && s->received && s->ranks[0] && s->ranks[1] && s->order;
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the streams of %zu tokens", ctx);
}

// ---- keys ----

static double cosine(const float *x, const double *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += (double)x[i] * y[i];
        xx += (double)x[i] * (double)x[i];
        yy += y[i] * y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

void tb_sink_shapes_add_keys(tb_sink_shapes *s, size_t block, const tb_edit_rows *rows)
{
    size_t n = s->config->head_size;
    for (size_t h = 0; h < s->config->kv_heads; h++) {
        tb_sink_key_shape *k = &s->keys[block * s->config->kv_heads + h];
        double *cosines = s->cosines + h * s->ctx;
        memset(s->mean, 0, n * sizeof *s->mean);
        for (size_t t = 0; t < rows->rows; t++)
            for (size_t i = 0; i < n; i++)
                s->mean[i] += (double)rows->x[t * rows->stride + h * n + i];
        for (size_t t = 0; t < rows->rows; t++)
            cosines[t] = cosine(rows->x + t * rows->stride + h * n, s->mean, n);
        for (size_t t = 1; t < rows->rows; t++)
            k->rest += cosines[t] / (double)(rows->rows - 1);
        k->first += cosines[0];
    }
}

// ---- ranks ----

static int by_value(const void *a, const void *b)
{
    const struct tb_sink_ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

// Ranks from 0 on, less their mean; equal numbers share the mean of theirs.
static void rank(double *out, struct tb_sink_ranked *order, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (struct tb_sink_ranked){x[i], i};
    qsort(order, n, sizeof *order, by_value);
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && order[end].value == order[begin].value;)
            end++;
        for (size_t i = begin; i < end; i++)
            out[order[i].at] = ((double)(begin + end - 1) - (double)(n - 1)) / 2;
    }
}

static double correlate(const double *x, const double *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++)
        xy += x[i] * y[i], xx += x[i] * x[i], yy += y[i] * y[i];
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

void tb_sink_shapes_add_row(tb_sink_shapes *s, size_t head, size_t position, const tb_attention_piece *pieces,
                            size_t count)
{
    if (position < s->early)
        return;
    float *weights = s->weights + (head * (s->ctx - s->early) + position - s->early) * s->early;
    tb_sink_first_weights(weights, s->early, pieces, count);
}

static void receive(tb_sink_shapes *s, size_t head)
{
    const float *weights = s->weights + head * (s->ctx - s->early) * s->early;
    memset(s->received, 0, s->early * sizeof *s->received);
    for (size_t i = 0; i < s->ctx - s->early; i++)
        for (size_t k = 0; k < s->early; k++)
            s->received[k] += (double)weights[i * s->early + k];
}

void tb_sink_shapes_take_rows(tb_sink_shapes *s, size_t block)
{
    size_t kv_heads = s->config->kv_heads, group = s->config->heads / kv_heads, n = s->early;
    for (size_t kv = 0; kv < kv_heads; kv++) {
        rank(s->ranks[0], s->order, s->cosines + kv * s->ctx, n);
        for (size_t h = kv * group; h < (kv + 1) * group; h++) {
            receive(s, h);
            rank(s->ranks[1], s->order, s->received, n);
            s->keys[block * kv_heads + kv].spearman -= correlate(s->ranks[0], s->ranks[1], n) / (double)group;
        }
    }
}

// ---- singular values ----

// Of rows x[rows][width]: what their squares σ² amount to.
typedef struct spectrum {
    double largest, sum; // σ₁², Σσ²
    double roots;        // Σσ
    double rank;         // e^entropy of the shares σ²/Σσ²
} spectrum;

static spectrum spectrum_of(tb_sink_shapes *s, const double *x, size_t rows)
{
    size_t width = s->config->width, n = tb_min_size(rows, width);
    double entropy = 0;
    spectrum out = {0};
    tb_error err;
    bool channels = width < rows; // XᵀX, else XXᵀ
    tb_gemm_f64(s->gram, n, x, width, channels, x, width, !channels, n, n, channels ? rows : width, 1.0, 0.0);
    tb_code rc = tb_symmetric_eigenvalues(s->spectrum, s->gram, n, &err);
    if (rc && !s->rc) {
        s->rc = rc;
        s->err = err;
    }
    for (size_t i = 0; i < n && !rc; i++) {
        out.largest = fmax(s->spectrum[i], 0); // they ascend
        out.sum += out.largest;
        out.roots += sqrt(out.largest);
    }
    for (size_t i = 0; i < n && out.sum > 0; i++) {
        double share = fmax(s->spectrum[i], 0) / out.sum;
        entropy -= share > 0 ? share * log(share) : 0;
    }
    out.rank = exp(entropy);
    return out;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

void tb_sink_shapes_add_update(tb_sink_shapes *s, size_t block, const tb_edit_rows *rows)
{
    size_t n = s->config->width;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < n; c++)
            s->x[t * n + c] = (double)rows->x[t * rows->stride + c];
    spectrum all = spectrum_of(s, s->x, rows->rows);
    s->updates[block].stable_rank += ratio(all.sum, all.largest);
    s->updates[block].top_share += ratio(sqrt(all.largest), all.roots);
}

// ---- the stream ----

void tb_sink_shapes_add_stream(tb_sink_shapes *s, size_t stage, const tb_probe_rows *rows)
{
    size_t n = s->config->width;
    tb_sink_stage_shape *shape = &s->stages[stage];
    double *sums = s->by_position + stage * s->ctx * n;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < n; c++) {
            double x = (double)rows->x[t * rows->stride + c];
            s->x[t * n + c] = x;
            sums[t * n + c] += x;
            s->squares[stage] += t ? x * x : 0;
        }
    for (size_t t = 1; t < rows->rows; t++)
        shape->first_cos += fabs(cosine(rows->x + t * rows->stride, s->x, n)) / (double)(rows->rows - 1);
    spectrum all = spectrum_of(s, s->x, rows->rows), rest = spectrum_of(s, s->x + n, rows->rows - 1);
    shape->top_share += ratio(all.largest, all.sum);
    shape->rank += all.rank;
    shape->rest_top_share += ratio(rest.largest, rest.sum);
    shape->rest_rank += rest.rank;
}

// ---- all sequences ----

// Share of the variance of the tokens behind the first that their positions explain: the means of positions vary by
// so much.
static double position_share(const tb_sink_shapes *s, size_t stage, double sequences)
{
    size_t n = s->config->width, positions = s->ctx - 1;
    const double *sums = s->by_position + stage * s->ctx * n + n;
    double between = 0, square = s->squares[stage] / sequences / (double)positions, center = 0;
    for (size_t c = 0; c < n; c++) {
        double mean = 0;
        for (size_t t = 0; t < positions; t++) {
            double of_position = sums[t * n + c] / sequences;
            mean += of_position / (double)positions;
            between += of_position * of_position / (double)positions;
        }
        center += mean * mean;
    }
    return square > center ? (between - center) / (square - center) : 0;
}

// How far the first position's mean is from the mean of the others', relative to their mean length.
static double first_apart(const tb_sink_shapes *s, size_t stage)
{
    size_t n = s->config->width, others = s->ctx - 1;
    const double *first = s->by_position + stage * s->ctx * n;
    double distance = 0, lengths = 0;
    for (size_t t = 1; t <= others; t++) {
        double square = 0;
        for (size_t c = 0; c < n; c++)
            square += first[t * n + c] * first[t * n + c];
        lengths += sqrt(square) / (double)others;
    }
    for (size_t c = 0; c < n; c++) {
        double mean = 0;
        for (size_t t = 1; t <= others; t++)
            mean += first[t * n + c] / (double)others;
        distance += (first[c] - mean) * (first[c] - mean);
    }
    return ratio(sqrt(distance), lengths);
}

tb_code tb_sink_shapes_finish(tb_sink_geometry *out, tb_sink_shapes *s, size_t sequences, tb_error *err)
{
    double n = (double)sequences;
    for (size_t i = 0; i <= s->config->blocks; i++) {
        tb_sink_stage_shape *shape = &s->stages[i];
        shape->first_cos /= n, shape->top_share /= n, shape->rank /= n;
        shape->rest_top_share /= n, shape->rest_rank /= n;
        shape->position_share = position_share(s, i, n);
        shape->first_apart = first_apart(s, i);
    }
    for (size_t i = 0; i < s->config->blocks * s->config->kv_heads; i++)
        s->keys[i].first /= n, s->keys[i].rest /= n, s->keys[i].spearman /= n;
    for (size_t i = 0; i < s->config->blocks; i++)
        s->updates[i].stable_rank /= n, s->updates[i].top_share /= n;
    *out = (tb_sink_geometry){.stages = s->stages, .keys = s->keys, .updates = s->updates};
    return s->rc ? tb_fail(err, s->rc, "%s", s->err.message) : TB_OK;
}
