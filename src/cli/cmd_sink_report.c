// twobit sink report: the story of a model's sinks on one page.
#include <string.h>

#include "cli/sink_page.h"
#include "cli/sink_score.h"

typedef struct report_args {
    tb_sink_args sink;
    const char *output;
    uint64_t experiments;
} report_args;

enum { EXPERIMENT_SEQUENCES = 4 };

static const report_args defaults = {.sink = TB_SINK_ARGS_DEFAULTS, .experiments = EXPERIMENT_SEQUENCES};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(report_args, output), "FILE", 0, 0, "page to write: .html"},
    {"reference", 0, TB_OPTION_TEXT, offsetof(report_args, sink.reference), "MODEL0", 0, 0,
     "a model to show beside: the original of a quantized one"},
    {"experiments", 0, TB_OPTION_COUNT, offsetof(report_args, experiments), "N", 0, 1 << 20,
     "sequences for 'sink ablate'; 0: leave it out"},
    {0},
};

static const char *const examples[] = {
    "twobit sink report model.gguf -o sinks.html",
    "where the sink is, which weights make it, what happens without it",
    "twobit sink report small.gguf --reference model.gguf -o sinks.html",
    "and whether it survived quantization",
    NULL,
};

static const char notes[] = "The page needs nothing else: no network, no other file. What it tells is measured by "
                            "'sink map', 'massive', 'super',\n"
                            "'value', 'positions' and 'ablate' with the same options.\n";

// What is measured for the page.
typedef struct story {
    tb_sink_result result, reference;
    tb_super_result weights, reference_weights;
    tb_ablation_result ablation;
} story;

static tb_code find_weights(tb_super_result *out, const tb_sink_job *job, const tb_model *model, tb_error *err)
{
    static const char prompt[] = TB_SUPER_PROMPT;
    const tb_super_options find = {.report = &job->cli->report};
    int32_t *ids = NULL;
    size_t count;
    tb_code rc = tb_model_tokenize(model, prompt, strlen(prompt), TB_TOKENIZE_BOS, &ids, &count, err);
    if (!rc)
        rc = tb_sink_find_super(out, model, ids, count, &find, err);
    tb_free_ids(ids);
    return rc;
}

static tb_code measure_model(tb_sink_result *result, tb_super_result *weights, const tb_sink_job *job,
                             const tb_model *model, tb_error *err)
{
    tb_code rc = tb_sink_measure(result, model, TB_SINK_WHAT_POSITIONS | TB_SINK_WHAT_VALUES, &job->options, err);
    if (!rc && tb_model_tokenizer(model) && tb_model_config(model)->experts == 0)
        rc = find_weights(weights, job, model, err);
    return rc;
}

static tb_code measure(story *s, const tb_sink_job *job, size_t experiments, tb_error *err)
{
    tb_sink_options few = job->options;
    few.sequences = experiments;
    tb_code rc = measure_model(&s->result, &s->weights, job, job->model, err);
    if (!rc && job->reference)
        rc = measure_model(&s->reference, &s->reference_weights, job, job->reference, err);
    if (!rc && experiments)
        rc = tb_sink_ablate(&s->ablation, job->model, &few, tb_sink_score, err);
    return rc;
}

static tb_code write_page(const story *s, const tb_sink_job *job, const report_args *args, double seconds,
                          tb_error *err)
{
    const tb_sink_page page = {
        .job = job,
        .result = &s->result,
        .reference = job->reference ? &s->reference : NULL,
        .weights = s->weights.blocks ? &s->weights : NULL,
        .reference_weights = s->reference_weights.blocks ? &s->reference_weights : NULL,
        .ablation = args->experiments ? &s->ablation : NULL,
        .seconds = seconds,
    };
    tb_str html = {0};
    tb_code rc = tb_sink_page_write(&html, &page, err);
    if (!rc)
        rc = tb_file_write(args->output, html.data, html.size, err);
    tb_str_clear(&html);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const report_args *args = untyped;
    double start = tb_clock_seconds();
    story s = {0};
    tb_sink_job job;
    if (!args->output)
        return tb_fail_usage(cli, err, "no output is given; use -o FILE.html");
    if (args->sink.json)
        return tb_fail_usage(cli, err, "'sink report' writes a page; the other commands have --json");
    tb_code rc = tb_cli_check_output(args->output, err);
    if (rc)
        return rc;
    rc = tb_sink_job_init(&job, cli, &args->sink, err);
    if (!rc)
        rc = measure(&s, &job, (size_t)args->experiments, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = write_page(&s, &job, args, tb_clock_seconds() - start, err);
    tb_sink_result_clear(&s.result);
    tb_sink_result_clear(&s.reference);
    tb_super_result_clear(&s.weights);
    tb_super_result_clear(&s.reference_weights);
    tb_sink_job_clear(&job);
    return rc;
}

const tb_command tb_command_sink_report = {
    .name = "sink report",
    .summary = "tell the story of a model's sinks on one HTML page",
    .usage = "MODEL -o FILE.html [--reference MODEL0] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_sink_protocol_table, offsetof(report_args, sink)}},
    .run = run,
};
