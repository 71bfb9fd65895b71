#include "template/text_search.h"

#include <string.h>

static uint32_t character_at(size_t *n, tb_text text, size_t at)
{
    uint32_t c = 0;
    *n = tb_utf8_decode(&c, text.data + at, text.size - at);
    return c;
}

// Start of the character that ends before `end` > 0.
static size_t character_before(tb_text text, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)text.data[end] & 0xC0) == 0x80);
    return end;
}

static bool is_match(tb_text text, tb_text needle, size_t at)
{
    return needle.size <= text.size - at && memcmp(text.data + at, needle.data, needle.size) == 0;
}

tb_code tb_find_text(size_t *out, tb_render *run, tb_text text, tb_text needle, size_t from)
{
    *out = TB_NOWHERE;
    if (from > text.size || needle.size > text.size - from)
        return TB_OK;
    if (needle.size == 0) {
        *out = from;
        return TB_OK;
    }
    tb_code rc = tb_render_work(run, 1 + (text.size - from) / 256);
    const char *end = text.data + text.size - needle.size + 1, *at = text.data + from;
    while (!rc && at < end && (at = memchr(at, needle.data[0], (size_t)(end - at))) != NULL) {
        if (memcmp(at, needle.data, needle.size) == 0) {
            *out = (size_t)(at - text.data);
            return TB_OK;
        }
        at++;
        rc = tb_render_work(run, 1 + needle.size / 64);
    }
    return rc;
}

tb_code tb_find_last_text(size_t *out, tb_render *run, tb_text text, tb_text needle, size_t end)
{
    *out = TB_NOWHERE;
    if (needle.size > end)
        return TB_OK;
    tb_code rc = TB_OK;
    for (size_t at = end - needle.size + 1; at-- > 0 && !rc;) {
        if (is_match(text, needle, at)) {
            *out = at;
            return TB_OK;
        }
        rc = tb_render_work(run, text.data[at] == needle.data[0] ? 1 + needle.size / 64 : (at % 64 == 0));
    }
    return rc;
}

// ---- cutting ----

static bool is_stripped(uint32_t c, const tb_text *chars)
{
    if (!chars)
        return tb_unicode_is_space(c);
    for (size_t at = 0, n; at < chars->size; at += n)
        if (character_at(&n, *chars, at) == c)
            return true;
    return false;
}

tb_text tb_strip_text(tb_text text, const tb_text *chars, bool left, bool right)
{
    size_t start = 0, end = text.size, n;
    while (left && start < end && is_stripped(character_at(&n, text, start), chars))
        start += n;
    while (right && end > start) {
        size_t last = character_before(text, end);
        if (!is_stripped(character_at(&n, text, last), chars))
            break;
        end = last;
    }
    return (tb_text){text.data + start, end - start};
}

tb_code tb_write_converted(tb_render *run, tb_text text, tb_letter_case how)
{
    tb_code rc = tb_render_work(run, 1 + text.size / 16);
    return rc ? rc : tb_unicode_convert(run->out, text, how, run->err);
}

// An empty `old` stands between all characters and at both ends.
static tb_code write_interleaved(tb_render *run, tb_text text, tb_text new, int64_t count)
{
    tb_code rc = TB_OK;
    size_t at = 0, n;
    while (!rc && at < text.size && count != 0) {
        character_at(&n, text, at);
        rc = tb_render_write(run, new);
        if (!rc)
            rc = tb_render_write(run, (tb_text){text.data + at, n});
        at += n;
        count--;
    }
    if (!rc && count != 0)
        rc = tb_render_write(run, new);
    return rc ? rc : tb_render_write(run, (tb_text){text.data + at, text.size - at});
}

tb_code tb_write_replaced(tb_render *run, tb_text text, tb_text old, tb_text new, int64_t count)
{
    if (old.size == 0)
        return write_interleaved(run, text, new, count);
    size_t from = 0, at;
    tb_code rc = TB_OK;
    while (!rc && count != 0) {
        rc = tb_find_text(&at, run, text, old, from);
        if (rc || at == TB_NOWHERE)
            break;
        rc = tb_render_write(run, (tb_text){text.data + from, at - from});
        if (!rc)
            rc = tb_render_write(run, new);
        from = at + old.size;
        count--;
    }
    return rc ? rc : tb_render_write(run, (tb_text){text.data + from, text.size - from});
}

// ---- splitting ----

typedef struct splitter {
    tb_render *run;
    tb_list_builder parts;
    uint8_t variant;
} splitter;

static tb_code add_part(splitter *s, const char *start, const char *end)
{
    tb_value part;
    tb_code rc = tb_string_borrow(&part, s->run, (tb_text){start, (size_t)(end - start)});
    part.variant = s->variant;
    return rc ? rc : tb_list_builder_add(&s->parts, s->run, part);
}

static tb_code split_at_spaces(splitter *s, tb_text text, int64_t most)
{
    tb_code rc = TB_OK;
    for (text = tb_strip_text(text, NULL, true, false); text.size > 0 && !rc;
         text = tb_strip_text(text, NULL, true, false)) {
        size_t end = 0, n;
        while (end < text.size && !tb_unicode_is_space(character_at(&n, text, end)))
            end += n;
        if (most-- == 0) // the rest is one part, with the spaces at its end
            return add_part(s, text.data, text.data + text.size);
        rc = add_part(s, text.data, text.data + end);
        text = (tb_text){text.data + end, text.size - end};
    }
    return rc;
}

// The parts come last first.
static tb_code split_at_spaces_from_right(splitter *s, tb_text text, int64_t most)
{
    tb_code rc = TB_OK;
    for (text = tb_strip_text(text, NULL, false, true); text.size > 0 && !rc;
         text = tb_strip_text(text, NULL, false, true)) {
        size_t start = text.size, n;
        while (start > 0) {
            size_t before = character_before(text, start);
            if (tb_unicode_is_space(character_at(&n, text, before)))
                break;
            start = before;
        }
        if (most-- == 0)
            return add_part(s, text.data, text.data + text.size);
        rc = add_part(s, text.data + start, text.data + text.size);
        text.size = start;
    }
    return rc;
}

static tb_code split_at_text(splitter *s, tb_text text, tb_text separator, int64_t most)
{
    size_t from = 0, at = 0;
    tb_code rc = TB_OK;
    for (; !rc && most != 0; most--) {
        rc = tb_find_text(&at, s->run, text, separator, from);
        if (rc || at == TB_NOWHERE)
            break;
        rc = add_part(s, text.data + from, text.data + at);
        from = at + separator.size;
    }
    return rc ? rc : add_part(s, text.data + from, text.data + text.size);
}

static tb_code split_at_text_from_right(splitter *s, tb_text text, tb_text separator, int64_t most)
{
    size_t end = text.size, at = 0;
    tb_code rc = TB_OK;
    for (; !rc && most != 0; most--) {
        rc = tb_find_last_text(&at, s->run, text, separator, end);
        if (rc || at == TB_NOWHERE)
            break;
        rc = add_part(s, text.data + at + separator.size, text.data + end);
        end = at;
    }
    return rc ? rc : add_part(s, text.data, text.data + end);
}

static void reverse_parts(tb_list_builder *parts)
{
    for (size_t i = 0; i < parts->count / 2; i++) {
        tb_value swap = parts->items[i];
        parts->items[i] = parts->items[parts->count - 1 - i];
        parts->items[parts->count - 1 - i] = swap;
    }
}

tb_code tb_split_text(tb_value *out, tb_render *run, tb_value string, const tb_text *separator, int64_t most,
                      bool from_right)
{
    splitter s = {.run = run, .variant = string.variant};
    tb_text text = tb_string_text(string);
    tb_code rc;
    if (separator && separator->size == 0)
        return tb_render_fail(run, TB_EINVAL, "the separator is empty");
    if (from_right)
        rc = separator ? split_at_text_from_right(&s, text, *separator, most)
                       : split_at_spaces_from_right(&s, text, most);
    else
        rc = separator ? split_at_text(&s, text, *separator, most) : split_at_spaces(&s, text, most);
    if (from_right)
        reverse_parts(&s.parts);
    return rc ? rc : tb_list_builder_finish(out, run, &s.parts, TB_VALUE_LIST);
}

tb_code tb_split_lines(tb_value *out, tb_render *run, tb_value string, bool keep_ends)
{
    splitter s = {.run = run, .variant = string.variant};
    tb_text text = tb_string_text(string);
    size_t from = 0, n;
    tb_code rc = TB_OK;
    for (size_t at = 0; at < text.size && !rc;) {
        uint32_t c = character_at(&n, text, at);
        size_t end = at;
        at += n;
        if (!tb_unicode_is_line_end(c))
            continue;
        if (c == '\r' && at < text.size && text.data[at] == '\n')
            at++;
        rc = add_part(&s, text.data + from, text.data + (keep_ends ? at : end));
        from = at;
    }
    if (!rc && from < text.size)
        rc = add_part(&s, text.data + from, text.data + text.size);
    return rc ? rc : tb_list_builder_finish(out, run, &s.parts, TB_VALUE_LIST);
}

size_t tb_count_words(tb_text text)
{
    size_t words = 0, n;
    bool inside = false;
    for (size_t at = 0; at < text.size; at += n) {
        uint32_t c = character_at(&n, text, at);
        bool is_word = c == '_' || tb_unicode_is_alnum(c);
        words += is_word && !inside;
        inside = is_word;
    }
    return words;
}
