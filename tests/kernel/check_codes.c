// Rows of codes, decoded and mixed: all widths, sizes around blocks of queries and around registers, any split, ranges
// and outputs that end at unmapped pages, codes that end TB_CODES_PAD bytes in front of one.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_QUERIES = 5, MOST_ROWS = 35, MOST_COLS = 140, MOST_BITS = 8, GAP = 3 };

typedef struct codes_case {
    const tb_kernels *kernels;
    sample_kind kind;
    size_t queries, rows, cols;
    guarded scales, offsets, bytes;
    tb_codes codes;
    float numbers[MOST_ROWS * MOST_COLS]; // [rows][cols], by the reference
} codes_case;

static const char *shape_text(const codes_case *c)
{
    static char text[80];
    snprintf(text, sizeof text, "%zu queries, %zu rows of %zu codes of %u bits", c->queries, c->rows, c->cols,
             c->codes.bits);
    return text;
}

static guarded sample_halves(size_t n, sample_kind kind, tb_rng *rng)
{
    float numbers[MOST_ROWS];
    guarded halves = guarded_new(n * sizeof(uint16_t));
    sample_vector(numbers, n, kind, rng);
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)halves.data)[i] = tb_half_from_float(numbers[i]);
    return halves;
}

static void case_init(codes_case *c, unsigned bits, tb_rng *rng)
{
    size_t stride = (c->cols * bits + 7) / 8 + tb_rng_below(rng, GAP);
    tb_kernels plain;
    tb_kernels_init(&plain, 0);
    c->scales = sample_halves(c->rows, c->kind, rng);
    c->offsets = sample_halves(c->rows, c->kind, rng);
    c->bytes = guarded_new(c->rows * stride + TB_CODES_PAD);
    for (size_t i = 0; i < c->bytes.size; i++)
        ((uint8_t *)c->bytes.data)[i] = (uint8_t)tb_rng_below(rng, 256);
    c->codes = (tb_codes){c->scales.data, c->offsets.data, c->bytes.data, stride, bits};
    plain.decode_codes(c->numbers, c->cols, &c->codes, c->rows, c->cols);
}

static void case_clear(codes_case *c)
{
    guarded_free(&c->scales);
    guarded_free(&c->offsets);
    guarded_free(&c->bytes);
}

// [rows] rows of cols + GAP floats, but for the last GAP, with NaN everywhere.
static guarded new_output(const codes_case *c, size_t rows)
{
    guarded g = guarded_new((rows ? rows * (c->cols + GAP) - GAP : 0) * sizeof(float));
    memset(g.data, 0xFF, g.size);
    return g;
}

static void check_output(const codes_case *c, const char *name, const guarded *y, size_t rows)
{
    for (size_t r = 0; r + 1 < rows; r++)
        for (size_t i = 0; i < GAP; i++)
            if (!isnan(((const float *)y->data)[r * (c->cols + GAP) + c->cols + i]))
                check_fail(name, "%s: wrote behind a row", shape_text(c));
    if (!guarded_is_intact(y))
        check_fail(name, "%s: wrote before its output", shape_text(c));
}

static void check_decoded(const codes_case *c)
{
    guarded y = new_output(c, c->rows);
    c->kernels->decode_codes(y.data, c->cols + GAP, &c->codes, c->rows, c->cols);
    for (size_t r = 0; r < c->rows; r++)
        if (memcmp((const float *)y.data + r * (c->cols + GAP), c->numbers + r * c->cols, c->cols * sizeof(float)))
            check_fail("decode_codes", "%s: other bits than the reference", shape_text(c));
    check_output(c, "decode_codes", &y, c->rows);
    guarded_free(&y);
}

static void check_mixed(const codes_case *c, const float *before, const float *y, const float *w)
{
    for (size_t q = 0; q < c->queries; q++)
        for (size_t i = 0; i < c->cols; i++) {
            float result = y[q * (c->cols + GAP) + i], fused = before[q * c->cols + i], separate = fused;
            for (size_t r = 0; r < c->rows; r++) {
                fused = fmaf(w[q * c->rows + r], c->numbers[r * c->cols + i], fused);
                separate += w[q * c->rows + r] * c->numbers[r * c->cols + i];
            }
            if (result != fused && result != separate)
                check_fail("mix_codes", "%s: %g, neither %g with one rounding a row nor %g with two", shape_text(c),
                           (double)result, (double)fused, (double)separate);
        }
}

static void check_mix(const codes_case *c, tb_rng *rng)
{
    tb_mix_codes_fn *mix = c->kernels->mix_codes;
    const size_t stride = c->cols + GAP;
    float w[MOST_QUERIES * MOST_ROWS], before[MOST_QUERIES * MOST_COLS];
    sample_vector(w, c->queries * c->rows, c->kind, rng);
    sample_vector(before, c->queries * c->cols, c->kind, rng);
    guarded y = new_output(c, c->queries), split = new_output(c, c->queries);
    for (size_t q = 0; q < c->queries; q++) {
        memcpy((float *)y.data + q * stride, before + q * c->cols, c->cols * sizeof *before);
        memcpy((float *)split.data + q * stride, before + q * c->cols, c->cols * sizeof *before);
    }
    mix(y.data, stride, w, c->rows, c->queries, &c->codes, c->rows, c->cols);
    check_mixed(c, before, y.data, w);
    check_output(c, "mix_codes", &y, c->queries);
    size_t q = tb_rng_below(rng, c->queries + 1), r = tb_rng_below(rng, c->rows + 1);
    size_t col = tb_rng_below(rng, c->cols / 8 + 1) * 8;
    float *below = (float *)split.data + q * stride;
    tb_codes rest = tb_codes_from(&c->codes, r, 0), right = tb_codes_from(&c->codes, r, col);
    mix(split.data, stride, w, c->rows, q, &c->codes, c->rows, c->cols);
    mix(below, stride, w + q * c->rows, c->rows, c->queries - q, &c->codes, r, c->cols);
    mix(below, stride, w + q * c->rows + r, c->rows, c->queries - q, &rest, c->rows - r, col);
    mix(below + col, stride, w + q * c->rows + r, c->rows, c->queries - q, &right, c->rows - r, c->cols - col);
    if (memcmp(y.data, split.data, y.size) != 0)
        check_fail("mix_codes", "%s: other bits where they are split", shape_text(c));
    guarded_free(&y);
    guarded_free(&split);
}

void check_codes(const tb_kernels *kernels)
{
    static const size_t some_rows[] = {0, 1, 7, 8, 9, 16, 17, MOST_ROWS};
    static const size_t some_cols[] = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 128, MOST_COLS};
    static codes_case c;
    tb_rng rng;
    tb_rng_init(&rng, 16, 1);
    check_begin("codes");
    for (unsigned bits = 1; bits <= MOST_BITS; bits++)
        for (size_t queries = 0; queries <= MOST_QUERIES; queries++)
            for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
                for (size_t i = 0; i < sizeof some_cols / sizeof some_cols[0]; i++)
                    for (sample_kind kind = SAMPLE_NORMAL; kind <= SAMPLE_EXTREME; kind++) {
                        c = (codes_case){kernels, kind, queries, some_rows[r], some_cols[i], .codes = {0}};
                        case_init(&c, bits, &rng);
                        if (queries == 0)
                            check_decoded(&c);
                        check_mix(&c, &rng);
                        case_clear(&c);
                    }
}
