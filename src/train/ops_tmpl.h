// The operators for one precision. Included with
//     REAL   float or double
//     OP(x)  a name for this precision
//     GEMM   tensor's product of it
//     EXP, TANH  of <math.h>
//     PACKED  the row of products with stored matrices
//
// Elementwise loops go in strips, products in tiles, so that threads never change an order of
// summation. Sums over a whole matrix are made by one thread, in double.

enum {
    STRIP = 1 << 14, // elements
    TILE_ROWS = 256, // of a product; large enough for BLAS to be at its best
    TILE_COLS = 512,
};

// ---- products ----

typedef struct OP(product) {
    REAL *c;
    const REAL *a, *b;
    size_t m, n, k, lda, ldb;
    bool transpose_a, transpose_b;
    REAL beta;
} OP(product);

static void OP(multiply_tile)(const OP(product) * p, size_t row, size_t col)
{
    size_t m = p->m - row < TILE_ROWS ? p->m - row : TILE_ROWS;
    size_t n = p->n - col < TILE_COLS ? p->n - col : TILE_COLS;
    const REAL *a = p->a + (p->transpose_a ? row : row * p->lda);
    const REAL *b = p->b + (p->transpose_b ? col * p->ldb : col);
    GEMM(p->c + row * p->n + col, p->n, a, p->lda, p->transpose_a, b, p->ldb, p->transpose_b, m, n, p->k, 1, p->beta);
}

static void OP(multiply_tiles)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(product) *p = user;
    size_t across = (p->n + TILE_COLS - 1) / TILE_COLS;
    for (size_t i = begin; i < end; i++)
        OP(multiply_tile)(p, i / across * TILE_ROWS, i % across * TILE_COLS);
}

// c[m][n] = op(a)·op(b) + beta·c
static void OP(multiply)(OP(product) p, size_t threads)
{
    size_t down = (p.m + TILE_ROWS - 1) / TILE_ROWS, across = (p.n + TILE_COLS - 1) / TILE_COLS;
    tb_parallel(threads, down * across, 1, OP(multiply_tiles), &p);
}

static void OP(matmul_forward)(tb_node *y, size_t threads)
{
    OP(product) p = {.c = y->value, .a = y->a->value, .b = y->b->value, .m = y->rows, .n = y->cols, .k = y->a->cols};
    p.lda = y->a->cols;
    p.ldb = y->cols;
    OP(multiply)(p, threads);
}

static void OP(matmul_backward)(tb_node *y, size_t threads)
{
    if (y->a->learns) { // da += dy·bᵀ
        OP(product) p = {.c = y->a->gradient, .a = y->gradient, .b = y->b->value, .m = y->rows, .n = y->a->cols};
        p.k = p.lda = p.ldb = y->cols;
        p.transpose_b = true;
        p.beta = 1;
        OP(multiply)(p, threads);
    }
    if (y->b->learns) { // db += aᵀ·dy
        OP(product) p = {.c = y->b->gradient, .a = y->a->value, .b = y->gradient, .m = y->a->cols, .n = y->cols};
        p.k = y->rows;
        p.lda = y->a->cols;
        p.ldb = y->cols;
        p.transpose_a = true;
        p.beta = 1;
        OP(multiply)(p, threads);
    }
}

// ---- element by element ----

static void OP(add_scaled)(REAL *to, const REAL *from, REAL factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += factor * from[i];
}

static void OP(add_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *a = y->a->value, *b = y->b->value;
    REAL *v = y->value;
    for (size_t i = 0; i < tb_node_size(y); i++)
        v[i] = a[i] + b[i];
}

static void OP(add_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    if (y->a->learns)
        OP(add_scaled)(y->a->gradient, y->gradient, 1, tb_node_size(y));
    if (y->b->learns)
        OP(add_scaled)(y->b->gradient, y->gradient, 1, tb_node_size(y));
}

static void OP(add_row_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *a = y->a->value, *row = y->b->value;
    REAL *v = y->value;
    for (size_t r = 0; r < y->rows; r++)
        for (size_t c = 0; c < y->cols; c++)
            v[r * y->cols + c] = a[r * y->cols + c] + row[c];
}

static void OP(add_row_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    if (y->a->learns)
        OP(add_scaled)(y->a->gradient, y->gradient, 1, tb_node_size(y));
    if (y->b->learns)
        for (size_t r = 0; r < y->rows; r++)
            OP(add_scaled)(y->b->gradient, (const REAL *)y->gradient + r * y->cols, 1, y->cols);
}

static void OP(scale_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *a = y->a->value;
    REAL *v = y->value, factor = (REAL)y->factor;
    for (size_t i = 0; i < tb_node_size(y); i++)
        v[i] = factor * a[i];
}

static void OP(scale_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    OP(add_scaled)(y->a->gradient, y->gradient, (REAL)y->factor, tb_node_size(y));
}

static void OP(swish_forward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *z = y->a->value;
    REAL *v = y->value;
    for (size_t i = begin; i < end; i++)
        v[i] = z[i] / (1 + EXP(-z[i])); // e^∞ = ∞ gives −0, the limit
}

static void OP(swish_backward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *z = y->a->value, *dy = y->gradient;
    REAL *dz = y->a->gradient;
    for (size_t i = begin; i < end; i++) {
        REAL s = 1 / (1 + EXP(-z[i]));
        dz[i] += dy[i] * s * (1 + z[i] * (1 - s));
    }
}

static void OP(tanh_forward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *z = y->a->value;
    REAL *v = y->value;
    for (size_t i = begin; i < end; i++)
        v[i] = TANH(z[i]);
}

static void OP(tanh_backward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *v = y->value, *dy = y->gradient;
    REAL *dz = y->a->gradient;
    for (size_t i = begin; i < end; i++)
        dz[i] += dy[i] * (1 - v[i] * v[i]);
}

static void OP(leaky_relu_forward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *z = y->a->value;
    REAL *v = y->value, slope = (REAL)y->factor;
    for (size_t i = begin; i < end; i++)
        v[i] = z[i] > 0 ? z[i] : slope * z[i];
}

static void OP(leaky_relu_backward_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    tb_node *y = user;
    const REAL *z = y->a->value, *dy = y->gradient;
    REAL *dz = y->a->gradient, slope = (REAL)y->factor;
    for (size_t i = begin; i < end; i++)
        dz[i] += dy[i] * (z[i] > 0 ? 1 : slope);
}

static void OP(swish_forward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(swish_forward_strip), y);
}

static void OP(swish_backward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(swish_backward_strip), y);
}

static void OP(tanh_forward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(tanh_forward_strip), y);
}

static void OP(tanh_backward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(tanh_backward_strip), y);
}

static void OP(leaky_relu_forward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(leaky_relu_forward_strip), y);
}

static void OP(leaky_relu_backward)(tb_node *y, size_t threads)
{
    tb_parallel(threads, tb_node_size(y), STRIP, OP(leaky_relu_backward_strip), y);
}

// ---- over the whole matrix ----

static void OP(standardize_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    size_t n = tb_node_size(y);
    const REAL *x = y->a->value;
    REAL *v = y->value;
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    y->saved = sqrt(square / (double)n);
    double gain = y->saved > 0 ? 1 / y->saved : 0;
    for (size_t i = 0; i < n; i++)
        v[i] = (REAL)(((double)x[i] - mean) * gain);
}

// dx = (dy − mean(dy) − y·mean(dy·y))/deviation
static void OP(standardize_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    size_t n = tb_node_size(y);
    const REAL *v = y->value, *dy = y->gradient;
    REAL *dx = y->a->gradient;
    double mean = 0, slope = 0, gain = y->saved > 0 ? 1 / y->saved : 0;
    for (size_t i = 0; i < n; i++) {
        mean += (double)dy[i];
        slope += (double)dy[i] * (double)v[i];
    }
    mean /= (double)n;
    slope /= (double)n;
    for (size_t i = 0; i < n; i++)
        dx[i] += (REAL)(((double)dy[i] - mean - (double)v[i] * slope) * gain);
}

static void OP(nmse_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *x = y->a->value, *t = y->b->value;
    double error = 0, power = 0;
    for (size_t i = 0; i < tb_node_size(y->a); i++) {
        double miss = (double)x[i] - (double)t[i];
        error += miss * miss;
        power += (double)t[i] * (double)t[i];
    }
    y->saved = power;
    *(REAL *)y->value = (REAL)(power > 0 ? error / power : 0);
}

static void OP(nmse_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *x = y->a->value, *t = y->b->value;
    REAL *dx = y->a->gradient;
    double factor = y->saved > 0 ? 2 * (double)*(const REAL *)y->gradient / y->saved : 0;
    for (size_t i = 0; i < tb_node_size(y->a); i++)
        dx[i] += (REAL)(factor * ((double)x[i] - (double)t[i]));
}

static void OP(squares_forward)(tb_node *y, size_t threads)
{
    (void)threads;
    const REAL *x = y->a->value;
    double sum = 0;
    for (size_t i = 0; i < tb_node_size(y->a); i++)
        sum += (double)x[i] * (double)x[i];
    *(REAL *)y->value = (REAL)(sum / 2);
}

static void OP(squares_backward)(tb_node *y, size_t threads)
{
    (void)threads;
    OP(add_scaled)(y->a->gradient, y->a->value, *(const REAL *)y->gradient, tb_node_size(y->a));
}

const tb_op OP(tb_ops)[TB_OPS] = {
    [TB_OP_MATMUL] = {OP(matmul_forward), OP(matmul_backward)},
    [TB_OP_PACKED] = PACKED,
    [TB_OP_ADD] = {OP(add_forward), OP(add_backward)},
    [TB_OP_ADD_ROW] = {OP(add_row_forward), OP(add_row_backward)},
    [TB_OP_SCALE] = {OP(scale_forward), OP(scale_backward)},
    [TB_OP_SWISH] = {OP(swish_forward), OP(swish_backward)},
    [TB_OP_TANH] = {OP(tanh_forward), OP(tanh_backward)},
    [TB_OP_LEAKY_RELU] = {OP(leaky_relu_forward), OP(leaky_relu_backward)},
    [TB_OP_STANDARDIZE] = {OP(standardize_forward), OP(standardize_backward)},
    [TB_OP_NMSE] = {OP(nmse_forward), OP(nmse_backward)},
    [TB_OP_SQUARES] = {OP(squares_forward), OP(squares_backward)},
};
