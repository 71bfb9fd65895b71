// twobit chat: a conversation with a model, at a terminal or through a pipe.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/chat.h"
#include "cli/interrupt.h"
#include "cli/memory_args.h"

typedef struct chat_args {
    const char *system, *tmpl;
    uint64_t tokens, context;
    bool special;
    tb_sampling_args sampling;
    tb_memory_args memory;
} chat_args;

static const chat_args defaults = {
    .tokens = 1024,
    .sampling = {.temperature = 0.7, .top_k = 40, .top_p = 0.9},
    .memory = TB_MEMORY_DEFAULTS,
};

static const tb_option options[] = {
    {"system", 0, TB_OPTION_TEXT, offsetof(chat_args, system), "TEXT", 0, 0, "tell the model how to behave"},
    {"template", 0, TB_OPTION_TEXT, offsetof(chat_args, tmpl), "FILE", 0, 0,
     "a chat template (Jinja) in place of the model's own"},
    {"tokens", 'n', TB_OPTION_COUNT, offsetof(chat_args, tokens), "N", 1, 1 << 24, "most tokens of an answer"},
    {"ctx", 0, TB_OPTION_COUNT, offsetof(chat_args, context), "N", 2, 1 << 24,
     "most tokens of the conversation (default: what the model was trained for, at most 4096)"},
    {"special", 0, TB_OPTION_FLAG, offsetof(chat_args, special), NULL, 0, 0,
     "take control tokens written in messages, such as <|im_end|>, for what they say"},
    {0},
};

static const char *const examples[] = {
    "twobit chat model.gguf",
    "a conversation: type, read, Ctrl-D leaves; /help lists what else can be typed",
    "twobit chat model.gguf --system \"Answer in one sentence.\" --temp 0.2",
    "short and sober answers",
    "printf 'Who was Euler?\\nWhere was he born?\\n' | twobit chat model.gguf -q > answers.txt",
    "two messages of one conversation; nothing but the answers is printed",
    "twobit chat model.gguf --stream 4:2000",
    "a conversation without end: of all that was said each token sees the first 4 and the last 2000",
    NULL,
};

// ---- setting up ----

static tb_code open_sequence(tb_chat *chat, const tb_seq_options *memory, tb_error *err)
{
    size_t trained = tb_model_context_length(chat->model);
    if (memory->context > trained)
        tb_report_note(&chat->cli->report, TB_NOTE_WARNING,
                       "the model was trained for %zu tokens: beyond them its answers may be poor", trained);
    return tb_seq_new(&chat->seq, chat->model, memory, err);
}

// The model's own template, or that of a file.
static tb_code open_template(tb_prompt_template **out, const tb_checkpoint *checkpoint, const char *path, tb_error *err)
{
    tb_text source = {0};
    char *text = NULL;
    tb_code rc = path ? tb_text_read(&text, &source.size, path, err) : TB_OK;
    source.data = text;
    if (!rc)
        rc = tb_prompt_template_new(out, checkpoint, path ? &source : NULL, err);
    tb_free(text);
    return rc;
}

static tb_code open_model(tb_chat *chat, const chat_args *args, const tb_sampler_options *sampler,
                          tb_seq_options *memory, tb_error *err)
{
    tb_code rc =
        tb_cli_open_prefixed(&chat->model, chat->cli, chat->cli->operands.items[0], args->memory.prefix_kv, err);
    if (rc)
        return rc;
    const tb_checkpoint *checkpoint = tb_model_checkpoint(chat->model);
    if (!tb_model_tokenizer(chat->model))
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer", tb_checkpoint_path(checkpoint));
    rc = open_template(&chat->tmpl, checkpoint, args->tmpl, err);
    if (!rc)
        rc = tb_sampler_new(&chat->sampler, chat->model, sampler, err);
    if (!rc)
        rc = tb_memory_args_open(memory, &args->memory, chat->model, err);
    return rc ? rc : open_sequence(chat, memory, err);
}

static tb_code begin_conversation(tb_chat *chat, const char *system, tb_error *err)
{
    chat->conversation = tb_conversation_new();
    if (!chat->conversation)
        return tb_fail(err, TB_ENOMEM, "no memory for a conversation");
    return system ? tb_conversation_set_system(chat->conversation, system, err) : TB_OK;
}

static void greet(const tb_chat *chat)
{
    if (tb_line_input_is_person(chat->input) && !chat->cli->common.quiet)
        fprintf(stderr, "Type a message; /help lists what else can be typed, Ctrl-D leaves.\n");
}

static void close_chat(tb_chat *chat)
{
    tb_line_input_close(chat->input);
    tb_str_clear(&chat->answer);
    json_decref(chat->conversation);
    tb_sampler_free(chat->sampler);
    tb_seq_free(chat->seq);
    tb_prompt_template_free(chat->tmpl);
    tb_model_close(chat->model);
}

// ---- talking ----

// The prompt shows how full the context is.
static void format_prompt(char *out, size_t size, const tb_chat *chat)
{
    if (chat->cli->common.quiet)
        snprintf(out, size, "> ");
    else if (chat->streams)
        snprintf(out, size, "%zu, %zu dropped> ", tb_seq_length(chat->seq), tb_seq_dropped(chat->seq));
    else
        snprintf(out, size, "%zu/%zu> ", tb_seq_length(chat->seq), tb_seq_context(chat->seq));
}

static bool goes_on(const tb_str *message)
{
    return message->size > 0 && message->data[message->size - 1] == '\\';
}

// Reads a message, which has several lines where they end in a backslash.
static tb_code read_message(tb_line_end *end, tb_str *message, const tb_chat *chat, tb_error *err)
{
    char prompt[64];
    format_prompt(prompt, sizeof prompt, chat);
    tb_str_reset(message);
    tb_code rc = tb_line_input_read(end, message, chat->input, prompt, err);
    while (!rc && *end == TB_LINE_READ && goes_on(message)) {
        message->data[message->size - 1] = '\n';
        rc = tb_line_input_read(end, message, chat->input, "... ", err);
    }
    return rc;
}

static tb_code reply(tb_chat *chat, const tb_str *message, tb_error *err)
{
    const char *text = tb_str_get(message);
    size_t size = message->size;
    if (size == strspn(text, " \t\r\n"))
        return TB_OK;
    if (text[0] == '/') {
        tb_code rc = tb_chat_command(&text, chat, text, err);
        if (rc || !text)
            return rc;
        size--;
    }
    return tb_chat_answer(chat, text, size, err);
}

// What comes of a turn: a person is told what went wrong and goes on, after Ctrl-C too; for a pipe any
// failure is the end.
static tb_code settle(const tb_chat *chat, tb_code rc, tb_error *err)
{
    bool is_person = tb_line_input_is_person(chat->input);
    if (tb_interrupt_requested() && !(is_person && tb_interrupt_forgive()))
        return tb_fail(err, TB_ECANCELLED, "stopped");
    if (!rc || !is_person || rc == TB_ENOMEM)
        return rc;
    fprintf(stderr, "twobit: %s\n", err->message);
    return TB_OK;
}

static tb_code talk(tb_chat *chat, tb_error *err)
{
    tb_str message = {0};
    tb_line_end end = TB_LINE_READ;
    tb_code rc = TB_OK;
    while (!rc && end != TB_LINE_CLOSED && !chat->over) {
        rc = read_message(&end, &message, chat, err);
        if (!rc && end == TB_LINE_READ)
            rc = reply(chat, &message, err);
        if (end != TB_LINE_READ && tb_line_input_is_person(chat->input))
            fputs("\n", stderr); // behind the prompt
        rc = settle(chat, rc, err);
    }
    tb_str_clear(&message);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const chat_args *args = untyped;
    tb_sampling sampling;
    tb_chat chat = {
        .cli = cli,
        .stops = args->sampling.stops.items,
        .stop_count = args->sampling.stops.count,
        .most_tokens = (size_t)args->tokens,
        .special = args->special,
        .streams = args->memory.stream,
    };
    tb_seq_options memory = {.context = (size_t)args->context};
    tb_code rc = tb_sampling_init(&sampling, &args->sampling, cli->common.seed, err);
    if (!rc)
        rc = tb_memory_args_read(&memory, &args->memory, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc)
        rc = open_model(&chat, args, &sampling.options, &memory, err);
    if (!rc)
        rc = begin_conversation(&chat, args->system, err);
    if (!rc)
        rc = tb_line_input_open(&chat.input, err);
    if (!rc) {
        greet(&chat);
        if (tb_line_input_is_person(chat.input))
            tb_interrupt_survive();
        rc = talk(&chat, err);
    }
    close_chat(&chat);
    tb_memory_args_clear(&memory);
    return rc;
}

const tb_command tb_command_chat = {
    .name = "chat",
    .summary = "talk with a model",
    .usage = "MODEL [options]",
    .examples = examples,
    .notes = "Standard output gets the answers and nothing else. Through a pipe each line is a message. The same seed\n"
             "gives the same conversation; another one: --seed $RANDOM.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .shared = {{tb_sampling_option_table, offsetof(chat_args, sampling)},
               {tb_memory_option_table, offsetof(chat_args, memory)}},
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
