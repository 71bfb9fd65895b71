// twobit perplexity: how well a model predicts a text, and how far it strays from another.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "eval/eval.h"

typedef struct perplexity_args {
    const char *text, *reference;
    uint64_t ctx, skip, max_tokens;
    bool json;
} perplexity_args;

static const perplexity_args defaults;

static const tb_option options[] = {
    {"text", 0, TB_OPTION_TEXT, offsetof(perplexity_args, text), "FILE", 0, 0,
     "the text; - for standard input (default: a held-out text that comes with twobit)"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(perplexity_args, ctx), "N", 2, 1 << 24,
     "tokens per window (default 512, or the model's context when that is shorter)"},
    {"skip", 0, TB_OPTION_COUNT, offsetof(perplexity_args, skip), "N", 0, 1 << 24,
     "positions of each window that are not scored (default 0; llama.cpp's convention is half of --ctx)"},
    {"max-tokens", 0, TB_OPTION_COUNT, offsetof(perplexity_args, max_tokens), "N", 1, 0,
     "most tokens of the text that are used, in whole windows (default all)"},
    {"reference", 0, TB_OPTION_TEXT, offsetof(perplexity_args, reference), "MODEL0", 0, 0,
     "also compare with this model: KL divergence, agreement on the likeliest token"},
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
    NULL,
};

static const char notes[] =
    "Protocol: the text's tokens are cut into consecutive windows of --ctx tokens that do not overlap; a last\n"
    "shorter one is dropped. Where the tokenizer's own settings add a BOS, it replaces the first token of each\n"
    "window. The predictions made at positions --skip to ctx-2 of each window are scored. Divergence is\n"
    "KL(reference, model) in nats. Errors are standard errors, from the means of the windows.\n";

static bool adds_bos(const tb_model *model)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    return tokenizer && tb_tokenizer_adds_bos(tokenizer);
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

static tb_code print_json(const tb_perplexity_result *r, const tb_model *model, double seconds, tb_error *err)
{
    json_t *object = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:o}", "perplexity",
                               tb_json_real(r->perplexity), "stderr", tb_json_real(r->stderr_), "nll",
                               tb_json_real(r->nll), "nll_stderr", tb_json_real(r->nll_stderr), "tokens",
                               (json_int_t)r->tokens, "windows", (json_int_t)r->windows, "ctx", (json_int_t)r->ctx,
                               "skip", (json_int_t)r->skip, "bos", adds_bos(model), "seconds", tb_json_real(seconds));
    if (r->has_reference && set_reference_keys(object, r)) {
        json_decref(object);
        object = NULL;
    }
    return tb_json_print(object, err);
}

static void print_protocol(const tb_perplexity_result *r, const tb_model *model, const char *path, double seconds)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    printf("protocol    %s: %s windows of %zu tokens that do not overlap, %s,\n",
           path ? path : "held-out text of twobit", tb_text_of_count(a, r->windows), r->ctx,
           adds_bos(model) ? "BOS in the place of the first" : "no BOS");
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

static tb_code measure(tb_cli *cli, const perplexity_args *args, const tb_model *model, const tb_model *reference,
                       tb_error *err)
{
    int32_t *ids;
    size_t count;
    double start = tb_clock_seconds();
    tb_perplexity_result result;
    tb_perplexity_options protocol = {(size_t)args->ctx, (size_t)args->skip, (size_t)args->max_tokens, &cli->report};
    tb_code rc = tb_cli_read_tokens(&ids, &count, model, args->text, err);
    if (!rc)
        rc = tb_measure_perplexity(&result, model, reference, ids, count, &protocol, err);
    tb_progress_clear(&cli->progress);
    tb_free_ids(ids);
    if (rc)
        return rc;
    if (result.broken)
        return tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
    double seconds = tb_clock_seconds() - start;
    if (args->json)
        return print_json(&result, model, seconds, err);
    print_text(&result);
    print_protocol(&result, model, args->text, seconds);
    return TB_OK;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const perplexity_args *args = untyped;
    tb_model *model = NULL, *reference = NULL;
    tb_code rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (!rc && args->reference)
        rc = tb_cli_open_model(&reference, cli, args->reference, err);
    if (!rc)
        rc = measure(cli, args, model, reference, err);
    tb_model_close(reference);
    tb_model_close(model);
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
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
