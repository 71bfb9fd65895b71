#include "cli/train_text.h"

#include <string.h>

#include "text/text.h"

static tb_code append_file(tb_str *out, const char *path, tb_error *err)
{
    char *text;
    size_t size;
    tb_code rc = tb_text_read(&text, &size, path, err);
    if (!rc)
        rc = tb_str_append(out, text, size, err);
    tb_free(text);
    return rc;
}

// The first place from `at` on behind which a document begins, or a line where none does; else the end.
static size_t next_begin(const tb_str *text, size_t at)
{
    const char *from = text->data + at, *end = strstr(from, TB_TRAIN_END);
    const char *line = memchr(from, '\n', text->size - at);
    if (end)
        return (size_t)(end - text->data) + strlen(TB_TRAIN_END);
    return line ? (size_t)(line - text->data) + 1 : text->size;
}

static tb_code encode(int32_t **ids, size_t *count, const tb_tokenizer *tokenizer, tb_text text, tb_error *err)
{
    tb_ids out = {0};
    tb_code rc = tb_encode(&out, tokenizer, text, TB_ENCODE_SPECIAL, err);
    if (rc) {
        tb_ids_clear(&out);
        return rc;
    }
    *ids = out.data;
    *count = out.size;
    return TB_OK;
}

static tb_code encode_all(tb_train_text *t, tb_error *err)
{
    tb_vocab_file *file = NULL;
    tb_tokenizer *tokenizer = NULL;
    size_t kept = t->text.size - t->held_bytes;
    tb_code rc = tb_vocab_file_from_json(&file, (tb_text){t->tokenizer.data, t->tokenizer.size}, (tb_text){0}, err);
    if (!rc)
        rc = tb_tokenizer_new(&tokenizer, tb_vocab_file_get(file), err);
    if (!rc)
        rc = encode(&t->ids, &t->count, tokenizer, (tb_text){tb_str_get(&t->text), kept}, err);
    if (!rc)
        rc = encode(&t->held, &t->held_count, tokenizer, (tb_text){tb_str_get(&t->text) + kept, t->held_bytes}, err);
    tb_tokenizer_free(tokenizer);
    tb_vocab_file_free(file);
    return rc;
}

tb_code tb_train_text_read(tb_train_text *out, const char *const *paths, size_t count, double share, size_t vocab,
                           bool bos, tb_error *err)
{
    *out = (tb_train_text){0};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < count; i++)
        rc = append_file(&out->text, paths[i], err);
    size_t kept = (size_t)((1 - share) * (double)out->text.size);
    if (!rc && share > 0 && kept < out->text.size)
        out->held_bytes = out->text.size - next_begin(&out->text, kept);
    if (!rc)
        rc = tb_bpe_train(&out->tokenizer, &out->vocab,
                          (tb_text){tb_str_get(&out->text), out->text.size - out->held_bytes}, vocab, TB_TRAIN_END, bos,
                          err);
    if (!rc)
        rc = encode_all(out, err);
    out->end = (int32_t)out->vocab - 1;
    if (rc)
        tb_train_text_clear(out);
    return rc;
}

void tb_train_text_clear(tb_train_text *text)
{
    tb_str_clear(&text->text);
    tb_str_clear(&text->tokenizer);
    tb_free(text->ids);
    tb_free(text->held);
    *text = (tb_train_text){0};
}
