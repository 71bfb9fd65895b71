// twobit tokenize: a text as the ids that the model sees.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ids_out.h"

typedef struct tokenize_args {
    const char *text;
    bool no_bos, special, json;
} tokenize_args;

static const tokenize_args defaults;

static const tb_option options[] = {
    {"text", 0, TB_OPTION_TEXT, offsetof(tokenize_args, text), "FILE", 0, 0, "the text; - for standard input"},
    {"no-bos", 0, TB_OPTION_FLAG, offsetof(tokenize_args, no_bos), NULL, 0, 0,
     "leave out the token that the model wants in front of every text"},
    {"special", 0, TB_OPTION_FLAG, offsetof(tokenize_args, special), NULL, 0, 0,
     "take control tokens written in the text, such as <|im_start|>, for what they say"},
    {"json", 0, TB_OPTION_FLAG, offsetof(tokenize_args, json), NULL, 0, 0, "print an object: ids, count"},
    {0},
};

static const char *const examples[] = {
    "twobit tokenize model.gguf \"Hello world\"",
    "prints the ids of two words, separated by blanks",
    "twobit tokenize model.gguf --text book.txt --json",
    "the same for a file, as JSON",
    "printf 'a\\nb' | twobit tokenize model.gguf --text - --no-bos",
    "from a pipe, without the token for the beginning",
    NULL,
};

static tb_code print_tokens(const tb_tokenizer *tokenizer, const tokenize_args *args, const char *text, size_t size,
                            tb_error *err)
{
    unsigned flags = (args->no_bos ? 0 : TB_ENCODE_BOS) | (args->special ? TB_ENCODE_SPECIAL : 0);
    tb_ids ids = {0};
    tb_code rc = tb_encode(&ids, tokenizer, (tb_text){text, size}, flags, err);
    if (!rc)
        rc = tb_cli_print_ids(&ids, args->json, err);
    tb_ids_clear(&ids);
    return rc;
}

static tb_code open_tokenizer(tb_tokenizer **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_checkpoint *checkpoint;
    tb_code rc = tb_checkpoint_open_texts(&checkpoint, path, err);
    if (rc)
        return rc;
    rc = tb_cli_load_tokenizer(out, checkpoint, err);
    tb_checkpoint_close(checkpoint);
    return rc;
}

static tb_code tokenize_file(const tb_tokenizer *tokenizer, const tokenize_args *args, tb_error *err)
{
    char *text;
    size_t size;
    tb_code rc = tb_text_read(&text, &size, args->text, err);
    if (!rc)
        rc = print_tokens(tokenizer, args, text, size, err);
    tb_free(text);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const tokenize_args *args = untyped;
    const char *const *operands = cli->operands.items;
    bool has_operand = cli->operands.count == 2;
    if (has_operand == (args->text != NULL))
        return tb_fail_usage(cli, err, "give the text either as an argument or with --text");
    tb_tokenizer *tokenizer;
    tb_code rc = open_tokenizer(&tokenizer, operands[0], err);
    if (!rc && has_operand)
        rc = print_tokens(tokenizer, args, operands[1], strlen(operands[1]), err);
    else if (!rc)
        rc = tokenize_file(tokenizer, args, err);
    tb_tokenizer_free(tokenizer);
    return rc;
}

const tb_command tb_command_tokenize = {
    .name = "tokenize",
    .summary = "show a text as token ids",
    .usage = "MODEL (TEXT | --text FILE) [options]",
    .examples = examples,
    .notes = "The text may hold any bytes: what is not UTF-8 survives.\n",
    .least_operands = 1,
    .most_operands = 2,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
