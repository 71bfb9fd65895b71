// twobit perplexity: how well a model predicts a text, and how far it strays from another.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/curve_plot.h"
#include "cli/json_out.h"
#include "cli/memory_args.h"
#include "cli/number_text.h"
#include "cli/plot.h"
#include "eval/eval.h"

typedef struct perplexity_args {
    const char *text, *reference, *plot, *act, *act_text;
    uint64_t ctx, skip, max_tokens;
    tb_memory_args memory;
    bool json;
} perplexity_args;

static const perplexity_args defaults = {.memory = TB_MEMORY_DEFAULTS};

static const tb_option options[] = {
    {"text", 0, TB_OPTION_TEXT, offsetof(perplexity_args, text), "FILE", 0, 0,
     "the text; - for standard input (default: a held-out text that comes with twobit)"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(perplexity_args, ctx), "N", 2, 1 << 24,
     "tokens per window (default 512, or the model's context when that is shorter), with --stream per point of the "
     "curve"},
    {"skip", 0, TB_OPTION_COUNT, offsetof(perplexity_args, skip), "N", 0, 1 << 24,
     "positions of each window that are not scored (default 0; llama.cpp's convention is half of --ctx)"},
    {"max-tokens", 0, TB_OPTION_COUNT, offsetof(perplexity_args, max_tokens), "N", 1, 0,
     "most tokens of the text that are used, in whole windows (default all)"},
    {"reference", 0, TB_OPTION_TEXT, offsetof(perplexity_args, reference), "MODEL0", 0, 0,
     "also compare with this model: KL divergence, agreement on the likeliest token"},
    {"act", 0, TB_OPTION_TEXT, offsetof(perplexity_args, act), "FORM", 0, 0,
     "round what every linear reads to few bits: a8:token, a4:token, scaled row by row; a8:static, by one scale that a "
     "text said before"},
    {"act-text", 0, TB_OPTION_TEXT, offsetof(perplexity_args, act_text), "FILE", 0, 0,
     "with a static --act: the text, of which 8 windows are read (default: the calibration text of twobit)"},
    {"plot", 0, TB_OPTION_TEXT, offsetof(perplexity_args, plot), "FILE", 0, 0,
     "with --stream: also draw perplexity over the position, FILE.svg or FILE.png (needs gnuplot)"},
    {"json", 0, TB_OPTION_FLAG, offsetof(perplexity_args, json), NULL, 0, 0,
     "print an object: perplexity, stderr, nll, tokens; with --reference kl_mean, kl_p99, top1_agreement; and more"},
    {0},
};

static const char *const examples[] = {
    "twobit perplexity model.gguf --text wiki.test.raw",
    "the whole text in windows of 512 tokens",
    "twobit perplexity small.gguf --text wiki.test.raw --max-tokens 51200 --reference model.gguf",
    "the first 100 windows, and how far the small model is from the original",
    "twobit perplexity model.gguf --text wiki.test.raw --ctx 512 --skip 256",
    "scored as llama.cpp does",
    "twobit perplexity model.gguf --text wiki.test.raw --stream 4:508 --plot curve.svg",
    "the text as one sequence of which each token sees the first 4 and the last 508: does it drift?",
    "twobit perplexity model.gguf --text wiki.test.raw --ctx 2048 --kv k2v2:g64:r128 --reference model.gguf",
    "what a KV cache of 2 bits costs",
    "twobit perplexity model.gguf --act a8:static --reference model.gguf",
    "what activations of 8 bits cost where their scales are fixed beforehand",
    NULL,
};

static const char notes[] =
    "Protocol: the text's tokens are cut into consecutive windows of --ctx tokens that do not overlap; a last\n"
    "shorter one is dropped. Where the tokenizer's own settings add a BOS, it replaces the first token of each\n"
    "window. The predictions made at positions --skip to ctx-2 of each window are scored. Divergence is\n"
    "KL(reference, model) in nats. Errors are standard errors, from the means of the windows.\n"
    "With --stream the text is one sequence without windows, a BOS in the place of its first token; pieces of --ctx\n"
    "predictions are the points of a curve. The reference keeps every token, and so takes no more than its context.\n"
    "With --evict snapkv:N or pyramid:N the first --skip tokens of a window are its prompt, by default half of it.\n"
    "With --act the numbers that linears read are rounded to 2^bits - 1 levels around 0, to the nearest; the router, "
    "the\n"
    "head and the reference's are not, nor are the rows of a prefix.\n";

static bool adds_bos(const tb_model *model)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    return tokenizer && tb_tokenizer_adds_bos(tokenizer);
}

// What windows, and a stream, begin with.
static const char *beginning_of(const tb_model *model)
{
    return tb_model_prefix(model)->count ? "the prefix" : adds_bos(model) ? "BOS" : NULL;
}

static int set_reference_keys(json_t *object, const tb_perplexity_result *r)
{
    json_t *more =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kl_mean", tb_json_real(r->kl_mean), "kl_stderr",
                  tb_json_real(r->kl_stderr), "kl_p99", tb_json_real(r->kl_p99), "kl_max", tb_json_real(r->kl_max),
                  "top1_agreement", tb_json_real(r->top1_agreement), "reference_nll", tb_json_real(r->reference_nll),
                  "reference_perplexity", tb_json_real(r->reference_perplexity));
    return json_object_update_new(object, more);
}

// "curve": a list of points.
static int set_curve_keys(json_t *object, const tb_curve *curve, bool has_reference)
{
    json_t *list = json_array();
    for (size_t i = 0; i < curve->count; i++) {
        const tb_curve_point *p = &curve->points[i];
        json_t *point = json_pack("{s:I, s:o, s:o}", "first", (json_int_t)p->first, "nll", tb_json_real(p->nll),
                                  "perplexity", tb_json_real(exp(p->nll)));
        if (has_reference)
            json_object_update_new(point, json_pack("{s:o, s:o}", "kl", tb_json_real(p->kl), "reference_nll",
                                                    tb_json_real(p->reference_nll)));
        json_array_append_new(list, point);
    }
    return json_object_update_new(object,
                                  json_pack("{s:I, s:o}", "dropped", (json_int_t)curve->dropped, "curve", list));
}

// `curve` is NULL where the text was cut into windows.
static tb_code print_json(const tb_perplexity_result *r, const tb_curve *curve, const tb_model *model,
                          const tb_str *memory, const char *act, double seconds, tb_error *err)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:o, s:s, s:o}", "perplexity", tb_json_real(r->perplexity),
        "stderr", tb_json_real(r->stderr_), "nll", tb_json_real(r->nll), "nll_stderr", tb_json_real(r->nll_stderr),
        "tokens", (json_int_t)r->tokens, "windows", (json_int_t)r->windows, "ctx", (json_int_t)r->ctx, "skip",
        (json_int_t)r->skip, "bos", adds_bos(model), "memory", tb_json_text(tb_str_get(memory), memory->size), "act",
        act ? act : "", "seconds", tb_json_real(seconds));
    if ((r->has_reference && set_reference_keys(object, r)) ||
        (curve && set_curve_keys(object, curve, r->has_reference))) {
        json_decref(object);
        object = NULL;
    }
    return tb_json_print(object, err);
}

static void print_protocol(const tb_perplexity_result *r, const tb_model *model, const char *path, double seconds)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    const char *beginning = beginning_of(model);
    printf("protocol    %s: %s windows of %zu tokens that do not overlap, %s%s,\n",
           path ? path : "held-out text of twobit", tb_text_of_count(a, r->windows), r->ctx,
           beginning ? beginning : "no BOS", beginning ? " in the place of the first" : "");
    printf("            predictions at positions %zu to %zu of each scored; took %s\n", r->skip, r->ctx - 2,
           tb_text_of_seconds(b, seconds));
}

static void print_text(const tb_perplexity_result *r)
{
    char a[TB_NUMBER_TEXT];
    printf("perplexity  %.4f ± %.4f (%.5f nats per token, %s predictions)\n", r->perplexity, r->stderr_, r->nll,
           tb_text_of_count(a, r->tokens));
    if (!r->has_reference)
        return;
    printf("reference   perplexity %.4f ± %.4f\n", r->reference_perplexity, r->reference_stderr);
    printf("divergence  %.4f ± %.4f nats, 99 %% of the predictions below %.4f\n", r->kl_mean, r->kl_stderr, r->kl_p99);
    printf("agreement   %.2f %% of the predictions prefer the same token\n", 100 * r->top1_agreement);
}

static void print_stream(const tb_perplexity_result *r, const tb_curve *curve, const perplexity_args *args,
                         const tb_model *model, double seconds)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], c[TB_NUMBER_TEXT];
    const char *beginning = beginning_of(model);
    printf("stream      %s: one sequence, %s%s,\n", args->text ? args->text : "held-out text of twobit",
           beginning ? beginning : "no BOS", beginning ? " in the place of its first token" : "");
    printf("            --stream %s dropped %s tokens; %s pieces of %zu predictions; took %s\n", args->memory.stream,
           tb_text_of_count(a, curve->dropped), tb_text_of_count(b, r->windows), r->ctx,
           tb_text_of_seconds(c, seconds));
}

static tb_code draw(const perplexity_args *args, const char *model, const tb_perplexity_result *r,
                    const tb_curve *curve, tb_error *err)
{
    tb_str what = {0};
    tb_code rc = tb_str_printf(&what, err, "%s, --stream %s", model, args->memory.stream);
    if (!rc)
        rc = tb_curve_plot(args->plot, curve, r->ctx, tb_str_get(&what), r->has_reference, err);
    tb_str_clear(&what);
    return rc;
}

static void print_all(const perplexity_args *args, const tb_perplexity_result *result, const tb_curve *curve,
                      const tb_model *model, const tb_str *memory, double seconds)
{
    print_text(result);
    if (args->memory.stream)
        print_stream(result, curve, args, model, seconds);
    else
        print_protocol(result, model, args->text, seconds);
    if (memory->size)
        printf("memory      %s\n", tb_str_get(memory));
    if (args->act)
        printf("inputs      rounded: %s\n", args->act);
}

static tb_code show(tb_cli *cli, const perplexity_args *args, const tb_perplexity_result *result, const tb_curve *curve,
                    const tb_model *model, double seconds, tb_error *err)
{
    tb_str memory = {0};
    if (result->broken)
        return tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
    tb_code rc = args->plot ? draw(args, cli->operands.items[0], result, curve, err) : TB_OK;
    if (!rc)
        rc = tb_memory_args_describe(&memory, &args->memory, err);
    if (!rc && args->json)
        rc = print_json(result, args->memory.stream ? curve : NULL, model, &memory, args->act, seconds, err);
    else if (!rc)
        print_all(args, result, curve, model, &memory, seconds);
    tb_str_clear(&memory);
    return rc;
}

static tb_code measure(tb_cli *cli, const perplexity_args *args, const tb_model *model, const tb_model *reference,
                       const tb_seq_options *memory, const tb_probe *probe, tb_error *err)
{
    int32_t *ids;
    size_t count;
    double start = tb_clock_seconds();
    tb_perplexity_result result;
    tb_curve curve = {0};
    tb_perplexity_options protocol = {
        (size_t)args->ctx, (size_t)args->skip, (size_t)args->max_tokens, &cli->report, memory, probe};
    tb_code rc = tb_cli_read_tokens(&ids, &count, model, args->text, TB_TEXT_HELDOUT, err);
    if (!rc && args->memory.stream)
        rc = tb_measure_stream(&result, &curve, model, reference, ids, count, &protocol, err);
    else if (!rc)
        rc = tb_measure_perplexity(&result, model, reference, ids, count, &protocol, err);
    tb_progress_clear(&cli->progress);
    tb_free_ids(ids);
    if (!rc)
        rc = show(cli, args, &result, &curve, model, tb_clock_seconds() - start, err);
    tb_curve_clear(&curve);
    return rc;
}

static tb_code measure_rounded(tb_cli *cli, const perplexity_args *args, const tb_model *model,
                               const tb_model *reference, const tb_seq_options *memory, tb_act_form form, tb_error *err)
{
    int32_t *ids = NULL;
    tb_act_rounding rounding = {0};
    tb_act_text text = {.windows = TB_ACT_WINDOWS,
                        .length = tb_min_size(TB_ACT_WINDOW, tb_model_context_length(model))};
    tb_code rc = TB_OK;
    if (form.fixed)
        rc = tb_cli_read_tokens(&ids, &text.count, model, args->act_text, TB_TEXT_CALIBRATION, err);
    text.tokens = ids;
    if (!rc)
        rc = tb_act_rounding_init(&rounding, model, form, &text, &cli->report, err);
    tb_free_ids(ids);
    const tb_probe probe = tb_act_rounding_probe(&rounding);
    if (!rc)
        rc = measure(cli, args, model, reference, memory, &probe, err);
    tb_act_rounding_clear(&rounding);
    return rc;
}

static tb_code read_act(tb_act_form *form, tb_cli *cli, const perplexity_args *args, tb_error *err)
{
    tb_code rc = args->act ? tb_act_form_parse(form, args->act, err) : TB_OK;
    cli->misused = rc == TB_EINVAL;
    if (rc)
        return tb_fail_context(err, rc, "option '--act'");
    if (args->act_text && !(args->act && form->fixed))
        return tb_fail_usage(cli, err, "'--act-text' says the scales of a static '--act'");
    return TB_OK;
}

// What the options say of memory, and whether they go together.
static tb_code read_memory(tb_seq_options *memory, tb_cli *cli, const perplexity_args *args, tb_error *err)
{
    *memory = (tb_seq_options){.kv_cache = TB_KV_CACHE_F32};
    tb_code rc = tb_memory_args_read(memory, &args->memory, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc && args->plot && !args->memory.stream)
        rc = tb_fail_usage(cli, err, "'--plot' shows the curve of a stream: it needs '--stream'");
    if (!rc && args->skip && args->memory.stream)
        rc = tb_fail_usage(cli, err, "a stream has no windows: it goes without '--skip'");
    return rc || !args->plot ? rc : tb_plot_check(args->plot, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const perplexity_args *args = untyped;
    tb_model *model = NULL, *reference = NULL;
    tb_seq_options memory;
    tb_act_form form = {0};
    tb_code rc = read_memory(&memory, cli, args, err);
    if (!rc)
        rc = read_act(&form, cli, args, err);
    if (!rc)
        rc = tb_cli_open_prefixed(&model, cli, cli->operands.items[0], args->memory.prefix_kv, err);
    if (!rc)
        rc = tb_memory_args_open(&memory, &args->memory, model, err);
    if (!rc && args->reference)
        rc = tb_cli_open_prefixed(&reference, cli, args->reference, "none", err);
    if (!rc && args->act)
        rc = measure_rounded(cli, args, model, reference, &memory, form, err);
    else if (!rc)
        rc = measure(cli, args, model, reference, &memory, NULL, err);
    tb_model_close(reference);
    tb_model_close(model);
    tb_memory_args_clear(&memory);
    return rc;
}

const tb_command tb_command_perplexity = {
    .name = "perplexity",
    .summary = "measure how well a model predicts a text",
    .usage = "MODEL [--text FILE] [--reference MODEL0] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .shared = {{tb_memory_option_table, offsetof(perplexity_args, memory)}},
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
