// Products of every type, on activations in the form that the kernel asks for: against a double loop over decoded rows
// and what the form restores, within the promised bound; with integers bit by bit against the reference; the same bits
// for every split of the rows between grains; inputs and outputs that end at unmapped pages.
#include "check.h"

#include <math.h>
#include <string.h>

enum { ROWS = 7, MOST_COLS = 4096 };

// A matrix whose parts end at unmapped pages.
typedef struct guarded_matrix {
    tb_matrix view;
    guarded parts[TB_MATRIX_PARTS];
    size_t count;
} guarded_matrix;

static void guarded_matrix_init(guarded_matrix *out, const sample_shape *shape, sample_kind kind, tb_rng *rng)
{
    tb_packed packed;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    sample_matrix(&packed, shape, kind, rng);
    out->view = packed.view;
    out->count = tb_matrix_get_parts(parts, &packed.view);
    for (size_t i = 0; i < out->count; i++) {
        out->parts[i] = guarded_new(parts[i].bytes);
        memcpy(out->parts[i].data, parts[i].data, parts[i].bytes);
        tb_matrix_set_part(&out->view, i, out->parts[i].data);
    }
    tb_packed_clear(&packed);
}

static void guarded_matrix_clear(guarded_matrix *m)
{
    for (size_t i = 0; i < m->count; i++)
        guarded_free(&m->parts[i]);
}

static void check_bound(const char *name, const tb_matrix *w, const float *x, const float *y)
{
    static float row[MOST_COLS];
    for (size_t r = 0; r < w->rows; r++) {
        double exact = 0, magnitude = 0;
        tb_matrix_decode_row(row, w, r);
        for (size_t c = 0; c < w->cols; c++) {
            exact += (double)row[c] * (double)x[c];
            magnitude += fabs((double)row[c] * (double)x[c]);
        }
        double error = fabs((double)y[r] - exact), bound = 2 * ((double)w->cols + 8) * 0x1p-24 * magnitude;
        if (!(error <= bound))
            check_fail(name, "row %zu is %g, exactly %g: off by %g, allowed %g", r, (double)y[r], exact, error, bound);
    }
}

static void check_exact(const char *name, const tb_matrix *w, const float *x, const float *y)
{
    static float row[MOST_COLS];
    for (size_t r = 0; r < w->rows; r++) {
        double exact = 0;
        tb_matrix_decode_row(row, w, r);
        for (size_t c = 0; c < w->cols; c++)
            exact += (double)row[c] * (double)x[c];
        if ((double)y[r] != exact)
            check_fail(name, "row %zu of integers is %.9g, exactly %.9g", r, (double)y[r], exact);
    }
}

static void check_split(const char *name, const tb_product *product, const tb_matrix *w, const void *x,
                        const float *whole, size_t row0, size_t row1)
{
    if (row0 % product->grain)
        return;
    guarded y = guarded_new((row1 - row0) * sizeof(float));
    memset(y.data, 0xFF, y.size); // NaN
    product->gemv(y.data, w, row0, row1, x);
    if (memcmp(y.data, whole + row0, y.size))
        check_fail(name, "rows %zu … %zu alone differ from the same rows among others", row0, row1);
    if (!guarded_is_intact(&y))
        check_fail(name, "wrote before its output");
    guarded_free(&y);
}

static void check_matrix(const tb_kernels *kernels, const sample_shape *shape, sample_kind kind, tb_rng *rng)
{
    static const struct {
        size_t row0, row1;
    } splits[] = {{0, ROWS}, {0, 1}, {1, ROWS}, {2, 5}, {ROWS - 1, ROWS}, {3, 3}};
    const char *name = shape_name(shape);
    check_begin(name);
    guarded_matrix w;
    guarded_matrix_init(&w, shape, kind, rng);
    const tb_product *product = tb_kernels_product(kernels, shape->type);
    guarded x = guarded_new(shape->cols * sizeof(float)), prepared = guarded_new(product->form->bytes(shape->cols));
    sample_vector(x.data, shape->cols, kind, rng);
    memset(prepared.data, 0xFF, prepared.size);
    product->form->prepare(prepared.data, x.data, shape->cols);
    product->form->restore(x.data, prepared.data, shape->cols);
    float y[ROWS];
    product->gemv(y, &w.view, 0, ROWS, prepared.data);
    if (kind == SAMPLE_INTEGER)
        check_exact(name, &w.view, x.data, y);
    else
        check_bound(name, &w.view, x.data, y);
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++)
        check_split(name, product, &w.view, prepared.data, y, splits[i].row0, splits[i].row1);
    if (!guarded_is_intact(&prepared))
        check_fail(name, "wrote before its prepared activations");
    guarded_free(&prepared);
    guarded_free(&x);
    guarded_matrix_clear(&w);
}

static void check_shape(void *user, const sample_shape *shape)
{
    tb_rng rng;
    tb_rng_init(&rng, 1, shape->cols * 64 + shape->planes);
    for (sample_kind kind = SAMPLE_NORMAL; kind <= SAMPLE_EXTREME; kind++)
        check_matrix(user, shape, kind, &rng);
}

void check_gemv(const tb_kernels *kernels)
{
    tb_kernels copy = *kernels;
    sample_every_shape(ROWS, check_shape, &copy);
}
