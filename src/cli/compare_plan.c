#include "cli/compare.h"

#include <stdio.h>
#include <string.h>

// More than anybody waits for.
enum { MOST_ROWS = 64 };

// Takes the next part of `*list` up to `stop`; NULL at the end. The list is changed.
static char *take_part(char **list, char stop)
{
    char *part = *list;
    if (!part)
        return NULL;
    *list = strchr(part, stop);
    if (*list)
        *(*list)++ = '\0';
    return part;
}

static tb_code parse_number(uint64_t *out, char **list, const char *what, tb_error *err)
{
    char *part = take_part(list, ':');
    tb_code rc = part ? tb_parse_count(out, part, err) : TB_OK;
    if (!rc && *out > 1 << 20)
        rc = tb_fail(err, TB_EINVAL, "'%s' is too large", part);
    return rc ? tb_fail_context(err, rc, "%s of a method", what) : TB_OK;
}

// "bpdq:2:64"
static tb_code parse_row(tb_compare_row *row, char *text, tb_error *err)
{
    char *rest = text;
    const char *name = take_part(&rest, ':');
    if (!tb_method_find(&row->method, name))
        return tb_fail(err, TB_EINVAL, "unknown method '%s'; use " TB_METHOD_NAMES, name);
    uint64_t bits = 0, group = 0;
    tb_code rc = parse_number(&bits, &rest, "bits", err);
    if (!rc)
        rc = parse_number(&group, &rest, "group", err);
    if (!rc && rest)
        rc = tb_fail(err, TB_EINVAL, "'%s' is too much, a method is written method:bits:group", rest);
    tb_quant_options options = {.bits = (unsigned)bits, .group = (size_t)group};
    if (!rc)
        rc = tb_quant_options_resolve(&row->quant, row->method, &options, err);
    if (rc)
        return rc;
    snprintf(row->name, sizeof row->name, "%s:%u:%zu", name, row->quant.bits, row->quant.group);
    return TB_OK;
}

tb_code tb_compare_plan(tb_comparison *c, const char *methods, tb_error *err)
{
    char *list = tb_arena_text(&c->arena, methods, strlen(methods));
    c->rows = tb_arena_array(&c->arena, MOST_ROWS, sizeof *c->rows);
    if (!list || !c->rows)
        return tb_fail(err, TB_ENOMEM, "no memory for the list of methods");
    c->rows[0] = (tb_compare_row){.name = "original", .original = true, .quantized = true, .path = c->model_path};
    c->count = 1;
    for (char *part; (part = take_part(&list, ',')) != NULL;) {
        if (c->count == MOST_ROWS)
            return tb_fail(err, TB_ELIMIT, "more than %d methods", MOST_ROWS - 1);
        tb_code rc = parse_row(&c->rows[c->count++], part, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

const tb_compare_row *tb_compare_best(const tb_comparison *c)
{
    const tb_compare_row *best = NULL;
    for (size_t i = 1; i < c->count; i++) {
        const tb_compare_row *row = &c->rows[i];
        if (row->linear_bits < 4 && !row->broken && (!best || row->kl_mean < best->kl_mean))
            best = row;
    }
    return best;
}
