#include "base/str.h"

#include "base/fail.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool tb_text_is(tb_text text, const char *word)
{
    return text.data && text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

// Makes room for `more` bytes and the NUL behind them.
static tb_code reserve(tb_str *str, size_t more, tb_error *err)
{
    size_t limit = str->limit ? str->limit : TB_STR_LIMIT;
    if (more > limit || str->size > limit - more)
        return tb_fail(err, TB_ELIMIT, "a text would grow beyond %zu bytes", limit);
    size_t need = str->size + more + 1;
    if (need <= str->capacity)
        return TB_OK;
    size_t capacity = str->capacity ? str->capacity : 64;
    while (capacity < need)
        capacity += capacity / 2 + 1;
    char *data = tb_realloc(str->data, str->data ? str->size + 1 : 0, capacity);
    if (!data)
        return tb_fail(err, TB_ENOMEM, "no memory for a text of %zu bytes", need);
    data[str->size] = '\0';
    str->data = data;
    str->capacity = capacity;
    return TB_OK;
}

tb_code tb_str_append(tb_str *str, const void *bytes, size_t n, tb_error *err)
{
    tb_code rc = reserve(str, n, err);
    if (rc)
        return rc;
    if (n)
        memcpy(str->data + str->size, bytes, n);
    str->size += n;
    str->data[str->size] = '\0';
    return TB_OK;
}

tb_code tb_str_append_text(tb_str *str, const char *text, tb_error *err)
{
    return tb_str_append(str, text, strlen(text), err);
}

tb_code tb_str_printf(tb_str *str, tb_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    tb_code rc = n < 0 ? tb_fail(err, TB_EINVAL, "a text cannot be formatted") : reserve(str, (size_t)n, err);
    if (!rc) {
        vsnprintf(str->data + str->size, (size_t)n + 1, format, again);
        str->size += (size_t)n;
    }
    va_end(again);
    return rc;
}

const char *tb_str_get(const tb_str *str)
{
    return str->data ? str->data : "";
}

void tb_str_truncate(tb_str *str, size_t size)
{
    str->size = size;
    if (str->data)
        str->data[size] = '\0';
}

void tb_str_reset(tb_str *str)
{
    tb_str_truncate(str, 0);
}

void tb_str_clear(tb_str *str)
{
    tb_free(str->data);
    size_t limit = str->limit;
    *str = (tb_str){.limit = limit};
}
