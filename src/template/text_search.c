#include "template/text_search.h"

#include <string.h>

static uint32_t character_at(size_t *n, tb_piece text, size_t at)
{
    uint32_t c = 0;
    *n = tb_utf8_decode(&c, text.data + at, text.size - at);
    return c;
}

// Start of the character that ends before `end` > 0.
static size_t character_before(tb_piece text, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)text.data[end] & 0xC0) == 0x80);
    return end;
}

static bool is_match(tb_piece text, tb_piece needle, size_t at)
{
    return needle.size <= text.size - at && memcmp(text.data + at, needle.data, needle.size) == 0;
}

bool tb_find_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t from)
{
    *out = TB_NOWHERE;
    if (from > text.size || needle.size > text.size - from)
        return false;
    if (needle.size == 0) {
        *out = from;
        return true;
    }
    const char *end = text.data + text.size - needle.size + 1;
    for (const char *at = text.data + from; at < end && !run->rc;) {
        const char *found = memchr(at, needle.data[0], (size_t)(end - at));
        size_t passed = (size_t)((found ? found : end) - at);
        tb_render_work(run, 1 + (passed + (found ? needle.size : 0)) / TB_BYTES_COPIED_PER_STEP);
        if (!found)
            return false;
        if (memcmp(found, needle.data, needle.size) == 0) {
            *out = (size_t)(found - text.data);
            return true;
        }
        at = found + 1;
    }
    return false;
}

bool tb_find_last_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t end)
{
    *out = TB_NOWHERE;
    if (needle.size > end)
        return false;
    for (size_t at = end - needle.size + 1; at-- > 0 && !run->rc;) {
        if (is_match(text, needle, at)) {
            *out = at;
            return true;
        }
        bool compared = text.data[at] == needle.data[0]; // an empty needle is found at once
        tb_render_work(run, compared ? 1 + needle.size / TB_BYTES_COPIED_PER_STEP : at % TB_BYTES_READ_PER_STEP == 0);
    }
    return false;
}

// ---- cutting ----

static bool is_stripped(tb_render *run, uint32_t c, const tb_piece *chars)
{
    bool stripped = !chars && tb_unicode_is_space(c);
    for (size_t at = 0, n; chars && at < chars->size && !stripped; at += n)
        stripped = character_at(&n, *chars, at) == c;
    tb_render_work(run, 1 + (chars ? chars->size / TB_BYTES_READ_PER_STEP : 0));
    return stripped && !run->rc;
}

tb_piece tb_strip_text(tb_render *run, tb_piece text, const tb_piece *chars, bool left, bool right)
{
    size_t start = 0, end = text.size, n;
    while (left && start < end && is_stripped(run, character_at(&n, text, start), chars))
        start += n;
    while (right && end > start) {
        size_t last = character_before(text, end);
        if (!is_stripped(run, character_at(&n, text, last), chars))
            break;
        end = last;
    }
    return tb_piece_cut(text, start, end - start);
}

void tb_write_converted(tb_render *run, tb_piece text, tb_letter_case how)
{
    tb_conversion walk = {0};
    tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    while (walk.at < text.size && !run->rc) {
        char bytes[TB_CONVERTED_BYTES];
        tb_origin origin = tb_piece_origin_at(text, walk.at);
        size_t n = tb_unicode_convert(bytes, &walk, how, text);
        tb_render_write(run, tb_piece_of((tb_text){bytes, n}, origin));
    }
}

void tb_write_replaced(tb_render *run, tb_piece text, tb_piece old, tb_piece new, int64_t count)
{
    size_t from = 0, at;
    if (old.size == 0) {
        tb_render_fail(run, TB_EUNSUPPORTED, "replacing an empty text is not supported");
        return;
    }
    for (; count != 0 && tb_find_text(&at, run, text, old, from); count--) {
        tb_render_write(run, tb_piece_cut(text, from, at - from));
        tb_render_write(run, new);
        from = at + old.size;
    }
    tb_render_write(run, tb_piece_behind(text, from));
}

// ---- splitting ----

typedef struct splitter {
    tb_render *run;
    tb_list_builder parts;
    tb_value string;
} splitter;

static void add_part(splitter *s, tb_piece text)
{
    tb_list_builder_add(&s->parts, s->run, tb_marked_like(tb_string_borrow(s->run, text), s->string));
}

// Parts between white space.
static void split_at_spaces(splitter *s, tb_piece text, int64_t most)
{
    tb_render_work(s->run, text.size / TB_BYTES_READ_PER_STEP);
    text = tb_strip_text(s->run, text, NULL, true, false);
    while (text.size > 0 && !s->run->rc) {
        size_t end = 0, n = 0;
        if (most-- == 0) // the rest is one part, with the spaces at its end
            end = text.size;
        while (end < text.size && !tb_unicode_is_space(character_at(&n, text, end)))
            end += n;
        add_part(s, tb_piece_cut(text, 0, end));
        text = tb_strip_text(s->run, tb_piece_behind(text, end), NULL, true, false);
    }
}

static void split_at_text(splitter *s, tb_piece text, tb_piece separator, int64_t most, bool from_right)
{
    size_t at;
    for (; most != 0; most--) {
        if (!(from_right ? tb_find_last_text(&at, s->run, text, separator, text.size)
                         : tb_find_text(&at, s->run, text, separator, 0)))
            break;
        tb_piece head = tb_piece_cut(text, 0, at), tail = tb_piece_behind(text, at + separator.size);
        add_part(s, from_right ? tail : head);
        text = from_right ? head : tail;
    }
    add_part(s, text);
}

static void reverse_parts(tb_list_builder *parts)
{
    for (size_t i = 0; i < parts->count / 2; i++) {
        tb_value swap = parts->items[i];
        parts->items[i] = parts->items[parts->count - 1 - i];
        parts->items[parts->count - 1 - i] = swap;
    }
}

tb_value tb_split_text(tb_render *run, tb_value string, const tb_piece *separator, int64_t most, bool from_right)
{
    splitter s = {.run = run, .string = string};
    if (separator && separator->size == 0)
        return tb_render_fail(run, TB_EINVAL, "the separator is empty");
    if (separator)
        split_at_text(&s, tb_value_text(string), *separator, most, from_right);
    else if (from_right && most >= 0)
        tb_render_fail(run, TB_EUNSUPPORTED, "splitting at some white space from the right is not supported");
    else
        split_at_spaces(&s, tb_value_text(string), most);
    if (separator && from_right)
        reverse_parts(&s.parts);
    return tb_list_builder_finish(run, &s.parts, TB_VALUE_LIST);
}

tb_value tb_split_lines(tb_render *run, tb_value string, bool keep_ends)
{
    splitter s = {.run = run, .string = string};
    tb_piece text = tb_value_text(string);
    size_t from = 0, n;
    tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0; at < text.size && !run->rc;) {
        uint32_t c = character_at(&n, text, at);
        size_t end = at;
        at += n;
        if (!tb_unicode_is_line_end(c))
            continue;
        if (c == '\r' && at < text.size && text.data[at] == '\n')
            at++;
        add_part(&s, tb_piece_cut(text, from, (keep_ends ? at : end) - from));
        from = at;
    }
    if (from < text.size)
        add_part(&s, tb_piece_behind(text, from));
    return tb_list_builder_finish(run, &s.parts, TB_VALUE_LIST);
}
