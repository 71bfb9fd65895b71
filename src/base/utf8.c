// UTF-8 as RFC 3629 has it: shortest form only, no surrogates, nothing above U+10FFFF.
#include "base/utf8.h"

#include <stdbool.h>

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

// Bytes that a sequence with this first byte has; 0 for a byte that starts none.
static size_t sequence_size(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2)
        return 0;
    if (first < 0xE0)
        return 2;
    if (first < 0xF0)
        return 3;
    return first < 0xF5 ? 4 : 0;
}

size_t tb_utf8_decode(uint32_t *code_point, const char *text, size_t size)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char first_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t n = size ? sequence_size((unsigned char)text[0]) : 0;
    if (n == 0 || n > size)
        return 0;
    uint32_t c = (unsigned char)text[0] & first_mask[n];
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(text[i]))
            return 0;
        c = c << 6 | ((unsigned char)text[i] & 0x3F);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *code_point = c;
    return n;
}

size_t tb_utf8_encode(char out[4], uint32_t code_point)
{
    uint32_t c = code_point;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

size_t tb_utf8_valid_prefix(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint32_t c;
        size_t n = (unsigned char)text[at] < 0x80 ? 1 : tb_utf8_decode(&c, text + at, size - at);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

size_t tb_utf8_unfinished(const char *text, size_t size)
{
    for (size_t n = 1; n <= 3 && n <= size; n++) {
        const char *tail = text + size - n;
        if (is_continuation(*tail))
            continue;
        if (sequence_size((unsigned char)*tail) <= n)
            return 0;
        // Whatever completes the sequence must make it valid: try the least and the greatest.
        char whole[2][4] = {{0}};
        uint32_t c;
        for (size_t k = 0; k < 4; k++) {
            whole[0][k] = k < n ? tail[k] : (char)0x80;
            whole[1][k] = k < n ? tail[k] : (char)0xBF;
        }
        return tb_utf8_decode(&c, whole[0], 4) || tb_utf8_decode(&c, whole[1], 4) ? n : 0;
    }
    return 0;
}

tb_code tb_append_as_utf8(tb_str *out, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t at = 0; !rc && at < text.size;) {
        size_t valid = tb_utf8_valid_prefix(text.data + at, text.size - at);
        rc = tb_str_append(out, text.data + at, valid, err);
        at += valid;
        if (!rc && at < text.size) {
            rc = tb_str_append_text(out, "\xEF\xBF\xBD", err);
            at++;
        }
    }
    return rc;
}
