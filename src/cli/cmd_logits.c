// twobit logits: what the model predicts after each of some tokens, as a NumPy file.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "formats/formats.h"

// Positions computed and written at a time.
enum { SLICE = 64 };

typedef struct logits_args {
    const char *ids, *output;
} logits_args;

static const logits_args defaults;

static const tb_option options[] = {
    {"ids", 0, TB_OPTION_TEXT, offsetof(logits_args, ids), "LIST", 0, 0, "token ids, separated by commas"},
    {"output", 'o', TB_OPTION_TEXT, offsetof(logits_args, output), "FILE", 0, 0, "the .npy file to write"},
    {0},
};

static const char *const examples[] = {
    "twobit logits model.gguf --ids 1,403,407 -o logits.npy",
    "writes float32 [3][vocabulary]: row i predicts what follows token i",
    NULL,
};

// Parses "1,403,407" into new memory; free with tb_free.
static tb_code parse_ids(int32_t **out, size_t *count, const char *list, tb_error *err)
{
    size_t most = strlen(list) / 2 + 1;
    int32_t *ids = tb_alloc_array(most, sizeof *ids);
    char *copy = tb_dup_text(list, strlen(list));
    tb_code rc = ids && copy ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu ids", most);
    size_t n = 0;
    for (char *item = copy, *next; !rc && item; item = next) {
        next = strchr(item, ',');
        if (next)
            *next++ = '\0';
        uint64_t id = 0;
        rc = tb_parse_count(&id, item, err);
        if (!rc && id > INT32_MAX)
            rc = tb_fail(err, TB_EINVAL, "'%s' is no token id", item);
        if (!rc)
            ids[n++] = (int32_t)id;
    }
    tb_free(copy);
    if (rc) {
        tb_free(ids);
        return rc;
    }
    *out = ids;
    *count = n;
    return TB_OK;
}

static tb_code write_slices(tb_outfile *file, tb_seq *seq, const int32_t *ids, size_t count, size_t vocab,
                            const tb_report *report, tb_error *err)
{
    float *logits = tb_alloc_array((count < SLICE ? count : SLICE) * vocab, sizeof *logits);
    tb_code rc = logits ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the logits");
    for (size_t done = 0; !rc && done < count; done += SLICE) {
        size_t n = count - done < SLICE ? count - done : SLICE;
        rc = tb_seq_push_all(seq, ids + done, n, logits, err);
        if (!rc)
            rc = tb_outfile_write(file, logits, n * vocab * sizeof *logits, err);
        if (!rc && tb_report_progress(report, "logits", (double)(done + n), (double)count, "tokens"))
            rc = tb_fail(err, TB_ECANCELLED, "stopped");
    }
    tb_free(logits);
    return rc;
}

static tb_code write_logits(const tb_cli *cli, const tb_model *model, const int32_t *ids, size_t count,
                            const char *path, tb_error *err)
{
    size_t vocab = tb_model_vocab_size(model), dims[2] = {count, vocab};
    // Whoever compares logits wants no rounding of the cache in them.
    tb_seq_options exact = {.context = count, .batch = SLICE, .kv_cache = TB_KV_CACHE_F32};
    tb_seq *seq = NULL;
    tb_outfile *file = NULL;
    tb_code rc = tb_seq_new(&seq, model, &exact, err);
    if (!rc)
        rc = tb_outfile_open(&file, path, err);
    if (!rc)
        rc = tb_npy_write_header_f32(file, dims, 2, err);
    if (!rc)
        rc = write_slices(file, seq, ids, count, vocab, &cli->report, err);
    if (!rc)
        rc = tb_outfile_commit(file, err);
    tb_outfile_close(file);
    tb_seq_free(seq);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const logits_args *args = untyped;
    if (!args->ids || !args->output)
        return tb_fail_usage(cli, err, "give the tokens with --ids and the file to write with -o");
    int32_t *ids;
    size_t count;
    tb_error list_err;
    if (parse_ids(&ids, &count, args->ids, &list_err))
        return tb_fail_usage(cli, err, "option '--ids': %s", list_err.message);
    tb_model *model;
    tb_code rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (!rc) {
        rc = write_logits(cli, model, ids, count, args->output, err);
        tb_model_close(model);
    }
    tb_free(ids);
    return rc;
}

const tb_command tb_command_logits = {
    .name = "logits",
    .summary = "write what the model predicts after each token",
    .usage = "MODEL --ids LIST -o FILE.npy [options]",
    .examples = examples,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
