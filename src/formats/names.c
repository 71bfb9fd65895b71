// Names from files: whether they are names, and how much of them a message shows.
#include "formats/checkpoint.h"

// Bytes of the UTF-8 character at `s`, 0 when it is none (overlong, surrogate, cut, too big).
static size_t character_size(const unsigned char *s, size_t n)
{
    // Smallest code point for a sequence of that length; below it the form is overlong.
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF8 ? 4 : 0;
    if (size == 0 || size > n)
        return 0;
    uint32_t point = size == 1 ? s[0] : s[0] & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3Fu);
    }
    bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least[size] || surrogate || point > 0x10FFFF ? 0 : size;
}

bool tb_text_is_name(tb_text text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    for (size_t i = 0, size; i < text.size; i += size) {
        size = s[i] ? character_size(s + i, text.size - i) : 0;
        if (size == 0)
            return false;
    }
    return text.size > 0;
}

int tb_text_shown_size(tb_text text)
{
    enum { LONGEST = 96 };
    if (text.size <= LONGEST)
        return (int)text.size;
    size_t size = LONGEST;
    while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
        size--;
    return (int)size;
}
