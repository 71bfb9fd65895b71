#include "base/markup.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void append(tb_markup *m, const char *text, size_t size)
{
    if (!m->rc)
        m->rc = tb_str_append(m->out, text, size, m->err);
}

void tb_markup_put(tb_markup *m, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(n >= 0 && n < (int)sizeof text);
    append(m, text, (size_t)n);
}

// What stands for a character that must not stand there itself; NULL: it may.
static const char *stand_in(uint32_t c)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return NULL;
    default:
        break;
    }
    bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFE || c == 0xFFFF;
    bool turns = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    return control || turns ? replacement : NULL;
}

void tb_markup_text(tb_markup *m, tb_text text)
{
    while (text.size > 0 && !m->rc) {
        uint32_t c = 0xFFFF;
        size_t n = tb_utf8_decode(&c, text.data, text.size);
        const char *other = stand_in(n ? c : 0xFFFF);
        if (other)
            append(m, other, strlen(other));
        else
            append(m, text.data, n);
        n = n ? n : 1;
        text = (tb_text){text.data + n, text.size - n};
    }
}

void tb_markup_text_cut(tb_markup *m, tb_text text, size_t most)
{
    size_t size = text.size;
    if (size > most) {
        size = most;
        while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
            size--;
    }
    tb_markup_text(m, (tb_text){text.data, size});
    if (size < text.size)
        tb_markup_put(m, " … (%zu more bytes)", text.size - size);
}

void tb_markup_word(tb_markup *m, const char *text)
{
    tb_markup_text(m, (tb_text){text, strlen(text)});
}
