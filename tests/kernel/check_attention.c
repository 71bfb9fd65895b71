// Scores, mixes and softmax of attention: sizes around blocks of queries and keys and around registers, any split, keys
// and values that end at unmapped pages.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_QUERIES = 6, MOST_ROWS = 35, MOST_COLS = 140, GAP = 3 };

typedef struct attention_case {
    const tb_kernels *kernels;
    sample_kind kind;
    size_t queries, rows, cols;
    bool half;
    guarded x;                            // [queries] rows of tb_padded(cols), zeros behind cols
    guarded data;                         // keys or values
    float widened[MOST_ROWS * MOST_COLS]; // as floats
} attention_case;

static const char *shape_text(const attention_case *c)
{
    static char text[80];
    snprintf(text, sizeof text, "%zu queries, %zu rows of %zu %s", c->queries, c->rows, c->cols,
             c->half ? "halves" : "floats");
    return text;
}

static void case_init(attention_case *c, tb_rng *rng)
{
    size_t n = c->rows * c->cols, stride = tb_padded(c->cols);
    c->x = guarded_new(c->queries * stride * sizeof(float));
    memset(c->x.data, 0, c->x.size);
    for (size_t q = 0; q < c->queries; q++)
        sample_vector((float *)c->x.data + q * stride, c->cols, c->kind, rng);
    c->data = guarded_new(n * (c->half ? sizeof(uint16_t) : sizeof(float)));
    sample_vector(c->widened, n, c->kind, rng);
    for (size_t i = 0; i < n; i++)
        if (c->half) {
            ((uint16_t *)c->data.data)[i] = tb_half_from_float(c->widened[i]);
            c->widened[i] = tb_half_to_float(((uint16_t *)c->data.data)[i]);
        } else
            ((float *)c->data.data)[i] = c->widened[i];
}

static void case_clear(attention_case *c)
{
    guarded_free(&c->x);
    guarded_free(&c->data);
}

static const void *row_of(const attention_case *c, size_t row)
{
    return (const char *)c->data.data + row * c->cols * (c->half ? sizeof(uint16_t) : sizeof(float));
}

// n: terms of each sum; `magnitude`: of their absolute values.
static bool is_near(const attention_case *c, double result, double exact, double magnitude, size_t n)
{
    double bound = c->kind == SAMPLE_INTEGER ? 0 : 2 * ((double)n + 8) * 0x1p-24 * magnitude;
    return fabs(result - exact) <= bound;
}

static void check_scores(attention_case *c, tb_rng *rng)
{
    tb_scores_fn *scores = c->half ? c->kernels->scores_f16 : c->kernels->scores_f32;
    const char *name = c->half ? "scores_f16" : "scores_f32";
    size_t x_stride = tb_padded(c->cols), y_stride = c->rows + GAP;
    static float y[MOST_QUERIES * (MOST_ROWS + GAP)], split[MOST_QUERIES * (MOST_ROWS + GAP)];
    memset(y, 0xFF, sizeof y); // NaN
    memset(split, 0xFF, sizeof split);
    scores(y, y_stride, c->x.data, x_stride, c->queries, c->data.data, c->rows, c->cols);
    for (size_t q = 0; q < c->queries; q++) {
        const float *x = (const float *)c->x.data + q * x_stride;
        for (size_t r = 0; r < c->rows; r++) {
            double exact = 0, magnitude = 0;
            for (size_t i = 0; i < c->cols; i++) {
                double term = (double)x[i] * (double)c->widened[r * c->cols + i];
                exact += term;
                magnitude += fabs(term);
            }
            if (!is_near(c, (double)y[q * y_stride + r], exact, magnitude, c->cols))
                check_fail(name, "%s: %g, exactly %g", shape_text(c), (double)y[q * y_stride + r], exact);
        }
        for (size_t i = 0; i < GAP; i++)
            if (!isnan(y[q * y_stride + c->rows + i]))
                check_fail(name, "%s: wrote behind a row", shape_text(c));
    }
    size_t q = tb_rng_below(rng, c->queries + 1), r = tb_rng_below(rng, c->rows + 1);
    const float *x = (const float *)c->x.data + q * x_stride;
    scores(split, y_stride, c->x.data, x_stride, q, c->data.data, c->rows, c->cols);
    scores(split + q * y_stride, y_stride, x, x_stride, c->queries - q, c->data.data, r, c->cols);
    scores(split + q * y_stride + r, y_stride, x, x_stride, c->queries - q, row_of(c, r), c->rows - r, c->cols);
    if (memcmp(y, split, sizeof y) != 0)
        check_fail(name, "%s: other bits where they are split", shape_text(c));
}

static void check_mixed(const attention_case *c, const char *name, const float *before, const float *y, const float *w)
{
    size_t stride = tb_padded(c->cols);
    for (size_t q = 0; q < c->queries; q++)
        for (size_t i = 0; i < stride; i++) {
            float result = y[q * stride + i], fused = before[q * stride + i], separate = fused;
            for (size_t r = 0; r < c->rows && i < c->cols; r++) {
                fused = fmaf(w[q * c->rows + r], c->widened[r * c->cols + i], fused);
                separate += w[q * c->rows + r] * c->widened[r * c->cols + i];
            }
            if (result != fused && result != separate)
                check_fail(name, "%s: %g, neither %g with one rounding a row nor %g with two", shape_text(c),
                           (double)result, (double)fused, (double)separate);
        }
}

static void check_mix(attention_case *c, tb_rng *rng)
{
    tb_mix_fn *mix = c->half ? c->kernels->mix_f16 : c->kernels->mix_f32;
    const char *name = c->half ? "mix_f16" : "mix_f32";
    size_t stride = tb_padded(c->cols);
    float w[MOST_QUERIES * MOST_ROWS];
    sample_vector(w, c->queries * c->rows, c->kind, rng);
    guarded y = guarded_new(c->x.size), split = guarded_new(c->x.size);
    memcpy(y.data, c->x.data, c->x.size);
    memcpy(split.data, c->x.data, c->x.size);
    mix(y.data, stride, w, c->rows, c->queries, c->data.data, c->rows, c->cols);
    check_mixed(c, name, c->x.data, y.data, w);
    size_t q = tb_rng_below(rng, c->queries + 1), r = tb_rng_below(rng, c->rows + 1);
    float *behind = (float *)split.data + q * stride;
    mix(split.data, stride, w, c->rows, q, c->data.data, c->rows, c->cols);
    mix(behind, stride, w + q * c->rows, c->rows, c->queries - q, c->data.data, r, c->cols);
    mix(behind, stride, w + q * c->rows + r, c->rows, c->queries - q, row_of(c, r), c->rows - r, c->cols);
    if (memcmp(y.data, split.data, y.size) != 0)
        check_fail(name, "%s: other bits where they are split", shape_text(c));
    if (!guarded_is_intact(&y) || !guarded_is_intact(&split))
        check_fail(name, "%s: wrote before its output", shape_text(c));
    guarded_free(&y);
    guarded_free(&split);
}

static void check_softmax(const tb_kernels *kernels, size_t n, tb_rng *rng)
{
    tb_kernels plain;
    tb_kernels_init(&plain, 0);
    guarded x = guarded_new(n * sizeof(float)), expected = guarded_new(n * sizeof(float));
    float *values = x.data, top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        values[i] = tb_rng_below(rng, 10) ? (float)(20 * tb_rng_normal(rng)) : -INFINITY;
        top = values[i] > top ? values[i] : top;
    }
    if (n)
        memcpy(expected.data, x.data, x.size);
    if (kernels->max_f32(values, n) != top)
        check_fail("max_f32", "length %zu: not the largest", n);
    top = isfinite(top) ? top : 0;
    float sum = kernels->exp_f32(values, top, n), plain_sum = plain.exp_f32(expected.data, top, n);
    if (sum != plain_sum || (n && memcmp(x.data, expected.data, x.size) != 0))
        check_fail("exp_f32", "length %zu: other bits than the reference", n);
    double exact = 0;
    for (size_t i = 0; i < n; i++)
        exact += (double)values[i];
    if (!(fabs((double)sum - exact) <= 2 * ((double)n + 8) * 0x1p-24 * exact))
        check_fail("exp_f32", "length %zu: the sum is %g, exactly %g", n, (double)sum, exact);
    if (!guarded_is_intact(&x))
        check_fail("exp_f32", "length %zu: wrote before its output", n);
    guarded_free(&x);
    guarded_free(&expected);
}

void check_attention(const tb_kernels *kernels)
{
    static const size_t some_rows[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, MOST_ROWS};
    static const size_t some_cols[] = {1, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 48, 63, 64, 65, 80, 96, 128, MOST_COLS};
    static attention_case c;
    tb_rng rng;
    tb_rng_init(&rng, 16, 0);
    check_begin("attention");
    for (size_t queries = 0; queries <= MOST_QUERIES; queries++)
        for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
            for (size_t i = 0; i < sizeof some_cols / sizeof some_cols[0]; i++)
                for (int half = 0; half < 2; half++)
                    for (sample_kind kind = SAMPLE_NORMAL; kind <= SAMPLE_EXTREME; kind++) {
                        c = (attention_case){kernels, kind, queries, some_rows[r], some_cols[i], half, {0}, {0}, {0}};
                        case_init(&c, &rng);
                        check_scores(&c, &rng);
                        check_mix(&c, &rng);
                        case_clear(&c);
                    }
    for (size_t n = 0; n < 300; n++)
        check_softmax(kernels, n, &rng);
}
