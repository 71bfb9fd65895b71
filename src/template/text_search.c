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

tb_code tb_find_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t from)
{
    *out = TB_NOWHERE;
    if (from > text.size || needle.size > text.size - from)
        return TB_OK;
    if (needle.size == 0) {
        *out = from;
        return TB_OK;
    }
    const char *end = text.data + text.size - needle.size + 1;
    tb_code rc = TB_OK;
    for (const char *at = text.data + from; !rc && at < end;) {
        const char *found = memchr(at, needle.data[0], (size_t)(end - at));
        size_t passed = (size_t)((found ? found : end) - at);
        rc = tb_render_work(run, 1 + (passed + (found ? needle.size : 0)) / TB_BYTES_COPIED_PER_STEP);
        if (!found || rc)
            break;
        if (memcmp(found, needle.data, needle.size) == 0) {
            *out = (size_t)(found - text.data);
            return TB_OK;
        }
        at = found + 1;
    }
    return rc;
}

tb_code tb_find_last_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t end)
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
        bool compared = text.data[at] == needle.data[0]; // an empty needle is found at once
        rc = tb_render_work(run,
                            compared ? 1 + needle.size / TB_BYTES_COPIED_PER_STEP : at % TB_BYTES_READ_PER_STEP == 0);
    }
    return rc;
}

// ---- cutting ----

static tb_code is_stripped(bool *out, tb_render *run, uint32_t c, const tb_piece *chars)
{
    *out = !chars && tb_unicode_is_space(c);
    for (size_t at = 0, n; chars && at < chars->size && !*out; at += n)
        *out = character_at(&n, *chars, at) == c;
    return tb_render_work(run, 1 + (chars ? chars->size / TB_BYTES_READ_PER_STEP : 0));
}

tb_code tb_strip_text(tb_piece *out, tb_render *run, tb_piece text, const tb_piece *chars, bool left, bool right)
{
    size_t start = 0, end = text.size, n;
    tb_code rc = TB_OK;
    while (left && start < end && !rc) {
        rc = is_stripped(&left, run, character_at(&n, text, start), chars);
        start += left ? n : 0;
    }
    while (right && end > start && !rc) {
        size_t last = character_before(text, end);
        rc = is_stripped(&right, run, character_at(&n, text, last), chars);
        end = right ? last : end;
    }
    *out = tb_piece_cut(text, start, end - start);
    return rc;
}

tb_code tb_write_converted(tb_render *run, tb_piece text, tb_letter_case how)
{
    tb_conversion walk = {0};
    tb_code rc = tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    while (!rc && walk.at < text.size) {
        char bytes[TB_CONVERTED_BYTES];
        tb_origin origin = tb_piece_origin_at(text, walk.at);
        size_t n = tb_unicode_convert(bytes, &walk, how, text);
        rc = tb_render_write(run, tb_piece_of((tb_text){bytes, n}, origin));
    }
    return rc;
}

// An empty `old` stands between all characters and at both ends.
static tb_code write_interleaved(tb_render *run, tb_piece text, tb_piece new, int64_t count)
{
    tb_code rc = TB_OK;
    size_t at = 0, n;
    while (!rc && at < text.size && count != 0) {
        character_at(&n, text, at);
        rc = tb_render_write(run, new);
        if (!rc)
            rc = tb_render_write(run, tb_piece_cut(text, at, n));
        at += n;
        count--;
    }
    if (!rc && count != 0)
        rc = tb_render_write(run, new);
    return rc ? rc : tb_render_write(run, tb_piece_cut(text, at, text.size - at));
}

tb_code tb_write_replaced(tb_render *run, tb_piece text, tb_piece old, tb_piece new, int64_t count)
{
    if (old.size == 0)
        return write_interleaved(run, text, new, count);
    size_t from = 0, at;
    tb_code rc = TB_OK;
    while (!rc && count != 0) {
        rc = tb_find_text(&at, run, text, old, from);
        if (rc || at == TB_NOWHERE)
            break;
        rc = tb_render_write(run, tb_piece_cut(text, from, at - from));
        if (!rc)
            rc = tb_render_write(run, new);
        from = at + old.size;
        count--;
    }
    return rc ? rc : tb_render_write(run, tb_piece_cut(text, from, text.size - from));
}

// ---- splitting ----

typedef struct splitter {
    tb_render *run;
    tb_list_builder parts;
    uint8_t variant;
} splitter;

static tb_code add_part(splitter *s, tb_piece text)
{
    tb_value part;
    tb_code rc = tb_string_borrow(&part, s->run, text);
    part.variant = s->variant;
    return rc ? rc : tb_list_builder_add(&s->parts, s->run, part);
}

// Parts between white space, from the left or the right; the parts from the right come last first.
static tb_code split_at_spaces(splitter *s, tb_piece text, int64_t most, bool from_right)
{
    tb_code rc = tb_render_work(s->run, text.size / TB_BYTES_READ_PER_STEP);
    if (!rc)
        rc = tb_strip_text(&text, s->run, text, NULL, !from_right, from_right);
    while (!rc && text.size > 0) {
        size_t start = 0, end = text.size, n;
        if (most-- == 0) // the rest is one part, with the spaces at its other end
            return add_part(s, text);
        if (from_right)
            for (start = end; start > 0; start = character_before(text, start))
                if (tb_unicode_is_space(character_at(&n, text, character_before(text, start))))
                    break;
        for (size_t at = 0; !from_right && at < text.size; at += n)
            if (tb_unicode_is_space(character_at(&n, text, at))) {
                end = at;
                break;
            }
        rc = add_part(s, tb_piece_cut(text, start, end - start));
        text = from_right ? tb_piece_cut(text, 0, start) : tb_piece_behind(text, end);
        if (!rc)
            rc = tb_strip_text(&text, s->run, text, NULL, !from_right, from_right);
    }
    return rc;
}

static tb_code split_at_text(splitter *s, tb_piece text, tb_piece separator, int64_t most)
{
    size_t from = 0, at = 0;
    tb_code rc = TB_OK;
    for (; !rc && most != 0; most--) {
        rc = tb_find_text(&at, s->run, text, separator, from);
        if (rc || at == TB_NOWHERE)
            break;
        rc = add_part(s, tb_piece_cut(text, from, at - from));
        from = at + separator.size;
    }
    return rc ? rc : add_part(s, tb_piece_behind(text, from));
}

static tb_code split_at_text_from_right(splitter *s, tb_piece text, tb_piece separator, int64_t most)
{
    size_t end = text.size, at = 0;
    tb_code rc = TB_OK;
    for (; !rc && most != 0; most--) {
        rc = tb_find_last_text(&at, s->run, text, separator, end);
        if (rc || at == TB_NOWHERE)
            break;
        rc = add_part(s, tb_piece_cut(text, at + separator.size, end - (at + separator.size)));
        end = at;
    }
    return rc ? rc : add_part(s, tb_piece_cut(text, 0, end));
}

static void reverse_parts(tb_list_builder *parts)
{
    for (size_t i = 0; i < parts->count / 2; i++) {
        tb_value swap = parts->items[i];
        parts->items[i] = parts->items[parts->count - 1 - i];
        parts->items[parts->count - 1 - i] = swap;
    }
}

tb_code tb_split_text(tb_value *out, tb_render *run, tb_value string, const tb_piece *separator, int64_t most,
                      bool from_right)
{
    splitter s = {.run = run, .variant = string.variant};
    tb_piece text = tb_value_text(string);
    tb_code rc;
    if (separator && separator->size == 0)
        return tb_render_fail(run, TB_EINVAL, "the separator is empty");
    if (from_right)
        rc = separator ? split_at_text_from_right(&s, text, *separator, most) : split_at_spaces(&s, text, most, true);
    else
        rc = separator ? split_at_text(&s, text, *separator, most) : split_at_spaces(&s, text, most, false);
    if (from_right)
        reverse_parts(&s.parts);
    return rc ? rc : tb_list_builder_finish(out, run, &s.parts, TB_VALUE_LIST);
}

tb_code tb_split_lines(tb_value *out, tb_render *run, tb_value string, bool keep_ends)
{
    splitter s = {.run = run, .variant = string.variant};
    tb_piece text = tb_value_text(string);
    size_t from = 0, n;
    tb_code rc = tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0; at < text.size && !rc;) {
        uint32_t c = character_at(&n, text, at);
        size_t end = at;
        at += n;
        if (!tb_unicode_is_line_end(c))
            continue;
        if (c == '\r' && at < text.size && text.data[at] == '\n')
            at++;
        rc = add_part(&s, tb_piece_cut(text, from, (keep_ends ? at : end) - from));
        from = at;
    }
    if (!rc && from < text.size)
        rc = add_part(&s, tb_piece_behind(text, from));
    return rc ? rc : tb_list_builder_finish(out, run, &s.parts, TB_VALUE_LIST);
}
