// Parsing of option tables. The order of sets decides when two define the same name: the first wins.
#include "base/option.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

// More names than any command has.
enum { MOST_NAMES = 64 };

// An option that was found, with the field it fills.
typedef struct match {
    const tb_option *option; // NULL: not found
    void *field;
} match;

static match matched(const tb_option_set *set, const tb_option *option)
{
    return (match){option, (char *)set->fields + option->offset};
}

static match find_name(const tb_option_set *sets, size_t set_count, const char *name, size_t n)
{
    for (size_t s = 0; s < set_count; s++)
        for (const tb_option *o = sets[s].options; o->name; o++)
            if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
                return matched(&sets[s], o);
    return (match){0};
}

static match find_letter(const tb_option_set *sets, size_t set_count, char letter)
{
    for (size_t s = 0; s < set_count; s++)
        for (const tb_option *o = sets[s].options; o->name; o++)
            if (o->letter && o->letter == letter)
                return matched(&sets[s], o);
    return (match){0};
}

static tb_code fail_unknown(const tb_option_set *sets, size_t set_count, const char *name, size_t n, tb_error *err)
{
    const char *names[MOST_NAMES];
    size_t count = 0;
    for (size_t s = 0; s < set_count; s++)
        for (const tb_option *o = sets[s].options; o->name && count < MOST_NAMES; o++)
            names[count++] = o->name;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word), name);
    const char *meant = tb_suggest(word, names, count);
    if (meant)
        return tb_fail(err, TB_EINVAL, "unknown option '--%s'; did you mean '--%s'?", word, meant);
    return tb_fail(err, TB_EINVAL, "unknown option '--%s'", word);
}

tb_code tb_parse_count(uint64_t *out, const char *text, tb_error *err)
{
    char *end;
    errno = 0;
    // strtoull would take blanks and signs, and negate.
    unsigned long long value = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    if (!isdigit((unsigned char)text[0]) || *end)
        return tb_fail(err, TB_EINVAL, "'%s' is not a whole number", text);
    if (errno == ERANGE)
        return tb_fail(err, TB_EINVAL, "'%s' is too large", text);
    *out = value;
    return TB_OK;
}

tb_code tb_parse_real(double *out, const char *text, tb_error *err)
{
    // strtod would also take blanks, hexadecimal digits, "inf" and "nan".
    size_t n = strlen(text);
    char *end;
    double value = strtod(text, &end);
    if (n == 0 || strspn(text, "0123456789+-.eE") != n || *end)
        return tb_fail(err, TB_EINVAL, "'%s' is not a number", text);
    if (!isfinite(value))
        return tb_fail(err, TB_EINVAL, "'%s' is too large", text);
    *out = value;
    return TB_OK;
}

static tb_code check_range(const tb_option *o, double value, tb_error *err)
{
    if (value < o->least)
        return tb_fail(err, TB_EINVAL, "%g is too small, the least is %g", value, o->least);
    if (o->most > 0 && value > o->most)
        return tb_fail(err, TB_EINVAL, "%g is too large, the most is %g", value, o->most);
    return TB_OK;
}

static tb_code store_count(uint64_t *field, const tb_option *o, const char *text, tb_error *err)
{
    uint64_t value = 0;
    tb_code rc = tb_parse_count(&value, text, err);
    if (!rc)
        rc = check_range(o, (double)value, err);
    if (!rc)
        *field = value;
    return rc;
}

static tb_code store_real(double *field, const tb_option *o, const char *text, tb_error *err)
{
    double value = 0;
    tb_code rc = tb_parse_real(&value, text, err);
    if (!rc)
        rc = check_range(o, value, err);
    if (!rc)
        *field = value;
    return rc;
}

static tb_code store_text(tb_option_texts *field, const char *text, tb_error *err)
{
    if (field->count == TB_MOST_OPTION_TEXTS)
        return tb_fail(err, TB_EINVAL, "given more than %d times", TB_MOST_OPTION_TEXTS);
    field->items[field->count++] = text;
    return TB_OK;
}

static tb_code store(match m, const char *value, tb_error *err)
{
    tb_code rc = TB_OK;
    switch (m.option->kind) {
    case TB_OPTION_FLAG:
        *(bool *)m.field = true;
        break;
    case TB_OPTION_TEXT:
        *(const char **)m.field = value;
        break;
    case TB_OPTION_COUNT:
        rc = store_count(m.field, m.option, value, err);
        break;
    case TB_OPTION_REAL:
        rc = store_real(m.field, m.option, value, err);
        break;
    case TB_OPTION_TEXTS:
        rc = store_text(m.field, value, err);
        break;
    }
    return rc ? tb_fail_context(err, rc, "option '--%s'", m.option->name) : TB_OK;
}

// The command line while it is read.
typedef struct cursor {
    const tb_option_set *sets;
    size_t set_count;
    const char *const *argv;
    int argc, next; // argv[next] is looked at next
} cursor;

// The value of an option: `attached` when it was written in the same argument, else the next argument.
static tb_code take_value(const char **value, cursor *c, const tb_option *o, const char *attached, tb_error *err)
{
    *value = attached;
    if (attached)
        return TB_OK;
    if (c->next == c->argc)
        return tb_fail(err, TB_EINVAL, "option '--%s' needs a value: %s", o->name, o->value);
    *value = c->argv[c->next++];
    return TB_OK;
}

static tb_code parse_long(cursor *c, const char *text, tb_error *err)
{
    size_t n = strcspn(text, "=");
    const char *value = text[n] ? text + n + 1 : NULL;
    match m = find_name(c->sets, c->set_count, text, n);
    if (!m.option)
        return fail_unknown(c->sets, c->set_count, text, n, err);
    if (m.option->kind == TB_OPTION_FLAG && value)
        return tb_fail(err, TB_EINVAL, "option '--%s' takes no value", m.option->name);
    tb_code rc = TB_OK;
    if (m.option->kind != TB_OPTION_FLAG)
        rc = take_value(&value, c, m.option, value, err);
    return rc ? rc : store(m, value, err);
}

static tb_code parse_letters(cursor *c, const char *letters, tb_error *err)
{
    tb_code rc = TB_OK;
    while (!rc && *letters) {
        match m = find_letter(c->sets, c->set_count, *letters++);
        if (!m.option)
            return tb_fail(err, TB_EINVAL, "unknown option '-%c'", letters[-1]);
        const char *value = *letters ? letters : NULL;
        if (m.option->kind != TB_OPTION_FLAG) {
            rc = take_value(&value, c, m.option, value, err);
            letters = "";
        }
        if (!rc)
            rc = store(m, value, err);
    }
    return rc;
}

tb_code tb_options_parse(tb_operands *operands, const tb_option_set *sets, size_t set_count, int argc,
                         const char *const *argv, tb_error *err)
{
    cursor c = {sets, set_count, argv, argc, 0};
    bool options_end = false;
    operands->count = 0;
    while (c.next < argc) {
        const char *arg = argv[c.next++];
        tb_code rc = TB_OK;
        if (options_end || arg[0] != '-' || !arg[1])
            operands->items[operands->count++] = arg;
        else if (strcmp(arg, "--") == 0)
            options_end = true;
        else if (arg[1] == '-')
            rc = parse_long(&c, arg + 2, err);
        else
            rc = parse_letters(&c, arg + 1, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}
