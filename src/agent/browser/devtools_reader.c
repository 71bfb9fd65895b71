// Pages may hold half characters of UTF-16, which Chromium passes on as escapes and which JSON's readers refuse: where
// a message cannot be read they become U+FFFD, and it is read once more.
#include "agent/browser/devtools_reader.h"

#include <string.h>

#include <jansson.h>

enum { ESCAPE = 6 }; // bytes of "\uD83D"

tb_code tb_devtools_reader_feed(tb_devtools_reader *reader, const void *bytes, size_t n, tb_error *err)
{
    reader->bytes.limit = TB_DEVTOOLS_MOST_BYTES;
    if (reader->begin == reader->bytes.size) {
        tb_str_reset(&reader->bytes);
        reader->begin = reader->scanned = 0;
    }
    return tb_str_append(&reader->bytes, bytes, n, err);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// The number of an escape \uXXXX at `text`; -1: there is none.
static int read_escape(const char *text, size_t size)
{
    if (size < ESCAPE || text[0] != '\\' || text[1] != 'u')
        return -1;
    int number = 0;
    for (int i = 2; i < ESCAPE; i++) {
        int digit = hex_value(text[i]);
        if (digit < 0)
            return -1;
        number = number * 16 + digit;
    }
    return number;
}

static bool is_half(int number, int first)
{
    return number >= first && number < first + 0x400;
}

static void replace_half_characters(char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        int number = read_escape(text + i, size - i);
        bool leads = is_half(number, 0xD800);
        bool whole = leads && is_half(read_escape(text + i + ESCAPE, size - i - ESCAPE), 0xDC00);
        if (!whole && (leads || is_half(number, 0xDC00)))
            memcpy(text + i, "\\uFFFD", ESCAPE);
        size_t escape = text[i] == '\\' ? 2 : 1;
        i += whole ? 2 * ESCAPE : number >= 0 ? ESCAPE : escape;
    }
}

static tb_code parse(json_t **message, char *text, size_t size, tb_error *err)
{
    json_error_t error = {0};
    *message = json_loadb(text, size, JSON_ALLOW_NUL, &error);
    if (!*message && json_error_code(&error) != json_error_out_of_memory) {
        replace_half_characters(text, size);
        *message = json_loadb(text, size, JSON_ALLOW_NUL, &error);
    }
    if (!*message && json_error_code(&error) == json_error_out_of_memory)
        return tb_fail(err, TB_ENOMEM, "no memory for a message of the browser");
    if (json_is_object(*message))
        return TB_OK;
    json_decref(*message);
    *message = NULL;
    return tb_fail(err, TB_EFORMAT, "a message of the browser is no JSON object");
}

tb_code tb_devtools_reader_next(json_t **message, tb_devtools_reader *reader, tb_error *err)
{
    *message = NULL;
    tb_str *bytes = &reader->bytes;
    char *end = bytes->size > reader->scanned
                    ? memchr(bytes->data + reader->scanned, '\0', bytes->size - reader->scanned)
                    : NULL;
    reader->scanned = bytes->size;
    if (!end)
        return TB_OK;
    char *begin = bytes->data + reader->begin;
    reader->begin = reader->scanned = (size_t)(end - bytes->data) + 1;
    return parse(message, begin, (size_t)(end - begin), err);
}

void tb_devtools_reader_clear(tb_devtools_reader *reader)
{
    tb_str_clear(&reader->bytes);
    *reader = (tb_devtools_reader){0};
}
