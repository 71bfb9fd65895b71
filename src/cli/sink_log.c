#include "cli/sink_log.h"

#include <jansson.h>
#include <string.h>

tb_code tb_sink_log_open(tb_sink_log *log, const char *path, tb_error *err)
{
    static const char head[] = "position,token,text,probability,sink_mass,entropy,largest\n";
    *log = (tb_sink_log){.decoder = {.started = true}}; // behind a prompt blanks count
    tb_code rc = tb_outfile_open(&log->file, path, err);
    return rc ? rc : tb_outfile_write(log->file, head, strlen(head), err);
}

// Quoted, quotes doubled; bytes that are no characters become U+FFFD.
static tb_code append_text(tb_str *out, const char *text, size_t size, tb_error *err)
{
    json_t *json = tb_json_text(text, size);
    tb_text valid = tb_json_get_text(json);
    tb_code rc = json ? tb_str_append_text(out, "\"", err) : tb_fail(err, TB_ENOMEM, "no memory for a token's text");
    for (size_t i = 0; i < valid.size && !rc; i++) {
        if (valid.data[i] == '"')
            rc = tb_str_append_text(out, "\"", err);
        if (!rc)
            rc = tb_str_append(out, valid.data + i, 1, err);
    }
    json_decref(json);
    return rc ? rc : tb_str_append_text(out, "\"", err);
}

tb_code tb_sink_log_add(tb_sink_log *log, const tb_sink_sight *s, tb_error *err)
{
    tb_str_reset(&log->line);
    tb_str_reset(&log->text);
    tb_code rc = tb_str_printf(&log->line, err, "%zu,%d,", s->position, (int)s->token);
    if (!rc)
        rc = tb_decoder_push(&log->decoder, &log->text, log->tokenizer, s->token, true, err);
    if (!rc)
        rc = append_text(&log->line, tb_str_get(&log->text), log->text.size, err);
    if (!rc)
        rc = tb_str_printf(&log->line, err, ",%.6g,%.6f,%.6f,%.6g\n", s->probability, s->mass, s->entropy, s->largest);
    return rc ? rc : tb_outfile_write(log->file, tb_str_get(&log->line), log->line.size, err);
}

tb_code tb_sink_log_finish(tb_sink_log *log, tb_error *err)
{
    return tb_outfile_commit(log->file, err);
}

void tb_sink_log_clear(tb_sink_log *log)
{
    tb_outfile_close(log->file);
    tb_str_clear(&log->text);
    tb_str_clear(&log->line);
    *log = (tb_sink_log){0};
}
