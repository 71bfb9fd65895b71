// Methods of strings that templates can call. A method of Markup gives Markup and escapes the text that
// it is given, as MarkupSafe has it.
#include <string.h>

#include "template/builtin.h"
#include "template/format.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// The text of an argument, escaped when the method is one of Markup.
static tb_piece escaped_text(tb_render *run, const tb_call *call, tb_value argument)
{
    if (argument.kind == TB_VALUE_STRING && tb_value_is_markup(call->self))
        argument = tb_string_escape(run, argument);
    return tb_argument_text(run, "a method of strings", argument, NULL);
}

// A part of the string itself or of another text, marked like the string.
static tb_value borrow_alike(tb_render *run, const tb_call *call, tb_piece text)
{
    return tb_marked_like(tb_string_borrow(run, text), call->self);
}

static tb_value convert(tb_render *run, const tb_call *call)
{
    size_t mark = tb_render_begin(run);
    tb_write_converted(run, tb_value_text(call->self), (tb_letter_case)call->how);
    return tb_render_take_alike(run, mark, call->self);
}

// ---- stripping, splitting, joining ----

enum { LEFT = 1, RIGHT = 2 };

static tb_value strip(tb_render *run, const tb_call *call)
{
    bool given = tb_argument_given(call->args[0]);
    tb_piece chars = given ? escaped_text(run, call, call->args[0]) : tb_piece_literal("");
    return borrow_alike(
        run, call,
        tb_strip_text(run, tb_value_text(call->self), given ? &chars : NULL, call->how & LEFT, call->how & RIGHT));
}

static tb_value split(tb_render *run, const tb_call *call)
{
    bool given = tb_argument_given(call->args[0]);
    tb_piece separator = given ? tb_argument_text(run, "split()", call->args[0], NULL) : tb_piece_literal("");
    int64_t most = tb_argument_int(run, "split()", call->args[1], -1);
    return tb_split_text(run, call->self, given ? &separator : NULL, most, call->how == RIGHT);
}

static tb_value split_lines(tb_render *run, const tb_call *call)
{
    return tb_split_lines(run, call->self, tb_argument_truth(call->args[0], false));
}

static bool find_from_side(size_t *at, tb_render *run, const tb_call *call, tb_piece text, tb_piece needle)
{
    return call->how & RIGHT ? tb_find_last_text(at, run, text, needle, text.size)
                             : tb_find_text(at, run, text, needle, 0);
}

static tb_value partition(tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(call->self), separator = escaped_text(run, call, call->args[0]);
    if (separator.size == 0)
        return tb_render_fail(run, TB_EINVAL, "the separator is empty");
    size_t at;
    bool found = find_from_side(&at, run, call, text, separator);
    size_t first = found ? at : call->how == RIGHT ? 0 : text.size; // where the first part ends
    size_t last = found ? at + separator.size : first;              // where the last one begins
    const tb_value parts[] = {
        borrow_alike(run, call, tb_piece_cut(text, 0, first)),
        borrow_alike(run, call, tb_piece_cut(text, first, last - first)),
        borrow_alike(run, call, tb_piece_behind(text, last)),
    };
    return tb_list_from(run, TB_VALUE_TUPLE, parts, 3);
}

// One item of a join: Markup escapes whatever it joins, plain text takes text only.
static void write_joined(tb_render *run, const tb_call *call, tb_value item)
{
    if (tb_value_is_markup(call->self))
        item = tb_string_escape(run, tb_to_string(run, item, true));
    if (item.kind != TB_VALUE_STRING)
        tb_render_fail(run, TB_EINVAL, "join() takes strings, not a value of type '%s'", tb_value_kind_name(item.kind));
    tb_render_write(run, tb_value_text(item));
}

static tb_value join(tb_render *run, const tb_call *call)
{
    const tb_list *items = tb_value_list(tb_value_collect(run, TB_VALUE_LIST, call->args[0]));
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; i < items->count && !run->rc; i++) {
        if (i > 0)
            tb_render_write(run, tb_value_text(call->self));
        write_joined(run, call, items->items[i]);
    }
    return tb_render_take_alike(run, mark, call->self);
}

static tb_value replace(tb_render *run, const tb_call *call)
{
    tb_piece old = escaped_text(run, call, call->args[0]), new = escaped_text(run, call, call->args[1]);
    int64_t count = tb_argument_int(run, "replace()", call->args[2], -1);
    size_t mark = tb_render_begin(run);
    tb_write_replaced(run, tb_value_text(call->self), old, new, count);
    return tb_render_take_alike(run, mark, call->self);
}

static bool has_affix(tb_piece text, tb_piece affix, int side)
{
    return text.size >= affix.size &&
           memcmp(text.data + (side == RIGHT ? text.size - affix.size : 0), affix.data, affix.size) == 0;
}

static tb_value remove_affix(tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(call->self), affix = escaped_text(run, call, call->args[0]);
    if (has_affix(text, affix, call->how))
        text = tb_piece_cut(text, call->how == LEFT ? affix.size : 0, text.size - affix.size);
    return borrow_alike(run, call, text);
}

// ---- searching ----

// The part [start, end) of the string, in characters from either end, where something is looked for.
typedef struct window {
    tb_piece text;
    size_t start; // in characters
    bool exists;  // false: it starts behind its end, where not even an empty text is found
} window;

static int64_t read_bound(tb_render *run, tb_value bound, int64_t length, int64_t fallback)
{
    int64_t n = tb_argument_int(run, "searching", tb_argument_given(bound) ? bound : tb_missing(), fallback);
    return n >= 0 ? n : n < -length ? 0 : n + length;
}

static window read_window(tb_render *run, const tb_call *call)
{
    int64_t length = (int64_t)call->self.as.string->length;
    int64_t start = read_bound(run, call->args[1], length, 0), end = read_bound(run, call->args[2], length, length);
    tb_piece text = tb_value_text(call->self);
    window w = {.start = (size_t)start, .exists = !run->rc && start <= (end > length ? length : end)};
    if (!w.exists)
        return w;
    tb_render_work(run, 1 + text.size / TB_BYTES_COPIED_PER_STEP);
    size_t from = tb_unicode_offset(text, (size_t)start), to = tb_unicode_offset(text, (size_t)end);
    w.text = tb_piece_cut(text, from, to - from);
    return w;
}

enum { MUST_BE_THERE = 4 };

static tb_value find(tb_render *run, const tb_call *call)
{
    tb_piece needle = tb_argument_text(run, "searching", call->args[0], NULL);
    window w = read_window(run, call);
    size_t at = TB_NOWHERE;
    if (w.exists && find_from_side(&at, run, call, w.text, needle))
        return tb_int((int64_t)(w.start + tb_unicode_count(tb_piece_cut(w.text, 0, at))));
    if (call->how & MUST_BE_THERE)
        tb_render_fail(run, TB_EINVAL, "the text that index() looks for is not there");
    return tb_int(-1);
}

static tb_value count(tb_render *run, const tb_call *call)
{
    tb_piece needle = tb_argument_text(run, "count()", call->args[0], NULL);
    window w = read_window(run, call);
    int64_t n = 0;
    if (w.exists && needle.size == 0)
        return tb_int((int64_t)tb_unicode_count(w.text) + 1);
    for (size_t at = 0; w.exists && tb_find_text(&at, run, w.text, needle, at); at += needle.size)
        n++;
    return tb_int(n);
}

// startswith and endswith: one text or any of a tuple.
static tb_value test_affix(tb_render *run, const tb_call *call)
{
    window w = read_window(run, call);
    bool is_tuple = call->args[0].kind == TB_VALUE_TUPLE, found = false;
    size_t n = is_tuple ? call->args[0].as.list->count : 1;
    for (size_t i = 0; i < n && !found && !run->rc; i++) {
        tb_value affix = is_tuple ? call->args[0].as.list->items[i] : call->args[0];
        tb_piece text = tb_argument_text(run, "startswith() or endswith()", affix, NULL);
        tb_render_work(run, 1 + text.size / TB_BYTES_COPIED_PER_STEP);
        found = w.exists && has_affix(w.text, text, call->how);
    }
    return tb_bool(found);
}

// ---- questions ----

enum { ALPHA, ALNUM, DIGIT, SPACE };

// Whether the text has characters and all of them are of a kind.
static tb_value all_are(tb_render *run, const tb_call *call)
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
    tb_render_work(run, 1 + text.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0; at < text.size && all && !run->rc;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        all = kinds[call->how](c);
    }
    return tb_bool(all);
}

tb_value tb_text_is_in_case(tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(tb_to_string(run, call->self, false));
    tb_render_work(run, 1 + text.size / TB_BYTES_READ_PER_STEP);
    return tb_bool(!run->rc && tb_unicode_text_has_case(text, (tb_letter_case)call->how));
}

static tb_value format(tb_render *run, const tb_call *call)
{
    return tb_format_braces(run, call->self, call);
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
    {"islower", "", tb_text_is_in_case, TB_CASE_LOWER},
    {"isnumeric", NULL, NULL, 0},
    {"isprintable", NULL, NULL, 0},
    {"isspace", "", all_are, SPACE},
    {"istitle", NULL, NULL, 0},
    {"isupper", "", tb_text_is_in_case, TB_CASE_UPPER},
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
