// A block for one precision, forward and backward, on all rows of a piece. Included with REAL, OP(x), GEMM, EXP, TANH,
// SQRT, SILU, GELU, behind weigh_tmpl.h, norm_tmpl.h and attend_tmpl.h.
//
// Products go in tiles of the output, the rest in ranges of rows: threads never change an order of summation.

enum {
    PRODUCT_ROWS = 128, // a tile of a product: large enough for BLAS, small enough that there are some
    PRODUCT_COLS = 512,
};

// ---- products ----

typedef struct OP(product) {
    REAL *c;
    const REAL *a, *b, *bias; // bias [n] or NULL: where c begins
    size_t m, n, k, lda, ldb;
    bool transpose_a, transpose_b;
    REAL beta;
} OP(product);

static void OP(multiply_tile)(const OP(product) * p, size_t row, size_t col)
{
    size_t m = p->m - row < PRODUCT_ROWS ? p->m - row : PRODUCT_ROWS;
    size_t n = p->n - col < PRODUCT_COLS ? p->n - col : PRODUCT_COLS;
    const REAL *a = p->a + (p->transpose_a ? row : row * p->lda);
    const REAL *b = p->b + (p->transpose_b ? col * p->ldb : col);
    REAL *c = p->c + row * p->n + col;
    for (size_t i = 0; p->bias && i < m; i++)
        memcpy(c + i * p->n, p->bias + col, n * sizeof *c);
    GEMM(c, p->n, a, p->lda, p->transpose_a, b, p->ldb, p->transpose_b, m, n, p->k, 1, p->bias ? 1 : p->beta);
}

static void OP(multiply_tiles)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(product) *p = user;
    size_t across = (p->n + PRODUCT_COLS - 1) / PRODUCT_COLS;
    for (size_t i = begin; i < end; i++)
        OP(multiply_tile)(p, i / across * PRODUCT_ROWS, i % across * PRODUCT_COLS);
}

// c[m][n] = op(a)·op(b) + beta·c
static void OP(multiply)(OP(product) p, size_t threads)
{
    size_t down = (p.m + PRODUCT_ROWS - 1) / PRODUCT_ROWS, across = (p.n + PRODUCT_COLS - 1) / PRODUCT_COLS;
    tb_parallel(threads, down * across, 1, OP(multiply_tiles), &p);
}

// y[rows][out] = x·Wᵀ + bias
static void OP(apply)(REAL *y, const REAL *x, const tb_lm_linear *l, size_t rows, size_t threads)
{
    size_t in = l->weight->cols, out = l->weight->rows;
    OP(product) p = {.c = y, .a = x, .b = l->used, .m = rows, .n = out, .k = in, .lda = in, .ldb = in};
    p.transpose_b = true;
    p.bias = l->bias ? OP(values)(l->bias) : NULL;
    OP(multiply)(p, threads);
}

typedef struct OP(bias_sums) {
    REAL *out;
    const REAL *dy;
    size_t rows, cols;
} OP(bias_sums);

static void OP(sum_bias_cols)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(bias_sums) *s = user;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t c = begin; c < end; c++)
            s->out[c] += s->dy[r * s->cols + c];
}

// The gradients of a linear; dx[rows][in] = dy·W + beta·dx.
static void OP(unapply)(REAL *dx, REAL beta, const REAL *dy, const REAL *x, const tb_lm_linear *l, size_t rows,
                        size_t threads)
{
    size_t in = l->weight->cols, out = l->weight->rows;
    OP(product) by_x = {.c = dx, .a = dy, .b = l->used, .m = rows, .n = in, .k = out, .lda = out, .ldb = in};
    by_x.beta = beta;
    OP(product) by_w = {.c = l->weight->gradient, .a = dy, .b = x, .m = out, .n = in, .k = rows, .lda = out, .ldb = in};
    by_w.transpose_a = true;
    by_w.beta = 1;
    OP(multiply)(by_x, threads);
    OP(multiply)(by_w, threads);
    OP(bias_sums) sums = {l->bias ? l->bias->gradient : NULL, dy, rows, out};
    if (l->bias)
        tb_parallel(threads, out, NORM_COLS, OP(sum_bias_cols), &sums);
}

// ---- a block's room ----

// Rows of one piece on their way through one block: what forward leaves, and backward needs.
typedef struct OP(pass) {
    const tb_lm_shape *shape;
    const tb_lm_block *block; // under way
    size_t span, rows, threads;
    OP(norm) attn_norm, ffn_norm, q_norm, k_norm, head_norm, post_attn_norm, post_ffn_norm;
    REAL *norm_scales;   // [7][widest]
    REAL *cosine, *sine; // [span][head_size/2]
    REAL **stream;       // [blocks + 1][rows][width]: what enters each block, and what leaves the last
    REAL *in, *out;      // of the block under way
    REAL *normed;        // [rows][width]
    REAL *q, *k, *v;     // before their norms and gates
    REAL *turned_q, *turned_k, *gated_v;
    REAL *gate;                   // [rows][gate's rows]: before σ
    REAL *mixed;                  // [rows][heads·d]: what attention gives
    REAL *headed;                 // the same behind the head norm and the gate
    REAL *attended;               // [rows][width]: what the block's first half adds, before its norm
    REAL *middle;                 // [rows][width]
    REAL *normed_ffn;             // [rows][width]
    REAL *up, *gate_ffn, *active; // [rows][ffn_width]
    REAL *added;                  // [rows][width]: what the second half adds, before its norm
    // Backward.
    REAL *dout, *dmiddle, *dnormed, *dattended; // [rows][width]
    REAL *dheaded, *dmixed;                     // [rows][heads·d]
    REAL *dgate, *dq, *dk, *dv;
    REAL *dactive, *dup; // [rows][ffn_width]
    REAL *norm_room;
    REAL *logits, *final; // of the head
    double *losses;       // [rows]
    OP(attention) attention;
} OP(pass);

static size_t OP(queries_of)(const tb_lm_shape *s)
{
    return s->heads * s->head_size;
}

static size_t OP(keys_of)(const tb_lm_shape *s)
{
    return s->kv_heads * s->head_size;
}

static void OP(enter_block)(OP(pass) * p, const tb_lm_block *b, size_t index)
{
    const tb_lm_shape *s = p->shape;
    size_t widest = s->width > OP(queries_of)(s) ? s->width : OP(queries_of)(s), d = s->head_size;
    double eps = s->norm_epsilon;
    p->block = b;
    p->in = p->stream[index];
    p->out = p->stream[index + 1];
    p->attn_norm = OP(norm_of)(b->attn_norm, s->width, s->width, eps, p->norm_scales);
    p->ffn_norm = OP(norm_of)(b->ffn_norm, s->width, s->width, eps, p->norm_scales + widest);
    if (b->q_norm.scale) {
        p->q_norm = OP(norm_of)(b->q_norm, OP(queries_of)(s), d, eps, p->norm_scales + 2 * widest);
        p->k_norm = OP(norm_of)(b->k_norm, OP(keys_of)(s), d, eps, p->norm_scales + 3 * widest);
    }
    if (b->head_norm.scale)
        p->head_norm = OP(norm_of)(b->head_norm, OP(queries_of)(s), d, eps, p->norm_scales + 4 * widest);
    if (b->post_attn_norm.scale) {
        p->post_attn_norm = OP(norm_of)(b->post_attn_norm, s->width, s->width, eps, p->norm_scales + 5 * widest);
        p->post_ffn_norm = OP(norm_of)(b->post_ffn_norm, s->width, s->width, eps, p->norm_scales + 6 * widest);
    }
    p->attention.block = b;
}

static void OP(in_rows)(OP(pass) * p, tb_range_fn fn)
{
    tb_parallel(p->threads, p->rows, SOME_ROWS, fn, p);
}

// ---- gates ----

static size_t OP(gate_width)(const tb_lm_shape *s)
{
    switch (s->gate) {
    case TB_LM_GATE_HEAD:
        return s->heads;
    case TB_LM_GATE_ELEM:
        return OP(queries_of)(s);
    case TB_LM_GATE_VALUE:
        return OP(keys_of)(s);
    case TB_LM_GATE_SHARED:
        return s->head_size;
    default:
        return 0; // none with a product
    }
}

// Which element of a row's gate belongs to an element of what it is for.
static size_t OP(gate_of)(const tb_lm_shape *s, size_t col)
{
    return s->gate == TB_LM_GATE_HEAD ? col / s->head_size : s->gate == TB_LM_GATE_SHARED ? col % s->head_size : col;
}

static REAL OP(open)(REAL a)
{
    return 1 / (1 + EXP(-a));
}

static const REAL *OP(gates_of_row)(const OP(pass) * p, size_t row)
{
    if (p->shape->gate == TB_LM_GATE_INPUT_FREE)
        return OP(values)(p->block->gate.weight);
    return p->gate + row * OP(gate_width)(p->shape);
}

// y = x ⊙ σ(a); y may be x.
static void OP(gate_row)(const OP(pass) * p, REAL *y, const REAL *x, size_t row, size_t cols)
{
    const REAL *a = OP(gates_of_row)(p, row);
    for (size_t c = 0; c < cols; c++)
        y[c] = x[c] * OP(open)(a[OP(gate_of)(p->shape, c)]);
}

// dx = dy ⊙ σ(a), da += dy ⊙ x ⊙ σ'(a); dx may be dy.
static void OP(ungate_row)(const OP(pass) * p, REAL *dx, REAL *da, const REAL *dy, const REAL *x, size_t row,
                           size_t cols)
{
    const REAL *a = OP(gates_of_row)(p, row);
    for (size_t c = 0; c < cols; c++) {
        size_t at = OP(gate_of)(p->shape, c);
        REAL open = OP(open)(a[at]), gradient = dy[c];
        da[at] += gradient * x[c] * open * (1 - open);
        dx[c] = gradient * open;
    }
}

static bool OP(gates_heads)(const tb_lm_shape *s)
{
    return s->gate != TB_LM_GATE_NONE && s->gate != TB_LM_GATE_VALUE;
}

// ---- forward ----

static void OP(norm_rows_in)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->width;
    for (size_t r = begin; r < end; r++)
        OP(normalize)(p->normed + r * width, p->in + r * width, &p->attn_norm);
}

// RoPE turns the halves of a head against each other; backward turns the other way.
static void OP(turn)(REAL *x, size_t heads, size_t d, const REAL *cosine, const REAL *sine, REAL sign)
{
    size_t half = d / 2;
    for (size_t h = 0; h < heads; h++, x += d)
        for (size_t i = 0; i < half; i++) {
            REAL a = x[i], b = x[i + half], s = sign * sine[i];
            x[i] = a * cosine[i] - b * s;
            x[i + half] = b * cosine[i] + a * s;
        }
}

static void OP(turn_row)(const OP(pass) * p, REAL *q, REAL *k, size_t row, REAL sign)
{
    const tb_lm_shape *s = p->shape;
    size_t at = row % p->span * (s->head_size / 2);
    OP(turn)(q, s->heads, s->head_size, p->cosine + at, p->sine + at, sign);
    OP(turn)(k, s->kv_heads, s->head_size, p->cosine + at, p->sine + at, sign);
}

static void OP(turn_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t queries = OP(queries_of)(p->shape), keys = OP(keys_of)(p->shape);
    for (size_t r = begin; r < end; r++) {
        REAL *q = p->turned_q + r * queries, *k = p->turned_k + r * keys;
        memcpy(q, p->q + r * queries, queries * sizeof *q);
        memcpy(k, p->k + r * keys, keys * sizeof *k);
        if (p->block->q_norm.scale) {
            OP(normalize)(q, q, &p->q_norm);
            OP(normalize)(k, k, &p->k_norm);
        }
        OP(turn_row)(p, q, k, r, 1);
        if (p->shape->gate == TB_LM_GATE_VALUE)
            OP(gate_row)(p, p->gated_v + r * keys, p->v + r * keys, r, keys);
    }
}

static void OP(head_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t queries = OP(queries_of)(p->shape);
    for (size_t r = begin; r < end; r++) {
        REAL *y = p->headed + r * queries;
        memcpy(y, p->mixed + r * queries, queries * sizeof *y);
        if (p->block->head_norm.scale)
            OP(normalize)(y, y, &p->head_norm);
        if (OP(gates_heads)(p->shape))
            OP(gate_row)(p, y, y, r, queries);
    }
}

// y = x + what is added, normed where the block has a norm for it
static void OP(add_row)(REAL *y, const REAL *x, const REAL *added, const tb_lm_norm *post, const OP(norm) * norm,
                        size_t width)
{
    if (post->scale)
        OP(normalize)(y, added, norm);
    else
        memcpy(y, added, width * sizeof *y);
    for (size_t i = 0; i < width; i++)
        y[i] += x[i];
}

static void OP(middle_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->width;
    for (size_t at = begin * width; at < end * width; at += width) {
        OP(add_row)(p->middle + at, p->in + at, p->attended + at, &p->block->post_attn_norm, &p->post_attn_norm, width);
        OP(normalize)(p->normed_ffn + at, p->middle + at, &p->ffn_norm);
    }
}

static void OP(activate_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->ffn_width;
    const REAL *gate = p->gate_ffn, *up = p->up;
    if (p->shape->ffn == TB_LM_GEGLU)
        for (size_t i = begin * width; i < end * width; i++)
            p->active[i] = GELU(gate[i]) * up[i];
    else
        for (size_t i = begin * width; i < end * width; i++)
            p->active[i] = SILU(gate[i]) * up[i];
}

static void OP(out_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->width;
    for (size_t at = begin * width; at < end * width; at += width)
        OP(add_row)(p->out + at, p->middle + at, p->added + at, &p->block->post_ffn_norm, &p->post_ffn_norm, width);
}

static void OP(forward_attention)(OP(pass) * p)
{
    const tb_lm_block *b = p->block;
    OP(in_rows)(p, OP(norm_rows_in));
    OP(apply)(p->q, p->normed, &b->q, p->rows, p->threads);
    OP(apply)(p->k, p->normed, &b->k, p->rows, p->threads);
    OP(apply)(p->v, p->normed, &b->v, p->rows, p->threads);
    if (OP(gate_width)(p->shape))
        OP(apply)(p->gate, p->normed, &b->gate, p->rows, p->threads);
    OP(in_rows)(p, OP(turn_rows));
    OP(attend)(&p->attention, p->threads);
    OP(in_rows)(p, OP(head_rows));
    OP(apply)(p->attended, p->headed, &b->output, p->rows, p->threads);
}

static void OP(forward_block)(OP(pass) * p)
{
    const tb_lm_block *b = p->block;
    OP(forward_attention)(p);
    OP(in_rows)(p, OP(middle_rows));
    OP(apply)(p->gate_ffn, p->normed_ffn, &b->ffn_gate, p->rows, p->threads);
    OP(apply)(p->up, p->normed_ffn, &b->ffn_up, p->rows, p->threads);
    OP(in_rows)(p, OP(activate_rows));
    OP(apply)(p->added, p->active, &b->ffn_down, p->rows, p->threads);
    OP(in_rows)(p, OP(out_rows));
}

// ---- backward ----

// Through the norm behind what is added, where there is one: dadded = the gradient by what came out of the products.
static void OP(unadd_rows)(OP(pass) * p, REAL *dadded, const REAL *dy, const REAL *added, const tb_lm_norm *post,
                           const OP(norm) * norm)
{
    size_t width = p->shape->width;
    if (!post->scale) {
        memcpy(dadded, dy, p->rows * width * sizeof *dadded);
        return;
    }
    memset(dadded, 0, p->rows * width * sizeof *dadded);
    for (size_t at = 0; at < p->rows * width; at += width)
        OP(unnormalize)(dadded + at, dy + at, added + at, norm);
    OP(learn_norm)(norm, dy, added, p->rows, p->norm_room, p->threads);
}

static void OP(unactivate_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->ffn_width;
    const REAL *gate = p->gate_ffn, *up = p->up;
    REAL *d = p->dactive, *dup = p->dup; // d becomes the gradient by the gate
    const bool gelu = p->shape->ffn == TB_LM_GEGLU;
    const REAL root = (REAL)1.5957691216057308, cubic = (REAL)0.044715; // 2·√(2/π)
    for (size_t i = begin * width; i < end * width; i++) {
        REAL g = gate[i], inner = gelu ? root * (g + cubic * g * g * g) : g;
        REAL slope = gelu ? root * (1 + 3 * cubic * g * g) : 1, open = OP(open)(inner);
        dup[i] = d[i] * g * open;
        d[i] = d[i] * up[i] * (open + g * open * (1 - open) * slope);
    }
}

// dmiddle = dout + the gradient through the norm
static void OP(unnorm_ffn_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->width;
    for (size_t at = begin * width; at < end * width; at += width) {
        memcpy(p->dmiddle + at, p->dout + at, width * sizeof *p->dmiddle);
        OP(unnormalize)(p->dmiddle + at, p->dnormed + at, p->middle + at, &p->ffn_norm);
    }
}

static void OP(backward_ffn)(OP(pass) * p)
{
    const tb_lm_block *b = p->block;
    REAL *dadded = p->dattended;
    OP(unadd_rows)(p, dadded, p->dout, p->added, &b->post_ffn_norm, &p->post_ffn_norm);
    OP(unapply)(p->dactive, 0, dadded, p->active, &b->ffn_down, p->rows, p->threads);
    OP(in_rows)(p, OP(unactivate_rows));
    OP(unapply)(p->dnormed, 0, p->dactive, p->normed_ffn, &b->ffn_gate, p->rows, p->threads);
    OP(unapply)(p->dnormed, 1, p->dup, p->normed_ffn, &b->ffn_up, p->rows, p->threads);
    OP(in_rows)(p, OP(unnorm_ffn_rows));
    OP(learn_norm)(&p->ffn_norm, p->dnormed, p->middle, p->rows, p->norm_room, p->threads);
}

// dheaded becomes what came before the gate, dmixed what came before the norm.
static void OP(unhead_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t queries = OP(queries_of)(p->shape), gate = OP(gate_width)(p->shape);
    bool input_free = p->shape->gate == TB_LM_GATE_INPUT_FREE;
    for (size_t r = begin; r < end; r++) {
        REAL *dy = p->dheaded + r * queries, *x = p->headed + r * queries;
        const REAL *mixed = p->mixed + r * queries;
        if (OP(gates_heads)(p->shape)) { // headed serves for what the gate saw
            REAL *da = p->dgate + r * (input_free ? queries : gate);
            memset(da, 0, (input_free ? queries : gate) * sizeof *da);
            memcpy(x, mixed, queries * sizeof *x);
            if (p->block->head_norm.scale)
                OP(normalize)(x, x, &p->head_norm);
            OP(ungate_row)(p, dy, da, dy, x, r, queries);
        }
        if (p->block->head_norm.scale) {
            memset(p->dmixed + r * queries, 0, queries * sizeof *p->dmixed);
            OP(unnormalize)(p->dmixed + r * queries, dy, mixed, &p->head_norm);
        }
    }
}

// Back through RoPE and the norms of queries and keys, and a gate on values. dq and dk become the gradients by the
// products; turned_q and turned_k have served and take what came out of the norms.
static void OP(unturn_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t queries = OP(queries_of)(p->shape), keys = OP(keys_of)(p->shape);
    for (size_t r = begin; r < end; r++) {
        REAL *dq = p->dq + r * queries, *dk = p->dk + r * keys, *dv = p->dv + r * keys;
        OP(turn_row)(p, dq, dk, r, -1);
        if (p->block->q_norm.scale) {
            REAL *q = p->turned_q + r * queries, *k = p->turned_k + r * keys;
            memset(q, 0, queries * sizeof *q);
            memset(k, 0, keys * sizeof *k);
            OP(unnormalize)(q, dq, p->q + r * queries, &p->q_norm);
            OP(unnormalize)(k, dk, p->k + r * keys, &p->k_norm);
        }
        if (p->shape->gate == TB_LM_GATE_VALUE) {
            memset(p->dgate + r * keys, 0, keys * sizeof *p->dgate);
            OP(ungate_row)(p, dv, p->dgate + r * keys, dv, p->v + r * keys, r, keys);
        }
    }
}

// dout = dmiddle + the gradient through the norm: what the block before this one gets.
static void OP(unnorm_attn_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(pass) *p = user;
    size_t width = p->shape->width;
    for (size_t at = begin * width; at < end * width; at += width) {
        memcpy(p->dout + at, p->dmiddle + at, width * sizeof *p->dout);
        OP(unnormalize)(p->dout + at, p->dnormed + at, p->in + at, &p->attn_norm);
    }
}

static void OP(learn_input_free_gate)(OP(pass) * p)
{
    size_t queries = OP(queries_of)(p->shape);
    OP(bias_sums) sums = {p->block->gate.weight->gradient, p->dgate, p->rows, queries};
    tb_parallel(p->threads, queries, NORM_COLS, OP(sum_bias_cols), &sums);
}

static void OP(backward_heads)(OP(pass) * p)
{
    const tb_lm_block *b = p->block;
    OP(unadd_rows)(p, p->dattended, p->dmiddle, p->attended, &b->post_attn_norm, &p->post_attn_norm);
    OP(unapply)(p->dheaded, 0, p->dattended, p->headed, &b->output, p->rows, p->threads);
    OP(in_rows)(p, OP(unhead_rows));
    if (b->head_norm.scale)
        OP(learn_norm)(&p->head_norm, p->dheaded, p->mixed, p->rows, p->norm_room, p->threads);
    if (p->shape->gate == TB_LM_GATE_INPUT_FREE)
        OP(learn_input_free_gate)(p);
    p->attention.dout = b->head_norm.scale ? p->dmixed : p->dheaded;
    OP(unattend)(&p->attention, p->threads);
}

static void OP(backward_attention)(OP(pass) * p)
{
    const tb_lm_block *b = p->block;
    const REAL *dq = p->dq, *dk = p->dk;
    OP(backward_heads)(p);
    OP(in_rows)(p, OP(unturn_rows));
    if (b->q_norm.scale) {
        OP(learn_norm)(&p->q_norm, p->dq, p->q, p->rows, p->norm_room, p->threads);
        OP(learn_norm)(&p->k_norm, p->dk, p->k, p->rows, p->norm_room, p->threads);
        dq = p->turned_q;
        dk = p->turned_k;
    }
    OP(unapply)(p->dnormed, 0, dq, p->normed, &b->q, p->rows, p->threads);
    OP(unapply)(p->dnormed, 1, dk, p->normed, &b->k, p->rows, p->threads);
    OP(unapply)(p->dnormed, 1, p->dv, p->normed, &b->v, p->rows, p->threads);
    if (OP(gate_width)(p->shape))
        OP(unapply)(p->dnormed, 1, p->dgate, p->normed, &b->gate, p->rows, p->threads);
    OP(in_rows)(p, OP(unnorm_attn_rows));
    OP(learn_norm)(&p->attn_norm, p->dnormed, p->in, p->rows, p->norm_room, p->threads);
}

// dout is the gradient by what leaves the block, and becomes that by what enters it. Behind forward_block.
static void OP(backward_block)(OP(pass) * p)
{
    OP(backward_ffn)(p);
    OP(backward_attention)(p);
}
