// Keys and values in few bits: what each query sees, row by row, however rows came; how far codes are from numbers; and
// what an outlier does to those beside it.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/kv_codes.h"
#include "rounding.h"

enum { ROWS = 200, MOST_HEAD = 80 };

// One head of one block, and what is stored there.
typedef struct scene {
    unsigned char near[1];
    tb_settings settings;
    tb_compute compute;
    tb_kv_plan plan;
    tb_memory memory;
    size_t head_size;
    float keys[ROWS][MOST_HEAD], values[ROWS][MOST_HEAD];
    int32_t positions[ROWS];
    bool apart[ROWS];
} scene;

static void scene_init(scene *s, tb_kv_plan plan, size_t head_size, size_t reach, uint64_t seed)
{
    tb_error err;
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    *s = (scene){.plan = plan, .head_size = head_size};
    s->near[0] = reach > 0;
    s->settings = (tb_settings){.reach = reach, .near = s->near};
    s->settings.config =
        (tb_config){.blocks = 1, .heads = 1, .kv_heads = 1, .head_size = head_size, .context = 2 * ROWS};
    assert_int_equal(tb_compute_init(&s->compute, tb_cpu_detect(), 1, &err), TB_OK);
    if (tb_kv_plan_check(&plan, &s->settings, &err) || tb_memory_init(&s->memory, &s->settings, 0, 1, &plan, &err))
        fail_msg("%s", err.message);
    for (size_t r = 0; r < ROWS; r++) {
        s->positions[r] = (int32_t)r;
        s->apart[r] = plan.apart > 0 && tb_rng_below(&rng, 9) == 0; // some more than there is room for
        for (size_t i = 0; i < head_size; i++) {
            s->keys[r][i] = (float)(tb_rng_normal(&rng) * (1 + (double)(i % 5)));
            s->values[r][i] = (float)tb_rng_normal(&rng);
        }
    }
}

static tb_kv_head *head_of(const scene *s)
{
    return &s->memory.kv[0].heads[0];
}

static void store(scene *s, size_t begin, size_t end)
{
    tb_kv_rows rows = {s->keys[begin], s->values[begin],     MOST_HEAD,
                       end - begin,    s->positions + begin, s->apart + begin};
    tb_kv_store(&s->memory.kv[0], &s->compute, &rows);
}

// What a query sees: rows by position, as floats.
typedef struct sight {
    bool seen[ROWS], coded[ROWS], pinned[ROWS];
    float keys[ROWS][MOST_HEAD], values[ROWS][MOST_HEAD];
} sight;

static void read_codes(float *out, const scene *s, const tb_kv_segment *segment, bool values, size_t begin, size_t end)
{
    static float columns[MOST_HEAD][ROWS + 8];
    size_t before = begin % 8;
    if (values) {
        tb_kv_decode_values(out, &s->compute.kernels, segment, begin, end);
        return;
    }
    tb_kv_decode_keys(columns[0], ROWS + 8, &s->compute.kernels, segment, begin - before, end);
    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < s->head_size; i++)
            *out++ = columns[i][r - begin + before];
}

static void read_rows(float *out, const scene *s, const tb_kv_segment *segment, bool values, size_t begin, size_t end)
{
    const size_t n = s->head_size;
    if (segment->coded) {
        read_codes(out, s, segment, values, begin, end);
        return;
    }
    const void *base = values ? segment->values : segment->keys;
    for (size_t i = 0; i < (end - begin) * n; i++)
        out[i] = segment->type == TB_KV_CACHE_F16 ? tb_half_to_float(((const uint16_t *)base)[begin * n + i])
                                                  : ((const float *)base)[begin * n + i];
}

static void look(sight *out, const scene *s, size_t position)
{
    static float rows[2][ROWS * MOST_HEAD];
    tb_kv_segment segments[TB_KV_SEGMENTS];
    size_t count = head_of(s)->policy->segments(segments, head_of(s)), n = s->head_size, last = 0;
    memset(out, 0, sizeof *out);
    assert_true(count <= TB_KV_SEGMENTS);
    for (size_t i = 0; i < count; i++) {
        tb_kv_range seen = tb_kv_get_seen(&segments[i], position);
        read_rows(rows[0], s, &segments[i], false, seen.begin, seen.end);
        read_rows(rows[1], s, &segments[i], true, seen.begin, seen.end);
        for (size_t r = seen.begin; r < seen.end; r++) {
            size_t at = segments[i].first + r;
            assert_true(at <= position && !out->seen[at] && (at == 0 || at >= last));
            last = at;
            out->seen[at] = true;
            out->coded[at] = segments[i].coded;
            out->pinned[at] = segments[i].pinned;
            memcpy(out->keys[at], rows[0] + (r - seen.begin) * n, n * sizeof(float));
            memcpy(out->values[at], rows[1] + (r - seen.begin) * n, n * sizeof(float));
        }
    }
}

// Whether a row that is old lies apart: the first of those that are to.
static bool lies_apart(const scene *s, size_t row)
{
    size_t before = 0;
    for (size_t r = s->plan.sinks; r < row; r++)
        before += s->apart[r];
    return s->apart[row] && row >= s->plan.sinks && before < TB_KV_APART;
}

static double as_kept(const scene *s, float x)
{
    return s->plan.type == TB_KV_CACHE_F16 ? (double)tb_half_to_float(tb_half_from_float(x)) : (double)x;
}

// The range of some numbers of rows, as they are kept.
typedef struct span {
    double low, high;
} span;

static span span_of(const scene *s, const float (*rows)[MOST_HEAD], size_t row, size_t count, size_t first, size_t n)
{
    span all = {INFINITY, -INFINITY};
    for (size_t r = row; r < row + count; r++)
        for (size_t i = first; i < first + n && !lies_apart(s, r); i++) {
            all.low = fmin(all.low, as_kept(s, rows[r][i]));
            all.high = fmax(all.high, as_kept(s, rows[r][i]));
        }
    return all;
}

// Half a step, and what halves round: scale and offset by 2^-11 of themselves, or to the next half below the smallest
// normal one. Floats are 2^13 times as exact; they take two.
static double most_error(span all, unsigned bits)
{
    if (bits == 16)
        return fmax(fabs(all.low), fabs(all.high)) * 0x1p-11 + 0x1p-25;
    double step = (all.high - all.low) / ((1u << bits) - 1);
    return step / 2 + (fabs(all.low) + (all.high - all.low) + step) * 0x1p-11 + (1u << bits) * 0x1p-25 +
           4 * fmax(fabs(all.low), fabs(all.high)) * 0x1p-24;
}

// Every row that the query at `position` must see is there, in codes where it is old, and near enough.
static void check_sight(const sight *t, const scene *s, size_t position)
{
    const tb_kv_plan *p = &s->plan;
    size_t g = p->bits.group, n = s->head_size, window = s->near[0] ? s->settings.reach : p->window;
    size_t young = p->sinks + p->bits.residual;
    size_t border = position + 1 <= young ? p->sinks : p->sinks + (position + 1 - young) / g * g;
    for (size_t r = 0; r <= position; r++) {
        bool is_sink = r < p->sinks;
        assert_int_equal(t->seen[r], (is_sink && !s->near[0]) || window == 0 || position - r < window);
        assert_true(!t->seen[r] || t->coded[r] == (!is_sink && r < border && !lies_apart(s, r)));
        assert_true(!t->seen[r] || t->pinned[r] == (is_sink && p->window && !s->near[0]));
        size_t first_row = p->sinks + (r - p->sinks) / g * g;
        for (size_t i = 0; t->seen[r] && i < n; i++) {
            double key = as_kept(s, s->keys[r][i]), value = as_kept(s, s->values[r][i]), key_off = 0, value_off = 0;
            size_t block = i / g * g, width = n - block < g ? n - block : g;
            if (t->coded[r]) {
                key_off = most_error(span_of(s, s->keys, first_row, g, i, 1), p->bits.keys);
                value_off = most_error(span_of(s, s->values, r, 1, block, width), p->bits.values);
            }
            assert_true(fabs((double)t->keys[r][i] - key) <= key_off);
            assert_true(fabs((double)t->values[r][i] - value) <= value_off);
        }
    }
}

static const struct {
    unsigned keys, values;
    size_t group, residual, sinks, window, head_size, reach;
} shapes[] = {
    {2, 2, 8, 16, 4, 0, 20, 0},  {1, 1, 8, 0, 0, 0, 5, 0},     {3, 2, 16, 5, 1, 0, 33, 0},  {4, 4, 32, 32, 8, 0, 64, 0},
    {8, 8, 8, 3, 4, 0, 80, 0},   {16, 2, 8, 7, 2, 0, 7, 0},    {5, 16, 24, 1, 3, 0, 65, 0}, {2, 2, 8, 16, 4, 40, 20, 0},
    {6, 7, 16, 0, 0, 16, 31, 0}, {2, 4, 8, 3, 5, 11, 1, 0},    {2, 2, 8, 4, 2, 0, 20, 30},  {4, 2, 8, 4, 2, 50, 20, 13},
    {2, 2, 64, 0, 0, 0, 16, 0},  {2, 2, 400, 400, 3, 0, 8, 0}, {7, 3, 8, 190, 9, 0, 9, 0},
};

// Each without and with rows apart.
enum { SHAPES = sizeof shapes / sizeof shapes[0], PLANS = 2 * SHAPES };

static tb_kv_plan plan_of(size_t i, tb_kv_cache_type type)
{
    size_t shape = i % SHAPES;
    return (tb_kv_plan){
        .type = type,
        .capacity = ROWS,
        .sinks = shapes[shape].sinks,
        .window = shapes[shape].window,
        .bits = {shapes[shape].keys, shapes[shape].values, shapes[shape].group, shapes[shape].residual},
        .apart = i < SHAPES ? 0 : 2,
        .batch = 50,
    };
}

static void coded__shows_each_query_what_it_would_see_row_by_row(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 1);
    scene *s = tb_new(scene);
    sight *alone = tb_alloc_array(ROWS, sizeof *alone), *t = tb_new(sight);
    for (size_t i = 0; i < PLANS; i++) {
        scene_init(s, plan_of(i, i % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16), shapes[i % SHAPES].head_size,
                   shapes[i % SHAPES].reach, i);
        for (size_t r = 0; r < ROWS; r++) {
            store(s, r, r + 1);
            look(&alone[r], s, r);
            if (r < 30 || r % 7 == 0)
                check_sight(&alone[r], s, r);
        }
        for (size_t repeat = 0; repeat < 8; repeat++) {
            tb_memory_truncate(&s->memory, 0);
            for (size_t done = 0, n; done < ROWS; done += n) {
                n = 1 + tb_rng_below(&rng, 50 < ROWS - done ? 50 : ROWS - done);
                store(s, done, done + n);
                for (size_t r = done; r < done + n; r++) {
                    look(t, s, r);
                    assert_memory_equal(t, &alone[r], sizeof *t);
                }
                // Goes back now and then: as far as it can, or to the beginning.
                size_t to = done + n - tb_rng_below(&rng, done + n + 1);
                if (repeat % 2 && tb_rng_below(&rng, 4) == 0) {
                    done = tb_memory_truncate(&s->memory, to) ? to : 0;
                    n = 0;
                }
            }
        }
        tb_memory_clear(&s->memory);
    }
    tb_free(t), tb_free(alone), tb_free(s);
}

static void coded__can_go_back_by_a_batch(void **state)
{
    (void)state;
    scene *s = tb_new(scene);
    for (size_t i = 0; i < PLANS; i++)
        for (size_t back = 0; back < 50; back += 7) {
            scene_init(s, plan_of(i, TB_KV_CACHE_F16), shapes[i % SHAPES].head_size, shapes[i % SHAPES].reach, i);
            for (size_t r = 0; r < ROWS; r++)
                store(s, r, r + 1);
            assert_true(tb_memory_truncate(&s->memory, ROWS - back));
            tb_memory_clear(&s->memory);
        }
    tb_free(s);
}

static void coded_copy__is_a_memory_of_its_own(void **state)
{
    (void)state;
    scene *from = tb_new(scene), *to = tb_new(scene);
    sight *a = tb_new(sight), *b = tb_new(sight);
    for (size_t i = 0; i < PLANS; i++)
        for (size_t at = 1; at < ROWS - 50; at += 37) {
            scene_init(from, plan_of(i, TB_KV_CACHE_F16), shapes[i % SHAPES].head_size, shapes[i % SHAPES].reach, i);
            scene_init(to, plan_of(i, TB_KV_CACHE_F16), shapes[i % SHAPES].head_size, shapes[i % SHAPES].reach, i);
            for (size_t r = 0; r < at; r++)
                store(from, r, r + 1);
            tb_memory_copy(&to->memory, &from->memory);
            store(from, at, at + 50);
            look(a, from, at + 49);
            tb_memory_truncate(&from->memory, 0);
            store(to, at, at + 50);
            look(b, to, at + 49);
            assert_memory_equal(a, b, sizeof *a);
            tb_memory_clear(&from->memory), tb_memory_clear(&to->memory);
        }
    tb_free(a), tb_free(b), tb_free(from), tb_free(to);
}

// A result is Σ a·b of n terms, as near as kernels promise.
static void assert_sum(float result, const float *a, size_t a_step, const float *b, size_t b_step, size_t n)
{
    double exact = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        double term = (double)a[i * a_step] * (double)b[i * b_step];
        exact += term;
        magnitude += fabs(term);
    }
    assert_true(fabs((double)result - exact) <= 2 * ((double)n + 8) * 0x1p-24 * magnitude);
}

// Scores and mixes of any rows in codes are those of the numbers that the codes stand for.
static void check_arithmetic(const scene *s, const tb_kv_segment *coded, size_t begin, size_t end, tb_rng *rng)
{
    enum { QUERIES = 5, STRIDE = 96 }; // tb_padded(MOST_HEAD)
    static float x[QUERIES * STRIDE], weights[QUERIES * ROWS], scores[QUERIES * ROWS], mixed[QUERIES * STRIDE];
    static float keys[ROWS * MOST_HEAD], values[ROWS * MOST_HEAD];
    size_t n = s->head_size, stride = tb_padded(n), rows = end - begin;
    memset(x, 0, sizeof x);
    memset(mixed, 0, sizeof mixed);
    for (size_t i = 0; i < QUERIES * n; i++)
        x[i / n * stride + i % n] = (float)tb_rng_normal(rng);
    for (size_t i = 0; i < QUERIES * ROWS; i++)
        weights[i] = (float)tb_rng_uniform(rng);
    read_rows(keys, s, coded, false, begin, end);
    read_rows(values, s, coded, true, begin, end);
    tb_kv_score_codes(scores, ROWS, x, QUERIES, &s->compute.kernels, coded, begin, end);
    tb_kv_mix_codes(mixed, weights, ROWS, QUERIES, &s->compute.kernels, coded, begin, end);
    for (size_t q = 0; q < QUERIES; q++) {
        for (size_t r = 0; r < rows; r++)
            assert_sum(scores[q * ROWS + r], x + q * stride, 1, keys + r * n, 1, n);
        for (size_t c = 0; c < n; c++)
            assert_sum(mixed[q * stride + c], weights + q * ROWS, 1, values + c, n, rows);
    }
}

static void codes__are_scored_and_mixed_as_the_numbers_they_stand_for(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 2);
    scene *s = tb_new(scene);
    for (size_t i = 0; i < PLANS; i++) {
        scene_init(s, plan_of(i, TB_KV_CACHE_F16), shapes[i % SHAPES].head_size, shapes[i % SHAPES].reach, i);
        for (size_t r = 0; r < ROWS; r++)
            store(s, r, r + 1);
        tb_kv_segment segments[TB_KV_SEGMENTS];
        size_t count = head_of(s)->policy->segments(segments, head_of(s));
        for (size_t k = 0; k < count; k++)
            for (size_t repeat = 0; segments[k].coded && repeat < 40; repeat++) {
                size_t begin = segments[k].from + tb_rng_below(&rng, segments[k].count - segments[k].from);
                check_arithmetic(s, &segments[k], begin, begin + 1 + tb_rng_below(&rng, segments[k].count - begin),
                                 &rng);
            }
        tb_memory_clear(&s->memory);
    }
    tb_free(s);
}

// Mean square of what codes miss of the keys of rows `from` on, but for row `skipped`.
static double miss(const scene *s, size_t from, size_t skipped)
{
    sight *t = tb_new(sight);
    double sum = 0;
    size_t n = 0;
    look(t, s, ROWS - 1);
    for (size_t r = from; r < ROWS; r++)
        for (size_t i = 0; t->coded[r] && r != skipped && i < s->head_size; i++, n++) {
            double d = (double)t->keys[r][i] - as_kept(s, s->keys[r][i]);
            sum += d * d;
        }
    tb_free(t);
    return sum / (double)n;
}

// A row with channels a hundred times larger than those of others in the middle of a group, that lies apart: it is as
// it was, and the others are what they are without it.
static void coded__rows_apart_keep_outliers_out_of_groups(void **state)
{
    (void)state;
    enum { AT = 30 };
    scene *s = tb_new(scene);
    sight *t = tb_new(sight);
    double mse[2][2]; // [apart][planted]
    for (size_t apart = 0; apart < 2; apart++)
        for (size_t planted = 0; planted < 2; planted++) {
            tb_kv_plan plan = {.capacity = ROWS, .bits = {8, 8, 64, 0}, .batch = 50, .apart = 2};
            scene_init(s, plan, 5, 0, 3);
            memset(s->apart, 0, sizeof s->apart);
            s->apart[AT] = apart;
            for (size_t i = 0; planted && i < 2; i++)
                s->keys[AT][3 * i] = 1000;
            for (size_t r = 0; r < 64; r++)
                store(s, r, r + 1);
            mse[apart][planted] = miss(s, 0, AT);
            look(t, s, 63);
            assert_true(t->seen[AT] && t->coded[AT] == !apart);
            assert_true(!apart || (double)t->keys[AT][0] == as_kept(s, s->keys[AT][0]));
            tb_memory_clear(&s->memory);
        }
    assert_true(mse[1][1] == mse[1][0]);
    assert_true(mse[0][1] > 100 * mse[0][0]);
    tb_free(t), tb_free(s);
}

// T-08: a first token with two channels a hundred times larger than those of others. As a sink it changes nothing for
// them; in a group it takes their bits away.
static void coded__sinks_keep_outliers_out_of_groups(void **state)
{
    (void)state;
    scene *s = tb_new(scene);
    double mse[2][2]; // [sinks][planted]
    for (size_t sinks = 0; sinks < 2; sinks++)
        for (size_t planted = 0; planted < 2; planted++) {
            tb_kv_plan plan = {.capacity = ROWS, .sinks = sinks, .bits = {8, 8, 64, 0}, .batch = 50};
            scene_init(s, plan, 5, 0, 3);
            for (size_t i = 0; planted && i < 2; i++)
                s->keys[0][3 * i] = 1000;
            for (size_t r = 0; r < 1 + 64 + 3; r++)
                store(s, r, r + 1);
            mse[sinks][planted] = miss(s, 1, 0);
            tb_memory_clear(&s->memory);
        }
    assert_true(mse[1][1] == mse[1][0]);
    assert_true(mse[0][1] > 100 * mse[0][0]);
    tb_free(s);
}

// ---- in a model ----

static tb_seq *new_coded(const tb_model *model, const char *kv, size_t sinks, size_t context, size_t batch)
{
    tb_seq *seq = NULL;
    tb_error err;
    tb_seq_options options = {.context = context, .batch = batch, .keep_sinks = sinks};
    if (tb_seq_options_set_kv(&options, kv, &err) || tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

// Eight bits miss the numbers of a head by 1/510 of their range at most, about as much as four halves do.
static void coded__of_eight_bits_is_close_to_f16(void **state)
{
    (void)state;
    enum { TOKENS = 120 };
    for (size_t f = 0; tiny_families[f]; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_families[f]);
        tb_model *model = open_model(tiny_path(name), 2);
        if (tb_model_config(model)->experts) { // chosen by comparing, so that what is close may end elsewhere
            tb_model_close(model);
            continue;
        }
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(TOKENS, vocab, f);
        tb_seq *plain = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
        float *expected = push_all(plain, ids, TOKENS);
        static const char *const forms[] = {"q8:g16:r20", "k8v16:g8:r0"};
        for (size_t i = 0; i < 2; i++) {
            tb_seq *seq = new_coded(model, forms[i], 2, TOKENS, 0);
            float *logits = push_all(seq, ids, TOKENS);
            double d = distance(logits, expected, TOKENS * vocab);
            assert_true(d > 0);
            if (d > 8 * rounding_of_halves(tb_model_config(model), TOKENS * vocab))
                fail_msg("%s with %s differs by %g", tiny_families[f], forms[i], d);
            tb_free(logits);
            tb_seq_free(seq);
        }
        tb_free(expected), tb_free(ids);
        tb_seq_free(plain);
        tb_model_close(model);
    }
}

static void coded__of_sixteen_bits_is_f16_to_the_bit(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 2);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(100, vocab, 1);
    tb_seq *plain = new_seq(model, 100, 0, TB_KV_CACHE_F16), *seq = new_coded(model, "k16v16:g8:r0", 0, 100, 0);
    float *expected = push_all(plain, ids, 100), *logits = push_all(seq, ids, 100);
    assert_memory_equal(logits, expected, 100 * vocab * sizeof *logits);
    tb_free(logits), tb_free(expected), tb_free(ids);
    tb_seq_free(plain), tb_seq_free(seq);
    tb_model_close(model);
}

// Block by block over windows, as perplexity does it, is the same as token by token in one sequence.
static void coded_states__equal_push_all(void **state)
{
    (void)state;
    enum { WINDOWS = 2, LENGTH = 70 };
    tb_error err;
    size_t apart = 0;
    for (size_t f = 0; tiny_families[f]; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_families[f]);
        tb_model *model = open_model(tiny_path(name), 2);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(WINDOWS * LENGTH, vocab, f);
        float *logits = tb_alloc_array(LENGTH * vocab, sizeof *logits);
        tb_seq_options memory = {.keep_sinks = 3, .apart_ratio = f % 2 ? 6 : 0};
        tb_states states;
        assert_int_equal(tb_seq_options_set_kv(&memory, "k2v2:g8:r16", &err), TB_OK);
        assert_int_equal(tb_states_init(&states, model, ids, WINDOWS, LENGTH, &err), TB_OK);
        states.memory = &memory;
        for (size_t block = 0; block < tb_model_config(model)->blocks; block++)
            assert_int_equal(tb_states_run_block(&states, model, block, NULL, NULL, &err), TB_OK);
        for (size_t w = 0; w < WINDOWS; w++) {
            const float *x = states.x + w * LENGTH * states.stride;
            assert_int_equal(tb_states_logits(logits, model, x, states.stride, LENGTH, &err), TB_OK);
            memory.context = LENGTH;
            memory.batch = LENGTH;
            tb_seq *seq;
            assert_int_equal(tb_seq_new(&seq, model, &memory, &err), TB_OK);
            float *expected = push_all(seq, ids + w * LENGTH, LENGTH);
            apart += tb_seq_memory(seq)->kv[0].heads[0].apart;
            assert_memory_equal(logits, expected, LENGTH * vocab * sizeof *logits);
            tb_free(expected);
            tb_seq_free(seq);
        }
        tb_states_clear(&states);
        tb_free(logits), tb_free(ids);
        tb_model_close(model);
    }
    assert_true(apart > 0);
}

static void kv_forms__are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tb_kv_cache_type type;
        tb_kv_bits bits;
    } good[] = {
        {"f16", TB_KV_CACHE_F16, {0}},
        {"f32", TB_KV_CACHE_F32, {0}},
        {"k16v16:g8", TB_KV_CACHE_F16, {0}},
        {"q8", TB_KV_CACHE_F16, {8, 8, 64, 128}},
        {"q4:g32", TB_KV_CACHE_F16, {4, 4, 32, 128}},
        {"k4v2:r0", TB_KV_CACHE_F16, {4, 2, 64, 0}},
        {"k16v2:g128:r256", TB_KV_CACHE_F16, {16, 2, 128, 256}},
    };
    static const char *const bad[] = {"",           "f8",         "q",        "q0",
                                      "k2",         "v2",         "k2v",      "kv",
                                      "k2v2:",      "k2v2:g",     "k2v2:r",   "k2v2:64",
                                      "k2v2:r1:g8", "k2v2:g8:g8", "k2v2 g64", "k2v2:g64:rX",
                                      "k-2v2",      "k2v2:g8:",   "F16",      "q99999999999999999999"};
    tb_error err;
    tb_seq *seq;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        tb_seq_options options = {.kv_bits = {9, 9, 9, 9}};
        assert_int_equal(tb_seq_options_set_kv(&options, good[i].text, &err), TB_OK);
        assert_int_equal(options.kv_cache, good[i].type);
        assert_memory_equal(&options.kv_bits, &good[i].bits, sizeof options.kv_bits);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tb_seq_options_set_kv(&(tb_seq_options){0}, bad[i], &err), TB_EINVAL);
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    const tb_seq_options refused[] = {
        {.kv_bits = {9, 2, 64, 128}},
        {.kv_bits = {2, 0, 64, 128}},
        {.kv_bits = {0, 2, 64, 128}},
        {.kv_bits = {2, 2, 0, 128}},
        {.kv_bits = {2, 2, 12, 128}},
        {.kv_bits = {2, 2, 64, 0}, .window = 63},
        {.kv_bits = {2, 2, 8, 100}, .window = 50},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(tb_seq_new(&seq, model, &refused[i], &err), TB_EINVAL);
    const double ratios[] = {-1, 0.5, NAN, INFINITY};
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        const tb_seq_options options = {.kv_bits = {2, 2, 8, 8}, .apart_ratio = ratios[i]};
        assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_EINVAL);
    }
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.apart_ratio = 100}, &err), TB_EINVAL);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.kv_bits = {2, 2, 8, SIZE_MAX}}, &err), TB_ELIMIT);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.kv_bits = {2, 2, 8, 8}, .keep_sinks = SIZE_MAX}, &err),
                     TB_ELIMIT);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coded__shows_each_query_what_it_would_see_row_by_row),
        cmocka_unit_test(coded__can_go_back_by_a_batch),
        cmocka_unit_test(coded_copy__is_a_memory_of_its_own),
        cmocka_unit_test(codes__are_scored_and_mixed_as_the_numbers_they_stand_for),
        cmocka_unit_test(coded__sinks_keep_outliers_out_of_groups),
        cmocka_unit_test(coded__rows_apart_keep_outliers_out_of_groups),
        cmocka_unit_test(coded__of_eight_bits_is_close_to_f16),
        cmocka_unit_test(coded__of_sixteen_bits_is_f16_to_the_bit),
        cmocka_unit_test(coded_states__equal_push_all),
        cmocka_unit_test(kv_forms__are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
