// twobit template: the prompt that a model's chat template makes of a conversation.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/conversation_file.h"
#include "generate/generate.h"

typedef struct template_args {
    const char *messages, *bos, *eos;
    bool no_generation_prompt;
} template_args;

static const template_args defaults;

static const tb_option options[] = {
    {"messages", 0, TB_OPTION_TEXT, offsetof(template_args, messages), "FILE", 0, 0,
     "the conversation: a JSON object with \"messages\", perhaps \"tools\"; - for standard input"},
    {"no-generation-prompt", 0, TB_OPTION_FLAG, offsetof(template_args, no_generation_prompt), NULL, 0, 0,
     "leave out the beginning of the answer that is asked for"},
    {"bos", 0, TB_OPTION_TEXT, offsetof(template_args, bos), "TEXT", 0, 0, "bos_token of a .jinja file"},
    {"eos", 0, TB_OPTION_TEXT, offsetof(template_args, eos), "TEXT", 0, 0, "eos_token of a .jinja file"},
    {0},
};

static const char *const examples[] = {
    "twobit template model.gguf --messages chat.json",
    "prints the prompt that the model sees when it is to answer",
    "echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}' | twobit template model.gguf --messages -",
    "the conversation from a pipe",
    "twobit template model.gguf --messages chat.json | twobit tokenize model.gguf --text - --special --no-bos",
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

// Neither weights nor tokenizer are needed.
static tb_code open_model(tb_prompt_template **out, const char *path, tb_error *err)
{
    tb_checkpoint *checkpoint;
    tb_code rc = tb_checkpoint_open(&checkpoint, path, err);
    if (!rc)
        rc = tb_prompt_template_new(out, checkpoint, NULL, err);
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

static tb_code print_prompt(tb_cli *cli, const tb_prompt_template *tmpl, const template_args *args, tb_error *err)
{
    json_t *conversation = NULL;
    tb_str prompt = {0};
    tb_code rc = tb_conversation_read(&conversation, args->messages, err);
    if (!rc)
        rc = tb_prompt_template_render(&prompt, tmpl, conversation, !args->no_generation_prompt, err);
    if (!rc && prompt.size)
        tb_cli_stream(cli, prompt.data, prompt.size);
    tb_str_clear(&prompt);
    json_decref(conversation);
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
    tb_prompt_template *tmpl = NULL;
    tb_code rc = is_bare ? open_bare(&tmpl, path, args, err) : open_model(&tmpl, path, err);
    if (!rc)
        rc = print_prompt(cli, tmpl, args, err);
    tb_prompt_template_free(tmpl);
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
