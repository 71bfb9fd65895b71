// What normalizers of attention can and cannot learn (T-20 and T-21 of the specification of attention sinks). With an
// argument, a table of all of them over three seeds instead.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "sink_toy.h"

static const struct {
    const char *name;
    tb_lm_normalizer normalizer;
    tb_lm_gate gate;
    bool slot;
} kinds[] = {
    {"softmax", TB_LM_SOFTMAX, TB_LM_GATE_NONE, false},   {"softmax1", TB_LM_SOFTMAX1, TB_LM_GATE_NONE, false},
    {"sink logit", TB_LM_SINK, TB_LM_GATE_NONE, false},   {"KV bias", TB_LM_SOFTMAX, TB_LM_GATE_NONE, true},
    {"softpick", TB_LM_SOFTPICK, TB_LM_GATE_NONE, false}, {"gate head", TB_LM_SOFTMAX, TB_LM_GATE_HEAD, false},
    {"gate elem", TB_LM_SOFTMAX, TB_LM_GATE_ELEM, false}, {"ReLU/n", TB_LM_RELU, TB_LM_GATE_NONE, false},
    {"sigmoid", TB_LM_SIGMOID, TB_LM_GATE_NONE, false},   {"elastic", TB_LM_ELASTIC, TB_LM_GATE_NONE, false},
    {"clip", TB_LM_CLIP, TB_LM_GATE_NONE, false},
};

enum {
    KINDS = sizeof kinds / sizeof kinds[0],
    SOFTMAX = 0,
    SOFTPICK = 4,
    GATE_HEAD = 5,
    RELU = 7,
    SEEDS = 3,
    BATCH = 16
};

static toy_result run_kind(size_t kind, bool anchor, uint64_t seed, uint64_t steps)
{
    const toy_options options = {
        kinds[kind].normalizer, kinds[kind].gate, kinds[kind].slot, anchor, seed, steps, BATCH};
    return toy_run(&options);
}

// ---- in short: about half of the steps of the table ----

enum { SHORT_STEPS = 800 };

static void toy_without_anchor__only_softmax_cannot_be_silent(void **state)
{
    (void)state;
    double softmax = run_kind(SOFTMAX, false, 1, SHORT_STEPS).error;
    for (size_t kind = 1; kind <= SOFTPICK; kind++) {
        double error = run_kind(kind, false, 1, SHORT_STEPS).error;
        if (!(softmax >= 20 * error))
            fail_msg("%s: %g, softmax %g", kinds[kind].name, error, softmax);
    }
    assert_true(run_kind(GATE_HEAD, false, 1, SHORT_STEPS).error <= softmax / 10);
}

static void toy_with_anchor__softmax_makes_a_sink(void **state)
{
    (void)state;
    toy_result softmax = run_kind(SOFTMAX, true, 1, 2 * SHORT_STEPS);
    assert_true(softmax.anchor_mass > 0.95);
    assert_true(softmax.trigger_anchor < 0.05);
    assert_true(softmax.anchor_value < 0.1);
    assert_true(run_kind(SOFTPICK, true, 1, 2 * SHORT_STEPS).anchor_mass < 0.05);
    assert_true(run_kind(RELU, true, 1, 2 * SHORT_STEPS).anchor_mass < 0.05);
}

// ---- in full ----

static int print_table(void)
{
    printf("%-12s %-7s %4s %9s %8s %12s %14s %13s\n", "normalizer", "anchor", "seed", "MSE", "row sum", "anchor mass",
           "of triggers", "anchor value");
    for (int anchor = 0; anchor < 2; anchor++)
        for (size_t kind = 0; kind < KINDS; kind++)
            for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                toy_result r = run_kind(kind, anchor, seed, anchor ? 3000 : 1500);
                printf("%-12s %-7s %4d %9.2e %8.2f %12.3f %14.3f %13.3f\n", kinds[kind].name, anchor ? "yes" : "no",
                       (int)seed, r.error, r.row_sum, r.anchor_mass, r.trigger_anchor, r.anchor_value);
                fflush(stdout);
            }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toy_without_anchor__only_softmax_cannot_be_silent),
        cmocka_unit_test(toy_with_anchor__softmax_makes_a_sink),
    };
    return argc > 1 ? print_table() : cmocka_run_group_tests(tests, NULL, NULL);
}
