#include "quant/calibration.h"

#include <string.h>

enum {
    DEFAULT_WINDOW = 512,
    // Texts have four to five bytes per token: a head of the text this long practically always
    // holds enough tokens, and a text of gigabytes is not tokenized for its first page.
    BYTES_PER_TOKEN = 32,
};

static tb_code encode_head(tb_ids *ids, const tb_model *model, tb_text text, size_t most_tokens, tb_error *err)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    if (!tokenizer)
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer to read a text with",
                       tb_checkpoint_path(tb_model_checkpoint(model)));
    tb_text head = text;
    if (most_tokens < text.size / BYTES_PER_TOKEN)
        head.size = most_tokens * BYTES_PER_TOKEN;
    tb_code rc = tb_encode(ids, tokenizer, head, 0, err);
    if (rc || ids->size >= most_tokens || head.size == text.size)
        return rc;
    ids->size = 0;
    return tb_encode(ids, tokenizer, text, 0, err);
}

static tb_code choose_length(size_t *length, const tb_model *model, tb_error *err)
{
    size_t context = tb_model_context_length(model);
    if (*length == 0)
        *length = context < DEFAULT_WINDOW ? context : DEFAULT_WINDOW;
    if (*length > context)
        return tb_fail(err, TB_EINVAL, "windows of %zu tokens do not fit the model's context of %zu", *length, context);
    return TB_OK;
}

tb_code tb_windows_init(tb_windows *out, const tb_model *model, tb_text text, size_t most_tokens, size_t length,
                        tb_error *err)
{
    tb_ids ids = {0};
    *out = (tb_windows){0};
    tb_code rc = choose_length(&length, model, err);
    if (rc)
        return rc;
    if (most_tokens < length)
        return tb_fail(err, TB_EINVAL, "%zu tokens are too few: the least is one window, %zu", most_tokens, length);
    rc = encode_head(&ids, model, text, most_tokens, err);
    size_t tokens = ids.size < most_tokens ? ids.size : most_tokens;
    if (!rc && tokens < length)
        rc = tb_fail(err, TB_EINVAL, "the text has %zu tokens, fewer than one window of %zu", tokens, length);
    if (rc) {
        tb_ids_clear(&ids);
        return rc;
    }
    *out = (tb_windows){.ids = ids, .count = tokens / length, .length = length};
    for (size_t w = 0; w < out->count; w++)
        tb_model_begin_window(ids.data + w * length, length, model);
    return TB_OK;
}

tb_code tb_windows_read(tb_windows *out, const tb_model *model, const char *path, size_t most_tokens, size_t length,
                        const tb_report *report, tb_error *err)
{
    tb_map map = {0};
    tb_text text = tb_builtin_text_get(TB_TEXT_CALIBRATION);
    *out = (tb_windows){0};
    tb_code rc = path ? tb_map_open(&map, path, err) : TB_OK;
    if (rc)
        return rc;
    if (path)
        text = (tb_text){(const char *)map.data, map.size};
    rc = tb_windows_init(out, model, text, most_tokens, length, err);
    if (rc)
        rc = tb_fail_context(err, rc, "calibration on '%s'", path ? path : "built-in text");
    tb_map_close(&map);
    size_t used = out->count * out->length;
    if (!rc && used + out->length <= most_tokens)
        tb_report_note(report, TB_NOTE_INFO, "the calibration text has only %zu whole windows: %zu of %zu tokens",
                       out->count, used, most_tokens);
    return rc;
}

void tb_windows_clear(tb_windows *windows)
{
    tb_ids_clear(&windows->ids);
    *windows = (tb_windows){0};
}
