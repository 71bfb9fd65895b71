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

static tb_code text_or_fail(tb_text *out, tb_render *run, const char *what, tb_value argument)
{
    return tb_argument_text(out, run, what, argument, NULL);
}

// The text of an argument, escaped when the method is one of Markup.
static tb_code escaped_text(tb_text *out, tb_render *run, const tb_call *call, const char *what, tb_value argument)
{
    tb_code rc = argument.kind == TB_VALUE_STRING && tb_value_is_markup(call->self)
                     ? tb_string_escape(&argument, run, argument)
                     : TB_OK;
    return rc ? rc : text_or_fail(out, run, what, argument);
}

// Takes what has been written since `mark`, marked like the string itself.
static tb_code take_alike(tb_value *out, tb_render *run, const tb_call *call, size_t mark)
{
    tb_code rc = tb_render_take(out, run, mark);
    out->variant = call->self.variant;
    return rc;
}

static tb_code borrow_alike(tb_value *out, tb_render *run, const tb_call *call, tb_text text)
{
    tb_code rc = tb_string_borrow(out, run, text);
    out->variant = call->self.variant;
    return rc;
}

// ---- case ----

static tb_code convert(tb_value *out, tb_render *run, const tb_call *call, tb_letter_case how)
{
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_write_converted(run, tb_string_text(call->self), how);
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code run_upper(tb_value *out, tb_render *run, const tb_call *call)
{
    return convert(out, run, call, TB_CASE_UPPER);
}

static tb_code run_lower(tb_value *out, tb_render *run, const tb_call *call)
{
    return convert(out, run, call, TB_CASE_LOWER);
}

static tb_code run_title(tb_value *out, tb_render *run, const tb_call *call)
{
    return convert(out, run, call, TB_CASE_TITLE);
}

static tb_code run_capitalize(tb_value *out, tb_render *run, const tb_call *call)
{
    return convert(out, run, call, TB_CASE_CAPITALIZE);
}

static tb_code run_swapcase(tb_value *out, tb_render *run, const tb_call *call)
{
    return convert(out, run, call, TB_CASE_SWAP);
}

// ---- stripping, splitting, joining ----

static tb_code strip(tb_value *out, tb_render *run, const tb_call *call, bool left, bool right)
{
    tb_text chars;
    bool given = tb_argument_given(call->args[0]);
    tb_code rc = given ? escaped_text(&chars, run, call, "strip()", call->args[0]) : TB_OK;
    if (!rc)
        rc = tb_render_work(run, 1 + call->self.as.string->size / 256);
    return rc ? rc
              : borrow_alike(out, run, call,
                             tb_strip_text(tb_string_text(call->self), given ? &chars : NULL, left, right));
}

static tb_code run_strip(tb_value *out, tb_render *run, const tb_call *call)
{
    return strip(out, run, call, true, true);
}

static tb_code run_lstrip(tb_value *out, tb_render *run, const tb_call *call)
{
    return strip(out, run, call, true, false);
}

static tb_code run_rstrip(tb_value *out, tb_render *run, const tb_call *call)
{
    return strip(out, run, call, false, true);
}

static tb_code split(tb_value *out, tb_render *run, const tb_call *call, bool from_right)
{
    tb_text separator;
    int64_t most;
    bool given = tb_argument_given(call->args[0]);
    tb_code rc = given ? text_or_fail(&separator, run, "split()", call->args[0]) : TB_OK;
    if (!rc)
        rc = tb_argument_int(&most, run, "split()", call->args[1], -1);
    return rc ? rc : tb_split_text(out, run, call->self, given ? &separator : NULL, most, from_right);
}

static tb_code run_split(tb_value *out, tb_render *run, const tb_call *call)
{
    return split(out, run, call, false);
}

static tb_code run_rsplit(tb_value *out, tb_render *run, const tb_call *call)
{
    return split(out, run, call, true);
}

static tb_code run_splitlines(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_split_lines(out, run, call->self, tb_argument_truth(call->args[0], false));
}

static tb_code partition(tb_value *out, tb_render *run, const tb_call *call, bool from_right)
{
    tb_text text = tb_string_text(call->self), separator;
    size_t at;
    tb_code rc = escaped_text(&separator, run, call, "partition()", call->args[0]);
    if (!rc && separator.size == 0)
        rc = tb_render_fail(run, TB_EINVAL, "the separator is empty");
    if (!rc)
        rc = from_right ? tb_find_last_text(&at, run, text, separator, text.size)
                        : tb_find_text(&at, run, text, separator, 0);
    if (!rc)
        rc = tb_list_new(out, run, TB_VALUE_TUPLE, 3);
    if (rc)
        return rc;
    size_t first = at != TB_NOWHERE ? at : from_right ? 0 : text.size; // where the first part ends
    size_t last = at != TB_NOWHERE ? at + separator.size : first;      // where the last one begins
    tb_value *parts = out->as.list->items;
    rc = borrow_alike(&parts[0], run, call, (tb_text){text.data, first});
    if (!rc)
        rc = borrow_alike(&parts[1], run, call, (tb_text){text.data + first, last - first});
    return rc ? rc : borrow_alike(&parts[2], run, call, (tb_text){text.data + last, text.size - last});
}

static tb_code run_partition(tb_value *out, tb_render *run, const tb_call *call)
{
    return partition(out, run, call, false);
}

static tb_code run_rpartition(tb_value *out, tb_render *run, const tb_call *call)
{
    return partition(out, run, call, true);
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
    return rc ? rc : tb_render_write(run, tb_string_text(item));
}

static tb_code run_join(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value items;
    tb_code rc = tb_value_collect(&items, run, TB_VALUE_LIST, call->args[0]);
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; !rc && i < items.as.list->count; i++) {
        if (i > 0)
            rc = tb_render_write(run, tb_string_text(call->self));
        if (!rc)
            rc = write_joined(run, call, items.as.list->items[i]);
    }
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code run_replace(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_text old, new;
    int64_t count;
    tb_code rc = escaped_text(&old, run, call, "replace()", call->args[0]);
    if (!rc)
        rc = escaped_text(&new, run, call, "replace()", call->args[1]);
    if (!rc)
        rc = tb_argument_int(&count, run, "replace()", call->args[2], -1);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = tb_write_replaced(run, tb_string_text(call->self), old, new, count);
    return rc ? rc : take_alike(out, run, call, mark);
}

static bool has_prefix(tb_text text, tb_text prefix)
{
    return text.size >= prefix.size && memcmp(text.data, prefix.data, prefix.size) == 0;
}

static bool has_suffix(tb_text text, tb_text suffix)
{
    return text.size >= suffix.size && memcmp(text.data + text.size - suffix.size, suffix.data, suffix.size) == 0;
}

static tb_code run_removeprefix(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_text text = tb_string_text(call->self), prefix;
    tb_code rc = escaped_text(&prefix, run, call, "removeprefix()", call->args[0]);
    if (!rc && has_prefix(text, prefix))
        text = (tb_text){text.data + prefix.size, text.size - prefix.size};
    return rc ? rc : borrow_alike(out, run, call, text);
}

static tb_code run_removesuffix(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_text text = tb_string_text(call->self), suffix;
    tb_code rc = escaped_text(&suffix, run, call, "removesuffix()", call->args[0]);
    if (!rc && has_suffix(text, suffix))
        text.size -= suffix.size;
    return rc ? rc : borrow_alike(out, run, call, text);
}

// ---- searching ----

// The part [start, end) of the string, in characters from either end, where something is looked for.
typedef struct window {
    tb_text text;
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
    tb_text text = tb_string_text(call->self);
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
    out->text = (tb_text){text.data + from, to - from};
    return tb_render_work(run, 1 + text.size / 64);
}

static tb_code find(int64_t *out, tb_render *run, const tb_call *call, bool from_right)
{
    window w;
    tb_text needle;
    size_t at = TB_NOWHERE;
    tb_code rc = text_or_fail(&needle, run, "searching", call->args[0]);
    if (!rc)
        rc = read_window(&w, run, call);
    if (!rc && w.exists)
        rc = from_right ? tb_find_last_text(&at, run, w.text, needle, w.text.size)
                        : tb_find_text(&at, run, w.text, needle, 0);
    *out = at == TB_NOWHERE ? -1 : (int64_t)(w.start + tb_unicode_count((tb_text){w.text.data, at}));
    return rc;
}

static tb_code run_find(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t at;
    tb_code rc = find(&at, run, call, false);
    *out = tb_int(at);
    return rc;
}

static tb_code run_rfind(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t at;
    tb_code rc = find(&at, run, call, true);
    *out = tb_int(at);
    return rc;
}

static tb_code require_found(tb_render *run, tb_value at)
{
    return at.as.integer < 0 ? tb_render_fail(run, TB_EINVAL, "the text that index() looks for is not there") : TB_OK;
}

static tb_code run_index(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = run_find(out, run, call);
    return rc ? rc : require_found(run, *out);
}

static tb_code run_rindex(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = run_rfind(out, run, call);
    return rc ? rc : require_found(run, *out);
}

static tb_code run_count(tb_value *out, tb_render *run, const tb_call *call)
{
    window w;
    tb_text needle;
    int64_t n = 0;
    tb_code rc = text_or_fail(&needle, run, "count()", call->args[0]);
    if (!rc)
        rc = read_window(&w, run, call);
    if (rc || !w.exists || needle.size == 0) {
        *out = tb_int(rc || !w.exists ? 0 : (int64_t)tb_unicode_count(w.text) + 1);
        return rc;
    }
    for (size_t at = 0; !rc; at += needle.size, n++) {
        rc = tb_find_text(&at, run, w.text, needle, at);
        if (rc || at == TB_NOWHERE)
            break;
    }
    *out = tb_int(n);
    return rc;
}

// One text or any of a tuple.
static tb_code has_affix(tb_value *out, tb_render *run, const tb_call *call, bool (*has)(tb_text text, tb_text affix))
{
    window w;
    tb_value affixes = call->args[0];
    bool found = false;
    tb_code rc = read_window(&w, run, call);
    if (!rc && affixes.kind != TB_VALUE_TUPLE)
        rc = tb_list_from(&affixes, run, TB_VALUE_TUPLE, &call->args[0], 1);
    for (size_t i = 0; !rc && i < affixes.as.list->count && !found; i++) {
        tb_text affix;
        rc = text_or_fail(&affix, run, "startswith() or endswith()", affixes.as.list->items[i]);
        found = !rc && w.exists && has(w.text, affix);
    }
    *out = tb_bool(found);
    return rc;
}

static tb_code run_startswith(tb_value *out, tb_render *run, const tb_call *call)
{
    return has_affix(out, run, call, has_prefix);
}

static tb_code run_endswith(tb_value *out, tb_render *run, const tb_call *call)
{
    return has_affix(out, run, call, has_suffix);
}

// ---- padding ----

static tb_code write_padded(tb_render *run, tb_text text, size_t left, size_t right, tb_text fill)
{
    tb_code rc = tb_render_write_repeated(run, fill, left);
    if (!rc)
        rc = tb_render_write(run, text);
    return rc ? rc : tb_render_write_repeated(run, fill, right);
}

// Width and fill character, and how many of these are needed.
static tb_code read_padding(size_t *missing, tb_text *fill, tb_render *run, const tb_call *call)
{
    int64_t width, length = (int64_t)call->self.as.string->length;
    *fill = (tb_text){" ", 1};
    tb_code rc = tb_argument_int(&width, run, "padding", call->args[0], 0);
    if (!rc && call->args[1].kind != TB_VALUE_MISSING)
        rc = escaped_text(fill, run, call, "padding", call->args[1]);
    if (!rc && tb_unicode_count(*fill) != 1)
        rc = tb_render_fail(run, TB_EINVAL, "the fill character is not exactly one");
    *missing = width > length ? (size_t)(width - length) : 0;
    return rc;
}

static tb_code run_ljust(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t missing, mark = tb_render_begin(run);
    tb_text fill;
    tb_code rc = read_padding(&missing, &fill, run, call);
    if (!rc)
        rc = write_padded(run, tb_string_text(call->self), 0, missing, fill);
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code run_rjust(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t missing, mark = tb_render_begin(run);
    tb_text fill;
    tb_code rc = read_padding(&missing, &fill, run, call);
    if (!rc)
        rc = write_padded(run, tb_string_text(call->self), missing, 0, fill);
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code run_center(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t missing, mark = tb_render_begin(run);
    tb_text fill;
    tb_code rc = read_padding(&missing, &fill, run, call);
    size_t width = call->self.as.string->length + missing;
    size_t left = missing / 2 + (missing & width & 1); // the odd one where Python puts it
    if (!rc)
        rc = write_padded(run, tb_string_text(call->self), left, missing - left, fill);
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code run_zfill(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t missing, mark = tb_render_begin(run);
    tb_text fill, text = tb_string_text(call->self);
    tb_code rc = read_padding(&missing, &fill, run, call);
    size_t sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    if (!rc)
        rc = tb_render_write(run, (tb_text){text.data, sign});
    if (!rc)
        rc = write_padded(run, (tb_text){text.data + sign, text.size - sign}, missing, 0, (tb_text){"0", 1});
    return rc ? rc : take_alike(out, run, call, mark);
}

static tb_code write_tab(tb_render *run, size_t *column, int64_t width)
{
    size_t spaces = width > 0 ? (size_t)width - *column % (size_t)width : 0;
    *column += spaces;
    return tb_render_write_repeated(run, (tb_text){" ", 1}, spaces);
}

static tb_code run_expandtabs(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t column = 0, mark = tb_render_begin(run), n;
    int64_t width;
    tb_text text = tb_string_text(call->self);
    tb_code rc = tb_argument_int(&width, run, "expandtabs()", call->args[0], 8);
    for (size_t at = 0; at < text.size && !rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        if (c == '\t') {
            rc = write_tab(run, &column, width);
        } else {
            rc = tb_render_write(run, (tb_text){text.data + at, n});
            column = c == '\n' || c == '\r' ? 0 : column + 1;
        }
    }
    return rc ? rc : take_alike(out, run, call, mark);
}

// ---- questions ----

// Whether the text has characters and all of them are of a kind.
static tb_code all_are(tb_value *out, tb_render *run, const tb_call *call, bool (*is)(uint32_t))
{
    tb_text text = tb_string_text(call->self);
    bool all = text.size > 0;
    uint32_t c;
    for (size_t at = 0; at < text.size && all;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        all = is(c);
    }
    *out = tb_bool(all);
    return tb_render_work(run, 1 + text.size / 16);
}

static tb_code run_isspace(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_space);
}

static tb_code run_isalpha(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_alpha);
}

static tb_code run_isalnum(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_alnum);
}

static tb_code run_isdecimal(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_decimal);
}

static tb_code run_isdigit(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_digit);
}

static tb_code run_isnumeric(tb_value *out, tb_render *run, const tb_call *call)
{
    return all_are(out, run, call, tb_unicode_is_numeric);
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

static tb_code run_isascii(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = all_are(out, run, call, is_ascii);
    if (call->self.as.string->size == 0)
        *out = tb_bool(true);
    return rc;
}

static tb_code run_isprintable(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = all_are(out, run, call, tb_unicode_is_printable);
    if (call->self.as.string->size == 0)
        *out = tb_bool(true);
    return rc;
}

static tb_code run_islower(tb_value *out, tb_render *run, const tb_call *call)
{
    *out = tb_bool(tb_unicode_text_is_lower(tb_string_text(call->self)));
    return tb_render_work(run, 1 + call->self.as.string->size / 16);
}

static tb_code run_isupper(tb_value *out, tb_render *run, const tb_call *call)
{
    *out = tb_bool(tb_unicode_text_is_upper(tb_string_text(call->self)));
    return tb_render_work(run, 1 + call->self.as.string->size / 16);
}

static tb_code run_istitle(tb_value *out, tb_render *run, const tb_call *call)
{
    *out = tb_bool(tb_unicode_text_is_title(tb_string_text(call->self)));
    return tb_render_work(run, 1 + call->self.as.string->size / 16);
}

// ---- all ----

static tb_code run_format(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_format_braces(out, run, call->self, call);
}

const tb_builtin tb_string_methods[] = {
    {"capitalize", "", run_capitalize},
    {"casefold", "", NULL},
    {"center", "/ width fillchar?", run_center},
    {"count", "/ sub start? end?", run_count},
    {"encode", NULL, NULL},
    {"endswith", "/ suffix start? end?", run_endswith},
    {"expandtabs", "tabsize?", run_expandtabs},
    {"find", "/ sub start? end?", run_find},
    {"format", NULL, run_format},
    {"format_map", NULL, NULL},
    {"index", "/ sub start? end?", run_index},
    {"isalnum", "", run_isalnum},
    {"isalpha", "", run_isalpha},
    {"isascii", "", run_isascii},
    {"isdecimal", "", run_isdecimal},
    {"isdigit", "", run_isdigit},
    {"isidentifier", "", NULL},
    {"islower", "", run_islower},
    {"isnumeric", "", run_isnumeric},
    {"isprintable", "", run_isprintable},
    {"isspace", "", run_isspace},
    {"istitle", "", run_istitle},
    {"isupper", "", run_isupper},
    {"join", "/ iterable", run_join},
    {"ljust", "/ width fillchar?", run_ljust},
    {"lower", "", run_lower},
    {"lstrip", "/ chars?", run_lstrip},
    {"maketrans", NULL, NULL},
    {"partition", "/ sep", run_partition},
    {"removeprefix", "/ prefix", run_removeprefix},
    {"removesuffix", "/ suffix", run_removesuffix},
    {"replace", "/ old new count?", run_replace},
    {"rfind", "/ sub start? end?", run_rfind},
    {"rindex", "/ sub start? end?", run_rindex},
    {"rjust", "/ width fillchar?", run_rjust},
    {"rpartition", "/ sep", run_rpartition},
    {"rsplit", "sep? maxsplit?", run_rsplit},
    {"rstrip", "/ chars?", run_rstrip},
    {"split", "sep? maxsplit?", run_split},
    {"splitlines", "keepends?", run_splitlines},
    {"startswith", "/ prefix start? end?", run_startswith},
    {"strip", "/ chars?", run_strip},
    {"swapcase", "", run_swapcase},
    {"title", "", run_title},
    {"translate", NULL, NULL},
    {"upper", "", run_upper},
    {"zfill", "/ width", run_zfill},
    {NULL, NULL, NULL},
};
