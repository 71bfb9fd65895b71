// jansson reads strict JSON. A text that it refuses is written anew, with what it does not know spelled so that it
// does, and read once more.
#include "base/json_read.h"

#include "base/fail.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum {
    SAFE_DIGITS = 18,  // an integer of so many digits fits 64 bits
    MOST_NUMBER = 400, // characters of a number that is looked at; a double has 309 digits before the point
};

static bool starts_with(tb_text text, const char *word)
{
    size_t n = strlen(word);
    return text.size >= n && memcmp(text.data, word, n) == 0;
}

// Bytes of the string at the start of `text`, its quotes included.
static size_t string_size(tb_text text)
{
    size_t n = 1;
    while (n < text.size && text.data[n] != '"')
        n += text.data[n] == '\\' ? 2 : 1;
    return n < text.size ? n + 1 : text.size;
}

// Bytes of a number at the start of `text`.
static size_t number_size(tb_text text)
{
    size_t n = 0;
    while (n < text.size && text.data[n] != '\0' && strchr("0123456789+-.eE", text.data[n]))
        n++;
    return n;
}

static tb_code write_quoted(tb_str *out, const char *word, tb_error *err)
{
    return tb_str_printf(out, err, "\"%s\"", word);
}

static tb_code write_number(tb_str *out, tb_text number, tb_error *err)
{
    bool whole = !memchr(number.data, '.', number.size) && !memchr(number.data, 'e', number.size) &&
                 !memchr(number.data, 'E', number.size);
    char copy[MOST_NUMBER + 1];
    size_t n = number.size < MOST_NUMBER ? number.size : MOST_NUMBER;
    memcpy(copy, number.data, n);
    copy[n] = '\0';
    double value = whole && number.size > MOST_NUMBER ? INFINITY : strtod(copy, NULL);
    if (isinf(value))
        return write_quoted(out, number.data[0] == '-' ? "-Infinity" : "Infinity", err);
    tb_code rc = tb_str_append(out, number.data, number.size, err);
    return !rc && whole && number.size > SAFE_DIGITS ? tb_str_append_text(out, "e0", err) : rc;
}

// Writes what stands at the start of `text`; returns its bytes.
static size_t write_next(tb_code *rc, tb_str *out, tb_text text, tb_error *err)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (starts_with(text, words[i])) {
            *rc = write_quoted(out, words[i], err);
            return strlen(words[i]);
        }
    char first = text.data[0];
    if (first == '-' || (first >= '0' && first <= '9')) {
        size_t n = number_size(text);
        *rc = write_number(out, (tb_text){text.data, n}, err);
        return n;
    }
    size_t n = first == '"' ? string_size(text) : 1;
    *rc = tb_str_append(out, text.data, n, err);
    return n;
}

static tb_code write_anew(tb_str *out, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    out->limit = SIZE_MAX / 4;
    for (size_t at = 0; at < text.size && !rc;)
        at += write_next(&rc, out, (tb_text){text.data + at, text.size - at}, err);
    return rc;
}

static json_t *parse(tb_text text, json_error_t *error)
{
    return json_loadb(text.data ? text.data : "", text.size, JSON_ALLOW_NUL, error);
}

tb_code tb_json_read(struct json_t **out, tb_text text, const char *what, tb_error *err)
{
    json_error_t error = {0};
    *out = parse(text, &error);
    if (!*out && json_error_code(&error) != json_error_out_of_memory) {
        tb_str anew = {0};
        tb_code rc = write_anew(&anew, text, err);
        if (!rc)
            *out = parse((tb_text){tb_str_get(&anew), anew.size}, &error);
        tb_str_clear(&anew);
        if (rc)
            return rc;
    }
    if (!*out && json_error_code(&error) == json_error_out_of_memory)
        return tb_fail(err, TB_ENOMEM, "no memory to read %s", what);
    if (!*out)
        return tb_fail(err, TB_EFORMAT, "%s is not valid JSON: line %d: %s", what, error.line, error.text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return tb_fail(err, TB_EFORMAT, "%s is not a JSON object", what);
    }
    return TB_OK;
}
