// Attention of one block for one precision, forward and backward: a tile of queries of one head at a time, against all
// keys that any of them sees, as products. Included with REAL, OP(x), GEMM and, before it, weigh_tmpl.h.
//
// A tile's scores lie in rows of one more element than there are keys: in front of a query's first key goes the score
// of the learned key (slot), so that the row that becomes weights is contiguous.

enum { TILE = 64 }; // queries: many enough for BLAS, few enough that little is computed above the diagonal

typedef struct OP(attention) {
    const tb_lm_shape *shape;
    const tb_lm_block *block;
    size_t sequences, span;
    const REAL *q, *k, *v; // [rows][heads·d], [rows][kv_heads·d] twice
    REAL *out;             // [rows][heads·d]
    double *mass;          // [sequences][heads] or NULL: weight on position 0
    // Backward only.
    const REAL *dout;
    REAL *dq, *dk, *dv;
    REAL *dextra;            // [sequences][heads]
    REAL *dslot_k, *dslot_v; // [sequences][kv_heads·d]
    REAL *scratch;           // [threads][3][TILE][span + 1]
} OP(attention);

// A tile: queries [begin, end) of a head, keys [first, end).
typedef struct OP(tile) {
    size_t sequence, head, begin, end, first;
    size_t q_at, kv_at, q_stride, kv_stride; // where the head's sequence begins, and from row to row
    REAL *z, *w, *g;                         // [TILE][stride]: scores, weights, gradients by weights
    size_t stride;
} OP(tile);

static size_t OP(first_key)(const tb_lm_shape *s, size_t query)
{
    return s->reach && query + 1 > s->reach ? query + 1 - s->reach : 0;
}

static OP(tile) OP(tile_of)(const OP(attention) * a, size_t sequence, size_t head, size_t begin, size_t worker)
{
    const tb_lm_shape *s = a->shape;
    size_t d = s->head_size, row = sequence * a->span, kv_head = head / (s->heads / s->kv_heads);
    OP(tile) t = {.sequence = sequence, .head = head, .begin = begin, .stride = a->span + 1};
    t.end = begin + TILE < a->span ? begin + TILE : a->span;
    t.first = OP(first_key)(s, begin);
    t.q_stride = s->heads * d;
    t.kv_stride = s->kv_heads * d;
    t.q_at = row * t.q_stride + head * d;
    t.kv_at = row * t.kv_stride + kv_head * d;
    t.z = a->scratch + worker * 3 * TILE * t.stride;
    t.w = t.z + TILE * t.stride;
    t.g = t.w + TILE * t.stride;
    return t;
}

// A query's row in a tile: entries [low, high) behind the stride's first element, of which the one before `low` is the
// slot's.
typedef struct OP(seen) {
    size_t at, n; // where the contiguous row begins, and its length
    size_t low, high;
} OP(seen);

static OP(seen) OP(seen_of)(const OP(attention) * a, const OP(tile) * t, size_t query)
{
    size_t low = OP(first_key)(a->shape, query) - t->first, high = query + 1 - t->first;
    bool slot = a->block->slot_k != NULL;
    size_t row = (query - t->begin) * t->stride;
    return (OP(seen)){row + 1 + low - slot, high - low + slot, low, high};
}

static REAL OP(scale_of)(const tb_lm_shape *s)
{
    return (REAL)(1 / sqrt((double)s->head_size));
}

static REAL OP(extra_of)(const OP(attention) * a, size_t head)
{
    return a->block->extra ? OP(values)(a->block->extra)[head] : 0;
}

static const REAL *OP(slot_of)(const OP(attention) * a, const tb_param *slot, size_t head)
{
    const tb_lm_shape *s = a->shape;
    return slot ? OP(values)(slot) + head / (s->heads / s->kv_heads) * s->head_size : NULL;
}

// What no query of the tile sees, or sees of the slot, is no key's.
static void OP(blank)(const OP(tile) * t, REAL *tile, const OP(seen) * seen, size_t query)
{
    REAL *row = tile + (query - t->begin) * t->stride + 1;
    memset(row, 0, seen->low * sizeof *row);
    memset(row + seen->high, 0, (t->end - t->first - seen->high) * sizeof *row);
}

static void OP(score)(const OP(attention) * a, const OP(tile) * t)
{
    size_t d = a->shape->head_size;
    REAL scale = OP(scale_of)(a->shape);
    const REAL *q = a->q + t->q_at + t->begin * t->q_stride, *k = a->k + t->kv_at + t->first * t->kv_stride;
    const REAL *slot = OP(slot_of)(a, a->block->slot_k, t->head);
    GEMM(t->z + 1, t->stride, q, t->q_stride, false, k, t->kv_stride, true, t->end - t->begin, t->end - t->first, d,
         scale, 0);
    for (size_t query = t->begin; slot && query < t->end; query++)
        t->z[OP(seen_of)(a, t, query).at] = scale * OP(dot)(a->q + t->q_at + query * t->q_stride, slot, d);
}

static void OP(attend_tile)(const OP(attention) * a, const OP(tile) * t)
{
    const tb_lm_shape *s = a->shape;
    size_t d = s->head_size;
    const REAL *slot = OP(slot_of)(a, a->block->slot_v, t->head);
    double *mass = a->mass && t->first == 0 ? &a->mass[t->sequence * s->heads + t->head] : NULL;
    OP(score)(a, t);
    for (size_t query = t->begin; query < t->end; query++) {
        OP(seen) seen = OP(seen_of)(a, t, query);
        REAL *out = a->out + t->q_at + query * t->q_stride, *row = t->z + seen.at;
        OP(weigh)(row, row, seen.n, s->normalizer, (REAL)tb_lm_gamma(s), OP(extra_of)(a, t->head));
        if (mass && query > 0 && seen.low == 0)
            *mass += (double)row[a->block->slot_k != NULL];
        for (size_t i = 0; i < d; i++)
            out[i] = slot ? row[0] * slot[i] : 0;
        OP(blank)(t, t->z, &seen, query);
    }
    GEMM(a->out + t->q_at + t->begin * t->q_stride, t->q_stride, t->z + 1, t->stride, false,
         a->v + t->kv_at + t->first * t->kv_stride, t->kv_stride, false, t->end - t->begin, d, t->end - t->first, 1, 1);
}

static void OP(attend_heads)(void *user, size_t begin, size_t end, size_t worker)
{
    const OP(attention) *a = user;
    for (size_t i = begin; i < end; i++)
        for (size_t row = 0; row < a->span; row += TILE) {
            OP(tile) t = OP(tile_of)(a, i / a->shape->heads, i % a->shape->heads, row, worker);
            OP(attend_tile)(a, &t);
        }
}

static void OP(attend)(OP(attention) * a, size_t threads)
{
    tb_parallel(threads, a->sequences * a->shape->heads, 1, OP(attend_heads), a);
}

// ---- backward ----

static void OP(unattend_slot)(const OP(attention) * a, const OP(tile) * t, size_t query, REAL dz, REAL w)
{
    const tb_lm_shape *s = a->shape;
    size_t d = s->head_size, row = t->q_at + query * t->q_stride;
    size_t at = (t->sequence * s->kv_heads + t->head / (s->heads / s->kv_heads)) * d;
    const REAL *slot = OP(slot_of)(a, a->block->slot_k, t->head);
    dz *= OP(scale_of)(s);
    for (size_t i = 0; i < d; i++) {
        a->dslot_k[at + i] += dz * a->q[row + i];
        a->dq[row + i] = dz * slot[i];
        a->dslot_v[at + i] += w * a->dout[row + i];
    }
}

static void OP(unattend_row)(const OP(attention) * a, const OP(tile) * t, size_t query)
{
    const tb_lm_shape *s = a->shape;
    OP(seen) seen = OP(seen_of)(a, t, query);
    size_t row = t->q_at + query * t->q_stride;
    const REAL *slot = OP(slot_of)(a, a->block->slot_v, t->head);
    REAL gamma = (REAL)tb_lm_gamma(s), *dz = t->z + seen.at, *w = t->w + seen.at;
    REAL rest = OP(weigh)(w, dz, seen.n, s->normalizer, gamma, OP(extra_of)(a, t->head));
    if (a->block->slot_k)
        t->g[seen.at] = slot ? OP(dot)(a->dout + row, slot, s->head_size) : 0;
    a->dextra[t->sequence * s->heads + t->head] +=
        OP(unweigh)(dz, w, t->g + seen.at, seen.n, s->normalizer, gamma, rest);
    if (a->block->slot_k)
        OP(unattend_slot)(a, t, query, dz[0], w[0]);
    OP(blank)(t, t->z, &seen, query);
    OP(blank)(t, t->w, &seen, query);
}

static void OP(unattend_tile)(const OP(attention) * a, const OP(tile) * t)
{
    size_t d = a->shape->head_size, queries = t->end - t->begin, keys = t->end - t->first;
    size_t q = t->q_at + t->begin * t->q_stride, kv = t->kv_at + t->first * t->kv_stride;
    REAL scale = OP(scale_of)(a->shape);
    OP(score)(a, t);
    GEMM(t->g + 1, t->stride, a->dout + q, t->q_stride, false, a->v + kv, t->kv_stride, true, queries, keys, d, 1, 0);
    for (size_t query = t->begin; query < t->end; query++)
        OP(unattend_row)(a, t, query);
    REAL beta = a->block->slot_k ? 1 : 0; // rows of dq then hold the slot's part
    GEMM(a->dq + q, t->q_stride, t->z + 1, t->stride, false, a->k + kv, t->kv_stride, false, queries, d, keys, scale,
         beta);
    GEMM(a->dk + kv, t->kv_stride, t->z + 1, t->stride, true, a->q + q, t->q_stride, false, keys, d, queries, scale, 1);
    GEMM(a->dv + kv, t->kv_stride, t->w + 1, t->stride, true, a->dout + q, t->q_stride, false, keys, d, queries, 1, 1);
}

// The heads that share keys follow one another, so that sums have one order.
static void OP(unattend_groups)(void *user, size_t begin, size_t end, size_t worker)
{
    const OP(attention) *a = user;
    size_t kv_heads = a->shape->kv_heads, group = a->shape->heads / kv_heads;
    for (size_t i = begin; i < end; i++)
        for (size_t head = i % kv_heads * group; head < (i % kv_heads + 1) * group; head++)
            for (size_t row = 0; row < a->span; row += TILE) {
                OP(tile) t = OP(tile_of)(a, i / kv_heads, head, row, worker);
                OP(unattend_tile)(a, &t);
            }
}

static void OP(add_all)(tb_param *param, const REAL *parts, size_t count)
{
    size_t size = param->rows * param->cols;
    REAL *gradient = param->gradient;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < size; j++)
            gradient[j] += parts[i * size + j];
}

static void OP(unattend)(OP(attention) * a, size_t threads)
{
    const tb_lm_shape *s = a->shape;
    size_t kv = s->kv_heads * s->head_size, rows = a->sequences * a->span;
    memset(a->dk, 0, rows * kv * sizeof *a->dk);
    memset(a->dv, 0, rows * kv * sizeof *a->dv);
    memset(a->dextra, 0, a->sequences * s->heads * sizeof *a->dextra);
    memset(a->dslot_k, 0, a->sequences * kv * sizeof *a->dslot_k);
    memset(a->dslot_v, 0, a->sequences * kv * sizeof *a->dslot_v);
    tb_parallel(threads, a->sequences * s->kv_heads, 1, OP(unattend_groups), a);
    if (a->block->extra)
        OP(add_all)(a->block->extra, a->dextra, a->sequences);
    if (a->block->slot_k)
        OP(add_all)(a->block->slot_k, a->dslot_k, a->sequences);
    if (a->block->slot_v)
        OP(add_all)(a->block->slot_v, a->dslot_v, a->sequences);
}
