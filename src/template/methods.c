// Methods of strings that templates can call. A method of Markup gives Markup and escapes the text that
// it is given, as MarkupSafe has it.
#include <string.h>

#include "template/builtin.h"
#include "template/format.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// ---- arguments and results ----

// The text of an argument, escaped when the method is one of Markup.
static tb_code escaped_text(tb_piece *out, tb_render *run, const tb_call *call, tb_value argument)
{
    tb_code rc = TB_OK;
    if (argument.kind == TB_VALUE_STRING && tb_value_is_markup(call->self))
        rc = tb_string_escape(&argument, run, argument);
    return rc ? rc : tb_argument_text(out, run, "a method of strings", argument, NULL);
}

// Takes what has been written since `mark`, marked like the string itself.
static tb_code take_alike(tb_value *out, tb_render *run, const tb_call *call, size_t mark)
{
    tb_code rc = tb_render_take(out, run, mark);
    out->variant = call->self.variant;
    return rc;
}

static tb_code borrow_alike(tb_value *out, tb_render *run, const tb_call *call, tb_piece text)
{
    tb_code rc = tb_string_borrow(out, run, text);
    out->variant = call->self.variant;
    return rc;
}

static tb_code convert(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_write_converted(run, tb_value_text(call->self), (tb_letter_case)call->how);
    return rc ? rc : take_alike(out, run, call, mark);
}

// ---- stripping, splitting, joining ----

enum { LEFT = 1, RIGHT = 2 };

static tb_code strip(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece chars, text;
    bool given = tb_argument_given(call->args[0]);
    tb_code rc = given ? escaped_text(&chars, run, call, call->args[0]) : TB_OK;
    if (!rc)
        rc = tb_strip_text(&text, run, tb_value_text(call->self), given ? &chars : NULL, call->how & LEFT,
                           call->how & RIGHT);
    return rc ? rc : borrow_alike(out, run, call, text);
}

static tb_code split(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece separator;
    int64_t most;
    bool given = tb_argument_given(call->args[0]);
    tb_code rc = given ? tb_argument_text(&separator, run, "split()", call->args[0], NULL) : TB_OK;
    if (!rc)
        rc = tb_argument_int(&most, run, "split()", call->args[1], -1);
    return rc ? rc : tb_split_text(out, run, call->self, given ? &separator : NULL, most, call->how == RIGHT);
}

static tb_code split_lines(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_split_lines(out, run, call->self, tb_argument_truth(call->args[0], false));
}

static tb_code find_from_side(size_t *at, tb_render *run, const tb_call *call, tb_piece text, tb_piece needle)
{
    return call->how & RIGHT ? tb_find_last_text(at, run, text, needle, text.size)
                             : tb_find_text(at, run, text, needle, 0);
}

static tb_code partition(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(call->self), separator;
    size_t at;
    tb_code rc = escaped_text(&separator, run, call, call->args[0]);
    if (!rc && separator.size == 0)
        rc = tb_render_fail(run, TB_EINVAL, "the separator is empty");
    if (!rc)
        rc = find_from_side(&at, run, call, text, separator);
    if (!rc)
        rc = tb_list_new(out, run, TB_VALUE_TUPLE, 3);
    if (rc)
        return rc;
    size_t first = at != TB_NOWHERE ? at : call->how == RIGHT ? 0 : text.size; // where the first part ends
    size_t last = at != TB_NOWHERE ? at + separator.size : first;              // where the last one begins
    tb_value *parts = out->as.list->items;
    rc = borrow_alike(&parts[0], run, call, tb_piece_cut(text, 0, first));
    if (!rc)
        rc = borrow_alike(&parts[1], run, call, tb_piece_cut(text, first, last - first));
    return rc ? rc : borrow_alike(&parts[2], run, call, tb_piece_behind(text, last));
}

// One item of a join: Markup escapes whatever it joins, plain text takes text only.
static tb_code write_joined(tb_render *run, const tb_call *call, tb_value item)
{
    tb_code rc = TB_OK;
    if (tb_value_is_markup(call->self)) {
        rc = tb_to_string(&item, run, item, true);
        if (!rc)
            rc = tb_string_escape(&item, run, item);
    }
    if (!rc && item.kind != TB_VALUE_STRING)
        rc = tb_render_fail(run, TB_EINVAL, "join() takes strings, not a value of type '%s'",
                            tb_value_kind_name(item.kind));
    return rc ? rc : tb_render_write(run, tb_value_text(item));
}

static tb_code join(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value items;
    tb_code rc = tb_value_collect(&items, run, TB_VALUE_LIST, call->args[0]);
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; !rc && i < items.as.list->count; i++) {
        if (i > 0)
            rc = tb_render_write(run, tb_value_text(call->self));
        if (!rc)
            rc = write_joined(run, call, items.as.list->items[i]);
    }
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code replace(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece old, new;
    int64_t count;
    tb_code rc = escaped_text(&old, run, call, call->args[0]);
    if (!rc)
        rc = escaped_text(&new, run, call, call->args[1]);
    if (!rc)
        rc = tb_argument_int(&count, run, "replace()", call->args[2], -1);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = tb_write_replaced(run, tb_value_text(call->self), old, new, count);
    return rc ? rc : take_alike(out, run, call, mark);
}

static bool has_affix(tb_piece text, tb_piece affix, int side)
{
    return text.size >= affix.size &&
           memcmp(text.data + (side == RIGHT ? text.size - affix.size : 0), affix.data, affix.size) == 0;
}

static tb_code remove_affix(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(call->self), affix;
    tb_code rc = escaped_text(&affix, run, call, call->args[0]);
    if (!rc && has_affix(text, affix, call->how))
        text = tb_piece_cut(text, call->how == LEFT ? affix.size : 0, text.size - affix.size);
    return rc ? rc : borrow_alike(out, run, call, text);
}

// ---- searching ----

// The part [start, end) of the string, in characters from either end, where something is looked for.
typedef struct window {
    tb_piece text;
    size_t start; // in characters
    bool exists;  // false: it starts behind its end, where not even an empty text is found
} window;

static tb_code read_bound(int64_t *out, tb_render *run, tb_value bound, int64_t length, int64_t fallback)
{
    tb_code rc = tb_argument_int(out, run, "searching", tb_argument_given(bound) ? bound : (tb_value){0}, fallback);
    if (*out < 0)
        *out = *out < -length ? 0 : *out + length;
    return rc;
}

static tb_code read_window(window *out, tb_render *run, const tb_call *call)
{
    int64_t length = (int64_t)call->self.as.string->length, start, end;
    tb_piece text = tb_value_text(call->self);
    tb_code rc = read_bound(&start, run, call->args[1], length, 0);
    if (!rc)
        rc = read_bound(&end, run, call->args[2], length, length);
    if (rc)
        return rc;
    end = end > length ? length : end;
    out->exists = start <= end;
    out->start = (size_t)start;
    if (!out->exists)
        return TB_OK;
    size_t from = tb_unicode_offset(text, (size_t)start), to = tb_unicode_offset(text, (size_t)end);
    out->text = tb_piece_cut(text, from, to - from);
    return tb_render_work(run, 1 + text.size / TB_BYTES_COPIED_PER_STEP);
}

enum { MUST_BE_THERE = 4 };

static tb_code find(tb_value *out, tb_render *run, const tb_call *call)
{
    window w;
    tb_piece needle;
    size_t at = TB_NOWHERE;
    tb_code rc = tb_argument_text(&needle, run, "searching", call->args[0], NULL);
    if (!rc)
        rc = read_window(&w, run, call);
    if (!rc && w.exists)
        rc = find_from_side(&at, run, call, w.text, needle);
    if (rc)
        return rc;
    if (at == TB_NOWHERE && call->how & MUST_BE_THERE)
        return tb_render_fail(run, TB_EINVAL, "the text that index() looks for is not there");
    *out = tb_int(at == TB_NOWHERE ? -1 : (int64_t)(w.start + tb_unicode_count(tb_piece_cut(w.text, 0, at))));
    return TB_OK;
}

static tb_code count(tb_value *out, tb_render *run, const tb_call *call)
{
    window w;
    tb_piece needle;
    int64_t n = 0;
    tb_code rc = tb_argument_text(&needle, run, "count()", call->args[0], NULL);
    if (!rc)
        rc = read_window(&w, run, call);
    if (!rc && w.exists && needle.size == 0)
        n = (int64_t)tb_unicode_count(w.text) + 1;
    for (size_t at = 0; !rc && w.exists && needle.size > 0; at += needle.size, n++) {
        rc = tb_find_text(&at, run, w.text, needle, at);
        if (rc || at == TB_NOWHERE)
            break;
    }
    *out = tb_int(n);
    return rc;
}

// startswith and endswith: one text or any of a tuple.
static tb_code test_affix(tb_value *out, tb_render *run, const tb_call *call)
{
    window w;
    tb_value affixes = call->args[0];
    bool found = false;
    tb_code rc = read_window(&w, run, call);
    if (!rc && affixes.kind != TB_VALUE_TUPLE)
        rc = tb_list_from(&affixes, run, TB_VALUE_TUPLE, &call->args[0], 1);
    for (size_t i = 0; !rc && i < affixes.as.list->count && !found; i++) {
        tb_piece affix;
        rc = tb_argument_text(&affix, run, "startswith() or endswith()", affixes.as.list->items[i], NULL);
        if (!rc)
            rc = tb_render_work(run, 1 + affix.size / TB_BYTES_COPIED_PER_STEP);
        found = !rc && w.exists && has_affix(w.text, affix, call->how);
    }
    *out = tb_bool(found);
    return rc;
}

// ---- questions ----

enum { ALPHA, ALNUM, DIGIT, SPACE };

// Whether the text has characters and all of them are of a kind.
static tb_code all_are(tb_value *out, tb_render *run, const tb_call *call)
{
    static bool (*const kinds[])(uint32_t) = {
        [ALPHA] = tb_unicode_is_alpha,
        [ALNUM] = tb_unicode_is_alnum,
        [DIGIT] = tb_unicode_is_digit,
        [SPACE] = tb_unicode_is_space,
    };
    tb_piece text = tb_value_text(call->self);
    bool all = text.size > 0;
    uint32_t c;
    tb_code rc = tb_render_work(run, 1 + text.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0; at < text.size && all && !rc;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        all = kinds[call->how](c);
    }
    *out = tb_bool(all);
    return rc;
}

static tb_code is_in_case(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(call->self);
    tb_code rc = tb_render_work(run, 1 + text.size / TB_BYTES_READ_PER_STEP);
    *out = tb_bool(!rc && tb_unicode_text_has_case(text, (tb_letter_case)call->how));
    return rc;
}

static tb_code format(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_format_braces(out, run, call->self, call);
}

const tb_builtin tb_string_methods[] = {
    {"capitalize", "", convert, TB_CASE_CAPITALIZE},
    {"casefold", NULL, NULL, 0},
    {"center", NULL, NULL, 0},
    {"count", "/ sub start? end?", count, 0},
    {"encode", NULL, NULL, 0},
    {"endswith", "/ suffix start? end?", test_affix, RIGHT},
    {"expandtabs", NULL, NULL, 0},
    {"find", "/ sub start? end?", find, LEFT},
    {"format", NULL, format, 0},
    {"format_map", NULL, NULL, 0},
    {"index", "/ sub start? end?", find, LEFT | MUST_BE_THERE},
    {"isalnum", "", all_are, ALNUM},
    {"isalpha", "", all_are, ALPHA},
    {"isascii", NULL, NULL, 0},
    {"isdecimal", NULL, NULL, 0},
    {"isdigit", "", all_are, DIGIT},
    {"isidentifier", NULL, NULL, 0},
    {"islower", "", is_in_case, TB_CASE_LOWER},
    {"isnumeric", NULL, NULL, 0},
    {"isprintable", NULL, NULL, 0},
    {"isspace", "", all_are, SPACE},
    {"istitle", NULL, NULL, 0},
    {"isupper", "", is_in_case, TB_CASE_UPPER},
    {"join", "/ iterable", join, 0},
    {"ljust", NULL, NULL, 0},
    {"lower", "", convert, TB_CASE_LOWER},
    {"lstrip", "/ chars?", strip, LEFT},
    {"maketrans", NULL, NULL, 0},
    {"partition", "/ sep", partition, LEFT},
    {"removeprefix", "/ prefix", remove_affix, LEFT},
    {"removesuffix", "/ suffix", remove_affix, RIGHT},
    {"replace", "/ old new count?", replace, 0},
    {"rfind", "/ sub start? end?", find, RIGHT},
    {"rindex", "/ sub start? end?", find, RIGHT | MUST_BE_THERE},
    {"rjust", NULL, NULL, 0},
    {"rpartition", "/ sep", partition, RIGHT},
    {"rsplit", "sep? maxsplit?", split, RIGHT},
    {"rstrip", "/ chars?", strip, RIGHT},
    {"split", "sep? maxsplit?", split, LEFT},
    {"splitlines", "keepends?", split_lines, 0},
    {"startswith", "/ prefix start? end?", test_affix, LEFT},
    {"strip", "/ chars?", strip, LEFT | RIGHT},
    {"swapcase", NULL, NULL, 0},
    {"title", "", convert, TB_CASE_TITLE},
    {"translate", NULL, NULL, 0},
    {"upper", "", convert, TB_CASE_UPPER},
    {"zfill", NULL, NULL, 0},
    {NULL, NULL, NULL, 0},
};
