// Trainings: that they learn, that an interrupted one goes on to the same bits, and what they refuse.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/train.h"

static char folder[] = "/tmp/twobit-train-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

// ---- a text that repeats itself ----

enum { TOKENS = 600, HELD = 60, VOCAB = 12, CONTEXT = 16 };

static int32_t tokens[TOKENS + HELD];

static tb_lm_training small_training(void)
{
    for (size_t i = 0; i < TOKENS + HELD; i++)
        tokens[i] = (int32_t)(i * i % 7 + i % 4);
    return (tb_lm_training){
        .shape = {.vocab = VOCAB,
                  .width = 16,
                  .blocks = 2,
                  .heads = 2,
                  .kv_heads = 1,
                  .head_size = 8,
                  .ffn_width = 24,
                  .context = CONTEXT,
                  .rope_base = 10000,
                  .norm_epsilon = 1e-5,
                  .tied = true},
        .text = {tokens, tokens + TOKENS, TOKENS, HELD, VOCAB - 1},
        .seed = 1,
        .steps = 120,
        .batch = 4,
        .rate = 0.01,
        .warmup = 0.1,
        .decay = 0.01,
        .clip = 1,
        .optimizer = TB_ADAMW,
        .measure_every = 10,
        .checkpoint_every = 7,
        .threads = 1,
    };
}

static const char *path_of(const char *name)
{
    static char path[8][128];
    static unsigned next;
    char *out = path[next++ % 8];
    snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

static void remove_model(const char *name)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s.partial", path_of(name), path_of(name));
    assert_int_equal(system(command), 0);
}

static void assert_same_file(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(tb_file_read(&x, &n, a, 1 << 20, NULL), TB_OK);
    assert_int_equal(tb_file_read(&y, &m, b, 1 << 20, NULL), TB_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    tb_free(x);
    tb_free(y);
}

static void train_ok(const char *name, const tb_lm_training *training, tb_lm_log *told)
{
    tb_error err;
    if (tb_lm_train(told, path_of(name), training, &err))
        fail_msg("%s", err.message);
}

// ---- learning ----

static void lm_train__learns_with_every_optimizer(void **state)
{
    (void)state;
    const double rates[TB_OPTIMIZERS] = {[TB_SGD] = 0.1, [TB_ADAMW] = 0.01, [TB_MUON] = 0.01, [TB_ORTHOADAM] = 0.01};
    for (int kind = 0; kind < TB_OPTIMIZERS; kind++)
        for (int ternary = 0; ternary < 2; ternary++) {
            tb_lm_training training = small_training();
            tb_lm_log told;
            training.optimizer = (tb_optimizer_kind)kind;
            training.rate = rates[kind];
            training.steps = 240;
            training.shape.ternary = ternary;
            train_ok("learns", &training, &told);
            // A token says what the next one is, but for few: less than half of what guessing costs.
            if (!(told.held_loss < log(VOCAB) / 2))
                fail_msg("%s, ternary %d: %f", tb_optimizer_names[kind], ternary, told.held_loss);
            assert_true(fabs(told.loss[0] - log(VOCAB)) < 0.5);
            tb_lm_log_clear(&told);
            remove_model("learns");
        }
}

static void lm_train__keeps_the_best_and_stops(void **state)
{
    (void)state;
    tb_lm_training training = small_training();
    static int32_t noise[TOKENS];
    tb_lm_log told;
    tb_rng rng;
    tb_rng_init(&rng, 4, 4);
    for (size_t i = 0; i < TOKENS; i++) // nothing to learn but by heart
        noise[i] = (int32_t)tb_rng_below(&rng, VOCAB);
    training.text.ids = noise;
    training.text.held = noise + 500;
    training.text.count = 100;
    training.text.held_count = 100;
    training.steps = 2000;
    training.patience = 3;
    train_ok("best", &training, &told);
    assert_true(told.steps < 2000);
    assert_int_equal(told.steps, told.best_step + 3 * training.measure_every);
    tb_lm_log_clear(&told);
    remove_model("best");
}

// ---- going on ----

typedef struct stopper {
    double at; // tokens
} stopper;

static bool stop_there(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage;
    (void)total;
    (void)unit;
    return done >= ((const stopper *)user)->at;
}

static void lm_train__goes_on_to_the_same_bits(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_OPTIMIZERS; kind++) {
        tb_lm_training training = small_training();
        tb_lm_log whole, rest;
        tb_error err;
        training.optimizer = (tb_optimizer_kind)kind;
        training.steps = 40;
        training.probe_every = 5;
        training.shape.ternary = kind % 2;
        train_ok("whole", &training, &whole);
        // Stopped twice, on another number of threads.
        for (double step = 13; step < 40; step += 13) {
            stopper stop = {step * 4 * CONTEXT};
            tb_report report = {.progress = stop_there, .user = &stop};
            training.report = &report;
            training.threads = 3;
            assert_int_equal(tb_lm_train(&rest, path_of("parts"), &training, &err), TB_ECANCELLED);
            assert_false(tb_path_exists(path_of("parts")));
        }
        training.report = NULL;
        train_ok("parts", &training, &rest);
        assert_same_file(path_of("whole/model.safetensors"), path_of("parts/model.safetensors"));
        assert_memory_equal(whole.loss, rest.loss, 40 * sizeof *whole.loss);
        assert_memory_equal(whole.held, rest.held, 4 * sizeof *whole.held);
        assert_memory_equal(whole.probes, rest.probes, 8 * TB_LM_PROBES * sizeof *whole.probes);
        assert_false(tb_path_exists(path_of("parts.partial")));
        assert_false(tb_path_exists(path_of("parts/state.safetensors")));
        tb_lm_log_clear(&whole);
        tb_lm_log_clear(&rest);
        remove_model("whole");
        remove_model("parts");
    }
}

static void lm_train__refuses_the_state_of_another(void **state)
{
    (void)state;
    tb_lm_training training = small_training();
    tb_lm_log told;
    tb_error err;
    stopper stop = {20 * 4 * CONTEXT};
    tb_report report = {.progress = stop_there, .user = &stop};
    training.report = &report;
    assert_int_equal(tb_lm_train(&told, path_of("other"), &training, &err), TB_ECANCELLED);
    training.shape.ffn_width = 32;
    assert_int_equal(tb_lm_train(&told, path_of("other"), &training, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "belongs to a training with other options"));
    remove_model("other");
}

// ---- refusing ----

static void lm_train__refuses_what_cannot_be(void **state)
{
    (void)state;
    tb_lm_training training = small_training();
    tb_lm_log told;
    tb_error err;
    training.text.count = CONTEXT - 1;
    assert_int_equal(tb_lm_train(&told, path_of("bad"), &training, &err), TB_EINVAL);
    assert_string_equal(err.message, "the training text has 15 tokens, fewer than one window of 16");
    assert_false(tb_path_exists(path_of("bad.partial")));
    training = small_training();
    training.text.first = -1;
    training.text.count = CONTEXT;
    assert_int_equal(tb_lm_train(&told, path_of("bad"), &training, &err), TB_EINVAL);
    training = small_training();
    assert_int_equal(tb_lm_train(&told, folder, &training, &err), TB_EIO);
    training.rate = 1e30;
    training.clip = 1e30;
    assert_int_equal(tb_lm_train(&told, path_of("bad"), &training, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "is not a number; a lower rate may help"));
    remove_model("bad");
}

static void lm_train__survives_lack_of_memory(void **state)
{
    (void)state;
    const tb_lm_file file = {"tokenizer.json", {"{}", 2}};
    bool done = false;
    for (long long n = 0; !done; n++) {
        tb_lm_training training = small_training();
        tb_lm_log told;
        tb_error err;
        training.shape.ternary = true;
        training.shape.gate = TB_LM_GATE_ELEM;
        training.steps = training.measure_every = training.checkpoint_every = training.probe_every = 1;
        training.files = &file;
        training.file_count = 1;
        tb_mem_fail_after(n);
        tb_code rc = tb_lm_train(&told, path_of("memory"), &training, &err);
        tb_mem_fail_after(-1);
        done = rc == TB_OK;
        if (!done && rc != TB_ENOMEM)
            fail_msg("%lld: %s", n, err.message);
        tb_lm_log_clear(&told);
        remove_model("memory");
    }
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lm_train__learns_with_every_optimizer),
        cmocka_unit_test(lm_train__keeps_the_best_and_stops),
        cmocka_unit_test(lm_train__goes_on_to_the_same_bits),
        cmocka_unit_test(lm_train__refuses_the_state_of_another),
        cmocka_unit_test(lm_train__refuses_what_cannot_be),
        cmocka_unit_test(lm_train__survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
