// The description of an option table for people.
#include "base/option.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// Column where explanations start, and where lines end.
enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

// "  -n, --tokens N"
static tb_code append_head(tb_str *text, const tb_option *o, tb_error *err)
{
    char letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    return tb_str_printf(text, err, "  %s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
}

// "" where there is no default worth saying.
static void format_default(char *out, size_t size, const tb_option *o, const void *defaults)
{
    const void *field = (const char *)defaults + o->offset;
    out[0] = '\0';
    if (o->kind == TB_OPTION_TEXT && *(const char *const *)field)
        snprintf(out, size, " (default %s)", *(const char *const *)field);
    if (o->kind == TB_OPTION_COUNT && *(const uint64_t *)field)
        snprintf(out, size, " (default %llu)", (unsigned long long)*(const uint64_t *)field);
    if (o->kind == TB_OPTION_REAL && *(const double *)field > 0)
        snprintf(out, size, " (default %g)", *(const double *)field);
}

// Appends `words` broken into lines, the first of which starts at `column`.
static tb_code append_wrapped(tb_str *text, const char *words, size_t column, tb_error *err)
{
    tb_code rc = TB_OK;
    while (!rc && *words) {
        size_t n = strcspn(words, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            rc = tb_str_printf(text, err, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        bool first = column == HELP_COLUMN;
        if (!rc)
            rc = tb_str_printf(text, err, "%s%.*s", first ? "" : " ", (int)n, words);
        column += n + (first ? 0 : 1);
        words += n;
        words += strspn(words, " ");
    }
    return rc;
}

static tb_code append_option(tb_str *text, const tb_option *o, const void *defaults, tb_error *err)
{
    size_t start = text->size;
    tb_code rc = append_head(text, o, err);
    size_t used = text->size - start;
    if (!rc && used + 2 > HELP_COLUMN)
        rc = tb_str_printf(text, err, "\n%*s", HELP_COLUMN, "");
    else if (!rc)
        rc = tb_str_printf(text, err, "%*s", (int)(HELP_COLUMN - used), "");
    char value[128], words[1024];
    format_default(value, sizeof value, o, defaults);
    snprintf(words, sizeof words, "%s%s", o->help, value);
    if (!rc)
        rc = append_wrapped(text, words, HELP_COLUMN, err);
    return rc ? rc : tb_str_append_text(text, "\n", err);
}

tb_code tb_options_describe(tb_str *text, const tb_option *options, const void *defaults, tb_error *err)
{
    tb_code rc = TB_OK;
    for (const tb_option *o = options; !rc && o->name; o++)
        rc = append_option(text, o, defaults, err);
    return rc;
}
