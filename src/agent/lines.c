#include "agent/lines.h"

#include <string.h>

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool ends_line(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

size_t tb_space_size(tb_text text)
{
    uint32_t c;
    size_t n = tb_utf8_decode(&c, text.data, text.size);
    return n && is_space(c) ? n : 0;
}

// Bytes of the white-space character that `text` ends with.
static size_t space_size_at_end(tb_text text)
{
    for (size_t n = 1; n <= 4 && n <= text.size; n++)
        if (tb_space_size(tb_text_from(text, text.size - n)) == n)
            return n;
    return 0;
}

tb_text tb_strip(tb_text text)
{
    size_t n;
    while ((n = tb_space_size(text)) > 0)
        text = tb_text_from(text, n);
    while ((n = space_size_at_end(text)) > 0)
        text.size -= n;
    return text;
}

bool tb_next_line(tb_text *line, tb_text *rest)
{
    if (rest->size == 0)
        return false;
    size_t at = 0, end = 0;
    while (at < rest->size && !end) {
        uint32_t c = 0;
        size_t n = tb_utf8_decode(&c, rest->data + at, rest->size - at);
        if (n && ends_line(c))
            end = c == '\r' && at + 1 < rest->size && rest->data[at + 1] == '\n' ? 2 : n;
        else
            at += n ? n : 1;
    }
    *line = (tb_text){rest->data, at};
    *rest = tb_text_from(*rest, at + end);
    return true;
}

tb_text tb_without_mark(tb_text text)
{
    return tb_starts_with(text, "\xEF\xBB\xBF") ? tb_text_from(text, 3) : text;
}

bool tb_starts_with(tb_text text, const char *word)
{
    size_t n = strlen(word);
    return text.size >= n && memcmp(text.data, word, n) == 0;
}
