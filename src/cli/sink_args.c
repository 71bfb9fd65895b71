#include "cli/sink_args.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/plot.h"

const tb_sink_args tb_sink_args_default = TB_SINK_ARGS_DEFAULTS;

const tb_option tb_sink_option_table[] = {
    {"reference", 0, TB_OPTION_TEXT, offsetof(tb_sink_args, reference), "MODEL0", 0, 0,
     "also measure this model on the same sequences"},
    {"plot", 0, TB_OPTION_TEXT, offsetof(tb_sink_args, plot), "FILE", 0, 0,
     "also draw a picture: .svg or .png, by gnuplot"},
    {0},
};

const tb_option tb_sink_protocol_table[] = {
    {"text", 0, TB_OPTION_TEXT, offsetof(tb_sink_args, text), "FILE", 0, 0,
     "the text; - for standard input (default: a held-out text that comes with twobit)"},
    {"input", 0, TB_OPTION_TEXT, offsetof(tb_sink_args, input), "KIND", 0, 0,
     "natural (the text), random (tokens) or repeat (one token, again and again)"},
    {"bos", 0, TB_OPTION_TEXT, offsetof(tb_sink_args, bos), "POLICY", 0, 0,
     "whether a BOS begins each sequence: auto (as the tokenizer's settings say), always or never"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(tb_sink_args, ctx), "T", TB_SINK_LEAST_CTX, TB_SINK_MOST_CTX,
     "tokens of a sequence"},
    {"sequences", 0, TB_OPTION_COUNT, offsetof(tb_sink_args, sequences), "N", 1, 1 << 20,
     "most sequences; a text may fill fewer"},
    {"epsilon", 0, TB_OPTION_REAL, offsetof(tb_sink_args, epsilon), "E", 0.001, 1,
     "a column is a sink where the queries give it more than this on average"},
    {"json", 0, TB_OPTION_FLAG, offsetof(tb_sink_args, json), NULL, 0, 0, "print an object"},
    {0},
};

// ---- options ----

static bool find_word(unsigned *out, const char *word, const char *const *words, size_t count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static tb_code resolve(tb_sink_options *out, tb_cli *cli, const tb_sink_args *args, tb_error *err)
{
    static const char *const inputs[] = {
        [TB_SINK_NATURAL] = "natural", [TB_SINK_RANDOM] = "random", [TB_SINK_REPEAT] = "repeat"};
    static const char *const policies[] = {
        [TB_SINK_BOS_AUTO] = "auto", [TB_SINK_BOS_ALWAYS] = "always", [TB_SINK_BOS_NEVER] = "never"};
    unsigned input, bos;
    if (!find_word(&input, args->input, inputs, sizeof inputs / sizeof inputs[0]))
        return tb_fail_usage(cli, err, "unknown input '%s'; use natural, random or repeat", args->input);
    if (!find_word(&bos, args->bos, policies, sizeof policies / sizeof policies[0]))
        return tb_fail_usage(cli, err, "unknown BOS policy '%s'; use auto, always or never", args->bos);
    if (args->text && input != TB_SINK_NATURAL)
        return tb_fail_usage(cli, err, "--text and --input %s exclude each other", args->input);
    *out = (tb_sink_options){
        .ctx = (size_t)args->ctx,
        .sequences = (size_t)args->sequences,
        .input = (tb_sink_input)input,
        .bos = (tb_sink_bos)bos,
        .epsilon = args->epsilon,
        .seed = cli->common.seed,
        .report = &cli->report,
    };
    tb_code rc = args->plot ? tb_plot_check(args->plot, err) : TB_OK;
    cli->misused = rc == TB_EINVAL;
    return rc;
}

// Models are shown side by side, head by head.
static tb_code check_reference(const tb_model *model, const tb_model *reference, tb_error *err)
{
    const tb_config *a = tb_model_config(model), *b = tb_model_config(reference);
    if (a->vocab != b->vocab)
        return tb_fail(err, TB_EINVAL, "the models' vocabularies have %zu and %zu tokens", a->vocab, b->vocab);
    if (a->blocks != b->blocks || a->heads != b->heads || a->kv_heads != b->kv_heads)
        return tb_fail(err, TB_EINVAL,
                       "the reference has another shape: %zu blocks of %zu heads on %zu KV heads, the model %zu of %zu "
                       "on %zu",
                       b->blocks, b->heads, b->kv_heads, a->blocks, a->heads, a->kv_heads);
    return TB_OK;
}

tb_code tb_sink_job_init(tb_sink_job *job, tb_cli *cli, const tb_sink_args *args, tb_error *err)
{
    *job = (tb_sink_job){.cli = cli, .args = args};
    tb_code rc = resolve(&job->options, cli, args, err);
    if (!rc)
        rc = tb_cli_open_model(&job->model, cli, cli->operands.items[0], err);
    if (!rc && args->reference)
        rc = tb_cli_open_model(&job->reference, cli, args->reference, err);
    if (!rc && job->reference)
        rc = check_reference(job->model, job->reference, err);
    if (!rc && job->options.input == TB_SINK_NATURAL)
        rc = tb_cli_read_tokens(&job->text, &job->options.text_count, job->model, args->text, TB_TEXT_HELDOUT, err);
    job->options.text = job->text;
    return rc;
}

void tb_sink_job_clear(tb_sink_job *job)
{
    tb_free_ids(job->text);
    tb_model_close(job->reference);
    tb_model_close(job->model);
}

// ---- the protocol ----

const char *tb_sink_model_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static const char *source_of(const tb_sink_job *job)
{
    switch (job->options.input) {
    case TB_SINK_RANDOM:
        return "random tokens";
    case TB_SINK_REPEAT:
        return "one random token repeated";
    case TB_SINK_NATURAL:
        break;
    }
    return job->args->text ? job->args->text : "held-out text of twobit";
}

static void print_model(const char *label, const tb_model *model, const char *path)
{
    const tb_config *c = tb_model_config(model);
    printf("%-11s%s: %s, %zu blocks of %zu heads on %zu KV heads\n", label, tb_sink_model_name(path),
           tb_model_architecture(model), c->blocks, c->heads, c->kv_heads);
}

void tb_sink_print_protocol(const tb_sink_job *job, const tb_sink_result *r, double seconds)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], c[TB_NUMBER_TEXT];
    print_model("model", job->model, job->cli->operands.items[0]);
    if (job->reference)
        print_model("reference", job->reference, job->args->reference);
    printf("protocol   %s, raw: %s sequences of T = %zu tokens, %s; ε = %g, seed %llu; took %s\n", source_of(job),
           tb_text_of_count(a, r->sequences), r->ctx, r->bos ? "BOS in the place of the first" : "no BOS", r->epsilon,
           (unsigned long long)job->options.seed, tb_text_of_seconds(b, seconds));
    if (r->registers)
        printf("registers  %s at the positions in front of the text: \"first token\" means the first of them\n",
               tb_text_of_count(c, r->registers));
    printf("\n");
}

static json_t *make_protocol(const tb_sink_job *job, const tb_sink_result *r, double seconds)
{
    const char *model = job->cli->operands.items[0], *reference = job->args->reference, *text = job->args->text;
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:b, s:I, s:I, s:I, s:o, s:I, s:o}", "model", tb_json_text(model, strlen(model)),
        "reference", reference ? tb_json_text(reference, strlen(reference)) : json_null(), "input", job->args->input,
        "text", text ? tb_json_text(text, strlen(text)) : json_null(), "bos", r->bos, "ctx", (json_int_t)r->ctx,
        "registers", (json_int_t)r->registers, "sequences", (json_int_t)r->sequences, "epsilon",
        tb_json_real(r->epsilon), "seed", (json_int_t)job->options.seed, "seconds", tb_json_real(seconds));
}

tb_code tb_sink_print_json(const tb_sink_job *job, const tb_sink_result *r, double seconds, const char *key,
                           json_t *result, json_t *reference, tb_error *err)
{
    char reference_key[64];
    snprintf(reference_key, sizeof reference_key, "reference_%s", key);
    json_t *object = make_protocol(job, r, seconds);
    int failed = json_object_set_new(object, key, result);
    if (job->reference)
        failed |= json_object_set_new(object, reference_key, reference);
    if (failed) {
        json_decref(object);
        object = NULL;
    }
    return tb_json_print(object, err);
}

// ---- trials ----

tb_sink_result tb_sink_protocol_result(const tb_sink_job *job, const tb_sink_protocol *protocol)
{
    return (tb_sink_result){.ctx = protocol->ctx,
                            .sequences = protocol->sequences,
                            .bos = protocol->bos,
                            .registers = tb_model_config(job->model)->registers,
                            .epsilon = job->options.epsilon};
}

json_t *tb_sink_make_trial(const tb_sink_trial *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "perplexity", tb_json_real(exp(t->nll)), "nll",
                     tb_json_real(t->nll), "more", tb_json_real(t->more), "more_error", tb_json_real(t->more_error),
                     "kl", tb_json_real(t->kl), "entropy", tb_json_real(t->entropy), "broken", (json_int_t)t->broken);
}

tb_code tb_sink_add_more(tb_table *table, const tb_sink_trial *t, tb_error *err)
{
    if (isnan(t->more_error))
        return tb_table_printf(table, err, "%+.4f", t->more);
    return tb_table_printf(table, err, "%+.4f ± %.4f", t->more, t->more_error);
}

// ---- a whole command ----

static tb_code print(const tb_sink_job *job, const tb_sink_view *view, const tb_sink_result *r,
                     const tb_sink_result *reference, tb_error *err)
{
    if (!view->print)
        return view->print_both(job, r, reference, err);
    tb_code rc = view->print(job->model, r, err);
    if (rc || !reference)
        return rc;
    printf("\n%s:\n\n", tb_sink_model_name(job->args->reference));
    return view->print(job->reference, reference, err);
}

static tb_code show(const tb_sink_job *job, const tb_sink_view *view, const tb_sink_result *r,
                    const tb_sink_result *reference, double seconds, tb_error *err)
{
    tb_code rc = TB_OK;
    if (job->args->json)
        rc = tb_sink_print_json(job, r, seconds, view->key, view->make(r), reference ? view->make(reference) : NULL,
                                err);
    else {
        tb_sink_print_protocol(job, r, seconds);
        rc = print(job, view, r, reference, err);
    }
    return rc || !job->args->plot ? rc : view->plot(job, r, reference, err);
}

tb_code tb_sink_run(tb_cli *cli, const tb_sink_args *args, const tb_sink_view *view, tb_error *err)
{
    tb_sink_job job;
    tb_sink_result result = {0}, reference = {0};
    double start = tb_clock_seconds();
    tb_code rc = tb_sink_job_init(&job, cli, args, err);
    if (!rc)
        rc = tb_sink_measure(&result, job.model, view->what, &job.options, err);
    if (!rc && job.reference)
        rc = tb_sink_measure(&reference, job.reference, view->what, &job.options, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = show(&job, view, &result, job.reference ? &reference : NULL, tb_clock_seconds() - start, err);
    tb_sink_result_clear(&reference);
    tb_sink_result_clear(&result);
    tb_sink_job_clear(&job);
    return rc;
}

// ---- tokens ----

// A character as it can be shown in a line: escaped, or '?' where the bytes are none.
static size_t show_character(char out[4], const char *text, size_t size, size_t *used)
{
    static const char controls[] = "\n\t\r", letters[] = "ntr";
    uint32_t code;
    size_t n = tb_utf8_decode(&code, text, size);
    const char *control = memchr(controls, *text, sizeof controls - 1);
    *used = n ? n : 1;
    out[0] = '?';
    if (control) {
        out[0] = '\\';
        out[1] = letters[control - controls];
        return 2;
    }
    if (n == 0 || code < ' ' || code == 0x7f)
        return 1;
    memcpy(out, text, n);
    return n;
}

const char *tb_sink_token_text(char out[TB_SINK_TOKEN_TEXT], const tb_model *model, int32_t token)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    tb_str text = {0};
    tb_error ignored;
    if (token < 0) {
        snprintf(out, TB_SINK_TOKEN_TEXT, "register %d", -1 - token);
        return out;
    }
    if (!tokenizer || tb_decode(&text, tokenizer, &token, 1, true, &ignored)) {
        snprintf(out, TB_SINK_TOKEN_TEXT, "%d", token);
        return out;
    }
    size_t size = 0;
    out[size++] = '"';
    for (size_t i = 0, used; i < text.size && size + sizeof "????\"" < TB_SINK_TOKEN_TEXT; i += used)
        size += show_character(out + size, text.data + i, text.size - i, &used);
    out[size++] = '"';
    out[size] = '\0';
    tb_str_clear(&text);
    return out;
}

tb_code tb_sink_super_tokens(int32_t **ids, size_t *count, const tb_model *model, const char *prompt, tb_error *err)
{
    tb_text text = tb_builtin_text_get(TB_TEXT_CALIBRATION);
    bool mixture = !prompt && tb_model_config(model)->experts;
    if (!mixture) {
        prompt = prompt ? prompt : TB_SUPER_PROMPT;
        text = (tb_text){prompt, strlen(prompt)};
    }
    tb_code rc = tb_model_tokenize(model, text.data, text.size, TB_TOKENIZE_BOS, ids, count, err);
    if (!rc && mixture)
        *count = tb_min_size(*count, tb_min_size(TB_SUPER_EXPERT_TOKENS, tb_model_context_length(model)));
    return rc;
}
