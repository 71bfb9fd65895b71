// twobit quantize: a model in fewer bits.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/hold_out.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/readable_output.h"
#include "lab/lab.h"

typedef struct quantize_args {
    const char *output, *calibration, *prefix, *hold_out;
    tb_recipe_args recipe;
    bool no_measure, json;
} quantize_args;

static const quantize_args defaults = {.hold_out = "none", .recipe = TB_RECIPE_DEFAULTS};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(quantize_args, output), "FILE", 0, 0, "the file to write"},
    {"calib", 0, TB_OPTION_TEXT, offsetof(quantize_args, calibration), "FILE", 0, 0,
     "text to calibrate on (default: the text that comes with twobit)"},
    {"prefix-kv", 0, TB_OPTION_TEXT, offsetof(quantize_args, prefix), "FILE", 0, 0,
     "a file that twobit prefix made of this model: calibrate with it in place and store it in the result"},
    {"hold-out", 0, TB_OPTION_TEXT, offsetof(quantize_args, hold_out), "WHICH", 0, 0,
     "leave matrices as they are, in 8 bits at most: auto, the down matrices with super weights, or names with commas "
     "between them"},
    {"no-measure", 0, TB_OPTION_FLAG, offsetof(quantize_args, no_measure), NULL, 0, 0,
     "do not measure the result afterwards"},
    {"json", 0, TB_OPTION_FLAG, offsetof(quantize_args, json), NULL, 0, 0,
     "print an object: file_bytes, linear_bits_per_weight, relative_error, seconds, peak_rss_bytes, perplexity and "
     "more"},
    {0},
};

static const char *const examples[] = {
    "twobit quantize model.gguf -o small.gguf --method bpdq",
    "two bit-planes, calibrated on the text that comes with twobit",
    "twobit quantize model.gguf -o small.gguf --method gptq --bits 3 --calib my.txt",
    "three bits, calibrated on text like yours",
    "twobit quantize model.gguf -o small.gguf --size 80000000 --widths 2,3,4",
    "at most 80 million bytes: the blocks that the model needs most get more bits",
    "twobit quantize model.gguf -o small.gguf --allocate lieq --avg-bits 2.25",
    "the blocks that LieQ finds important get four bits, the others two",
    "twobit quantize hf-folder -o small.gguf --method bpdq --bits 3 --group 192 --threads 2",
    "larger groups need fewer bytes for coefficients",
    "twobit prefix model.gguf -o bos.gguf; twobit quantize model.gguf -o small.gguf --prefix-kv bos.gguf",
    "the first token's keys and values stay those of the original",
    "twobit quantize model.gguf -o small.gguf --hold-out auto",
    "matrices in which single weights make the massive activations stay as they are",
    NULL,
};

static const char notes[] =
    "Blocks are quantized one after the other. Finished ones are kept in FILE.partial/ until FILE is complete: the\n"
    "same command continues after an interruption, and the result is the same to the byte. Afterwards the result is\n"
    "measured on text that calibration did not see; a warning says when the model is broken.\n";

// What there is to tell about a finished file.
typedef struct outcome {
    tb_pipeline_result pipeline;
    tb_heldout_result heldout; // zeroed: not measured
    size_t file_bytes, peak_rss_bytes;
    double linear_bits, file_bits;
    uint8_t *block_bits; // [blocks]; NULL: all the same
    size_t blocks;
} outcome;

// The widths as a list, or null.
static json_t *make_widths(const outcome *o)
{
    if (!o->block_bits)
        return json_null();
    json_t *list = json_array();
    for (size_t b = 0; b < o->blocks; b++)
        if (json_array_append_new(list, json_integer(o->block_bits[b]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static tb_code print_json(const tb_cli *cli, const quantize_args *args, const outcome *o, tb_error *err)
{
    const tb_pipeline_result *p = &o->pipeline;
    const tb_heldout_result *h = &o->heldout;
    bool measured = h->tokens > 0;
    return tb_json_print(
        json_pack("{s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:o}",
                  "output", tb_json_text(args->output, strlen(args->output)), "method", args->recipe.method,
                  "file_bytes", (json_int_t)o->file_bytes, "linear_bits_per_weight", tb_json_real(o->linear_bits),
                  "file_bits_per_weight", tb_json_real(o->file_bits), "relative_error", tb_json_real(p->relative_error),
                  "seconds", tb_json_real(p->seconds), "peak_rss_bytes", (json_int_t)o->peak_rss_bytes, "perplexity",
                  tb_json_real(measured ? h->perplexity : NAN), "reference_perplexity",
                  tb_json_real(measured ? h->reference_perplexity : NAN), "heldout_tokens", (json_int_t)h->tokens,
                  "broken", h->broken, "matrices", (json_int_t)p->matrices, "blocks_reused",
                  (json_int_t)p->blocks_reused, "dead_columns", (json_int_t)p->dead_columns, "nonfinite_weights",
                  (json_int_t)p->nonfinite_weights, "seed", (json_int_t)cli->common.seed, "block_bits", make_widths(o)),
        err);
}

// "4 bits: block 0 3 29", a line for each width.
static void print_widths(const outcome *o)
{
    for (unsigned width = TB_MAX_PLANES; width > 0; width--) {
        bool found = false;
        for (size_t b = 0; b < o->blocks; b++)
            if (o->block_bits[b] == width) {
                if (!found)
                    printf("%u bits: block", width);
                printf(" %zu", b);
                found = true;
            }
        if (found)
            putchar('\n');
    }
}

static void print_text(const quantize_args *args, const outcome *o)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    const tb_pipeline_result *p = &o->pipeline;
    const tb_heldout_result *h = &o->heldout;
    printf("%s: %s bytes, linears %.2f bits per weight, whole file %.2f\n", args->output,
           tb_text_of_count(a, o->file_bytes), o->linear_bits, o->file_bits);
    if (o->block_bits)
        print_widths(o);
    printf("quantized in %s, peak memory %s bytes, relative error %.4f\n", tb_text_of_seconds(a, p->seconds),
           tb_text_of_count(b, o->peak_rss_bytes), p->relative_error);
    if (h->tokens)
        printf("perplexity on %zu held-out tokens: %s, the original's is %s\n", h->tokens,
               tb_text_of_real(a, h->perplexity), tb_text_of_real(b, h->reference_perplexity));
}

// What the file on disk says of itself; that it opens is part of the result. Then how good it is
// beside the original, unless that is NULL.
static tb_code inspect_output(outcome *o, tb_cli *cli, const char *path, const tb_model *original, tb_error *err)
{
    tb_model *model;
    tb_code rc = tb_cli_open_model(&model, cli, path, err);
    if (rc)
        return rc;
    o->file_bytes = tb_checkpoint_file_bytes(tb_model_checkpoint(model));
    o->linear_bits = tb_model_linear_bits(model);
    o->file_bits = 8.0 * (double)o->file_bytes / (double)tb_model_parameters(model);
    if (original)
        rc = tb_measure_heldout(&o->heldout, model, original, &cli->report, err);
    tb_model_close(model);
    return rc;
}

static tb_code check_output(const char *output, const char *input, tb_error *err)
{
    struct stat out, in;
    if (stat(output, &out) != 0 || stat(input, &in) != 0)
        return TB_OK; // a new file, or a failure that opening will explain
    if (out.st_dev == in.st_dev && out.st_ino == in.st_ino)
        return tb_fail(err, TB_EINVAL, "the output '%s' is the model itself", output);
    return TB_OK;
}

static tb_code choose_widths(outcome *o, tb_pipeline *pipeline, const tb_recipe_args *recipe, size_t blocks,
                             const tb_widths_options *widths, tb_error *err)
{
    tb_code rc = tb_recipe_set_widths(pipeline, recipe, blocks, widths, err);
    if (rc || !tb_recipe_mixes_widths(recipe))
        return rc;
    o->blocks = blocks;
    o->block_bits = tb_alloc_array(blocks, sizeof *o->block_bits);
    if (!o->block_bits)
        return tb_fail(err, TB_ENOMEM, "no memory for the widths of %zu blocks", blocks);
    memcpy(o->block_bits, tb_pipeline_get_widths(pipeline), blocks);
    return TB_OK;
}

static tb_code quantize_pipeline(outcome *o, const tb_model *model, const char *path, const tb_recipe_args *recipe,
                                 const tb_pipeline_options *how, const tb_widths_options *widths, tb_error *err)
{
    tb_pipeline *pipeline;
    tb_code rc = tb_pipeline_new(&pipeline, model, how, err);
    if (rc)
        return rc;
    rc = choose_widths(o, pipeline, recipe, tb_model_config(model)->blocks, widths, err);
    if (!rc)
        rc = tb_pipeline_run(&o->pipeline, pipeline, path, err);
    tb_pipeline_free(pipeline);
    return rc;
}

static tb_code quantize_model(outcome *o, const tb_model *model, const char *path, const quantize_args *args,
                              const tb_pipeline_options *how, const tb_widths_options *widths, tb_error *err)
{
    tb_pipeline_options held_out = *how;
    bool *linears;
    tb_code rc = tb_hold_out_choose(&linears, model, args->hold_out, how->report, err);
    if (rc)
        return rc;
    held_out.held_out = linears;
    rc = quantize_pipeline(o, model, path, &args->recipe, &held_out, widths, err);
    tb_free(linears);
    return rc;
}

static tb_code quantize(outcome *o, tb_readable_output *output, tb_cli *cli, const quantize_args *args,
                        const tb_pipeline_options *how, const tb_widths_options *widths, tb_error *err)
{
    const char *input = cli->operands.items[0];
    tb_model *model;
    tb_code rc = check_output(args->output, input, err);
    if (!rc)
        rc = tb_cli_open_prefixed(&model, cli, input, args->prefix ? args->prefix : "none", err);
    if (rc)
        return rc;
    rc = quantize_model(o, model, output->path, args, how, widths, err);
    if (!rc)
        rc = inspect_output(o, cli, output->path, args->no_measure ? NULL : model, err);
    if (rc == TB_ECANCELLED && !output->target.streams)
        tb_fail(err, rc, "stopped; the same command continues where it was");
    o->peak_rss_bytes = tb_peak_rss_bytes();
    tb_model_close(model);
    return rc ? rc : tb_readable_output_finish(output, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const quantize_args *args = untyped;
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    outcome o = {0};
    tb_readable_output output = {0};
    if (!args->output)
        return tb_fail_usage(cli, err, "give the file to write with -o");
    tb_code rc = tb_recipe_resolve(&pipeline, &widths, &args->recipe, cli->common.seed, err);
    cli->misused = rc == TB_EINVAL;
    pipeline.quant.threads = tb_cli_threads(cli);
    pipeline.calibration_path = args->calibration;
    pipeline.report = &cli->report;
    if (!rc)
        rc = tb_readable_output_init(&output, args->output, err);
    if (!rc)
        rc = quantize(&o, &output, cli, args, &pipeline, &widths, err);
    tb_progress_clear(&cli->progress);
    if (!rc && !output.is_stdout && args->json)
        rc = print_json(cli, args, &o, err);
    else if (!rc && !output.is_stdout)
        print_text(args, &o);
    tb_readable_output_clear(&output);
    tb_free(o.block_bits);
    return rc;
}

const tb_command tb_command_quantize = {
    .name = "quantize",
    .summary = "write a model in fewer bits",
    .usage = "MODEL -o FILE [--method NAME] [--bits K] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .shared = {{tb_recipe_option_table, offsetof(quantize_args, recipe)}},
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
