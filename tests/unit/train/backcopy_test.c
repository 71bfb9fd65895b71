// What a head does that has something to copy once in nine rows (T-22 of the specification of attention sinks). With
// the name of a folder as argument, the table of all trainings instead: they go on in it where they were interrupted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "backcopy.h"
#include "temp_folder.h"

// Adam's decay is the paper's, or as large as what makes sinks stronger in language models.
#define DECAY 1e-4
#define STRONG_DECAY 2.0

static const struct {
    const char *name;
    size_t blocks;
    tb_lm_normalizer normalizer;
    tb_optimizer_kind optimizer;
    double rate, decay;
} kinds[] = {
    {"1-softmax-adamw", 1, TB_LM_SOFTMAX, TB_ADAMW, 3e-3, DECAY},
    {"1-relu-adamw", 1, TB_LM_RELU, TB_ADAMW, 3e-3, DECAY},
    {"3-softmax-adamw", 3, TB_LM_SOFTMAX, TB_ADAMW, 3e-3, DECAY},
    {"3-softmax-sgd", 3, TB_LM_SOFTMAX, TB_SGD, 0.1, DECAY},
    {"3-relu-adamw", 3, TB_LM_RELU, TB_ADAMW, 3e-3, DECAY},
    {"1-softmax-strong", 1, TB_LM_SOFTMAX, TB_ADAMW, 3e-3, STRONG_DECAY},
};

enum { SOFTMAX, RELU, KINDS = sizeof kinds / sizeof kinds[0] };

static backcopy_result run_kind(size_t kind, size_t length, uint64_t steps, const char *folder)
{
    const backcopy_options options = {.blocks = kinds[kind].blocks,
                                      .width = 64,
                                      .length = length,
                                      .normalizer = kinds[kind].normalizer,
                                      .optimizer = kinds[kind].optimizer,
                                      .rate = kinds[kind].rate,
                                      .decay = kinds[kind].decay,
                                      .seed = 1,
                                      .steps = steps,
                                      .batch = 16};
    return backcopy_run(&options, folder);
}

// ---- in short: windows of a quarter, and fewer steps ----

enum { SHORT_LENGTH = 16, SHORT_STEPS = 800 };

static void backcopy__is_learned_without_a_sink(void **state)
{
    (void)state;
    static const size_t which[] = {SOFTMAX, RELU};
    for (size_t i = 0; i < 2; i++) {
        backcopy_result r = run_kind(which[i], SHORT_LENGTH, SHORT_STEPS, temp_path(kinds[which[i]].name));
        const backcopy_block *b = &r.blocks[0];
        // 61 words might stand in front: who does not copy loses ln 61 = 4.1.
        assert_true(r.copy < 1 && r.excess < 0.5);
        assert_true(b->plain_first < 0.1 && b->trigger_first < 0.1);
        if (which[i] == SOFTMAX)
            assert_true(b->plain_self > 0.5 && b->trigger_source > 2 * b->trigger_first);
    }
}

// ---- in full ----

static int print_table(const char *folder)
{
    mkdir(folder, 0777);
    printf("%-18s %7s %7s %6s %11s %12s %14s %12s %6s %7s\n", "model", "excess", "copying", "block", "plain: BOS",
           "plain: self", "trigger: BOS", "its source", "value", "stream");
    for (size_t i = 0; i < KINDS; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, kinds[i].name);
        backcopy_result r = run_kind(i, 64, 2000, path);
        for (size_t b = 0; b < kinds[i].blocks; b++) {
            const backcopy_block *k = &r.blocks[b];
            printf("%-18s %7.3f %7.3f %6zu %11.3f %12.3f %14.3f %12.3f %6.3f %7.2f\n", kinds[i].name, r.excess, r.copy,
                   b, k->plain_first, k->plain_self, k->trigger_first, k->trigger_source, k->value, k->stream);
        }
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backcopy__is_learned_without_a_sink),
    };
    return argc > 1 ? print_table(argv[1]) : cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
