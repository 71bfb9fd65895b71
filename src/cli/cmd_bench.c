// twobit bench: how fast a model reads and writes.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/memory_args.h"
#include "cli/number_text.h"
#include "eval/eval.h"

typedef struct bench_args {
    uint64_t prompt, gen, repeats;
    bool json;
    tb_memory_args memory;
} bench_args;

static const bench_args defaults = {.prompt = 128, .gen = 32, .repeats = 3, .memory = TB_MEMORY_DEFAULTS};

static const tb_option options[] = {
    {"prompt", 'p', TB_OPTION_COUNT, offsetof(bench_args, prompt), "N", 1, 1 << 20, "tokens read at once"},
    {"gen", 'n', TB_OPTION_COUNT, offsetof(bench_args, gen), "N", 1, 1 << 20, "tokens then computed one by one"},
    {"repeats", 'r', TB_OPTION_COUNT, offsetof(bench_args, repeats), "N", 1, 1000,
     "measurements after the warm-up; the median counts"},
    {"json", 0, TB_OPTION_FLAG, offsetof(bench_args, json), NULL, 0, 0,
     "print an object: prefill_tps, decode_tps, model_bytes, peak_rss_bytes and more"},
    {0},
};

static const char *const examples[] = {
    "twobit bench model.gguf",
    "tokens per second with all processors",
    "twobit bench model.gguf --prompt 512 --gen 64 --threads 1 --json",
    "a longer prompt, one thread, results as JSON",
    "twobit bench model.gguf --prompt 4096 --gen 16 --kv k2v2:g64:r128",
    "decode behind 4,096 tokens that lie in two bits",
    NULL,
};

static tb_code print_json(const tb_bench_result *r, const tb_cli *cli, const tb_model *model, const tb_str *memory,
                          tb_error *err)
{
    const tb_compute *compute = tb_model_compute(model);
    const char *path = cli->operands.items[0];
    char blas[TB_BLAS_NAME];
    return tb_json_print(
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o}", "prefill_tps",
                  tb_json_real(r->prefill_tps), "decode_tps", tb_json_real(r->decode_tps), "prefill_spread",
                  tb_json_real(r->prefill_spread), "decode_spread", tb_json_real(r->decode_spread), "model_bytes",
                  (json_int_t)tb_checkpoint_file_bytes(tb_model_checkpoint(model)), "peak_rss_bytes",
                  (json_int_t)r->peak_rss_bytes, "prompt", (json_int_t)r->prompt_tokens, "gen",
                  (json_int_t)r->generated_tokens, "repeats", (json_int_t)r->repeats, "threads",
                  (json_int_t)compute->threads, "cpu", tb_cpu_name(compute->kernels.cpu), "blas", tb_blas_name(blas),
                  "model", tb_json_text(path, strlen(path)), "memory", tb_json_text(tb_str_get(memory), memory->size)),
        err);
}

static void print_text(const tb_bench_result *r, const tb_model *model, const tb_str *memory)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], blas[TB_BLAS_NAME];
    const tb_compute *compute = tb_model_compute(model);
    printf("prefill  %s tokens/s (%zu tokens at once, spread %.0f %%)\n", tb_text_of_real(a, r->prefill_tps),
           r->prompt_tokens, 100 * r->prefill_spread);
    printf("decode   %s tokens/s (%zu tokens one by one, spread %.0f %%)\n", tb_text_of_real(a, r->decode_tps),
           r->generated_tokens, 100 * r->decode_spread);
    printf("model    %s bytes, peak memory %s bytes\n",
           tb_text_of_count(a, tb_checkpoint_file_bytes(tb_model_checkpoint(model))),
           tb_text_of_count(b, r->peak_rss_bytes));
    printf("         medians of %zu, %zu threads, kernels %s; %s\n", r->repeats, compute->threads,
           tb_cpu_name(compute->kernels.cpu), tb_blas_name(blas));
    if (memory->size)
        printf("memory   %s\n", tb_str_get(memory));
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const bench_args *args = untyped;
    tb_model *model = NULL;
    tb_seq_options memory = {0};
    tb_str what = {0};
    tb_bench_result result;
    tb_code rc = tb_memory_args_read(&memory, &args->memory, err);
    if (!rc)
        rc = tb_cli_open_prefixed(&model, cli, cli->operands.items[0], args->memory.prefix_kv, err);
    if (!rc)
        rc = tb_memory_args_open(&memory, &args->memory, model, err);
    if (!rc)
        rc = tb_memory_args_describe(&what, &args->memory, err);
    if (!rc)
        rc = tb_measure_speed(&result, model, (size_t)args->prompt, (size_t)args->gen, (size_t)args->repeats, &memory,
                              &cli->report, err);
    tb_progress_clear(&cli->progress);
    if (!rc && args->json)
        rc = print_json(&result, cli, model, &what, err);
    else if (!rc)
        print_text(&result, model, &what);
    tb_str_clear(&what);
    tb_model_close(model);
    tb_memory_args_clear(&memory);
    return rc;
}

const tb_command tb_command_bench = {
    .name = "bench",
    .summary = "measure the speed of prefill and decode",
    .usage = "MODEL [options]",
    .examples = examples,
    .notes = "Tokens are random, the work does not depend on which they are. The spread is (most − least)/median.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .shared = {{tb_memory_option_table, offsetof(bench_args, memory)}},
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
