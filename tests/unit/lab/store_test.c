// lab: the results in SQLite: what is kept is found, what is damaged is said, what is killed goes on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/lab_store.h"
#include "tiny_model.h"

enum { PREDICTIONS = 7, WINDOWS = 5 };

#define STORE "results.sqlite"

static char folder[] = "/tmp/twobit-store-XXXXXX";
static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static int enter_folder(void **state)
{
    (void)state;
    strcpy(strrchr(folder, '-') + 1, "XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    unlink(STORE);
    unlink(STORE "-journal");
    unlink("a.gguf");
    unlink("b.gguf");
    return chdir("/") || rmdir(folder);
}

static tb_store *open_store(void)
{
    tb_store *store;
    OK(tb_store_open(&store, STORE, &err));
    return store;
}

// Scores that tell their cell and window.
static void put_window(tb_store *store, int64_t cell, size_t window, bool broken)
{
    double nll[PREDICTIONS], kl[PREDICTIONS];
    for (size_t i = 0; i < PREDICTIONS; i++) {
        nll[i] = (double)(100 * cell + 10 * (int64_t)window) + (double)i;
        kl[i] = nll[i] / 3;
    }
    tb_window_scores scores = {
        .window = window, .predictions = PREDICTIONS, .broken = broken, .nll = nll, .kl = kl, .agreements = window + 1};
    OK(tb_store_put_window(store, cell, &scores, &err));
}

typedef struct read_back {
    tb_text_scores scores;
    double nll[WINDOWS * PREDICTIONS], kl[WINDOWS * PREDICTIONS];
} read_back;

static tb_code read_windows(read_back *r, tb_store *store, int64_t cell, size_t windows)
{
    r->scores = (tb_text_scores){.windows = windows, .predictions = PREDICTIONS, .nll = r->nll, .kl = r->kl};
    return tb_store_read_windows(&r->scores, store, cell, &err);
}

static void store__finds_what_it_was_given_after_reopening(void **state)
{
    (void)state;
    tb_store *store = open_store();
    int64_t a, b, again;
    OK(tb_store_cell(&a, store, "a", &err));
    OK(tb_store_cell(&b, store, "b", &err));
    assert_true(a != b);
    for (size_t w = WINDOWS; w-- > 0;) { // in any order
        put_window(store, a, w, false);
        put_window(store, b, w, w == 1);
    }
    tb_store_close(store);
    store = open_store();
    OK(tb_store_cell(&again, store, "b", &err));
    assert_int_equal(again, b);
    read_back r;
    OK(read_windows(&r, store, b, WINDOWS));
    assert_int_equal(r.scores.agreements, 1 + 2 + 3 + 4 + 5);
    assert_true(r.scores.broken);
    for (size_t i = 0; i < WINDOWS * PREDICTIONS; i++) {
        assert_true(r.nll[i] == (double)(100 * b) + (double)(10 * (i / PREDICTIONS) + i % PREDICTIONS));
        assert_true(r.kl[i] == r.nll[i] / 3);
    }
    OK(read_windows(&r, store, a, 2)); // the first windows alone
    assert_int_equal(r.scores.agreements, 3);
    assert_false(r.scores.broken);
    tb_store_close(store);
}

static void store__says_which_windows_are_missing(void **state)
{
    (void)state;
    tb_store *store = open_store();
    bool present[WINDOWS];
    int64_t cell;
    read_back r;
    OK(tb_store_cell(&cell, store, "a", &err));
    put_window(store, cell, 0, false);
    put_window(store, cell, 3, false);
    put_window(store, cell, 3, false); // twice is once
    OK(tb_store_find_windows(present, store, cell, WINDOWS, &err));
    assert_memory_equal(present, ((bool[WINDOWS]){true, false, false, true, false}), sizeof present);
    OK(tb_store_find_windows(present, store, cell, 2, &err));
    assert_true(present[0] && !present[1]);
    assert_int_equal(read_windows(&r, store, cell, WINDOWS), TB_EFORMAT);
    OK(tb_store_forget_windows(store, cell, &err));
    OK(tb_store_find_windows(present, store, cell, WINDOWS, &err));
    assert_false(present[0] || present[3]);
    tb_store_close(store);
}

static void store__keeps_a_transaction_whole_or_not_at_all(void **state)
{
    (void)state;
    tb_store *store = open_store();
    bool present[WINDOWS];
    int64_t cell;
    OK(tb_store_cell(&cell, store, "a", &err));
    OK(tb_store_begin(store, &err));
    put_window(store, cell, 0, false);
    put_window(store, cell, 1, false);
    OK(tb_store_commit(store, &err));
    OK(tb_store_begin(store, &err));
    put_window(store, cell, 2, false);
    tb_store_close(store); // the process dies
    store = open_store();
    OK(tb_store_find_windows(present, store, cell, WINDOWS, &err));
    assert_memory_equal(present, ((bool[WINDOWS]){true, true, false, false, false}), sizeof present);
    tb_store_close(store);
}

static void store__keeps_numbers_by_kind_and_key(void **state)
{
    (void)state;
    tb_store *store = open_store();
    const double first[] = {1.5, -2, 0.1}, second[] = {7};
    double values[3];
    size_t count = 3;
    OK(tb_store_put_numbers(store, "speed", "a", first, 3, &err));
    OK(tb_store_put_numbers(store, "speed", "b", second, 1, &err));
    OK(tb_store_get_numbers(values, &count, store, "speed", "a", &err));
    assert_int_equal(count, 3);
    assert_memory_equal(values, first, sizeof first);
    OK(tb_store_get_numbers(values, &count, store, "scores", "a", &err));
    assert_int_equal(count, 0);
    OK(tb_store_put_numbers(store, "speed", "a", second, 1, &err)); // replaces all of them
    count = 3;
    OK(tb_store_get_numbers(values, &count, store, "speed", "a", &err));
    assert_int_equal(count, 1);
    OK(tb_store_put_numbers(store, "speed", "a", first, 3, &err));
    count = 2;
    assert_int_equal(tb_store_get_numbers(values, &count, store, "speed", "a", &err), TB_EFORMAT);
    tb_store_close(store);
}

// Writes bytes over the file; nothing is truncated.
static void overwrite(long offset, const void *bytes, size_t n)
{
    FILE *f = fopen(STORE, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void store__names_a_file_of_somebody_else(void **state)
{
    (void)state;
    static const unsigned char other_application[] = {1, 2, 3, 4}, other_version[] = {0, 0, 0, 9};
    tb_store *store;
    tb_store_close(open_store());
    overwrite(60, other_version, sizeof other_version); // user_version
    assert_int_equal(tb_store_open(&store, STORE, &err), TB_EUNSUPPORTED);
    overwrite(68, other_application, sizeof other_application); // application_id
    assert_int_equal(tb_store_open(&store, STORE, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "something else"));
    overwrite(0, "this is a text, and no database", 31);
    assert_int_equal(tb_store_open(&store, STORE, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "damaged"));
    assert_int_equal(tb_store_open(&store, "nowhere/" STORE, &err), TB_EIO);
    assert_null(store);
}

// Any damage is a sentence or wrong numbers, never more than that: SQLite has no checksums.
static void store__survives_damage(void **state)
{
    (void)state;
    tb_store *store = open_store();
    int64_t cell;
    OK(tb_store_cell(&cell, store, "a", &err));
    for (size_t w = 0; w < WINDOWS; w++)
        put_window(store, cell, w, false);
    tb_store_close(store);
    char *whole;
    size_t size, refused = 0;
    OK(tb_file_read(&whole, &size, STORE, 1 << 24, &err));
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (int round = 0; round < 60; round++) {
        OK(tb_file_write(STORE, whole, size, &err));
        unsigned char noise[16];
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (unsigned char)tb_rng_u32(&rng);
        overwrite((long)tb_rng_below(&rng, size - sizeof noise), noise, sizeof noise);
        bool present[WINDOWS];
        read_back r;
        tb_code rc = tb_store_open(&store, STORE, &err);
        if (!rc)
            rc = tb_store_find_windows(present, store, cell, WINDOWS, &err);
        if (!rc)
            rc = read_windows(&r, store, cell, WINDOWS);
        refused += rc != TB_OK;
        assert_true(!rc || err.message[0]);
        tb_store_close(store);
        store = NULL;
    }
    assert_true(refused > 0);
    tb_free(whole);
}

// ---- a measurement that is killed ----

// Four batches: 1024 tokens hold 42 windows.
enum { CTX = 24, TEXT = 3100, BATCHES = 4 };

typedef struct measurement {
    tb_store *store;
    int64_t cells[2];
    bool present[2][TEXT / CTX];
    int batches_left; // the process is killed when none is
} measurement;

static bool wants(void *user, size_t model, size_t window)
{
    const measurement *m = user;
    return !m->present[model][window];
}

static tb_code take(void *user, const tb_window_scores *scores, size_t n, tb_error *e)
{
    measurement *m = user;
    if (m->batches_left-- == 0)
        return tb_fail(e, TB_ECANCELLED, "killed");
    OK(tb_store_begin(m->store, e));
    for (size_t i = 0; i < n; i++)
        OK(tb_store_put_window(m->store, m->cells[scores[i].model], &scores[i], e));
    OK(tb_store_commit(m->store, e));
    return TB_OK;
}

// One process: it opens the store, goes on where the store ends, and is killed after some batches.
static tb_code run_process(const tb_model *model, const tb_model *reference, const int32_t *tokens, int batches)
{
    measurement m = {.store = open_store(), .batches_left = batches};
    tb_perplexity_options options = {.ctx = CTX};
    for (size_t i = 0; i < 2; i++) {
        OK(tb_store_cell(&m.cells[i], m.store, i ? "reference" : "model", &err));
        OK(tb_store_find_windows(m.present[i], m.store, m.cells[i], TEXT / CTX, &err));
    }
    tb_window_pass pass = {.models = &model,
                           .count = 1,
                           .reference = reference,
                           .tokens = tokens,
                           .token_count = TEXT,
                           .options = &options,
                           .wants = wants,
                           .take = take,
                           .user = &m};
    tb_code rc = tb_measure_windows(&pass, &err);
    tb_store_close(m.store);
    return rc;
}

static tb_perplexity_result get_result(void)
{
    enum { N = (TEXT / CTX) * (CTX - 1) };
    static double nll[N], kl[N];
    tb_store *store = open_store();
    int64_t cell;
    tb_text_scores scores = {.windows = TEXT / CTX, .predictions = CTX - 1, .nll = nll, .kl = kl};
    tb_perplexity_result result;
    OK(tb_store_cell(&cell, store, "model", &err));
    OK(tb_store_read_windows(&scores, store, cell, &err));
    tb_text_scores_summarize(&result, &scores);
    tb_store_close(store);
    return result;
}

static tb_model *make_model(const char *path, uint64_t seed)
{
    tiny_model shape = tiny_model_default;
    tb_model *model;
    shape.seed = seed;
    OK(tiny_model_write(path, &shape, &err));
    OK(tb_model_open(&model, path, NULL, &err));
    return model;
}

static void measurement__goes_on_where_it_was_killed(void **state)
{
    (void)state;
    tb_model *model = make_model("a.gguf", 1), *reference = make_model("b.gguf", 2);
    int32_t tokens[TEXT];
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t i = 0; i < TEXT; i++)
        tokens[i] = (int32_t)tb_rng_below(&rng, tiny_model_vocab_size());
    OK(run_process(model, reference, tokens, 1000));
    tb_perplexity_result at_once = get_result(), direct;
    unlink(STORE);
    size_t processes = 1;
    while (run_process(model, reference, tokens, 1) != TB_OK) // each is killed in its second batch
        processes++;
    assert_int_equal(processes, BATCHES);
    OK(run_process(model, reference, tokens, 0)); // nothing is left to do
    tb_perplexity_result resumed = get_result();
    assert_memory_equal(&resumed, &at_once, sizeof resumed);
    tb_perplexity_options options = {.ctx = CTX};
    OK(tb_measure_perplexity(&direct, model, reference, tokens, TEXT, &options, &err));
    assert_true(direct.nll == at_once.nll && direct.nll_stderr == at_once.nll_stderr);
    assert_true(direct.kl_mean == at_once.kl_mean && direct.kl_p99 == at_once.kl_p99);
    assert_true(direct.top1_agreement == at_once.top1_agreement);
    tb_model_close(model);
    tb_model_close(reference);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(store__finds_what_it_was_given_after_reopening), FILE_TEST(store__says_which_windows_are_missing),
        FILE_TEST(store__keeps_a_transaction_whole_or_not_at_all), FILE_TEST(store__keeps_numbers_by_kind_and_key),
        FILE_TEST(store__names_a_file_of_somebody_else),           FILE_TEST(store__survives_damage),
        FILE_TEST(measurement__goes_on_where_it_was_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
