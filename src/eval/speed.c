// Speed of prefill and decode. Tokens are random: the work does not depend on which they are.
#include "eval/eval.h"

#include "eval/score.h"

typedef struct speed_run {
    tb_seq *seq;
    int32_t *tokens; // [prompt + generate]
    size_t prompt, generate;
    double *prefill, *decode; // tokens per second of each repeat
    size_t repeats;
    const tb_report *report;
} speed_run;

static tb_code tell_progress(const speed_run *run, size_t repeat, size_t tokens, tb_error *err)
{
    size_t each = run->prompt + run->generate;
    if (tb_report_progress(run->report, "bench", (double)(repeat * each + tokens), (double)((run->repeats + 1) * each),
                           "tokens"))
        return tb_fail(err, TB_ECANCELLED, "the benchmark was stopped");
    return TB_OK;
}

// Times one prompt and one continuation. Run 0 is the warm-up and is not kept.
static tb_code time_once(speed_run *run, size_t repeat, tb_error *err)
{
    tb_seq_truncate(run->seq, 0);
    tb_seq_set_prompt(run->seq, run->prompt);
    double start = tb_clock_seconds();
    tb_code rc = tb_seq_push(run->seq, run->tokens, run->prompt, err);
    double middle = tb_clock_seconds();
    for (size_t i = 0; !rc && i < run->generate; i++) {
        rc = tb_seq_push(run->seq, run->tokens + run->prompt + i, 1, err);
        if (!rc)
            rc = tell_progress(run, repeat, run->prompt + i + 1, err);
    }
    double end = tb_clock_seconds();
    if (rc || repeat == 0)
        return rc;
    run->prefill[repeat - 1] = (double)run->prompt / (middle - start);
    run->decode[repeat - 1] = (double)run->generate / (end - middle);
    return TB_OK;
}

// *spread = (max − min)/median.
static double median(double *values, size_t n, double *spread)
{
    double middle = tb_percentile(values, n, 0.5); // sorts the values
    *spread = (values[n - 1] - values[0]) / middle;
    return middle;
}

static tb_code prepare(speed_run *run, tb_arena *arena, const tb_model *model, const tb_seq_options *memory,
                       tb_error *err)
{
    size_t n = run->prompt + run->generate;
    tb_seq_options options = memory ? *memory : (tb_seq_options){0};
    if (!options.window)
        options.context = n;
    if (!options.window && n > tb_model_context_length(model))
        return tb_fail(err, TB_ELIMIT, "%zu tokens do not fit into the model's context of %zu", n,
                       tb_model_context_length(model));
    run->tokens = tb_arena_array(arena, n, sizeof *run->tokens);
    run->prefill = tb_arena_array(arena, run->repeats, sizeof *run->prefill);
    run->decode = tb_arena_array(arena, run->repeats, sizeof *run->decode);
    if (!run->tokens || !run->prefill || !run->decode)
        return tb_fail(err, TB_ENOMEM, "no memory to measure speed over %zu tokens", n);
    tb_rng rng;
    tb_rng_init(&rng, 0, 0);
    for (size_t i = 0; i < n; i++)
        run->tokens[i] = (int32_t)tb_rng_below(&rng, tb_model_vocab_size(model));
    return tb_seq_new(&run->seq, model, &options, err);
}

tb_code tb_measure_speed(tb_bench_result *result, const tb_model *model, size_t prompt, size_t generate, size_t repeats,
                         const tb_seq_options *memory, const tb_report *report, tb_error *err)
{
    speed_run run = {.prompt = prompt, .generate = generate, .repeats = repeats, .report = report};
    tb_arena arena = {0};
    tb_code rc = prepare(&run, &arena, model, memory, err);
    for (size_t r = 0; !rc && r <= repeats; r++)
        rc = time_once(&run, r, err);
    if (!rc) {
        *result = (tb_bench_result){.prompt_tokens = prompt, .generated_tokens = generate, .repeats = repeats};
        result->prefill_tps = median(run.prefill, repeats, &result->prefill_spread);
        result->decode_tps = median(run.decode, repeats, &result->decode_spread);
        result->peak_rss_bytes = tb_peak_rss_bytes();
    }
    tb_seq_free(run.seq);
    tb_arena_clear(&arena);
    return rc;
}
