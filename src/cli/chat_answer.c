// One answer. The whole conversation is rendered and tokenized each time, as the model was trained to
// see it; of the tokens only those are computed that the sequence does not hold already.
#include <jansson.h>
#include <stdio.h>

#include "cli/chat.h"

static tb_code tokenize(tb_ids *ids, const tb_chat *chat, tb_error *err)
{
    tb_code rc = tb_prompt_template_encode(ids, chat->tmpl, tb_model_tokenizer(chat->model), chat->conversation, true,
                                           chat->special, err);
    if (!rc)
        rc = tb_model_begin_text(ids, chat->model, err);
    size_t context = tb_seq_context(chat->seq);
    if (!rc && ids->size >= context)
        rc = tb_fail(err, TB_ELIMIT,
                     "the context is full: with this message the conversation has %zu tokens, and %zu fit; '/reset' "
                     "begins anew, the option --ctx makes room",
                     ids->size, context);
    return rc;
}

static bool take(void *user, const char *text, size_t size)
{
    tb_chat *chat = user;
    tb_progress_clear(&chat->cli->progress);
    return !tb_str_append(&chat->answer, text, size, NULL) && tb_cli_stream(chat->cli, text, size);
}

static tb_code generate(tb_chat *chat, tb_error *err)
{
    tb_generate_options options = {
        .most = chat->most_tokens,
        .stops = chat->stops,
        .stop_count = chat->stop_count,
        .report = &chat->cli->report,
        .take = take,
        .user = chat,
    };
    tb_str_reset(&chat->answer);
    tb_code rc = tb_generate_continue(&chat->last, chat->seq, chat->sampler, false, &options, err);
    chat->over = !tb_cli_stream(chat->cli, "\n", 1) || chat->last.end == TB_GENERATE_TAKER;
    return rc;
}

static void tell_end(const tb_chat *chat)
{
    const tb_report *report = &chat->cli->report;
    size_t used = tb_seq_length(chat->seq), context = tb_seq_context(chat->seq);
    if (chat->last.end == TB_GENERATE_CONTEXT)
        tb_report_note(report, TB_NOTE_WARNING,
                       "the context of %zu tokens is full and the answer ends here; '/reset' begins anew, the option "
                       "--ctx makes room",
                       context);
    else if (chat->last.end == TB_GENERATE_COUNT)
        tb_report_note(report, TB_NOTE_INFO, "the answer ends after %zu tokens, the most that -n allows",
                       chat->last.tokens);
    else if (chat->last.end == TB_GENERATE_INTERRUPT)
        tb_report_note(report, TB_NOTE_INFO, "stopped; the conversation keeps the answer so far");
    if (tb_line_input_is_person(chat->input)) // whom the prompt tells how full the context is
        fputs("\n", stderr);
    else if (chat->streams)
        tb_report_note(report, TB_NOTE_INFO, "%zu of %zu tokens were dropped from the stream",
                       tb_seq_dropped(chat->seq), used);
    else
        tb_report_note(report, TB_NOTE_INFO, "context: %zu of %zu tokens", used, context);
}

// From the conversation to an answer on stdout. Ctrl-C before it begins is TB_ECANCELLED.
static tb_code answer(tb_chat *chat, tb_error *err)
{
    tb_ids ids = {0};
    chat->last = (tb_generate_stats){0};
    tb_code rc = tokenize(&ids, chat, err);
    if (!rc) {
        chat->reused = tb_seq_reuse(chat->seq, ids.data, ids.size);
        rc = tb_generate_push(&chat->last, chat->seq, ids.data + chat->reused, ids.size - chat->reused,
                              &chat->cli->report, err);
        tb_progress_clear(&chat->cli->progress);
    }
    tb_ids_clear(&ids);
    return rc ? rc : generate(chat, err);
}

tb_code tb_chat_answer(tb_chat *chat, const char *message, size_t size, tb_error *err)
{
    tb_code rc = tb_conversation_add(chat->conversation, "user", message, size, err);
    if (rc)
        return rc;
    rc = answer(chat, err);
    if (!rc)
        rc = tb_conversation_add(chat->conversation, "assistant", chat->answer.data, chat->answer.size, err);
    if (!rc) {
        chat->answers++;
        tell_end(chat);
        return TB_OK;
    }
    tb_conversation_drop_last(chat->conversation);
    if (rc != TB_ECANCELLED)
        return rc;
    tb_report_note(&chat->cli->report, TB_NOTE_INFO, "stopped before the answer began; your message is taken back");
    return TB_OK;
}
