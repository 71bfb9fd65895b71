// The squares of the stream's singular values are the eigenvalues of the products of its tokens with one another, of
// which there are as many as tokens.
#include "sink/shape.h"

#include <math.h>
#include <string.h>

tb_code tb_sink_shapes_init(tb_sink_shapes *s, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    size_t stages = c->blocks + 1, positions;
    bool ok = tb_mul_size(&positions, stages, ctx);
    *s = (tb_sink_shapes){.config = c, .ctx = ctx};
    s->x = tb_arena_array(arena, ctx, c->width * sizeof *s->x);
    s->gram = tb_arena_array(arena, ctx, ctx * sizeof *s->gram);
    s->spectrum = tb_arena_array(arena, ctx, sizeof *s->spectrum);
    s->mean = tb_arena_array(arena, c->head_size, sizeof *s->mean);
    s->by_position = ok ? tb_arena_array(arena, positions, c->width * sizeof *s->by_position) : NULL;
    s->squares = tb_arena_array(arena, stages, sizeof *s->squares);
    s->stages = tb_arena_array(arena, stages, sizeof *s->stages);
    s->keys = tb_arena_array(arena, c->blocks, c->kv_heads * sizeof *s->keys);
    ok = s->x && s->gram && s->spectrum && s->mean && s->by_position && s->squares && s->stages && s->keys;
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
        memset(s->mean, 0, n * sizeof *s->mean);
        for (size_t t = 0; t < rows->rows; t++)
            for (size_t i = 0; i < n; i++)
                s->mean[i] += (double)rows->x[t * rows->stride + h * n + i];
        for (size_t t = 1; t < rows->rows; t++)
            k->rest += cosine(rows->x + t * rows->stride + h * n, s->mean, n) / (double)(rows->rows - 1);
        k->first += cosine(rows->x + h * n, s->mean, n);
    }
}

// ---- the stream ----

// Share of the largest and effective rank, e^entropy, of x[rows][width].
static void add_spectrum(double *top_share, double *rank, tb_sink_shapes *s, const double *x, size_t rows)
{
    size_t width = s->config->width;
    double sum = 0, entropy = 0;
    tb_error err;
    tb_gemm_f64(s->gram, rows, x, width, false, x, width, true, rows, rows, width, 1.0, 0.0);
    tb_code rc = tb_symmetric_eigenvalues(s->spectrum, s->gram, rows, &err);
    if (rc && !s->rc) {
        s->rc = rc;
        s->err = err;
    }
    for (size_t i = 0; i < rows && !rc; i++)
        sum += fmax(s->spectrum[i], 0);
    for (size_t i = 0; i < rows && sum > 0; i++) {
        double share = fmax(s->spectrum[i], 0) / sum;
        entropy -= share > 0 ? share * log(share) : 0;
    }
    *top_share += sum > 0 ? s->spectrum[rows - 1] / sum : 0;
    *rank += exp(entropy);
}

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
    add_spectrum(&shape->top_share, &shape->rank, s, s->x, rows->rows);
    add_spectrum(&shape->rest_top_share, &shape->rest_rank, s, s->x + n, rows->rows - 1);
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

tb_code tb_sink_shapes_finish(tb_sink_geometry *out, tb_sink_shapes *s, size_t sequences, tb_error *err)
{
    double n = (double)sequences;
    for (size_t i = 0; i <= s->config->blocks; i++) {
        tb_sink_stage_shape *shape = &s->stages[i];
        shape->first_cos /= n, shape->top_share /= n, shape->rank /= n;
        shape->rest_top_share /= n, shape->rest_rank /= n;
        shape->position_share = position_share(s, i, n);
    }
    for (size_t i = 0; i < s->config->blocks * s->config->kv_heads; i++)
        s->keys[i].first /= n, s->keys[i].rest /= n;
    *out = (tb_sink_geometry){.stages = s->stages, .keys = s->keys};
    return s->rc ? tb_fail(err, s->rc, "%s", s->err.message) : TB_OK;
}
