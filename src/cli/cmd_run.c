// twobit run: continues a text and streams it to stdout.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/memory_args.h"
#include "cli/number_text.h"
#include "cli/own_model.h"
#include "cli/sink_log.h"
#include "generate/generate.h"

typedef struct run_args {
    const char *prompt, *prompt_file, *sink_log;
    uint64_t tokens;
    tb_sampling_args sampling;
    tb_memory_args memory;
    bool no_prompt, special, ignore_eos;
} run_args;

static const run_args defaults = {.tokens = 128, .sampling = TB_SAMPLING_DEFAULTS, .memory = TB_MEMORY_DEFAULTS};

static const tb_option options[] = {
    {"prompt", 'p', TB_OPTION_TEXT, offsetof(run_args, prompt), "TEXT", 0, 0, "the text to continue"},
    {"prompt-file", 'f', TB_OPTION_TEXT, offsetof(run_args, prompt_file), "FILE", 0, 0,
     "read it from a file; - for standard input"},
    {"tokens", 'n', TB_OPTION_COUNT, offsetof(run_args, tokens), "N", 0, 1 << 24, "most tokens to add"},
    {"no-prompt", 0, TB_OPTION_FLAG, offsetof(run_args, no_prompt), NULL, 0, 0, "print the continuation only"},
    {"ignore-eos", 0, TB_OPTION_FLAG, offsetof(run_args, ignore_eos), NULL, 0, 0,
     "never choose a token that ends the text"},
    {"special", 0, TB_OPTION_FLAG, offsetof(run_args, special), NULL, 0, 0,
     "take control tokens written in the prompt, such as <|im_start|>, for what they say"},
    {"sink-log", 0, TB_OPTION_TEXT, offsetof(run_args, sink_log), "FILE", 0, 0,
     "write a line of CSV for each new token: attention on the first one, its entropy, the largest activation"},
    {0},
};

static const char *const examples[] = {
    "twobit run -p \"Once upon a time\"",
    "a story by the small model that comes with twobit",
    "twobit run model.gguf -p \"Once upon a time\"",
    "prints the prompt and its continuation, as one text",
    "twobit run model.gguf -p \"The capital of France is\" -n 8 --temp 0 --no-prompt",
    "the likeliest eight tokens behind the prompt, without the prompt",
    "twobit run model.gguf -f story.txt -n 500 --seed 7 -v > more.txt",
    "a prompt from a file; speed and seed are told on stderr",
    "twobit run model.gguf -p \"Once upon a time\" --stream 4:508 --ignore-eos -n 100000",
    "a text without end, in memory that does not grow: each token sees the first 4 and the last 508",
    "twobit run model.gguf -p \"The capital of France is\" --sink-log sinks.csv",
    "what attention did while each token was chosen, as a table",
    NULL,
};

// Where the text and what is seen while it is made go.
typedef struct run_output {
    tb_cli *cli;
    tb_sink_log log;
} run_output;

static bool print_piece(void *user, const char *text, size_t size)
{
    run_output *out = user;
    tb_progress_clear(&out->cli->progress);
    return tb_cli_stream(out->cli, text, size);
}

static tb_code log_sight(void *user, const tb_sink_sight *sight, tb_error *err)
{
    run_output *out = user;
    return tb_sink_log_add(&out->log, sight, err);
}

static void tell_stats(const tb_cli *cli, const run_args *args, const tb_generate_stats *s)
{
    static const char *const ends[] = {
        [TB_GENERATE_COUNT] = "as many tokens as asked for", [TB_GENERATE_TOKEN] = "the model ended the text",
        [TB_GENERATE_STOP] = "a stop string came",           [TB_GENERATE_CONTEXT] = "the context is full",
        [TB_GENERATE_TAKER] = "the output was closed",       [TB_GENERATE_INTERRUPT] = "interrupted",
    };
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    tb_report_note(&cli->report, TB_NOTE_DETAIL, "prompt %zu tokens, %s tokens/s; continuation %zu tokens, %s tokens/s",
                   s->prompt_tokens, tb_text_of_real(a, (double)s->prompt_tokens / s->prompt_seconds), s->tokens,
                   tb_text_of_real(b, s->seconds > 0 ? (double)s->tokens / s->seconds : 0));
    tb_report_note(&cli->report, TB_NOTE_DETAIL, "KV cache %s bytes", tb_text_of_count(a, s->kv_bytes));
    tb_report_note(&cli->report, TB_NOTE_DETAIL, "seed %llu; stopped: %s", (unsigned long long)cli->common.seed,
                   ends[s->end]);
    if (args->memory.skip_mass > 0)
        tb_report_note(&cli->report, TB_NOTE_INFO,
                       "%.1f %% of the keys behind the first and in front of the newest were not read",
                       100 * s->skipped);
    if (s->dropped)
        tb_report_note(&cli->report, TB_NOTE_INFO, "%zu of %zu tokens were dropped from the stream", s->dropped,
                       s->length);
    if (s->end == TB_GENERATE_CONTEXT)
        tb_report_note(&cli->report, TB_NOTE_INFO, "the model's context is full after %zu tokens",
                       s->prompt_tokens + s->tokens);
}

// The named model, or the one that comes with twobit.
static tb_code open_model(tb_model **out, const tb_cli *cli, const char *prefix_kv, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = cli->operands.count ? TB_OK : tb_own_model_find(&path, err);
    if (!rc)
        rc = tb_cli_open_prefixed(out, cli, cli->operands.count ? cli->operands.items[0] : path.data, prefix_kv, err);
    tb_str_clear(&path);
    return rc;
}

// Text that was interrupted is there, and so is its log.
static tb_code finish_log(tb_sink_log *log, tb_code rc, tb_error *err)
{
    if (!log->file || (rc && rc != TB_ECANCELLED))
        return rc;
    tb_error own;
    tb_code finished = tb_sink_log_finish(log, &own);
    if (finished)
        *err = own;
    return finished ? finished : rc;
}

static tb_code continue_prompt(tb_cli *cli, const run_args *args, const char *prompt, size_t size, tb_error *err)
{
    tb_model *model = NULL;
    tb_sampling sampling;
    run_output out = {.cli = cli};
    tb_seq_options memory = {0};
    tb_code rc = tb_sampling_init(&sampling, &args->sampling, cli->common.seed, err);
    sampling.options.no_end = args->ignore_eos;
    if (!rc)
        rc = tb_memory_args_read(&memory, &args->memory, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc && args->sink_log)
        rc = tb_sink_log_open(&out.log, args->sink_log, err);
    if (!rc)
        rc = open_model(&model, cli, args->memory.prefix_kv, err);
    if (!rc)
        rc = tb_memory_args_open(&memory, &args->memory, model, err);
    if (rc) {
        tb_sink_log_clear(&out.log);
        tb_model_close(model);
        tb_memory_args_clear(&memory);
        return rc;
    }
    out.log.tokenizer = tb_model_tokenizer(model);
    tb_generate_options generate = {
        .tokenize = TB_TOKENIZE_BOS | (args->special ? TB_TOKENIZE_SPECIAL : 0),
        .most = (size_t)args->tokens,
        .echo = !args->no_prompt,
        .memory = memory,
        .sampler = sampling.options,
        .stops = args->sampling.stops.items,
        .stop_count = args->sampling.stops.count,
        .report = &cli->report,
        .take = print_piece,
        .watch = args->sink_log ? log_sight : NULL,
        .user = &out,
    };
    tb_generate_stats stats;
    rc = tb_generate(&stats, model, prompt, size, &generate, err);
    tb_progress_clear(&cli->progress);
    if (isatty(STDOUT_FILENO)) // a file gets the text and nothing else
        putchar('\n');
    rc = finish_log(&out.log, rc, err);
    tb_sink_log_clear(&out.log);
    if (!rc)
        tell_stats(cli, args, &stats);
    tb_model_close(model);
    tb_memory_args_clear(&memory);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const run_args *args = untyped;
    if (!cli->operands.count && !args->prompt && !args->prompt_file)
        return tb_fail_usage(cli, err, "the model is missing");
    if ((args->prompt != NULL) == (args->prompt_file != NULL))
        return tb_fail_usage(cli, err, "give the text to continue either with -p or with --prompt-file");
    if (args->prompt)
        return continue_prompt(cli, args, args->prompt, strlen(args->prompt), err);
    char *text;
    size_t size;
    tb_code rc = tb_text_read(&text, &size, args->prompt_file, err);
    if (!rc)
        rc = continue_prompt(cli, args, text, size, err);
    tb_free(text);
    return rc;
}

const tb_command tb_command_run = {
    .name = "run",
    .summary = "continue a text",
    .usage = "[MODEL] -p TEXT [options]",
    .examples = examples,
    .notes =
        "Standard output gets the prompt and its continuation, as one text, while it is made; nothing else is\n"
        "printed there. The same seed gives the same text. Without MODEL the small one that comes with twobit tells a\n"
        "story.\n",
    .most_operands = 1,
    .options = options,
    .shared = {{tb_sampling_option_table, offsetof(run_args, sampling)},
               {tb_memory_option_table, offsetof(run_args, memory)}},
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
