// What a person can say to chat instead of a message. Answers go to stderr: stdout is the model's.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/chat.h"
#include "cli/conversation_file.h"
#include "cli/number_text.h"

typedef struct command {
    const char *name, *argument; // NULL: takes none
    const char *help;
    tb_code (*run)(tb_chat *chat, const char *argument, tb_error *err);
} command;

static tb_code set_system(tb_chat *chat, const char *text, tb_error *err)
{
    const char *now = tb_conversation_get_system(chat->conversation);
    if (*text)
        return tb_conversation_set_system(chat->conversation, text, err);
    fprintf(stderr, "%s\n", now ? now : "no system message; '/system TEXT' sets one");
    return TB_OK;
}

static tb_code reset(tb_chat *chat, const char *argument, tb_error *err)
{
    (void)argument;
    (void)err;
    tb_conversation_reset(chat->conversation);
    tb_seq_truncate(chat->seq, 0);
    return TB_OK;
}

static tb_code save(tb_chat *chat, const char *path, tb_error *err)
{
    tb_code rc = tb_conversation_save(chat->conversation, path, err);
    if (!rc)
        tb_report_note(&chat->cli->report, TB_NOTE_INFO, "saved %zu messages in '%s'",
                       tb_conversation_size(chat->conversation), path);
    return rc;
}

static tb_code load(tb_chat *chat, const char *path, tb_error *err)
{
    json_t *loaded;
    tb_code rc = tb_conversation_read(&loaded, path, err);
    if (rc)
        return rc;
    json_decref(chat->conversation);
    chat->conversation = loaded;
    tb_report_note(&chat->cli->report, TB_NOTE_INFO, "loaded %zu messages; the next answer follows them",
                   tb_conversation_size(loaded));
    return TB_OK;
}

static double rate(size_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static tb_code stats(tb_chat *chat, const char *argument, tb_error *err)
{
    (void)argument;
    (void)err;
    const tb_generate_stats *s = &chat->last;
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    size_t length = tb_seq_length(chat->seq), messages = tb_conversation_size(chat->conversation);
    if (chat->streams)
        fprintf(stderr, "stream    %zu tokens, %zu of them dropped, %zu messages\n", length, tb_seq_dropped(chat->seq),
                messages);
    else
        fprintf(stderr, "context   %zu of %zu tokens, %zu messages\n", length, tb_seq_context(chat->seq), messages);
    if (chat->answers)
        fprintf(stderr,
                "prompt    %zu tokens computed, %s tokens/s; %zu were there already\n"
                "answer    %zu tokens, %s tokens/s\n",
                s->prompt_tokens, tb_text_of_real(a, rate(s->prompt_tokens, s->prompt_seconds)), chat->reused,
                s->tokens, tb_text_of_real(b, rate(s->tokens, s->seconds)));
    fprintf(stderr, "memory    %s MiB at most\n", tb_text_of_real(a, (double)tb_peak_rss_bytes() / (1 << 20)));
    return TB_OK;
}

static tb_code help(tb_chat *chat, const char *argument, tb_error *err);

static const command commands[] = {
    {"/system", "TEXT", "tell the model how to behave; alone: show what it was told", set_system},
    {"/reset", NULL, "forget the conversation, not the system message", reset},
    {"/save", "FILE", "write the conversation, as 'twobit template --messages' reads it", save},
    {"/load", "FILE", "take up a conversation from a file", load},
    {"/stats", NULL, "how full the context is and how fast the last answer was", stats},
    {"/help", NULL, "this list", help},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static tb_code help(tb_chat *chat, const char *argument, tb_error *err)
{
    (void)chat;
    (void)argument;
    (void)err;
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, "%-8s%-6s%s\n", commands[i].name, commands[i].argument ? commands[i].argument : "",
                commands[i].help);
    fputs("Ctrl-C stops an answer, Ctrl-D leaves. A line that ends in \\ goes on in the next one;\n"
          "a message that starts with / is written with two.\n",
          stderr);
    return TB_OK;
}

static tb_code fail_unknown(const char *name, tb_error *err)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *meant = tb_suggest(name, names, COMMANDS);
    if (meant)
        return tb_fail(err, TB_EINVAL, "unknown command '%s'; did you mean '%s'?", name, meant);
    return tb_fail(err, TB_EINVAL, "unknown command '%s'; '/help' lists them", name);
}

static tb_code run(const command *c, tb_chat *chat, const char *argument, tb_error *err)
{
    if (!c->argument && *argument)
        return tb_fail(err, TB_EINVAL, "'%s' stands alone", c->name);
    if ((c->run == save || c->run == load) && !*argument)
        return tb_fail(err, TB_EINVAL, "'%s' needs the name of a file", c->name);
    return c->run(chat, argument, err);
}

tb_code tb_chat_command(const char **message, tb_chat *chat, const char *line, tb_error *err)
{
    char name[32];
    size_t n = strcspn(line, " \t");
    const char *argument = line + n + strspn(line + n, " \t");
    *message = line[1] == '/' ? line + 1 : NULL;
    if (*message)
        return TB_OK;
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name), line);
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return run(&commands[i], chat, argument, err);
    return fail_unknown(name, err);
}
