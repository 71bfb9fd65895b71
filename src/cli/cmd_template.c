// twobit template: the prompt that a model's chat template makes of a conversation, as text or as ids.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ids_out.h"
#include "cli/json_out.h"
#include "cli/conversation_file.h"
#include "generate/generate.h"

typedef struct template_args {
    const char *messages, *bos, *eos;
    bool no_generation_prompt, ids, special, json;
} template_args;

static const template_args defaults;

static const tb_option options[] = {
    {"messages", 0, TB_OPTION_TEXT, offsetof(template_args, messages), "FILE", 0, 0,
     "the conversation: a JSON object with \"messages\", perhaps \"tools\"; - for standard input"},
    {"no-generation-prompt", 0, TB_OPTION_FLAG, offsetof(template_args, no_generation_prompt), NULL, 0, 0,
     "leave out the beginning of the answer that is asked for"},
    {"bos", 0, TB_OPTION_TEXT, offsetof(template_args, bos), "TEXT", 0, 0, "bos_token of a .jinja file"},
    {"eos", 0, TB_OPTION_TEXT, offsetof(template_args, eos), "TEXT", 0, 0, "eos_token of a .jinja file"},
    {"ids", 0, TB_OPTION_FLAG, offsetof(template_args, ids), NULL, 0, 0,
     "print the ids of the tokens that the model sees"},
    {"special", 0, TB_OPTION_FLAG, offsetof(template_args, special), NULL, 0, 0,
     "with --ids: take control tokens written in the conversation, such as <|im_end|>, for what they say"},
    {"json", 0, TB_OPTION_FLAG, offsetof(template_args, json), NULL, 0, 0,
     "print an object: text, or with --ids count and ids"},
    {0},
};

static const char *const examples[] = {
    "twobit template model.gguf --messages chat.json",
    "prints the prompt that the model sees when it is to answer",
    "echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}' | twobit template model.gguf --messages -",
    "the conversation from a pipe",
    "twobit template model.gguf --messages chat.json --ids",
    "the prompt's token ids",
    "twobit template chat_template.jinja --bos '<s>' --eos '</s>' --messages chat.json",
    "a template by itself",
    NULL,
};

static bool is_bare_template(const char *path)
{
    static const char end[] = ".jinja";
    size_t n = strlen(path);
    return n >= sizeof end - 1 && strcmp(path + n - (sizeof end - 1), end) == 0;
}

// What a template and its tokens are made with.
typedef struct prompt_source {
    tb_prompt_template *tmpl;
    tb_tokenizer *tokenizer; // NULL unless ids are asked for
} prompt_source;

// The weights are not needed, and a tokenizer only for the ids.
static tb_code open_model(prompt_source *out, const char *path, const template_args *args, tb_error *err)
{
    tb_checkpoint *checkpoint;
    tb_code rc = tb_checkpoint_open_texts(&checkpoint, path, err);
    if (!rc)
        rc = tb_prompt_template_new(&out->tmpl, checkpoint, NULL, err);
    if (!rc && args->ids)
        rc = tb_cli_load_tokenizer(&out->tokenizer, checkpoint, err);
    tb_checkpoint_close(checkpoint);
    return rc;
}

static tb_code open_bare(tb_prompt_template **out, const char *path, const template_args *args, tb_error *err)
{
    char *source;
    size_t size;
    tb_code rc = tb_text_read(&source, &size, path, err);
    if (!rc)
        rc = tb_prompt_template_new_bare(out, (tb_text){source, size}, args->bos, args->eos, err);
    tb_free(source);
    return rc;
}

static tb_code print_text(tb_cli *cli, const prompt_source *source, const template_args *args,
                          const json_t *conversation, tb_error *err)
{
    tb_prompt prompt;
    tb_code rc = tb_prompt_template_render(&prompt, source->tmpl, conversation, !args->no_generation_prompt, err);
    const char *text = tb_str_get(&prompt.text);
    if (!rc && args->json)
        rc = tb_json_print(json_pack("{s:o}", "text", tb_json_text(text, prompt.text.size)), err);
    else if (!rc && prompt.text.size)
        tb_cli_stream(cli, text, prompt.text.size);
    tb_prompt_clear(&prompt);
    return rc;
}

static tb_code print_ids(const prompt_source *source, const template_args *args, const json_t *conversation,
                         tb_error *err)
{
    tb_ids ids = {0};
    tb_code rc = tb_prompt_template_encode(&ids, source->tmpl, source->tokenizer, conversation,
                                           !args->no_generation_prompt, args->special, err);
    if (!rc)
        rc = tb_cli_print_ids(&ids, args->json, err);
    tb_ids_clear(&ids);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const template_args *args = untyped;
    const char *path = cli->operands.items[0];
    bool is_bare = is_bare_template(path);
    if (!args->messages)
        return tb_fail_usage(cli, err, "give the conversation with --messages");
    if (!is_bare && (args->bos || args->eos))
        return tb_fail_usage(cli, err, "'%s' brings its special tokens: --bos and --eos are for .jinja files", path);
    if (is_bare && args->ids)
        return tb_fail_usage(cli, err, "'%s' has no tokenizer: --ids needs a model", path);
    if (args->special && !args->ids)
        return tb_fail_usage(cli, err, "--special says how text becomes ids: it goes with --ids");
    prompt_source source = {0};
    json_t *conversation = NULL;
    tb_code rc = is_bare ? open_bare(&source.tmpl, path, args, err) : open_model(&source, path, args, err);
    if (!rc)
        rc = tb_conversation_read(&conversation, args->messages, err);
    if (!rc)
        rc =
            args->ids ? print_ids(&source, args, conversation, err) : print_text(cli, &source, args, conversation, err);
    json_decref(conversation);
    tb_prompt_template_free(source.tmpl);
    tb_tokenizer_free(source.tokenizer);
    return rc;
}

const tb_command tb_command_template = {
    .name = "template",
    .summary = "show the prompt that a conversation becomes",
    .usage = "MODEL --messages FILE [options]",
    .examples = examples,
    .notes = "MODEL may also be a file with nothing but a vocabulary, or a template by itself (NAME.jinja). Whatever\n"
             "else the JSON object holds, such as \"enable_thinking\", is a variable of the template.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
