// Norms of rows for one precision, forward and backward. Included with REAL, OP(x), SQRT, TANH and, before it,
// weigh_tmpl.h.
//
// RMS:  y = γ·x/r, r = √(mean x² + ε), over each group of `width` columns by itself.
// tanh: y = γ·tanh(αx) + β.
// γ has an element per column of a row, one per column of a group, or one for all.

typedef struct OP(norm) {
    tb_lm_norm params;
    const REAL *scale;  // [cols]: γ of each
    size_t cols, width; // of a row, and of a group
    REAL epsilon;
} OP(norm);

static const REAL *OP(values)(const tb_param *param)
{
    return param->value;
}

// room: [cols], for a γ that is not one of every column.
static OP(norm) OP(norm_of)(tb_lm_norm params, size_t cols, size_t width, double epsilon, REAL *room)
{
    const REAL *scale = OP(values)(params.scale);
    size_t scales = params.scale->cols;
    for (size_t c = 0; scales < cols && c < cols; c++)
        room[c] = scale[c % scales];
    return (OP(norm)){params, scales < cols ? room : scale, cols, width, (REAL)epsilon};
}

static REAL OP(inverse_rms)(const OP(norm) * norm, const REAL *x)
{
    return 1 / SQRT(OP(dot)(x, x, norm->width) / (REAL)norm->width + norm->epsilon);
}

static void OP(squash)(REAL *y, const REAL *x, const OP(norm) * norm)
{
    REAL alpha = OP(values)(norm->params.alpha)[0];
    const REAL *shift = OP(values)(norm->params.shift);
    for (size_t i = 0; i < norm->cols; i++)
        y[i] = norm->scale[i] * TANH(alpha * x[i]) + shift[i];
}

// One row; y may be x.
static void OP(normalize)(REAL *y, const REAL *x, const OP(norm) * norm)
{
    if (norm->params.alpha) {
        OP(squash)(y, x, norm);
        return;
    }
    for (size_t first = 0; first < norm->cols; first += norm->width) {
        REAL inverse = OP(inverse_rms)(norm, x + first);
        for (size_t i = first; i < first + norm->width; i++)
            y[i] = norm->scale[i] * (x[i] * inverse);
    }
}

static void OP(unsquash)(REAL *dx, const REAL *dy, const REAL *x, const OP(norm) * norm)
{
    REAL alpha = OP(values)(norm->params.alpha)[0];
    for (size_t i = 0; i < norm->cols; i++) {
        REAL t = TANH(alpha * x[i]);
        dx[i] += norm->scale[i] * dy[i] * (1 - t * t) * alpha;
    }
}

// dx += the gradient by a row x.
static void OP(unnormalize)(REAL *dx, const REAL *dy, const REAL *x, const OP(norm) * norm)
{
    if (norm->params.alpha) {
        OP(unsquash)(dx, dy, x, norm);
        return;
    }
    for (size_t first = 0; first < norm->cols; first += norm->width) {
        REAL inverse = OP(inverse_rms)(norm, x + first), mean = 0;
        for (size_t i = first; i < first + norm->width; i++)
            mean += norm->scale[i] * dy[i] * (x[i] * inverse);
        mean /= (REAL)norm->width;
        for (size_t i = first; i < first + norm->width; i++)
            dx[i] += inverse * (norm->scale[i] * dy[i] - x[i] * inverse * mean);
    }
}

// ---- gradients of a norm's own parameters: sums over rows, column by column, so that threads change no order ----

typedef struct OP(norm_sums) {
    const OP(norm) * norm;
    const REAL *dy, *x; // [rows][cols]
    size_t rows;
    REAL *inverse;                        // [rows][groups]
    REAL *by_scale, *by_shift, *by_alpha; // [cols]
} OP(norm_sums);

enum { NORM_COLS = 32 };

static size_t OP(norm_groups)(const OP(norm) * norm)
{
    return norm->cols / norm->width;
}

static void OP(fill_inverses)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(norm_sums) *s = user;
    size_t groups = OP(norm_groups)(s->norm);
    for (size_t i = begin * groups; i < end * groups; i++)
        s->inverse[i] = OP(inverse_rms)(s->norm, s->x + i * s->norm->width);
}

static void OP(sum_rms_cols)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(norm_sums) *s = user;
    size_t cols = s->norm->cols, groups = OP(norm_groups)(s->norm), width = s->norm->width;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t c = begin; c < end; c++)
            s->by_scale[c] += s->dy[r * cols + c] * (s->x[r * cols + c] * s->inverse[r * groups + c / width]);
}

static void OP(sum_tanh_cols)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(norm_sums) *s = user;
    size_t cols = s->norm->cols;
    REAL alpha = OP(values)(s->norm->params.alpha)[0];
    for (size_t r = 0; r < s->rows; r++)
        for (size_t c = begin; c < end; c++) {
            REAL dy = s->dy[r * cols + c], x = s->x[r * cols + c], t = TANH(alpha * x);
            s->by_scale[c] += dy * t;
            s->by_shift[c] += dy;
            s->by_alpha[c] += s->norm->scale[c] * dy * (1 - t * t) * x;
        }
}

static size_t OP(norm_room)(size_t rows, size_t cols, size_t width)
{
    return rows * (cols / width) + 3 * cols;
}

// Adds to the gradients of the norm's parameters. room: norm_room elements.
static void OP(learn_norm)(const OP(norm) * norm, const REAL *dy, const REAL *x, size_t rows, REAL *room,
                           size_t threads)
{
    size_t cols = norm->cols;
    const tb_lm_norm *p = &norm->params;
    OP(norm_sums) s = {.norm = norm, .dy = dy, .x = x, .rows = rows, .by_scale = room, .by_shift = room + cols};
    s.by_alpha = room + 2 * cols;
    s.inverse = room + 3 * cols;
    memset(room, 0, 3 * cols * sizeof *room);
    if (!p->alpha)
        tb_parallel(threads, rows, SOME_ROWS, OP(fill_inverses), &s);
    tb_parallel(threads, cols, NORM_COLS, p->alpha ? OP(sum_tanh_cols) : OP(sum_rms_cols), &s);
    REAL *by_scale = p->scale->gradient, *by_shift = p->alpha ? p->shift->gradient : NULL;
    for (size_t c = 0; c < cols; c++)
        by_scale[c % p->scale->cols] += s.by_scale[c];
    for (size_t c = 0; p->alpha && c < cols; c++) {
        by_shift[c] += s.by_shift[c];
        ((REAL *)p->alpha->gradient)[0] += s.by_alpha[c];
    }
}
