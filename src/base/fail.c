// Formatting of errors. Messages that quote outside bytes stay printable: control
// characters become '?', and a cut message ends at a character boundary.
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static void cut_at_character(char *text, size_t capacity)
{
    size_t n = strlen(text);
    if (n + 1 < capacity)
        return;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
        n--;
    if (n > 0 && ((unsigned char)text[n - 1] & 0x80))
        n--;
    text[n] = '\0';
}

tb_code tb_fail(tb_error *err, tb_code code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    cut_at_character(err->message, sizeof err->message);
    make_printable(err->message);
    err->code = code;
    return code;
}

tb_code tb_fail_context(tb_error *err, tb_code code, const char *format, ...)
{
    if (!err)
        return code;
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 < sizeof err->message) {
        size_t room = sizeof err->message - (size_t)n;
        snprintf(err->message + n, room, ": %.*s", (int)room - 3, inner);
    }
    cut_at_character(err->message, sizeof err->message);
    make_printable(err->message);
    err->code = code;
    return code;
}
