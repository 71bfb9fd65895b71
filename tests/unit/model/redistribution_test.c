// Attention that is moved between tokens after, or as if after, the softmax: by factors of the first token in single
// heads, and away from secondary sinks. Against plain loops in double.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/redistribution.h"
#include "rounding.h"
#include "tiny_model.h"

enum { TOKENS = 90, BLOCKS = 5, HEADS = 4 };

static tb_model *open_five_blocks(size_t threads)
{
    tiny_model shape = tiny_model_default;
    char path[] = "/tmp/twobit-redistribution-XXXXXX";
    tb_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    shape.blocks = BLOCKS;
    shape.heads = HEADS;
    shape.kv_heads = HEADS / 2;
    assert_int_equal(tiny_model_write(path, &shape, &err), TB_OK);
    tb_model *model = open_model(path, threads);
    unlink(path); // the mapping stays
    return model;
}

// ---- rows of attention ----

// Row i of a head has i + 1 weights.
typedef struct rows {
    float at[BLOCKS][HEADS][TOKENS][TOKENS];
} rows;

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    rows *r = user;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++)
            r->at[at->block][head][position][n++] = pieces[i].weights[k];
    assert_int_equal(n, position + 1);
}

// The logits after each of TOKENS tokens, and the rows, where they are wanted; batches of `batch`.
static float *run(rows *out, const tb_model *model, const tb_seq_options *how, size_t batch)
{
    const tb_probe probe = {.attention_row = see_row, .user = out};
    tb_seq_options options = *how;
    tb_error err;
    tb_seq *seq;
    options.context = TOKENS;
    options.batch = batch;
    assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_OK);
    if (out)
        tb_seq_set_probe(seq, &probe);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
    float *logits = push_all(seq, ids, TOKENS);
    tb_free(ids);
    tb_seq_free(seq);
    return logits;
}

static void check_sums(const rows *r)
{
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < TOKENS; i++) {
                double sum = 0;
                for (size_t j = 0; j <= i; j++)
                    sum += (double)r->at[b][h][i][j];
                assert_true(fabs(sum - 1) <= 1e-6);
            }
}

static size_t logit_count(const tb_model *model)
{
    return TOKENS * tb_model_vocab_size(model);
}

// ---- the first token's factor ----

static const double gammas[] = {0, 0.3, 0.6, 1, 1.5, 2, 3};

// Of two runs of the weights of a softmax: what rounds are scores, by their size, and sums of up to TOKENS terms.
static double weight_rounding(void)
{
    return rounding_of_sums(64 + TOKENS, BLOCKS * HEADS * TOKENS * TOKENS) * 16; // scores of up to 16
}

// Block 0 sees the same rows, whatever is done to attention.
static void gamma__is_the_same_before_the_softmax_and_behind_it(void **state)
{
    tb_model *model = open_five_blocks(2);
    rows *plain = tb_new(rows), *edited = tb_new(rows);
    (void)state;
    tb_free(run(plain, model, &(tb_seq_options){.kv_cache = TB_KV_CACHE_F32}, 32));
    for (size_t g = 0; g < sizeof gammas / sizeof gammas[0]; g++) {
        const tb_head_bias heads[] = {{0, 1, tb_sink_bias_of(gammas[g])}, {0, 3, tb_sink_bias_of(gammas[g])}};
        const tb_seq_options how = {.kv_cache = TB_KV_CACHE_F32, .head_biases = heads, .head_bias_count = 2};
        tb_free(run(edited, model, &how, 32));
        check_sums(edited);
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 1; i < TOKENS; i++) {
                double gamma = h % 2 ? gammas[g] : 1, first = (double)plain->at[0][h][i][0];
                double z = (gamma - 1) * first + 1;
                for (size_t j = 0; j <= i; j++) {
                    double expected = (j ? 1 : gamma) * (double)plain->at[0][h][i][j] / z;
                    assert_true(fabs((double)edited->at[0][h][i][j] - expected) <= weight_rounding());
                }
                assert_true(fabs((double)edited->at[0][h][0][0] - 1) <= weight_rounding());
            }
    }
    tb_free(edited);
    tb_free(plain);
    tb_model_close(model);
}

static void gamma__of_a_head_joins_that_of_all(void **state)
{
    tb_model *model = open_five_blocks(2);
    tb_head_bias heads[BLOCKS * HEADS];
    (void)state;
    for (size_t i = 0; i < BLOCKS * HEADS; i++)
        heads[i] = (tb_head_bias){i / HEADS, i % HEADS, 0.25};
    const tb_seq_options all = {.sink_bias = 0.75};
    const tb_seq_options both = {.sink_bias = 0.5, .head_biases = heads, .head_bias_count = BLOCKS * HEADS};
    float *a = run(NULL, model, &all, 32), *b = run(NULL, model, &both, 32);
    assert_memory_equal(a, b, logit_count(model) * sizeof *a);
    tb_free(b);
    tb_free(a);
    tb_model_close(model);
}

static void gamma__of_1_changes_no_bit(void **state)
{
    tb_model *model = open_five_blocks(2);
    const tb_head_bias heads[] = {{1, 2, tb_sink_bias_of(1)}};
    const tb_seq_options ones = {.head_biases = heads, .head_bias_count = 1};
    const tb_seq_options alpha = {.redistribution = {.freed = 0, .threshold = 0.1, .alike = true}};
    (void)state;
    float *plain = run(NULL, model, &(tb_seq_options){0}, 32);
    float *a = run(NULL, model, &ones, 32), *b = run(NULL, model, &alpha, 32);
    assert_memory_equal(a, plain, logit_count(model) * sizeof *a);
    assert_memory_equal(b, plain, logit_count(model) * sizeof *b);
    tb_free(b);
    tb_free(a);
    tb_free(plain);
    tb_model_close(model);
}

// Windows go block by block: each block's memory has its own heads.
static void gamma__of_a_head_is_the_same_block_by_block(void **state)
{
    tb_model *model = open_five_blocks(2);
    const tb_head_bias heads[] = {{0, 0, 2}, {3, 1, -3}, {4, 3, -1000}};
    const tb_seq_options how = {.kv_cache = TB_KV_CACHE_F32,
                                .head_biases = heads,
                                .head_bias_count = 3,
                                .redistribution = {.freed = 0.7, .threshold = 0.05}};
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
    float *expected = run(NULL, model, &how, TOKENS), *logits = tb_alloc_array(logit_count(model), sizeof *logits);
    tb_states states;
    tb_error err;
    (void)state;
    assert_int_equal(tb_states_init(&states, model, ids, 1, TOKENS, &err), TB_OK);
    states.memory = &how;
    for (size_t b = 0; b < BLOCKS; b++)
        assert_int_equal(tb_states_run_block(&states, model, b, NULL, NULL, &err), TB_OK);
    assert_int_equal(tb_states_logits(logits, model, states.x, states.stride, TOKENS, &err), TB_OK);
    assert_memory_equal(logits, expected, logit_count(model) * sizeof *logits);
    tb_states_clear(&states);
    tb_free(logits);
    tb_free(expected);
    tb_free(ids);
    tb_model_close(model);
}

static void gamma__refuses_heads_that_are_not_there(void **state)
{
    static const struct {
        tb_head_bias bias;
        const char *says;
    } cases[] = {
        {{BLOCKS, 0, 0}, "there is no head 0 in block 5; the model has 5 blocks of 4 heads"},
        {{0, HEADS, 0}, "there is no head 4 in block 0; the model has 5 blocks of 4 heads"},
        {{1, 2, NAN}, "the bias of the first token in head 2 of block 1 is not a finite number"},
        {{1, 2, 1e300}, "the bias of the first token in head 2 of block 1 is not a finite number"},
    };
    tb_model *model = open_five_blocks(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_seq *seq;
        tb_error err;
        const tb_seq_options how = {.head_biases = &cases[i].bias, .head_bias_count = 1};
        assert_int_equal(tb_seq_new(&seq, model, &how, &err), TB_EINVAL);
        assert_string_equal(err.message, cases[i].says);
    }
    tb_model_close(model);
}

// ---- files of factors ----

static void factors__are_read_line_by_line(void **state)
{
    static const char text[] = "# block head factor\n\n 3 1\t0.5\r\n0 2 0#off\n3 0 1";
    tb_head_bias *list;
    size_t count;
    tb_error err;
    (void)state;
    assert_int_equal(tb_head_gammas_parse(&list, &count, (tb_text){text, strlen(text)}, "f", &err), TB_OK);
    assert_int_equal(count, 3);
    assert_true(list[0].block == 0 && list[0].head == 2 && list[0].bias == -1000);
    assert_true(list[1].block == 3 && list[1].head == 0 && list[1].bias == 0);
    assert_true(list[2].block == 3 && list[2].head == 1 && list[2].bias == log(0.5));
    tb_free(list);
}

static void factors__say_which_line_is_wrong(void **state)
{
    static const char *const cases[][2] = {
        {"0 0", "line 1 of 'f' is not a block, a head and a factor"},
        {"0 0 1\n0 1 1 1", "line 2 of 'f' is not a block, a head and a factor"},
        {"0 0 x", "line 1 of 'f': 'x' is not a number"},
        {"-1 0 1", "line 1 of 'f': '-1' is not a whole number"},
        {"0 0.5 1", "line 1 of 'f': '0.5' is not a whole number"},
        {"0 0 -1", "line 1 of 'f': -1 is no factor; it is at least 0 and at most 1e+06"},
        {"0 0 1e7", "line 1 of 'f': 1e+07 is no factor; it is at least 0 and at most 1e+06"},
        {"1 2 1\n0 0 1\n1 2 3", "'f' names head 2 of block 1 twice"},
        {"0 0 0.00000000000000000000000000000000001",
         "line 1 of 'f': '0.000000000000000000000000000000…' is too long for a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_head_bias *list;
        size_t count;
        tb_error err;
        const tb_text text = {cases[i][0], strlen(cases[i][0])};
        assert_int_equal(tb_head_gammas_parse(&list, &count, text, "f", &err), TB_EFORMAT);
        assert_string_equal(err.message, cases[i][1]);
        assert_null(list);
    }
}

// ---- secondary sinks ----

// The definition, in double: rows [TOKENS] of one head as they were become what they should be. Returns how many
// weights of sinks there were.
static size_t redistribute_exactly(double out[TOKENS][TOKENS], float in[TOKENS][TOKENS], const tb_redistribution *how)
{
    size_t found = 0, least = (size_t)ceil(2 / how->threshold);
    for (size_t i = 0; i < TOKENS; i++) {
        bool sinks[TOKENS] = {false};
        double freed = 0, receiving = 0, receivers = 0;
        for (size_t j = 0; j <= i; j++) {
            double given = 0;
            for (size_t k = j; k < i; k++)
                given += (double)in[k][j];
            sinks[j] = j > 0 && i - j >= least && given / (double)(i - j) > how->threshold;
            found += sinks[j];
            freed += sinks[j] ? how->freed * (double)in[i][j] : 0;
            receiving += sinks[j] ? 0 : (double)in[i][j];
            receivers += !sinks[j];
        }
        for (size_t j = 0; j <= i; j++) {
            double weight = (double)in[i][j], more = how->alike ? freed / receivers : freed * weight / receiving;
            out[i][j] = sinks[j] ? (1 - how->freed) * weight : weight + more;
        }
    }
    return found;
}

static const tb_redistribution ways[] = {
    {0.6, 0.1, false}, {0.6, 0.05, false}, {0.6, 0.05, true}, {1, 0.05, false}, {1, 0.04, true},
};

// Block 2 is the first one that is changed: its queries are those of the plain pass.
static void redistribution__does_what_its_definition_says(void **state)
{
    tb_model *model = open_five_blocks(2);
    rows *plain = tb_new(rows), *edited = tb_new(rows);
    size_t found = 0;
    (void)state;
    tb_free(run(plain, model, &(tb_seq_options){.kv_cache = TB_KV_CACHE_F32}, 32));
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        const tb_seq_options how = {.kv_cache = TB_KV_CACHE_F32, .redistribution = ways[w]};
        tb_free(run(edited, model, &how, 32));
        check_sums(edited);
        assert_memory_equal(edited->at[0], plain->at[0], sizeof plain->at[0]);
        assert_memory_equal(edited->at[1], plain->at[1], sizeof plain->at[1]);
        for (size_t h = 0; h < HEADS; h++) {
            double expected[TOKENS][TOKENS];
            found += redistribute_exactly(expected, plain->at[2][h], &ways[w]);
            for (size_t i = 0; i < TOKENS; i++)
                for (size_t j = 0; j <= i; j++)
                    assert_true(fabs((double)edited->at[2][h][i][j] - expected[i][j]) <= weight_rounding());
        }
    }
    assert_true(found > 1000); // or else nothing was tried
    tb_free(edited);
    tb_free(plain);
    tb_model_close(model);
}

// A row knows the rows in front of it, however they come: in one batch, in several, one by one; by how many threads
// does not change a bit.
static void redistribution__does_not_depend_on_batches(void **state)
{
    tb_model *model = open_five_blocks(3), *alone = open_five_blocks(1);
    (void)state;
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        const tb_seq_options how = {.kv_cache = TB_KV_CACHE_F32, .redistribution = ways[w]};
        float *whole = run(NULL, model, &how, TOKENS), *same = run(NULL, alone, &how, TOKENS);
        double most = rounding_of_passes(tb_model_config(model), TOKENS, logit_count(model));
        assert_memory_equal(same, whole, logit_count(model) * sizeof *whole);
        for (size_t batch = 1; batch < TOKENS; batch = 3 * batch + 4) {
            float *cut = run(NULL, model, &how, batch);
            assert_true(distance(cut, whole, logit_count(model)) <= most);
            tb_free(cut);
        }
        tb_free(same);
        tb_free(whole);
    }
    tb_model_close(alone);
    tb_model_close(model);
}

// What is kept in 16 bits, in groups or not, is the same.
static void redistribution__works_on_rows_in_any_form(void **state)
{
    tb_model *model = open_five_blocks(2);
    (void)state;
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        const tb_seq_options plain = {.redistribution = ways[w]};
        tb_seq_options coded = plain;
        coded.keep_sinks = 1;
        coded.kv_bits = (tb_kv_bits){.keys = 16, .values = 16, .group = 8, .residual = 8};
        float *a = run(NULL, model, &plain, 32), *b = run(NULL, model, &coded, 32);
        double most = rounding_of_passes(tb_model_config(model), TOKENS, logit_count(model));
        assert_true(distance(b, a, logit_count(model)) <= most);
        tb_free(b);
        tb_free(a);
    }
    tb_model_close(model);
}

static void redistribution__forgets_and_forks_its_sums(void **state)
{
    tb_model *model = open_five_blocks(2);
    const tb_seq_options how = {.context = TOKENS, .redistribution = ways[2]};
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 3);
    float *kept = tb_alloc_array(vocab, sizeof *kept);
    tb_seq *seq, *fork;
    tb_error err;
    (void)state;
    assert_int_equal(tb_seq_new(&seq, model, &how, &err), TB_OK);
    assert_int_equal(tb_seq_push(seq, ids, 60, &err), TB_OK);
    assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
    assert_int_equal(tb_seq_push(seq, ids + 60, 20, &err), TB_OK);
    assert_int_equal(tb_seq_push(fork, ids + 60, 20, &err), TB_OK);
    memcpy(kept, tb_seq_logits(seq), vocab * sizeof *kept);
    assert_memory_equal(tb_seq_logits(fork), kept, vocab * sizeof *kept);
    assert_int_equal(tb_seq_truncate(seq, 70), 0); // the sums know of tokens 70 … 79
    assert_int_equal(tb_seq_push(seq, ids, 60, &err), TB_OK);
    assert_int_equal(tb_seq_push(seq, ids + 60, 20, &err), TB_OK);
    assert_memory_equal(tb_seq_logits(seq), kept, vocab * sizeof *kept);
    tb_seq_free(fork);
    tb_seq_free(seq);
    tb_free(kept);
    tb_free(ids);
    tb_model_close(model);
}

static void redistribution__refuses_what_it_cannot_do(void **state)
{
    static const tb_seq_options cases[] = {
        {.redistribution = {.freed = -0.1, .threshold = 0.1}},
        {.redistribution = {.freed = 1.1, .threshold = 0.1}},
        {.redistribution = {.freed = NAN, .threshold = 0.1}},
        {.redistribution = {.freed = 0.5, .threshold = 0}},
        {.redistribution = {.freed = 0.5, .threshold = NAN}},
        {.redistribution = {.freed = 0.5, .threshold = 1}},
        {.redistribution = {.freed = 0.5, .threshold = 0.1}, .window = 16},
        {.redistribution = {.freed = 0.5, .threshold = 0.1}, .skip_mass = 0.1},
        {.redistribution = {.freed = 0.5, .threshold = 0.1}, .eviction = TB_EVICT_H2O, .budget = 16},
    };
    tb_model *model = open_five_blocks(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_seq *seq;
        tb_error err;
        assert_int_equal(tb_seq_new(&seq, model, &cases[i], &err), i < 6 ? TB_EINVAL : TB_EUNSUPPORTED);
    }
    tb_model_close(model);
}

static void redistribution__is_said_in_one_word(void **state)
{
    static const struct {
        const char *text;
        tb_redistribution says;
    } cases[] = {
        {"0.4", {1 - 0.4, 0.1, false}},
        {"1", {0, 0.1, false}},
        {"0:alike", {1, 0.1, true}},
        {"0.25:t0.05", {0.75, 0.05, false}},
        {"0.25:alike:t0.05", {0.75, 0.05, true}},
    };
    static const char *const wrong[] = {
        "",       "x",       "-0.1",       "1.1",   "nan",  "0.4:",       "0.4:t",        "0.4:t0",       "0.4:t1",
        "0.4:tx", "0.4:all", "0.4:alikes", ":t0.1", "0.4 ", "0.4:alike:", "0.4:t1:alike", "0.4:alike:0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_seq_options options = {0};
        tb_error err;
        assert_int_equal(tb_seq_options_set_redistribution(&options, cases[i].text, &err), TB_OK);
        assert_true(options.redistribution.freed == cases[i].says.freed);
        assert_true(options.redistribution.threshold == cases[i].says.threshold);
        assert_true(options.redistribution.alike == cases[i].says.alike);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tb_seq_options options = {0};
        tb_error err;
        assert_int_equal(tb_seq_options_set_redistribution(&options, wrong[i], &err), TB_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gamma__is_the_same_before_the_softmax_and_behind_it),
        cmocka_unit_test(gamma__of_a_head_joins_that_of_all),
        cmocka_unit_test(gamma__of_1_changes_no_bit),
        cmocka_unit_test(gamma__of_a_head_is_the_same_block_by_block),
        cmocka_unit_test(gamma__refuses_heads_that_are_not_there),
        cmocka_unit_test(factors__are_read_line_by_line),
        cmocka_unit_test(factors__say_which_line_is_wrong),
        cmocka_unit_test(redistribution__does_what_its_definition_says),
        cmocka_unit_test(redistribution__does_not_depend_on_batches),
        cmocka_unit_test(redistribution__works_on_rows_in_any_form),
        cmocka_unit_test(redistribution__forgets_and_forks_its_sums),
        cmocka_unit_test(redistribution__refuses_what_it_cannot_do),
        cmocka_unit_test(redistribution__is_said_in_one_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
