// Inside chat: a conversation that lives on one sequence. cmd_chat.c reads messages, chat_answer.c
// answers them, chat_command.c does what /commands say.
#ifndef TB_CLI_CHAT_H
#define TB_CLI_CHAT_H

#include "cli/cli.h"
#include "cli/line_input.h"
#include "generate/generate.h"

struct json_t;

typedef struct tb_chat {
    tb_cli *cli;
    tb_model *model;
    tb_prompt_template *tmpl;
    struct json_t *conversation; // see generate/conversation.h
    tb_seq *seq;                 // holds a beginning of the conversation's tokens, perhaps all
    tb_sampler *sampler;
    const char *const *stops;
    size_t stop_count, most_tokens; // of an answer
    bool special;                   // control tokens written in messages count
    bool streams;                   // the conversation has no end, and its middle is dropped
    tb_line_input *input;
    bool over; // nobody reads the answers any more

    tb_str answer;          // the one that is being made
    tb_generate_stats last; // of the last answer
    size_t reused;          // tokens of its prompt that were in the sequence already
    size_t answers;
} tb_chat;

// Adds `message` to the conversation, streams the answer to stdout and adds that, too. Ctrl-C ends the
// answer: TB_OK. On failure the conversation is as before; TB_ELIMIT: its context is full.
tb_code tb_chat_answer(tb_chat *chat, const char *message, size_t size, tb_error *err);

// Does what `line`, which starts with '/', says; *message is what is to be answered all the same ("//x" is the
// message "/x"), or NULL. TB_EINVAL for what is no command.
tb_code tb_chat_command(const char **message, tb_chat *chat, const char *line, tb_error *err);

#endif
