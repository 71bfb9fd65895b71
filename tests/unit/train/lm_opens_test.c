// What was trained is what runs: every variant, opened from its folder by the ordinary forward pass, loses on a text
// what the training says it does.
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

#include "rounding.h"
#include "text/text.h"
#include "train/train.h"
#include "twobit/twobit.h"

enum { CONTEXT = 24, TOKENS = 400, VOCAB = 257, STEPS = 6 };

static char folder[] = "/tmp/twobit-opens-XXXXXX";
static tb_str tokenizer;
static int32_t tokens[TOKENS + CONTEXT];

static int prepare(void **state)
{
    (void)state;
    size_t count;
    tb_rng rng;
    tb_rng_init(&rng, 7, 7);
    for (size_t i = 0; i < TOKENS + CONTEXT; i++)
        tokens[i] = (int32_t)(i % 2 ? tb_rng_below(&rng, 20) : 20);
    return !mkdtemp(folder) || tb_bpe_train(&tokenizer, &count, (tb_text){"", 0}, VOCAB, "<|endoftext|>", true, NULL);
}

static int clear(void **state)
{
    (void)state;
    tb_str_clear(&tokenizer);
    return rmdir(folder);
}

static tb_lm_training small_training(void)
{
    return (tb_lm_training){
        .shape = {.vocab = VOCAB,
                  .width = 32,
                  .blocks = 2,
                  .heads = 4,
                  .kv_heads = 2,
                  .head_size = 16, // is not width/heads
                  .ffn_width = 48,
                  .context = CONTEXT,
                  .clip_alpha = 3,
                  .rope_base = 500,
                  .norm_epsilon = 1e-5,
                  .tied = true},
        .text = {tokens, tokens + TOKENS, TOKENS, CONTEXT, VOCAB - 1},
        .steps = STEPS,
        .batch = 4,
        .rate = 0.05, // so large that nothing stays where it began
        .clip = 1,
        .optimizer = TB_ADAMW,
        .measure_every = STEPS,
        .checkpoint_every = STEPS,
        .bos = VOCAB - 1,
        .eos = VOCAB - 1,
        .threads = 1,
    };
}

static double cross_entropy(const float *logits, size_t n, int32_t target, double *largest)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, (double)logits[i]);
        *largest = fmax(*largest, fabs((double)logits[i]));
    }
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum) - (double)logits[target];
}

// The mean loss of the one window that was held out.
static double loss_of(const char *path, double *largest)
{
    tb_model *model;
    tb_seq *seq;
    tb_error err;
    double loss = 0;
    if (tb_model_open(&model, path, &(tb_model_options){.threads = 1}, &err) || tb_seq_new(&seq, model, NULL, &err))
        fail_msg("%s", err.message);
    assert_int_equal(tb_model_vocab_size(model), VOCAB);
    for (size_t i = 0; i < CONTEXT; i++) {
        int32_t token = i ? tokens[TOKENS + i - 1] : VOCAB - 1;
        assert_int_equal(tb_seq_push(seq, &token, 1, &err), TB_OK);
        loss += cross_entropy(tb_seq_logits(seq), VOCAB, tokens[TOKENS + i], largest) / CONTEXT;
    }
    tb_seq_free(seq);
    tb_model_close(model);
    return loss;
}

static void check(const tb_lm_shape *shape, const char *what)
{
    const tb_config config = {.width = shape->width,
                              .blocks = shape->blocks,
                              .heads = shape->heads,
                              .head_size = shape->head_size,
                              .ffn_width = shape->ffn_width};
    const tb_lm_file file = {"tokenizer.json", {tokenizer.data, tokenizer.size}};
    tb_lm_training training = small_training();
    char path[64], command[96];
    double largest = 0;
    tb_lm_log told;
    tb_error err;
    training.shape = *shape;
    training.files = &file;
    training.file_count = 1;
    snprintf(path, sizeof path, "%s/model", folder);
    snprintf(command, sizeof command, "rm -rf %s", path);
    if (tb_lm_train(&told, path, &training, &err))
        fail_msg("%s: %s", what, err.message);
    double found = loss_of(path, &largest), allowed = largest * rounding_of_passes(&config, CONTEXT, CONTEXT * VOCAB);
    if (!(fabs(found - told.held_loss) <= allowed))
        fail_msg("%s: %.9g in training, %.9g in the forward pass, allowed %.2g", what, told.held_loss, found, allowed);
    tb_lm_log_clear(&told);
    assert_int_equal(system(command), 0);
}

static void trained__every_normalizer_runs(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_LM_NORMALIZERS; kind++)
        for (int slot = 0; slot < TB_LM_KV_BIASES; slot++) {
            tb_lm_shape s = small_training().shape;
            s.normalizer = (tb_lm_normalizer)kind;
            s.kv_bias = (tb_lm_kv_bias)slot;
            check(&s, tb_lm_normalizer_names[kind]);
        }
}

static void trained__every_gate_runs(void **state)
{
    (void)state;
    for (int gate = 0; gate < TB_LM_GATES; gate++) {
        tb_lm_shape s = small_training().shape;
        s.gate = (tb_lm_gate)gate;
        s.registers = gate % 3;
        check(&s, tb_lm_gate_names[gate]);
    }
}

static void trained__every_norm_runs(void **state)
{
    (void)state;
    for (int norm = 0; norm < TB_LM_NORMS; norm++) {
        tb_lm_shape s = small_training().shape;
        s.norm = (tb_lm_norm_kind)norm;
        s.gate = norm % 2 ? TB_LM_GATE_ELEM : TB_LM_GATE_NONE;
        s.ffn = norm % 2 ? TB_LM_GEGLU : TB_LM_SWIGLU;
        s.tied = norm % 3;
        check(&s, tb_lm_norm_names[norm]);
    }
}

static void trained__the_rest_runs(void **state)
{
    (void)state;
    tb_lm_shape s = small_training().shape;
    s.biases = true;
    check(&s, "biases");
    s = small_training().shape;
    s.ternary = true;
    check(&s, "ternary");
    s = small_training().shape;
    s.reach = 5;
    check(&s, "window");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained__every_normalizer_runs),
        cmocka_unit_test(trained__every_gate_runs),
        cmocka_unit_test(trained__every_norm_runs),
        cmocka_unit_test(trained__the_rest_runs),
    };
    return cmocka_run_group_tests(tests, prepare, clear);
}
