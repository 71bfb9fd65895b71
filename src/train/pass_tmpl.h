// A piece of a batch through the whole model and back, for one precision: embedding, blocks, head and loss. Included
// behind block_tmpl.h, with the same parameters and
//     PASSES  the name of the table that this makes

// Logits are made for so many rows at a time: a vocabulary is wide.
enum { LOGIT_ROWS = 256 };

// ---- room ----

static REAL *OP(new_values)(tb_arena *arena, bool *complete, size_t a, size_t b)
{
    REAL *values = tb_arena_array(arena, a ? a : 1, (b ? b : 1) * sizeof *values);
    *complete = *complete && values;
    return values;
}

static void OP(fill_angles)(OP(pass) * p, const tb_lm_shape *s)
{
    size_t half = s->head_size / 2;
    for (size_t row = 0; row < p->span; row++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)row * pow(s->rope_base, -2.0 * (double)i / (double)s->head_size);
            p->cosine[row * half + i] = (REAL)cos(angle);
            p->sine[row * half + i] = (REAL)sin(angle);
        }
}

static bool OP(make_attention)(OP(pass) * p, tb_arena *arena, size_t sequences, size_t threads)
{
    const tb_lm_shape *s = p->shape;
    bool complete = true;
    OP(attention) *a = &p->attention;
    *a = (OP(attention)){.shape = s, .sequences = sequences, .span = p->span, .q = p->turned_q, .k = p->turned_k};
    a->v = p->gated_v;
    a->out = p->mixed;
    a->dq = p->dq;
    a->dk = p->dk;
    a->dv = p->dv;
    a->dextra = OP(new_values)(arena, &complete, sequences, s->heads);
    a->dslot_k = OP(new_values)(arena, &complete, sequences, OP(keys_of)(s));
    a->dslot_v = OP(new_values)(arena, &complete, sequences, OP(keys_of)(s));
    a->scratch = OP(new_values)(arena, &complete, threads * 3 * TILE, p->span + 1);
    return complete;
}

static bool OP(prepare)(tb_lm *lm, size_t sequences, size_t span, size_t threads)
{
    const tb_lm_shape *s = &lm->shape;
    tb_arena *arena = &lm->room;
    bool ok = true;
    size_t rows = sequences * span, queries = OP(queries_of)(s), keys = OP(keys_of)(s), ffn = s->ffn_width;
    size_t widest = s->width > queries ? s->width : queries, gate = queries > keys ? queries : keys;
    OP(pass) *p = lm->pass = tb_arena_alloc(arena, sizeof *p);
    if (!p)
        return false;
    *p = (OP(pass)){.shape = s, .span = span};
    p->norm_scales = OP(new_values)(arena, &ok, 8, widest);
    p->cosine = OP(new_values)(arena, &ok, span, s->head_size / 2);
    p->sine = OP(new_values)(arena, &ok, span, s->head_size / 2);
    p->stream = tb_arena_array(arena, s->blocks + 1, sizeof *p->stream);
    for (size_t i = 0; p->stream && i <= s->blocks; i++)
        p->stream[i] = OP(new_values)(arena, &ok, rows, s->width);
    REAL **const wide[] = {&p->normed, &p->attended, &p->middle,  &p->normed_ffn, &p->added,
                           &p->dout,   &p->dmiddle,  &p->dnormed, &p->dattended};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = OP(new_values)(arena, &ok, rows, s->width);
    REAL **const of_queries[] = {&p->q, &p->turned_q, &p->mixed, &p->headed, &p->dheaded, &p->dmixed, &p->dq};
    for (size_t i = 0; i < sizeof of_queries / sizeof of_queries[0]; i++)
        *of_queries[i] = OP(new_values)(arena, &ok, rows, queries);
    REAL **const of_keys[] = {&p->k, &p->v, &p->turned_k, &p->dk, &p->dv};
    for (size_t i = 0; i < sizeof of_keys / sizeof of_keys[0]; i++)
        *of_keys[i] = OP(new_values)(arena, &ok, rows, keys);
    REAL **const of_ffn[] = {&p->up, &p->gate_ffn, &p->active, &p->dactive, &p->dup};
    for (size_t i = 0; i < sizeof of_ffn / sizeof of_ffn[0]; i++)
        *of_ffn[i] = OP(new_values)(arena, &ok, rows, ffn);
    p->gated_v = s->gate == TB_LM_GATE_VALUE ? OP(new_values)(arena, &ok, rows, keys) : p->v;
    if (s->gate != TB_LM_GATE_NONE) {
        p->gate = OP(new_values)(arena, &ok, rows, gate);
        p->dgate = OP(new_values)(arena, &ok, rows, gate);
    }
    p->norm_room = OP(new_values)(arena, &ok, OP(norm_room)(rows, widest, s->head_size), 1);
    p->final = OP(new_values)(arena, &ok, LOGIT_ROWS, 2 * s->width);
    p->logits = OP(new_values)(arena, &ok, LOGIT_ROWS, s->vocab);
    p->losses = tb_arena_array(arena, rows, sizeof *p->losses);
    if (!ok || !p->stream || !p->losses || !OP(make_attention)(p, arena, sequences, threads))
        return false;
    OP(fill_angles)(p, s);
    return true;
}

// ---- three-valued matrices ----

// w ≈ s·t with s = mean |w| and t the nearest of −1, 0, 1 to w/s (Ma et al., arXiv 2402.17764).
static void OP(ternarize)(REAL *out, const REAL *w, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += fabs((double)w[i]);
    REAL scale = (REAL)(total / (double)n), half = scale / 2;
    for (size_t i = 0; i < n; i++)
        out[i] = w[i] > half ? scale : w[i] < -half ? -scale : 0;
}

static void OP(ternarize_linear)(const tb_lm_linear *l)
{
    OP(ternarize)((REAL *)l->used, l->weight->value, l->weight->rows * l->weight->cols);
}

static void OP(quantize_blocks)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const tb_lm *lm = user;
    for (size_t i = begin; i < end; i++) {
        const tb_lm_linear *linears[TB_LM_MATRICES];
        tb_lm_block_matrices(linears, &lm->blocks[i]);
        for (size_t j = 0; j < TB_LM_MATRICES; j++)
            OP(ternarize_linear)(linears[j]);
    }
}

static void OP(quantize)(tb_lm *lm, size_t threads)
{
    if (lm->shape.ternary)
        tb_parallel(threads, lm->shape.blocks, 1, OP(quantize_blocks), lm);
}

// ---- embedding ----

// The embedding of a row of a piece: a register, or a token's.
static size_t OP(embedding_at)(const tb_lm *lm, const tb_lm_piece *piece, size_t row, tb_param **param)
{
    size_t registers = lm->shape.registers, span = registers + piece->batch.length, at = row % span;
    *param = at < registers ? lm->registers : lm->embedding;
    return at < registers ? at : (size_t)piece->batch.tokens[row / span * piece->batch.length + at - registers];
}

static void OP(embed)(OP(pass) * p, const tb_lm *lm, const tb_lm_piece *piece)
{
    size_t width = p->shape->width;
    for (size_t r = 0; r < p->rows; r++) {
        tb_param *param;
        size_t at = OP(embedding_at)(lm, piece, r, &param);
        memcpy(p->stream[0] + r * width, OP(values)(param) + at * width, width * sizeof(REAL));
    }
}

static void OP(unembed)(const OP(pass) * p, const tb_lm *lm, const tb_lm_piece *piece)
{
    size_t width = p->shape->width;
    for (size_t r = 0; r < p->rows; r++) {
        tb_param *param;
        size_t at = OP(embedding_at)(lm, piece, r, &param);
        REAL *gradient = (REAL *)param->gradient + at * width;
        for (size_t i = 0; i < width; i++)
            gradient[i] += p->dout[r * width + i];
    }
}

// ---- the head ----

typedef struct OP(head) {
    OP(pass) * pass;
    const tb_lm_piece *piece;
    OP(norm) norm;
    size_t first, count; // rows under way
} OP(head);

static int32_t OP(target_of)(const OP(head) * h, size_t row)
{
    const tb_lm_piece *piece = h->piece;
    size_t span = h->pass->span, registers = span - piece->batch.length, at = row % span;
    return at < registers ? -1 : piece->batch.targets[row / span * piece->batch.length + at - registers];
}

static void OP(final_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(head) *h = user;
    const OP(pass) *p = h->pass;
    size_t width = p->shape->width;
    for (size_t i = begin; i < end; i++)
        OP(normalize)(p->final + i * width, p->stream[p->shape->blocks] + (h->first + i) * width, &h->norm);
}

// Logits become gradients: (softmax − target)/scored, 0 in rows that are not scored.
static void OP(loss_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(head) *h = user;
    const OP(pass) *p = h->pass;
    size_t vocab = p->shape->vocab;
    for (size_t i = begin; i < end; i++) {
        REAL *z = p->logits + i * vocab;
        int32_t target = OP(target_of)(h, h->first + i);
        p->losses[h->first + i] = 0;
        if (target < 0) {
            memset(z, 0, vocab * sizeof *z);
            continue;
        }
        REAL most = OP(largest)(z, vocab, -(REAL)INFINITY), of_target = z[target];
        for (size_t j = 0; j < vocab; j++)
            z[j] = EXP(z[j] - most);
        REAL sum = OP(sum)(z, vocab), scale = 1 / (sum * (REAL)h->piece->scored);
        p->losses[h->first + i] = (double)most + log((double)sum) - (double)of_target;
        for (size_t j = 0; j < vocab; j++)
            z[j] *= scale;
        z[target] -= 1 / (REAL)h->piece->scored;
    }
}

static void OP(unfinal_rows)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const OP(head) *h = user;
    const OP(pass) *p = h->pass;
    size_t width = p->shape->width;
    const REAL *dfinal = p->final + LOGIT_ROWS * width;
    for (size_t i = begin; i < end; i++) {
        size_t at = (h->first + i) * width;
        memset(p->dout + at, 0, width * sizeof *p->dout);
        OP(unnormalize)(p->dout + at, dfinal + i * width, p->stream[p->shape->blocks] + at, &h->norm);
    }
}

// Loss of all rows, and where it learns dout: the gradient by what leaves the last block.
static void OP(run_head)(tb_lm_loss *loss, OP(pass) * p, tb_lm *lm, const tb_lm_piece *piece)
{
    const tb_lm_shape *s = p->shape;
    OP(head) h = {.pass = p, .piece = piece};
    h.norm = OP(norm_of)(lm->output_norm, s->width, s->width, s->norm_epsilon, p->norm_scales);
    for (h.first = 0; h.first < p->rows; h.first += h.count) {
        h.count = p->rows - h.first < LOGIT_ROWS ? p->rows - h.first : LOGIT_ROWS;
        const REAL *in = p->stream[s->blocks] + h.first * s->width;
        REAL *dfinal = p->final + LOGIT_ROWS * s->width;
        tb_parallel(p->threads, h.count, SOME_ROWS, OP(final_rows), &h);
        OP(apply)(p->logits, p->final, &lm->head, h.count, p->threads);
        tb_parallel(p->threads, h.count, SOME_ROWS, OP(loss_rows), &h);
        if (!piece->learns)
            continue;
        OP(unapply)(dfinal, 0, p->logits, p->final, &lm->head, h.count, p->threads);
        tb_parallel(p->threads, h.count, SOME_ROWS, OP(unfinal_rows), &h);
        OP(learn_norm)(&h.norm, dfinal, in, h.count, p->norm_room, p->threads);
    }
    for (size_t r = 0; r < p->rows; r++)
        loss->sum += p->losses[r];
}

// ---- penalties ----

// λ, τ and the power of TWEO (Liang et al., 2025), and λ of LongCat's hidden z-loss.
#define TWEO_WEIGHT 0.01
#define TWEO_BORDER 3.000001 // τ + ε
#define Z_WEIGHT 1e-7

// Adds the gradient by h [rows][width] to dh where it is wanted.
static double OP(tweo)(REAL *dh, const REAL *h, size_t n, double weight)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs((double)h[i]) / TWEO_BORDER, cube = size * size * size;
        total += cube * size;
        if (dh)
            dh[i] += (REAL)(weight * 4 * cube / TWEO_BORDER * (h[i] < 0 ? -1 : 1));
    }
    return weight * total;
}

static double OP(z_loss_row)(REAL *dh, const REAL *h, size_t width, double weight)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < width; i++)
        most = fabs((double)h[i]) > most ? fabs((double)h[i]) : most;
    for (size_t i = 0; i < width; i++)
        sum += exp(fabs((double)h[i]) - most);
    double lse = most + log(sum);
    for (size_t i = 0; dh && i < width; i++)
        dh[i] += (REAL)(2 * weight * lse * exp(fabs((double)h[i]) - lse) * (h[i] < 0 ? -1 : 1));
    return weight * lse * lse;
}

// Of what leaves block `block`.
static double OP(penalize)(OP(pass) * p, const tb_lm_piece *piece, size_t block, REAL *dh)
{
    const tb_lm_shape *s = p->shape;
    const REAL *h = p->stream[block + 1];
    double total = 0;
    if (piece->penalty == TB_LM_TWEO)
        return OP(tweo)(dh, h, p->rows * s->width, TWEO_WEIGHT / (double)(s->blocks * piece->rows * s->width));
    for (size_t r = 0; piece->penalty == TB_LM_ZLOSS && block + 1 == s->blocks && r < p->rows; r++)
        total +=
            OP(z_loss_row)(dh ? dh + r * s->width : NULL, h + r * s->width, s->width, Z_WEIGHT / (double)piece->rows);
    return total;
}

// ---- what is watched ----

static double OP(kurtosis)(const REAL *h, size_t n)
{
    double mean = 0, second = 0, fourth = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)h[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double square = ((double)h[i] - mean) * ((double)h[i] - mean);
        second += square / (double)n;
        fourth += square * square / (double)n;
    }
    return second > 0 ? fourth / (second * second) : 0;
}

static void OP(watch_block)(const OP(pass) * p, const tb_lm_piece *piece, size_t block)
{
    const tb_lm_watch *w = piece->watch;
    const tb_lm_shape *s = p->shape;
    const REAL *h = p->stream[block + 1];
    for (size_t i = 0; w->largest && i < p->rows * s->width; i++)
        w->largest[block] = fmax(w->largest[block], fabs((double)h[i]));
    for (size_t r = 0; w->kurtosis && r < p->rows; r++)
        w->kurtosis[block] += OP(kurtosis)(h + r * s->width, s->width) / (double)piece->rows;
    size_t whole = piece->rows / p->span; // sequences of the batch
    for (size_t i = 0; w->first_mass && i < p->rows / p->span * s->heads; i++)
        w->first_mass[block * s->heads + i % s->heads] +=
            p->span > 1 ? piece->mass[i] / (double)((p->span - 1) * whole) : 1;
}

static void OP(watch_gradients)(const OP(pass) * p, const tb_lm_piece *piece)
{
    size_t width = p->shape->width;
    double whole = (double)(piece->rows / p->span);
    for (size_t r = 0; r < p->rows; r++) {
        double squares = 0;
        for (size_t i = 0; i < width; i++)
            squares += (double)p->dout[r * width + i] * (double)p->dout[r * width + i];
        piece->watch->gradient_norm[r % p->span] += sqrt(squares) / whole;
    }
}

// ---- the pass ----

static void OP(run_forward)(tb_lm_loss *loss, OP(pass) * p, tb_lm *lm, const tb_lm_piece *piece)
{
    bool mass = piece->watch && piece->watch->first_mass;
    OP(embed)(p, lm, piece);
    for (size_t i = 0; i < p->shape->blocks; i++) {
        p->attention.mass = mass ? piece->mass : NULL;
        for (size_t j = 0; mass && j < piece->batch.sequences * p->shape->heads; j++)
            piece->mass[j] = 0;
        OP(enter_block)(p, &lm->blocks[i], i);
        OP(forward_block)(p);
        if (piece->watch)
            OP(watch_block)(p, piece, i);
        if (!piece->learns)
            loss->penalty += OP(penalize)(p, piece, i, NULL);
    }
    p->attention.mass = NULL;
}

static void OP(run)(tb_lm_loss *loss, tb_lm *lm, const tb_lm_piece *piece)
{
    OP(pass) *p = lm->pass;
    p->rows = piece->batch.sequences * p->span;
    p->threads = piece->threads;
    p->attention.sequences = piece->batch.sequences;
    OP(run_forward)(loss, p, lm, piece);
    OP(run_head)(loss, p, lm, piece);
    if (!piece->learns)
        return;
    for (size_t i = p->shape->blocks; i-- > 0;) {
        loss->penalty += OP(penalize)(p, piece, i, p->dout);
        OP(enter_block)(p, &lm->blocks[i], i);
        if (i + 1 < p->shape->blocks) // the last block's values are still there
            OP(forward_block)(p);
        OP(backward_block)(p);
    }
    OP(unembed)(p, lm, piece);
    if (piece->watch && piece->watch->gradient_norm)
        OP(watch_gradients)(p, piece);
}

const tb_lm_passes PASSES = {OP(prepare), OP(quantize), OP(run)};
