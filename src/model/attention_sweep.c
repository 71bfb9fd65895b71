// Rows of a segment are read once for all queries of a sweep. Scores of keys that some of the queries do not see are
// computed and left to the caller.
#include "model/attention_sweep.h"

#include <string.h>

#include "model/kv_codes.h"

// Keys in codes are decoded from a multiple of 8 on.
enum { CONVERT_KEYS = TB_SWEEP_KEYS + 8 };

// ---- keys ----

// Learned keys and their values, which every query sees.
static tb_kv_segment slot_of(const tb_attention *a, size_t kv_head)
{
    size_t n = a->config->head_size;
    return (tb_kv_segment){
        .type = TB_KV_CACHE_F32,
        .keys = a->slot_keys + kv_head * a->slots * n,
        .values = a->slot_values + kv_head * a->slots * n,
        .count = a->slots,
        .first = SIZE_MAX - a->slots,
        .slot = true,
        .pinned = true,
    };
}

void tb_seen_init(tb_seen *seen, const tb_attention *a, size_t kv_head, size_t first, size_t last)
{
    const tb_kv_head *head = &a->kv->heads[kv_head];
    seen->segment_count = head->policy->segments(seen->segments, head);
    if (a->slot_keys)
        seen->segments[seen->segment_count++] = slot_of(a, kv_head);
    seen->count = 0;
    for (size_t i = 0; i < seen->segment_count; i++) {
        seen->segments[i].hidden = a->probe ? a->probe->hidden : 0;
        size_t begin = tb_kv_get_seen(&seen->segments[i], first).begin;
        size_t end = tb_kv_get_seen(&seen->segments[i], last).end;
        seen->rows[i] = (tb_kv_range){begin, end};
        seen->first[i] = seen->count;
        seen->count += end - begin;
    }
}

size_t tb_seen_get_pieces(tb_attention_piece pieces[TB_KV_SEGMENTS], const tb_seen *seen, const float *weights)
{
    size_t count = 0;
    for (size_t i = 0; i < seen->segment_count; i++) {
        const tb_kv_segment *segment = &seen->segments[i];
        tb_kv_range rows = seen->rows[i];
        if (rows.begin < rows.end && !segment->slot)
            pieces[count++] = (tb_attention_piece){
                .weights = weights + seen->first[i],
                .count = rows.end - rows.begin,
                .positions = segment->positions ? segment->positions + rows.begin : NULL,
                .first = segment->first + rows.begin,
            };
    }
    return count;
}

tb_run tb_seen_get_run(const tb_seen *seen, size_t key, size_t most)
{
    size_t i = 0;
    while (key - seen->first[i] >= seen->rows[i].end - seen->rows[i].begin)
        i++;
    size_t begin = seen->rows[i].begin + key - seen->first[i], left = seen->rows[i].end - begin;
    return (tb_run){&seen->segments[i], begin, left < most ? left : most};
}

static size_t position_at(const tb_kv_segment *segment, size_t row)
{
    return segment->positions ? (size_t)segment->positions[row] : segment->first + row;
}

// The keys or values of a run that lie as they are.
static tb_matrix stored_rows(const tb_sweep *s, const tb_run *run, bool values)
{
    const tb_kv_segment *segment = run->segment;
    size_t n = s->a->config->head_size;
    bool half = segment->type == TB_KV_CACHE_F16;
    size_t item = half ? sizeof(uint16_t) : sizeof(float);
    return (tb_matrix){
        .type = half ? TB_TYPE_F16 : TB_TYPE_F32,
        .rows = run->count,
        .cols = n,
        .data = (const char *)(values ? segment->values : segment->keys) + run->begin * n * item,
    };
}

// They as floats: themselves, or converted.
static const float *float_rows(const tb_sweep *s, const tb_run *run, bool values)
{
    tb_matrix rows = stored_rows(s, run, values);
    if (rows.type == TB_TYPE_F32)
        return rows.data;
    tb_kernels_decode(&s->a->compute->kernels, rows.type)(s->convert, rows.cols, &rows, 0, rows.rows);
    return s->convert;
}

// ---- queries ----

static size_t queries_floats(const tb_config *config, size_t rows)
{
    return config->heads / config->kv_heads * rows * tb_padded(config->head_size);
}

size_t tb_sweep_scratch(const tb_config *config, size_t rows)
{
    return 2 * queries_floats(config, rows) + tb_padded(CONVERT_KEYS * config->head_size);
}

// Scores of the query at a position are multiplied by 1 + rate·ln(1 + ⌊position/length⌋).
static float scale_at(const tb_attention *a, size_t row)
{
    if (a->growth.rate == 0)
        return a->scale;
    size_t lengths = (size_t)a->positions[row] / a->growth.length;
    return a->scale * (float)(1 + a->growth.rate * log1p((double)lengths));
}

static void copy_queries(float *to, const tb_sweep *s, const float *queries)
{
    size_t n = s->a->config->head_size, stride = tb_padded(n);
    for (size_t q = 0; q < tb_sweep_count(s); q++, to += stride) {
        size_t row = tb_sweep_row(s, q);
        const float *query = queries + row * s->a->stride + tb_sweep_head(s, q) * n;
        float scale = scale_at(s->a, row);
        for (size_t i = 0; i < n; i++)
            to[i] = scale * query[i];
        memset(to + n, 0, (stride - n) * sizeof *to);
    }
}

void tb_sweep_init(tb_sweep *s, const tb_attention *a, size_t kv_head, size_t first_row, size_t rows, tb_sweep_way way,
                   float *scratch)
{
    size_t floats = queries_floats(a->config, rows);
    s->a = a;
    s->way = way;
    s->kv_head = kv_head;
    s->group = a->config->heads / a->config->kv_heads;
    s->first_head = kv_head * s->group;
    s->first_row = first_row;
    s->rows = rows;
    s->queries = scratch;
    s->pinned = a->pinned_query ? scratch + floats : s->queries;
    s->convert = scratch + 2 * floats;
    copy_queries(s->queries, s, a->query);
    if (a->pinned_query)
        copy_queries(s->pinned, s, a->pinned_query);
    tb_seen_init(&s->seen, a, kv_head, (size_t)a->positions[first_row], (size_t)a->positions[first_row + rows - 1]);
}

tb_kv_range tb_sweep_see(const tb_sweep *s, const tb_run *run, size_t query)
{
    tb_kv_range seen = tb_kv_get_seen(run->segment, (size_t)s->a->positions[tb_sweep_row(s, query)]);
    size_t begin = seen.begin > run->begin ? seen.begin - run->begin : 0;
    size_t end = seen.end > run->begin ? seen.end - run->begin : 0;
    end = end < run->count ? end : run->count;
    return (tb_kv_range){begin < end ? begin : end, end};
}

// Scores of one query may have a cap, and that of the first key a bias.
static void finish_scores(float *x, const tb_sweep *s, const tb_run *run, size_t query)
{
    const tb_attention *a = s->a;
    for (size_t i = 0; a->cap > 0 && i < run->count; i++)
        x[i] = a->cap * tb_tanh(x[i] / a->cap);
    if (a->first_bias && position_at(run->segment, run->begin) == 0)
        x[0] += a->first_bias[tb_sweep_head(s, query)];
}

static void score_codes(const tb_sweep *s, const tb_run *run, const float *queries, float *scores, size_t stride)
{
    const tb_kernels *kernels = &s->a->compute->kernels;
    size_t n = s->a->config->head_size, count = tb_sweep_count(s), end = run->begin + run->count;
    if (s->way == TB_SWEEP_KERNELS) {
        tb_kv_score_codes(scores, stride, queries, count, kernels, run->segment, run->begin, end);
        return;
    }
    size_t before = run->begin % 8;
    tb_kv_decode_keys(s->convert, CONVERT_KEYS, kernels, run->segment, run->begin - before, end);
    tb_gemm_f32(scores, stride, queries, tb_padded(n), false, s->convert + before, CONVERT_KEYS, false, count,
                run->count, n, 1.0f, 0.0f);
}

void tb_sweep_score(const tb_sweep *s, const tb_run *run, float *scores, size_t stride)
{
    const tb_kernels *kernels = &s->a->compute->kernels;
    size_t n = s->a->config->head_size, count = tb_sweep_count(s);
    const float *queries = run->segment->pinned ? s->pinned : s->queries;
    if (run->segment->coded) {
        score_codes(s, run, queries, scores, stride);
    } else if (s->way == TB_SWEEP_KERNELS) {
        tb_matrix keys = stored_rows(s, run, false);
        tb_scores_fn *score = keys.type == TB_TYPE_F16 ? kernels->scores_f16 : kernels->scores_f32;
        score(scores, stride, queries, tb_padded(n), count, keys.data, run->count, n);
    } else {
        tb_gemm_f32(scores, stride, queries, tb_padded(n), false, float_rows(s, run, false), n, true, count, run->count,
                    n, 1.0f, 0.0f);
    }
    for (size_t q = 0; q < count; q++)
        finish_scores(scores + q * stride, s, run, q);
}

// Values of a run as floats.
static const float *float_values(const tb_sweep *s, const tb_run *run)
{
    if (!run->segment->coded)
        return float_rows(s, run, true);
    tb_kv_decode_values(s->convert, &s->a->compute->kernels, run->segment, run->begin, run->begin + run->count);
    return s->convert;
}

void tb_sweep_mix(const tb_sweep *s, const tb_run *run, const float *weights, size_t stride, float *mixed)
{
    const tb_kernels *kernels = &s->a->compute->kernels;
    size_t n = s->a->config->head_size, count = tb_sweep_count(s);
    if (s->way == TB_SWEEP_PRODUCTS) {
        tb_gemm_f32(mixed, tb_padded(n), weights, stride, false, float_values(s, run), n, false, count, n, run->count,
                    1.0f, 1.0f);
    } else if (run->segment->coded) {
        tb_kv_mix_codes(mixed, weights, stride, count, kernels, run->segment, run->begin, run->begin + run->count);
    } else {
        tb_matrix values = stored_rows(s, run, true);
        tb_mix_fn *mix = values.type == TB_TYPE_F16 ? kernels->mix_f16 : kernels->mix_f32;
        mix(mixed, tb_padded(n), weights, stride, count, values.data, run->count, n);
    }
}
