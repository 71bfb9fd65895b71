// Eviction: which rows go, against a model that keeps everything in a list; and sequences with a budget, against plain
// ones, whatever the pieces, and against sums of the weights that a probe sees.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "model/runner.h"
#include "rounding.h"

enum { HEAD = 4, MOST = 24 }; // numbers of a head; rows of a case

// ---- a list ----

typedef struct row {
    int32_t position;
    float score;
    float key[HEAD], value[HEAD];
} row;

typedef struct list {
    tb_eviction eviction;
    size_t budget, sinks, recent, count;
    row rows[MOST];
} list;

static double value_of(const list *l, const row *r)
{
    double size = 0, norm = 0, dot = 0;
    for (size_t i = 0; i < HEAD; i++) {
        double sum = 0;
        for (size_t k = 0; k < l->count; k++)
            sum += (double)l->rows[k].key[i];
        size += fabs((double)r->value[i]);
        norm += (double)r->key[i] * (double)r->key[i];
        dot += sum * (double)r->key[i];
    }
    if (l->eviction == TB_EVICT_KEYDIFF)
        return norm > 0 ? -dot / sqrt(norm) : 0;
    return l->eviction == TB_EVICT_VATP ? size * (double)r->score : (double)r->score;
}

// Keys are sums of small numbers: of two scores that are the same on paper, floats may make the smaller either.
static double doubt(const list *l)
{
    return l->eviction == TB_EVICT_KEYDIFF ? 1e-4 : 0;
}

// Removes the row that `kept` misses, of which there must be one that may go and scores least.
static void check_loss(list *l, const int32_t *kept)
{
    size_t gone = 0, behind = l->count;
    while (gone < behind - 1 && kept[gone] == l->rows[gone].position)
        gone++;
    for (size_t i = gone + 1; i < behind; i++)
        assert_int_equal(kept[i - 1], l->rows[i].position);
    assert_true(gone >= l->sinks && gone + l->recent <= l->count); // the new row is one of the recent
    double least = value_of(l, &l->rows[gone]);
    for (size_t i = l->sinks; i + l->recent <= l->count; i++) {
        double other = value_of(l, &l->rows[i]);
        assert_true(i < gone && doubt(l) == 0 ? other > least : other >= least - doubt(l)); // equal ones: the oldest
    }
    memmove(&l->rows[gone], &l->rows[gone + 1], (behind - gone - 1) * sizeof(row));
    l->count--;
}

static void check_head(const tb_kv_head *head, const list *l)
{
    tb_kv_segment segment;
    assert_int_equal(tb_kv_evict.segments(&segment, head), 1);
    assert_int_equal(segment.count, l->count);
    assert_true(segment.count <= l->budget);
    for (size_t i = 0; i < l->count; i++) {
        assert_int_equal(segment.positions[i], l->rows[i].position);
        assert_memory_equal((const float *)segment.keys + i * HEAD, l->rows[i].key, sizeof l->rows[i].key);
        assert_memory_equal((const float *)segment.values + i * HEAD, l->rows[i].value, sizeof l->rows[i].value);
    }
    for (size_t i = 0; i < l->sinks && i < l->count; i++)
        assert_int_equal(segment.positions[i], i);
}

// Rows one by one, with weights in eighths, so that scores are often equal.
static void run_case(tb_rng *rng, const tb_kernels *kernels)
{
    list l = {.eviction = (tb_eviction)(1 + tb_rng_below(rng, TB_EVICT_KEYDIFF)), .budget = 1 + tb_rng_below(rng, 12)};
    l.sinks = tb_rng_below(rng, l.budget);
    l.recent = 1 + tb_rng_below(rng, l.budget - l.sinks); // up to budget = sinks + recent
    tb_kv_head head = {.policy = &tb_kv_evict,
                       .type = TB_KV_CACHE_F32,
                       .head_size = HEAD,
                       .capacity = l.budget,
                       .sinks = l.sinks,
                       .eviction = l.eviction,
                       .recent = l.recent};
    size_t bytes, n = 1 + tb_rng_below(rng, MOST - 1);
    assert_true(tb_kv_evict.bytes(&bytes, &head));
    head.storage = tb_alloc(bytes);
    for (size_t t = 0; t < n; t++) {
        row new = {.position = (int32_t)t};
        for (size_t i = 0; i < HEAD; i++) {
            new.key[i] = (float)tb_rng_below(rng, 5) - 2;
            new.value[i] = (float)tb_rng_below(rng, 3);
        }
        bool full = l.count == l.budget;
        tb_kv_evict.store(&head, kernels, &(tb_kv_rows){new.key, new.value, HEAD, 1, &new.position, NULL});
        tb_kv_segment segment;
        tb_kv_evict.segments(&segment, &head);
        if (full)
            check_loss(&l, segment.positions);
        l.rows[l.count++] = new;
        check_head(&head, &l);
        float weights[MOST];
        for (size_t i = 0; i < l.count; i++)
            weights[i] = (float)tb_rng_below(rng, 4) / 8;
        for (size_t i = 0; i < l.count; i++)
            l.rows[i].score =
                l.eviction == TB_EVICT_A2SF ? 0.97f * l.rows[i].score + weights[i] : l.rows[i].score + weights[i];
        if (tb_kv_evict.observes(&head, t))
            tb_kv_evict.observe(&head, t, weights, l.count);
        else
            assert_int_equal(l.eviction, TB_EVICT_KEYDIFF);
    }
    tb_free(head.storage);
}

static void evict__keeps_what_a_list_keeps(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 3);
    tb_kernels kernels;
    tb_kernels_init(&kernels, tb_cpu_detect());
    for (int i = 0; i < 10000; i++)
        run_case(&rng, &kernels);
}

// ---- prompts ----

// What is left of a list behind a prompt, and whether `position` is a place that it can go back to.
typedef struct prompt_list {
    size_t budget, sinks, recent, count;
    size_t end, cut_end, observed_end, scored_end;
    row rows[MOST];
} prompt_list;

static float pooled_score(const prompt_list *l, size_t i, size_t prefix)
{
    float sum = 0;
    for (size_t k = i < 2 ? 0 : i - 2; k < prefix && k <= i + 2; k++)
        sum += l->rows[k].score;
    return sum;
}

// Removes one by one what scores least, of equal ones the oldest.
static void cut_list(prompt_list *l)
{
    float scores[MOST];
    size_t prefix = l->count < l->recent ? 0 : l->count - l->recent;
    if (l->count > l->budget)
        l->cut_end = l->end;
    for (size_t i = 0; i < prefix; i++)
        scores[i] = pooled_score(l, i, prefix);
    for (; l->count > l->budget; l->count--, prefix--) {
        size_t gone = l->sinks;
        for (size_t i = l->sinks; i < prefix; i++)
            gone = scores[i] < scores[gone] ? i : gone;
        memmove(&l->rows[gone], &l->rows[gone + 1], (l->count - gone - 1) * sizeof(row));
        memmove(&scores[gone], &scores[gone + 1], (prefix - gone - 1) * sizeof(float));
    }
    for (size_t i = 0; i < l->count; i++)
        l->rows[i].score = 0;
    l->observed_end = 0;
}

static void check_prompt_head(const tb_kv_head *head, const prompt_list *l)
{
    tb_kv_segment segment;
    assert_int_equal(tb_kv_prompt.segments(&segment, head), 1);
    assert_int_equal(segment.count, l->count);
    for (size_t i = 0; i < l->count; i++) {
        assert_int_equal(segment.positions[i], l->rows[i].position);
        assert_memory_equal((const float *)segment.keys + i * HEAD, l->rows[i].key, sizeof l->rows[i].key);
        assert_memory_equal((const float *)segment.values + i * HEAD, l->rows[i].value, sizeof l->rows[i].value);
    }
}

// A batch of `count` rows, and then their queries.
static void add_rows(tb_kv_head *head, prompt_list *l, size_t position, size_t count, tb_rng *rng,
                     const tb_kernels *kernels)
{
    float keys[MOST][HEAD], values[MOST][HEAD], weights[MOST];
    int32_t positions[MOST];
    size_t before = l->count;
    for (size_t i = 0; i < count; i++) {
        positions[i] = (int32_t)(position + i);
        for (size_t k = 0; k < HEAD; k++) {
            keys[i][k] = (float)tb_rng_below(rng, 100);
            values[i][k] = (float)tb_rng_below(rng, 100);
        }
        row *new = &l->rows[l->count++];
        *new = (row){.position = positions[i]};
        memcpy(new->key, keys[i], sizeof keys[i]);
        memcpy(new->value, values[i], sizeof values[i]);
    }
    tb_kv_prompt.store(head, kernels, &(tb_kv_rows){&keys[0][0], &values[0][0], HEAD, count, positions, NULL});
    check_prompt_head(head, l);
    for (size_t i = 0; i < count; i++) {
        bool observes = position + i < l->end && position + i + l->recent >= l->end;
        assert_int_equal(tb_kv_prompt.observes(head, position + i), observes);
        for (size_t k = 0; k < l->count && observes && l->scored_end != l->end; k++)
            l->rows[k].score = 0; // what looked at them was no end of a prompt
        l->scored_end = observes ? l->end : l->scored_end;
        for (size_t k = 0; k <= before + i && observes; k++) {
            weights[k] = (float)tb_rng_below(rng, 3) / 8; // so that scores are often equal, and sums exact
            l->rows[k].score += weights[k];
        }
        if (!observes)
            continue;
        tb_kv_prompt.observe(head, position + i, weights, before + i + 1);
        l->observed_end = position + i + 1;
        if (position + i + 1 == l->end)
            cut_list(l);
    }
    check_prompt_head(head, l);
}

static void go_back(tb_kv_head *head, prompt_list *l, size_t position)
{
    size_t kept = 0;
    while (kept < l->count && (size_t)l->rows[kept].position < position)
        kept++;
    bool same = kept == l->count;
    bool possible = same || kept == 0 || (position >= l->cut_end && position >= l->observed_end);
    assert_int_equal(tb_kv_prompt.truncate(head, position), possible);
    l->count = kept;
    if (!possible) {
        assert_true(tb_kv_prompt.truncate(head, 0));
        l->count = 0;
    }
    if (l->count == 0)
        l->cut_end = l->observed_end = 0;
}

// Turns of a conversation: prompts and answers, in batches as long as the head takes them, now and then taken back.
static void run_prompt_case(tb_rng *rng, const tb_kernels *kernels)
{
    prompt_list l = {.sinks = tb_rng_below(rng, 4), .recent = 1 + tb_rng_below(rng, 4)};
    l.budget = l.sinks + l.recent + tb_rng_below(rng, 6); // from sinks + recent on
    tb_kv_head head = {.policy = &tb_kv_prompt,
                       .type = TB_KV_CACHE_F32,
                       .head_size = HEAD,
                       .capacity = MOST,
                       .sinks = l.sinks,
                       .recent = l.recent,
                       .budget = l.budget};
    size_t bytes, next = 0;
    assert_true(tb_kv_prompt.bytes(&bytes, &head));
    head.storage = tb_alloc(bytes);
    while (next < MOST) {
        size_t left = 1 + tb_rng_below(rng, MOST - next);
        head.prompt_end = l.end = next + 1 + tb_rng_below(rng, left); // a prompt, and an answer behind it
        while (left > 0) {
            size_t count = tb_kv_prompt.at_once(&head, next, 1 + tb_rng_below(rng, left));
            assert_true(count > 0 && (next >= l.end || next + count <= l.end));
            add_rows(&head, &l, next, count, rng, kernels);
            next += count;
            left -= count;
            if (next < l.end && tb_rng_below(rng, 4) == 0) // the prompt turns out longer, or ends before
                head.prompt_end = l.end = next + 1 + tb_rng_below(rng, MOST - next);
        }
        if (tb_rng_below(rng, 4) == 0) {
            go_back(&head, &l, next - tb_rng_below(rng, next + 1));
            next = l.count ? (size_t)l.rows[l.count - 1].position + 1 : 0;
            check_prompt_head(&head, &l);
        }
    }
    tb_free(head.storage);
}

static void prompt__keeps_what_a_list_keeps(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 4);
    tb_kernels kernels;
    tb_kernels_init(&kernels, tb_cpu_detect());
    for (int i = 0; i < 10000; i++)
        run_prompt_case(&rng, &kernels);
}

static void pyramid__falls_evenly_and_sums_to_the_budget(void **state)
{
    (void)state;
    enum { BLOCKS = 13 };
    static const size_t budgets[] = {35, 36, 40, 100, 1024, 100000};
    unsigned char near[BLOCKS] = {0};
    for (size_t blocks = 1; blocks <= BLOCKS; blocks++)
        for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++)
            for (size_t every = 1; every <= 3; every += 2) { // every third block sees a reach only, or none does
                tb_settings settings = {.near = near, .reach = 8};
                settings.config = (tb_config){.blocks = blocks, .heads = 1, .kv_heads = 1, .head_size = 8};
                tb_kv_plan plan = {.capacity = 8, .sinks = 3, .eviction = TB_EVICT_PYRAMID, .budget = budgets[i]};
                tb_memory memory;
                tb_error err;
                size_t sum = 0, last = SIZE_MAX, far = 0;
                for (size_t b = 0; b < BLOCKS; b++)
                    near[b] = every == 3 && b % 3 == 1;
                assert_int_equal(tb_memory_init(&memory, &settings, 0, blocks, &plan, &err), TB_OK);
                for (size_t b = 0; b < blocks; b++) {
                    const tb_kv_head *head = &memory.kv[b].heads[0];
                    assert_ptr_equal(head->policy, near[b] ? &tb_kv_plain : &tb_kv_prompt);
                    if (near[b])
                        continue;
                    assert_true(head->budget >= 3 + TB_KV_PROMPT_RECENT);
                    assert_true(last == SIZE_MAX || head->budget <= last + 1); // sums are rounded, not terms
                    last = head->budget;
                    sum += last;
                    far++;
                }
                assert_int_equal(sum, far * budgets[i]);
                tb_memory_clear(&memory);
            }
}

// ---- sequences ----

enum { TOKENS = 60, BUDGET = 16, SINKS = 3, RECENT = (BUDGET - SINKS + 1) / 2 };
enum { PROMPT = 50, PROMPT_BUDGET = 40 }; // of PROMPT

static tb_model *open_tiny(const char *name)
{
    return open_model(tiny_path(name), 2);
}

static tb_seq *new_bounded(const tb_model *model, tb_eviction eviction, size_t budget, size_t batch)
{
    tb_seq *seq;
    tb_error err;
    tb_seq_options options = {.context = TOKENS,
                              .batch = batch,
                              .kv_cache = TB_KV_CACHE_F32,
                              .keep_sinks = SINKS,
                              .eviction = eviction,
                              .budget = budget};
    if (tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

// llama shares keys among heads, gemma3 has near blocks, qwen2 biases.
static const char *const some_models[] = {"llama.gguf", "gemma3.gguf", "qwen2.gguf"};

static void eviction__of_nothing_is_a_plain_sequence_to_the_bit(void **state)
{
    (void)state;
    for (size_t m = 0; m < 3; m++)
        for (int e = TB_EVICT_H2O; e <= TB_EVICT_PYRAMID; e++) {
            tb_model *model = open_tiny(some_models[m]);
            size_t vocab = tb_model_vocab_size(model);
            int32_t *ids = random_ids(TOKENS, vocab, 1);
            tb_seq *plain = new_seq(model, TOKENS, 32, TB_KV_CACHE_F32);
            size_t least = e == TB_EVICT_PYRAMID ? 20 * TOKENS : TOKENS; // of which the last block has a twentieth
            tb_seq *seq = new_bounded(model, (tb_eviction)e, least + 40 * (e % 2), 32);
            tb_seq_set_prompt(seq, PROMPT);
            float *expected = push_all(plain, ids, TOKENS), *logits = push_all(seq, ids, TOKENS);
            assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
            tb_free(expected), tb_free(logits), tb_free(ids);
            tb_seq_free(plain), tb_seq_free(seq);
            tb_model_close(model);
        }
}

static void eviction__is_the_same_for_any_pieces(void **state)
{
    (void)state;
    for (size_t m = 0; m < 3; m++)
        for (int e = TB_EVICT_H2O; e <= TB_EVICT_PYRAMID; e++) {
            tb_model *model = open_tiny(some_models[m]);
            size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
            size_t budget = e < TB_EVICT_SNAPKV ? BUDGET : PROMPT_BUDGET;
            int32_t *ids = random_ids(TOKENS, vocab, 2);
            tb_seq *steps = new_bounded(model, (tb_eviction)e, budget, 1);
            tb_seq_set_prompt(steps, PROMPT);
            float *expected = push_all(steps, ids, TOKENS);
            for (size_t batch = 7; batch <= 64; batch += 57) {
                tb_seq *seq = new_bounded(model, (tb_eviction)e, budget, batch);
                tb_seq_set_prompt(seq, PROMPT);
                float *logits = push_all(seq, ids, TOKENS);
                double d = distance(logits, expected, n);
                if (d > 2 * rounding_of_passes(tb_model_config(model), TOKENS, n))
                    fail_msg("%s, eviction %d, batch %zu: %g", some_models[m], e, batch, d);
                tb_free(logits);
                tb_seq_free(seq);
            }
            tb_free(expected), tb_free(ids);
            tb_seq_free(steps);
            tb_model_close(model);
        }
}

// Sums of what a probe sees of every KV head: what H2O keeps is what they say.
typedef struct sums {
    size_t group, kv_heads, calls;
    double score[2][8][TOKENS]; // [block][KV head][position]
    bool there[2][8][TOKENS];   // at the last query
    size_t losses;
} sums;

static void sum_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    sums *s = user;
    size_t kv_head = head / s->group;
    bool now[TOKENS] = {false};
    double weights[TOKENS] = {0}, *score = s->score[at->block][kv_head];
    bool *before = s->there[at->block][kv_head];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++, kept++) {
            now[pieces[i].positions[k]] = true;
            weights[pieces[i].positions[k]] = (double)pieces[i].weights[k];
        }
    assert_int_equal(kept, position < BUDGET ? position + 1 : BUDGET);
    for (size_t p = 0; p < position && head % s->group == 0; p++) {
        if (now[p] || !before[p])
            continue;
        size_t newer = 0; // rows behind; the newest stay
        for (size_t k = position; k-- > SINKS;)
            if (before[k] && ++newer >= RECENT)
                assert_true(score[k] >= score[p] - 1e-4);
        s->losses++;
    }
    memcpy(before, now, sizeof now);
    for (size_t p = 0; p <= position; p++)
        score[p] += weights[p];
    s->calls++;
}

static void h2o__drops_what_heads_that_share_keys_look_at_least(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    const tb_config *config = tb_model_config(model);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
    tb_seq *seq = new_bounded(model, TB_EVICT_H2O, BUDGET, 64);
    static sums s;
    s = (sums){.group = config->heads / config->kv_heads, .kv_heads = config->kv_heads};
    assert_true(config->blocks <= 2 && config->kv_heads <= 8 && s.group > 1);
    tb_probe probe = {.attention_row = sum_row, .user = &s};
    tb_seq_set_probe(seq, &probe);
    tb_free(push_all(seq, ids, TOKENS));
    assert_int_equal(s.calls, config->blocks * config->heads * TOKENS);
    assert_int_equal(s.losses, config->blocks * config->kv_heads * (TOKENS - BUDGET));
    tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
}

// What the last queries of a prompt see, and what the first one behind it does.
typedef struct prompt_sums {
    size_t group;
    double score[2][8][TOKENS]; // [block][KV head][position]
    bool kept[2][8][TOKENS];
} prompt_sums;

static void sum_prompt_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                           const tb_attention_piece *pieces, size_t count)
{
    prompt_sums *s = user;
    size_t kv_head = head / s->group;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++) {
            size_t key = pieces[i].positions ? (size_t)pieces[i].positions[k] : pieces[i].first + k;
            if (position < PROMPT && position + TB_KV_PROMPT_RECENT >= PROMPT)
                s->score[at->block][kv_head][key] += (double)pieces[i].weights[k];
            if (position == PROMPT)
                s->kept[at->block][kv_head][key] = true;
        }
}

static void snapkv__keeps_what_the_last_queries_of_a_prompt_look_at(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    const tb_config *config = tb_model_config(model);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 5);
    tb_seq *seq = new_bounded(model, TB_EVICT_SNAPKV, PROMPT_BUDGET, 64);
    static prompt_sums s;
    s = (prompt_sums){.group = config->heads / config->kv_heads};
    assert_true(config->blocks <= 2 && config->kv_heads <= 8 && s.group > 1);
    tb_probe probe = {.attention_row = sum_prompt_row, .user = &s};
    tb_seq_set_probe(seq, &probe);
    tb_seq_set_prompt(seq, PROMPT);
    tb_free(push_all(seq, ids, TOKENS));
    const size_t prefix = PROMPT - TB_KV_PROMPT_RECENT;
    const double doubt =
        TB_KV_PROMPT_RECENT * 1e-6 * 5 * (double)s.group; // rows sum to 1 within that, and scores are sums
    for (size_t b = 0; b < config->blocks; b++)
        for (size_t h = 0; h < config->kv_heads; h++) {
            double least = INFINITY, most = 0;
            size_t kept = 0;
            for (size_t p = 0; p <= PROMPT; p++)
                kept += s.kept[b][h][p];
            assert_int_equal(kept, PROMPT_BUDGET + 1); // and the query's own
            for (size_t p = 0; p < PROMPT; p++) {
                double score = 0;
                for (size_t k = p < 2 ? 0 : p - 2; k <= p + 2 && k < prefix; k++)
                    score += s.score[b][h][k];
                if (p < SINKS || p >= prefix)
                    assert_true(s.kept[b][h][p]);
                else if (s.kept[b][h][p])
                    least = fmin(least, score);
                else
                    most = fmax(most, score);
            }
            assert_true(most <= least + doubt);
        }
    tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
}

// Windows of a measurement see what decoding sees: rows behind the prompt what is left of it.
static void prompt__of_a_window_is_that_of_a_sequence(void **state)
{
    (void)state;
    tb_model *model = open_tiny("gemma3.gguf");
    const tb_config *config = tb_model_config(model);
    size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
    int32_t *ids = random_ids(TOKENS, vocab, 6);
    tb_seq_options memory = {
        .kv_cache = TB_KV_CACHE_F32, .keep_sinks = SINKS, .eviction = TB_EVICT_SNAPKV, .budget = PROMPT_BUDGET};
    tb_seq *seq = new_bounded(model, TB_EVICT_SNAPKV, PROMPT_BUDGET, 1);
    tb_seq_set_prompt(seq, PROMPT);
    float *expected = push_all(seq, ids, TOKENS), *logits = tb_alloc_array(n, sizeof *logits);
    tb_states states;
    tb_error err;
    assert_int_equal(tb_states_init(&states, model, ids, 1, TOKENS, &err), TB_OK);
    states.memory = &memory;
    states.prompt = PROMPT;
    for (size_t b = 0; b < config->blocks; b++)
        assert_int_equal(tb_states_run_block(&states, model, b, NULL, NULL, &err), TB_OK);
    assert_int_equal(tb_states_logits(logits, model, states.x, states.stride, TOKENS, &err), TB_OK);
    assert_true(distance(logits, expected, n) <= 2 * rounding_of_passes(config, TOKENS, n));
    tb_states_clear(&states);
    tb_free(expected), tb_free(logits), tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
}

static void prompt__can_be_gone_back_to_but_not_into(void **state)
{
    (void)state;
    tb_model *model = open_tiny("llama.gguf");
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 7);
    tb_seq *seq = new_bounded(model, TB_EVICT_SNAPKV, PROMPT_BUDGET, 16), *fork;
    tb_error err;
    tb_seq_set_prompt(seq, PROMPT);
    float *first = push_all(seq, ids, PROMPT);
    assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
    float *one = push_all(seq, ids + PROMPT, 10), *other = push_all(fork, ids + PROMPT, 10);
    assert_memory_equal(one, other, 10 * vocab * sizeof *one);
    assert_int_equal(tb_seq_truncate(seq, PROMPT), PROMPT);
    float *again = push_all(seq, ids + PROMPT, 10);
    assert_memory_equal(one, again, 10 * vocab * sizeof *one);
    assert_int_equal(tb_seq_truncate(seq, PROMPT - 1), 0);
    float *anew = push_all(seq, ids, PROMPT);
    assert_memory_equal(first, anew, PROMPT * vocab * sizeof *first);
    tb_free(first), tb_free(one), tb_free(other), tb_free(again), tb_free(anew), tb_free(ids);
    tb_seq_free(seq), tb_seq_free(fork);
    tb_model_close(model);
}

static void eviction__forgets_everything_when_it_goes_back(void **state)
{
    (void)state;
    tb_model *model = open_tiny("llama.gguf");
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 4);
    tb_seq *seq = new_bounded(model, TB_EVICT_H2O, BUDGET, 16), *fork;
    tb_error err;
    float *first = push_all(seq, ids, TOKENS - 10);
    assert_int_equal(tb_seq_truncate(seq, TOKENS - 10), TOKENS - 10); // nothing to forget
    assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
    float *one = push_all(seq, ids, 10), *other = push_all(fork, ids, 10);
    assert_memory_equal(one, other, 10 * vocab * sizeof *one);
    assert_int_equal(tb_seq_truncate(seq, TOKENS - 10), 0);
    float *again = push_all(seq, ids, TOKENS - 10);
    assert_memory_equal(first, again, (TOKENS - 10) * vocab * sizeof *first);
    tb_free(first), tb_free(one), tb_free(other), tb_free(again), tb_free(ids);
    tb_seq_free(seq), tb_seq_free(fork);
    tb_model_close(model);
}

static void eviction__refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const char *const wrong[] = {"h2o", "h2o:", "h2o:x", "h2o:-1", "best:9", ":9", ""};
    tb_model *model = open_tiny("llama.gguf");
    tb_seq *seq;
    tb_error err;
    tb_seq_options options = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(tb_seq_options_set_eviction(&options, wrong[i], &err), TB_EINVAL);
    assert_int_equal(options.eviction, TB_EVICT_NOTHING);
    assert_int_equal(tb_seq_options_set_eviction(&options, "vatp:4", &err), TB_OK);
    assert_true(options.eviction == TB_EVICT_VATP && options.budget == 4);
    options.keep_sinks = 4;
    assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_EINVAL);
    options.budget = 0;
    assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_EINVAL);
    options = (tb_seq_options){.eviction = TB_EVICT_SNAPKV, .budget = SINKS + 31, .keep_sinks = SINKS};
    assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_EINVAL);
    options = (tb_seq_options){.eviction = TB_EVICT_H2O, .budget = 20, .window = 8};
    assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_EINVAL);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evict__keeps_what_a_list_keeps),
        cmocka_unit_test(prompt__keeps_what_a_list_keeps),
        cmocka_unit_test(pyramid__falls_evenly_and_sums_to_the_budget),
        cmocka_unit_test(eviction__of_nothing_is_a_plain_sequence_to_the_bit),
        cmocka_unit_test(eviction__is_the_same_for_any_pieces),
        cmocka_unit_test(h2o__drops_what_heads_that_share_keys_look_at_least),
        cmocka_unit_test(snapkv__keeps_what_the_last_queries_of_a_prompt_look_at),
        cmocka_unit_test(prompt__of_a_window_is_that_of_a_sequence),
        cmocka_unit_test(prompt__can_be_gone_back_to_but_not_into),
        cmocka_unit_test(eviction__forgets_everything_when_it_goes_back),
        cmocka_unit_test(eviction__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
