// Memory of a block, and attention over it: against plain loops in double, whatever the segments.
#include "model/attention_sweep.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { HEADS = 6, KV_HEADS = 2, HEAD = 20, KEYS = 1100, MOST_ROWS = 40, THREADS = 3 };

// ---- a policy that cuts the plain cache at random, and tells positions by array in every second segment ----

static size_t cuts[TB_KV_SEGMENTS - 1]; // ascending rows; shared by all heads
static size_t cut_count;
static size_t pinned_segments;
static int32_t all_positions[KEYS];

static size_t cut_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    tb_kv_segment whole;
    assert_int_equal(tb_kv_plain.segments(&whole, head), 1);
    size_t begin = 0, item = whole.type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i < cut_count ? cuts[i] : whole.count;
        out[i] = whole;
        out[i].keys = (const char *)whole.keys + begin * head->head_size * item;
        out[i].values = (const char *)whole.values + begin * head->head_size * item;
        out[i].count = end - begin;
        out[i].pinned = i < pinned_segments;
        out[i].positions = i % 2 ? all_positions + begin : NULL;
        out[i].first = i % 2 ? SIZE_MAX : whole.first + begin;
        begin = end;
    }
    return cut_count + 1;
}

// ---- a case ----

typedef struct scene {
    tb_config config;
    unsigned char near[1], rotated[1];
    tb_settings settings;
    tb_compute compute;
    tb_memory memory;
    tb_kv_policy cut;
    float keys[KEYS][KV_HEADS * HEAD], values[KEYS][KV_HEADS * HEAD];
    float query[MOST_ROWS][HEADS * HEAD], out[MOST_ROWS][HEADS * HEAD];
    float pinned_query[MOST_ROWS][HEADS * HEAD];
    float sinks[HEADS], first_bias[HEADS];
    bool pins, biased; // whether attention is given those two
    const tb_redistribution *redistribution;
    float given[HEADS][KEYS];
    size_t first, rows; // the queries are the last of the KEYS tokens, which begin at position `first`
    float *scratch;
} scene;

static float stored(const scene *s, float x)
{
    return s->memory.kv[0].heads[0].type == TB_KV_CACHE_F16 ? tb_half_to_float(tb_half_from_float(x)) : x;
}

static void scene_init(scene *s, uint64_t seed, tb_kv_cache_type type, size_t reach, size_t rows, size_t first)
{
    tb_error err;
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    *s = (scene){.config = {.blocks = 1, .heads = HEADS, .kv_heads = KV_HEADS, .head_size = HEAD}, .rows = rows};
    s->first = first;
    s->near[0] = reach > 0;
    s->settings = (tb_settings){.config = s->config, .reach = reach, .near = s->near, .rotated = s->rotated};
    assert_int_equal(tb_compute_init(&s->compute, tb_cpu_detect(), THREADS, &err), TB_OK);
    assert_int_equal(
        tb_memory_init(&s->memory, &s->settings, 0, 1, &(tb_kv_plan){.type = type, .capacity = KEYS}, &err), TB_OK);
    for (size_t t = 0; t < KEYS; t++) {
        all_positions[t] = (int32_t)(first + t);
        for (size_t i = 0; i < KV_HEADS * HEAD; i++) {
            s->keys[t][i] = (float)tb_rng_normal(&rng);
            s->values[t][i] = (float)tb_rng_normal(&rng);
        }
    }
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < HEADS * HEAD; i++)
            s->query[t][i] = (float)tb_rng_normal(&rng);
    for (size_t i = 0; i < HEADS; i++)
        s->sinks[i] = (float)(2 * tb_rng_normal(&rng));
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < HEADS * HEAD; i++)
            s->pinned_query[t][i] = (float)tb_rng_normal(&rng);
    for (size_t i = 0; i < HEADS; i++)
        s->first_bias[i] = (float)(2 * tb_rng_normal(&rng));
    s->scratch = tb_alloc_array(tb_attention_scratch(&s->config, TB_SOFTMAX, true, KEYS, THREADS), sizeof(float));
    assert_non_null(s->scratch);
}

static void scene_clear(scene *s)
{
    tb_memory_clear(&s->memory);
    tb_free(s->scratch);
}

static void store(scene *s, size_t begin, size_t end)
{
    tb_kv_rows rows = {s->keys[begin], s->values[begin], KV_HEADS * HEAD, end - begin, all_positions + begin, NULL};
    tb_kv_store(&s->memory.kv[0], &s->compute, &rows);
}

static void attend(scene *s, const float *sinks, const tb_probe *probe)
{
    memset(s->out, 0xff, sizeof s->out); // NaN
    tb_attention_run(&(tb_attention){
        .compute = &s->compute,
        .config = &s->config,
        .kv = &s->memory.kv[0],
        .scale = 0.25f,
        .sink_logits = sinks,
        .first_bias = s->biased ? s->first_bias : NULL,
        .redistribution = s->redistribution,
        .given = s->given[0],
        .given_stride = KEYS,
        .query = s->query[0],
        .pinned_query = s->pins ? s->pinned_query[0] : NULL,
        .out = s->out[0],
        .stride = HEADS * HEAD,
        .rows = s->rows,
        .positions = all_positions + KEYS - s->rows,
        .scratch = s->scratch,
        .scratch_capacity = KEYS,
        .probe = probe,
    });
}

// One query in double, with a bound of what floats may differ: `weights` [KEYS] are those of the keys. Returns the
// bound of a weight, relative to it.
static double attend_exactly(double *out, double *bound, double *weights, const scene *s, size_t row, size_t head,
                             const float *sinks)
{
    const double eps = 0x1p-24;
    size_t own = KEYS - s->rows + row, reach = s->settings.reach, kv_head = head / (HEADS / KV_HEADS);
    size_t from = reach && own >= reach ? own - reach + 1 : 0;
    double top = sinks ? (double)sinks[head] : -INFINITY, bottom = INFINITY, spread = 0, sum = 0;
    size_t pinned = pinned_segments == 0 ? 0 : pinned_segments <= cut_count ? cuts[pinned_segments - 1] : KEYS;
    for (size_t t = from; t <= own; t++) {
        double z = 0, size = 0;
        const float *query = s->pins && t < pinned ? s->pinned_query[row] : s->query[row];
        for (size_t i = 0; i < HEAD; i++) {
            double term = 0.25 * (double)query[head * HEAD + i] * (double)stored(s, s->keys[t][kv_head * HEAD + i]);
            z += term;
            size += fabs(term);
        }
        if (s->biased && s->first + t == 0) {
            z += (double)s->first_bias[head];
            size += fabs((double)s->first_bias[head]);
        }
        weights[t] = z;
        spread = fmax(spread, size);
        top = fmax(top, z);
        bottom = fmin(bottom, z);
    }
    for (size_t t = from; t <= own; t++)
        sum += weights[t] = exp(weights[t] - top);
    if (sinks)
        sum += exp((double)sinks[head] - top);
    // A score is a sum of HEAD products (the kernels' promise); its distance to the top is rounded and goes through
    // e^x, good to one unit in the last place; sums and mixes of up to KEYS numbers; four roundings for each run of
    // keys, and for each part that is joined.
    double score = 2 * (HEAD + 8) * eps * spread + 2 * (top - bottom) * eps + 2 * eps;
    const double runs = KEYS / TB_SWEEP_KEYS + 1 + TB_KV_SEGMENTS, parts = runs;
    double relative = 2 * score + (2 * KEYS + 4 * (runs + parts)) * eps;
    for (size_t i = 0; i < HEAD; i++) {
        double size = 0;
        out[i] = 0;
        for (size_t t = from; t <= own; t++) {
            double part = weights[t] / sum * (double)stored(s, s->values[t][kv_head * HEAD + i]);
            out[i] += part;
            size += fabs(part);
        }
        bound[i] = relative * size;
    }
    for (size_t t = 0; t < KEYS; t++)
        weights[t] = t < from || t > own ? 0 : weights[t] / sum;
    return relative;
}

static void check(const scene *s, const float *sinks)
{
    double out[HEAD], bound[HEAD], weights[KEYS];
    for (size_t row = 0; row < s->rows; row++)
        for (size_t head = 0; head < HEADS; head++) {
            attend_exactly(out, bound, weights, s, row, head, sinks);
            for (size_t i = 0; i < HEAD; i++) {
                double d = fabs((double)s->out[row][head * HEAD + i] - out[i]);
                if (!(d <= bound[i]))
                    fail_msg("row %zu, head %zu is off by %g, bound %g", row, head, d, bound[i]);
            }
        }
}

// The policies of these heads are borrowed: `cut` must outlive the memory.
static void cut_at_random(tb_kv_policy *cut, tb_rng *rng, tb_memory *memory)
{
    *cut = tb_kv_plain;
    cut->segments = cut_segments;
    cut_count = tb_rng_below(rng, TB_KV_SEGMENTS);
    for (size_t i = 0; i < cut_count; i++) {
        size_t at = tb_rng_below(rng, KEYS + 1), k = i;
        for (; k > 0 && cuts[k - 1] > at; k--)
            cuts[k] = cuts[k - 1];
        cuts[k] = at;
    }
    for (size_t h = 0; h < KV_HEADS; h++)
        memory->kv[0].heads[h].policy = cut;
}

// ---- tests ----

static const size_t some_rows[] = {1, 3, 4, 17, MOST_ROWS};
static const size_t some_reaches[] = {0, 1, 25, KEYS - 10};

static void attention__agrees_with_plain_loops_in_any_segments(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 15, 1);
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
        for (size_t w = 0; w < sizeof some_reaches / sizeof some_reaches[0]; w++)
            for (int type = TB_KV_CACHE_F16; type <= TB_KV_CACHE_F32; type++) {
                scene_init(s, r + 10 * w, (tb_kv_cache_type)type, some_reaches[w], some_rows[r], 1000000 * (r % 2));
                store(s, 0, KEYS);
                attend(s, NULL, NULL);
                check(s, NULL);
                for (int i = 0; i < 5; i++) {
                    cut_at_random(&s->cut, &rng, &s->memory);
                    attend(s, NULL, NULL);
                    check(s, NULL);
                    attend(s, s->sinks, NULL);
                    check(s, s->sinks); // a softmax with one more column, whose value is 0
                }
                scene_clear(s);
            }
    tb_free(s);
}

// Segments that see the queries as they are pinned, and a bias on the key at position 0, wherever it lies.
static void attention__pins_queries_and_biases_the_first_key(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 1);
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
        for (int i = 0; i < 20; i++) {
            scene_init(s, r + 100, i % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16, some_reaches[i % 4], some_rows[r],
                       i / 10);
            s->pins = i % 5 > 0;
            s->biased = i % 3 > 0;
            store(s, 0, KEYS);
            cut_at_random(&s->cut, &rng, &s->memory);
            pinned_segments = tb_rng_below(&rng, cut_count + 2);
            attend(s, s->sinks, NULL);
            check(s, s->sinks);
            pinned_segments = 0;
            scene_clear(s);
        }
    tb_free(s);
}

// Whole rows of weights, of which none is a sink's: the same in two passes over the keys.
static void attention__in_two_passes_agrees_with_plain_loops(void **state)
{
    (void)state;
    static const tb_redistribution nobody = {.freed = 1, .threshold = 0.9999};
    tb_rng rng;
    tb_rng_init(&rng, 17, 1);
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
        for (int i = 0; i < 4; i++) {
            scene_init(s, r + 200, i % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16, 0, some_rows[r], 0);
            s->redistribution = &nobody;
            s->biased = i % 3 > 0;
            store(s, 0, KEYS);
            cut_at_random(&s->cut, &rng, &s->memory);
            attend(s, i < 2 ? s->sinks : NULL, NULL);
            check(s, i < 2 ? s->sinks : NULL);
            scene_clear(s);
        }
    tb_free(s);
}

// e^0 times a weight is the weight.
static void attention__with_a_bias_of_0_is_the_same_to_the_bit(void **state)
{
    (void)state;
    static float plain[MOST_ROWS][HEADS * HEAD];
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++) {
        scene_init(s, r, TB_KV_CACHE_F16, 0, some_rows[r], 0);
        store(s, 0, KEYS);
        attend(s, s->sinks, NULL);
        memcpy(plain, s->out, sizeof plain);
        memset(s->first_bias, 0, sizeof s->first_bias);
        s->biased = true;
        attend(s, s->sinks, NULL);
        assert_memory_equal(s->out, plain, s->rows * sizeof plain[0]);
        scene_clear(s);
    }
    tb_free(s);
}

// Where empty segments lie around the one that is seen, nothing is rounded again; nor by a sink that is out of sight.
static void attention__of_one_segment_is_not_rounded_again(void **state)
{
    (void)state;
    static float plain[MOST_ROWS][HEADS * HEAD];
    const float far_below[HEADS] = {-1e4f, -1e4f, -1e4f, -1e4f, -1e4f, -1e4f};
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++) {
        scene_init(s, r, TB_KV_CACHE_F16, 0, some_rows[r], 0);
        store(s, 0, KEYS);
        attend(s, NULL, NULL);
        memcpy(plain, s->out, sizeof plain);
        attend(s, far_below, NULL);
        for (size_t row = 0; row < s->rows; row++)
            for (size_t i = 0; i < HEADS * HEAD; i++)
                assert_true(s->out[row][i] == plain[row][i]);
        tb_rng rng;
        tb_rng_init(&rng, 0, 0);
        cut_at_random(&s->cut, &rng, &s->memory);
        cut_count = 2;
        cuts[0] = 0;
        cuts[1] = KEYS;
        attend(s, NULL, NULL);
        assert_memory_equal(s->out, plain, s->rows * sizeof plain[0]);
        scene_clear(s);
    }
    tb_free(s);
}

static void attention__is_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    static float first[MOST_ROWS][HEADS * HEAD];
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++) {
        scene_init(s, r, TB_KV_CACHE_F16, 0, some_rows[r], 0);
        store(s, 0, KEYS);
        attend(s, s->sinks, NULL);
        memcpy(first, s->out, sizeof first);
        for (s->compute.threads = 1; s->compute.threads < THREADS; s->compute.threads++) {
            attend(s, s->sinks, NULL);
            assert_memory_equal(s->out, first, s->rows * sizeof first[0]);
        }
        scene_clear(s);
    }
    tb_free(s);
}

static void attention__that_sees_nothing_is_zero(void **state)
{
    (void)state;
    const float zeros[HEAD] = {0};
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
        for (int sink = 0; sink < 2; sink++) {
            scene_init(s, r, TB_KV_CACHE_F16, 0, some_rows[r], 0);
            attend(s, sink ? s->sinks : NULL, NULL);
            for (size_t row = 0; row < s->rows; row++)
                for (size_t head = 0; head < HEADS; head++)
                    assert_memory_equal(s->out[row] + head * HEAD, zeros, sizeof zeros);
            scene_clear(s);
        }
    tb_free(s);
}

// ---- what a probe sees ----

typedef struct seen_rows {
    const scene *scene;
    const float *sinks;
    atomic_size_t calls;
} seen_rows;

static void check_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                      const tb_attention_piece *pieces, size_t count)
{
    seen_rows *seen = user;
    const scene *s = seen->scene;
    double out[HEAD], bound[HEAD], expected[KEYS], shown[KEYS] = {0};
    seen->calls++;
    assert_true(at->block == 0 && at->worker < THREADS);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++) {
            size_t p = pieces[i].positions ? (size_t)pieces[i].positions[k] : pieces[i].first + k;
            shown[p - s->first] += (double)pieces[i].weights[k];
        }
    size_t row = position - s->first - (KEYS - s->rows);
    double relative = attend_exactly(out, bound, expected, s, row, head, seen->sinks);
    for (size_t t = 0; t < KEYS; t++)
        assert_true(fabs(shown[t] - expected[t]) <= relative * expected[t]);
}

static void attention_row__shows_the_weights_of_all_segments(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 15, 2);
    scene *s = tb_new(scene);
    for (size_t r = 0; r < sizeof some_rows / sizeof some_rows[0]; r++)
        for (size_t i = 0; i < 8; i++) {
            scene_init(s, r, TB_KV_CACHE_F16, some_reaches[i % 4], some_rows[r], 7);
            seen_rows seen = {.scene = s, .sinks = i % 2 ? s->sinks : NULL};
            tb_probe probe = {.attention_row = check_row, .user = &seen};
            store(s, 0, KEYS);
            cut_at_random(&s->cut, &rng, &s->memory);
            attend(s, seen.sinks, &probe);
            assert_int_equal(seen.calls, s->rows * HEADS);
            scene_clear(s);
        }
    tb_free(s);
}

// ---- memory ----

static void memory__remembers_the_same_however_it_came(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 15, 3);
    scene *once = tb_new(scene), *pieces = tb_new(scene);
    for (int type = TB_KV_CACHE_F16; type <= TB_KV_CACHE_F32; type++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            scene_init(once, seed, (tb_kv_cache_type)type, 0, 5, 100);
            scene_init(pieces, seed, (tb_kv_cache_type)type, 0, 5, 100);
            store(once, 0, KEYS);
            for (size_t done = 0; done < KEYS;) {
                size_t n = 1 + tb_rng_below(&rng, KEYS - done);
                store(pieces, done, done + n);
                done += n;
                if (tb_rng_below(&rng, 2)) { // goes back somewhere
                    done = tb_rng_below(&rng, done + 1);
                    tb_memory_truncate(&pieces->memory, 100 + done);
                }
            }
            attend(once, NULL, NULL);
            attend(pieces, NULL, NULL);
            assert_memory_equal(once->out, pieces->out, sizeof once->out);
            scene_clear(once), scene_clear(pieces);
        }
    tb_free(once), tb_free(pieces);
}

static void memory_copy__is_a_memory_of_its_own(void **state)
{
    (void)state;
    scene *from = tb_new(scene), *to = tb_new(scene);
    scene_init(from, 1, TB_KV_CACHE_F16, 0, 5, 3);
    scene_init(to, 1, TB_KV_CACHE_F16, 0, 5, 3);
    store(from, 0, 200);
    tb_memory_copy(&to->memory, &from->memory);
    store(to, 200, KEYS);
    assert_int_equal(from->memory.kv[0].heads[0].count, 200);
    tb_memory_truncate(&from->memory, 3); // all of it
    assert_int_equal(from->memory.kv[0].heads[0].count, 0);
    attend(to, NULL, NULL);
    check(to, NULL);
    scene_clear(from), scene_clear(to);
    tb_free(from), tb_free(to);
}

static void memory_init__refuses_what_does_not_fit(void **state)
{
    (void)state;
    tb_error err;
    tb_memory memory;
    scene *s = tb_new(scene);
    scene_init(s, 1, TB_KV_CACHE_F16, 0, 1, 0);
    assert_int_equal(tb_memory_init(&memory, &s->settings, 0, 1, &(tb_kv_plan){.capacity = SIZE_MAX / 8}, &err),
                     TB_ENOMEM);
    tb_memory_clear(&memory);
    scene_clear(s);
    tb_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention__agrees_with_plain_loops_in_any_segments),
        cmocka_unit_test(attention__pins_queries_and_biases_the_first_key),
        cmocka_unit_test(attention__in_two_passes_agrees_with_plain_loops),
        cmocka_unit_test(attention__with_a_bias_of_0_is_the_same_to_the_bit),
        cmocka_unit_test(attention__of_one_segment_is_not_rounded_again),
        cmocka_unit_test(attention__is_the_same_for_any_number_of_threads),
        cmocka_unit_test(attention__that_sees_nothing_is_zero),
        cmocka_unit_test(attention_row__shows_the_weights_of_all_segments),
        cmocka_unit_test(memory__remembers_the_same_however_it_came),
        cmocka_unit_test(memory_copy__is_a_memory_of_its_own),
        cmocka_unit_test(memory_init__refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
