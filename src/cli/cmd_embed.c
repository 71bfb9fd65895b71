// twobit embed: texts as vectors.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "formats/formats.h"
#include "model/model.h"

typedef struct embed_args {
    const char *lines, *output;
    bool mask_first;
} embed_args;

static const embed_args defaults;

static const tb_option options[] = {
    {"lines", 0, TB_OPTION_TEXT, offsetof(embed_args, lines), "FILE", 0, 0,
     "each line of a file is a text; - for standard input"},
    {"mask-first", 0, TB_OPTION_FLAG, offsetof(embed_args, mask_first), NULL, 0, 0,
     "no other token sees the first one, and the mean is without it"},
    {"output", 'o', TB_OPTION_TEXT, offsetof(embed_args, output), "FILE", 0, 0,
     "write float32 [texts][width] to this .npy file instead of printing an object"},
    {0},
};

static const char *const examples[] = {
    "twobit embed model.gguf \"A cat sat on the mat.\" \"A dog lay on the rug.\"",
    "two vectors, as JSON",
    "twobit embed model.gguf --lines sentences.txt --mask-first -o vectors.npy",
    "a vector for each line, without the first token's part in it, as a NumPy file",
    NULL,
};

static const char notes[] =
    "A text becomes the mean of what the model makes of its tokens, behind its last norm: as many numbers as its\n"
    "stream is wide, not normalised. The BOS that the model wants in front of every text is its first token.\n";

// ---- texts ----

// Borrowed from the command line, or from the bytes of a file.
typedef struct text_list {
    tb_text *at; // [count]
    size_t count;
    char *bytes;
} text_list;

static tb_code list_operands(text_list *list, const tb_operands *operands, tb_error *err)
{
    list->at = tb_alloc_array(operands->count, sizeof *list->at);
    if (!list->at)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu texts", operands->count);
    for (size_t i = 1; i < operands->count; i++)
        list->at[list->count++] = (tb_text){operands->items[i], strlen(operands->items[i])};
    return TB_OK;
}

// A last line need not end; an empty one is refused when its turn comes.
static tb_code list_lines(text_list *list, const char *path, tb_error *err)
{
    size_t size, lines = 1;
    tb_code rc = tb_text_read(&list->bytes, &size, path, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < size; i++)
        lines += list->bytes[i] == '\n';
    list->at = tb_alloc_array(lines, sizeof *list->at);
    if (!list->at)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu texts", lines);
    const char *end = list->bytes + size, *next;
    for (const char *at = list->bytes; at < end; at = next) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        next = newline ? newline + 1 : end;
        list->at[list->count++] = (tb_text){at, (size_t)((newline ? newline : end) - at)};
    }
    return list->count ? TB_OK : tb_fail(err, TB_EINVAL, "'%s' is empty", path);
}

static void text_list_clear(text_list *list)
{
    tb_free(list->at);
    tb_free(list->bytes);
}

// ---- vectors ----

static tb_code embed_text(float *out, size_t *tokens, const tb_model *model, tb_text text, bool mask_first,
                          tb_error *err)
{
    int32_t *ids;
    tb_code rc = tb_model_tokenize(model, text.data, text.size, TB_TOKENIZE_BOS, &ids, tokens, err);
    if (rc)
        return rc;
    rc = tb_model_embed(out, model, ids, *tokens, mask_first, err);
    tb_free_ids(ids);
    return rc;
}

// Vectors [texts][width] and how many tokens each text has.
typedef struct vectors {
    float *x;
    size_t *tokens;
    size_t count, width;
} vectors;

static tb_code embed_all(vectors *v, const tb_model *model, const text_list *texts, const embed_args *args,
                         const tb_report *report, tb_error *err)
{
    size_t n;
    *v = (vectors){.count = texts->count, .width = tb_model_embedding_size(model)};
    v->x = tb_mul_size(&n, v->count, v->width) ? tb_alloc_array(n, sizeof *v->x) : NULL;
    v->tokens = tb_alloc_array(v->count, sizeof *v->tokens);
    if (!v->x || !v->tokens)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu vectors of %zu numbers", v->count, v->width);
    for (size_t i = 0; i < v->count; i++) {
        if (tb_report_progress(report, "texts", (double)i, (double)v->count, "texts"))
            return tb_fail(err, TB_ECANCELLED, "stopped");
        tb_code rc = embed_text(v->x + i * v->width, &v->tokens[i], model, texts->at[i], args->mask_first, err);
        if (rc)
            return v->count > 1 ? tb_fail_context(err, rc, "text %zu", i + 1) : rc;
    }
    return TB_OK;
}

static tb_code write_npy(const vectors *v, const char *path, tb_error *err)
{
    const size_t dims[2] = {v->count, v->width};
    tb_outfile *file;
    tb_code rc = tb_outfile_open(&file, path, err);
    if (!rc)
        rc = tb_npy_write_header_f32(file, dims, 2, err);
    if (!rc)
        rc = tb_outfile_write(file, v->x, v->count * v->width * sizeof *v->x, err);
    if (!rc)
        rc = tb_outfile_commit(file, err);
    tb_outfile_close(file);
    return rc;
}

static tb_code print_json(const vectors *v, bool mask_first, tb_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++) {
        json_t *numbers = json_array();
        for (size_t k = 0; k < v->width; k++)
            json_array_append_new(numbers, tb_json_real((double)v->x[i * v->width + k]));
        json_array_append_new(list, json_pack("{s:I, s:o}", "tokens", (json_int_t)v->tokens[i], "embedding", numbers));
    }
    return tb_json_print(
        json_pack("{s:I, s:b, s:o}", "width", (json_int_t)v->width, "mask_first", mask_first, "embeddings", list), err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const embed_args *args = untyped;
    tb_model *model = NULL;
    text_list texts = {0};
    vectors v = {0};
    if ((cli->operands.count > 1) == (args->lines != NULL))
        return tb_fail_usage(cli, err, "give texts either behind the model or with --lines");
    tb_code rc = args->output ? tb_cli_check_output(args->output, err) : TB_OK;
    if (!rc)
        rc = args->lines ? list_lines(&texts, args->lines, err) : list_operands(&texts, &cli->operands, err);
    if (!rc)
        rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (!rc)
        rc = embed_all(&v, model, &texts, args, &cli->report, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = args->output ? write_npy(&v, args->output, err) : print_json(&v, args->mask_first, err);
    tb_free(v.x);
    tb_free(v.tokens);
    tb_model_close(model);
    text_list_clear(&texts);
    return rc;
}

const tb_command tb_command_embed = {
    .name = "embed",
    .summary = "turn texts into vectors",
    .usage = "MODEL (TEXT... | --lines FILE) [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = SIZE_MAX,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
