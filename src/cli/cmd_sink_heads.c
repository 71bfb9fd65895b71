// twobit sink heads: head by head, what it does with the first token.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/json_out.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink heads model.gguf",
    "how many heads read, rest or spread what is at the first token; the dormant ones by name",
    "twobit sink heads model.gguf --json",
    "every head with its figures",
    NULL,
};

static const char notes[] =
    "reads: α_0 ≤ ε. Of the heads with a sink: no-op, ‖v_0‖ below 0.2 of the others'; broadcast, above 0.8 of it; "
    "mixed,\n"
    "between. Dormant: more than 0.9 of the weight of the queries i ≥ 1 goes to the first token.\n";

enum { MOST_SHOWN = 20 };

// A head and its place, for sorting.
typedef struct place {
    size_t block, head;
    double share;
} place;

static int by_share(const void *a, const void *b)
{
    double x = ((const place *)a)->share, y = ((const place *)b)->share;
    return (x < y) - (x > y);
}

static tb_code add_head(tb_table *table, const tb_sink_result *r, const place *p, tb_error *err)
{
    size_t at = p->block * r->heads + p->head;
    const tb_sink_head *h = &r->map.heads[at];
    const tb_sink_value *v = &r->values[at];
    tb_code rc = tb_table_printf(table, err, "%zu", p->block);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", p->head);
    if (!rc)
        rc = tb_table_printf(table, err, "%.4f", h->share);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * h->entropy_share);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", v->value_ratio);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", v->bias_share);
    return rc ? rc : tb_table_add(table, tb_sink_role_name(tb_sink_role_of(h, v, r->epsilon)), err);
}

static tb_code print_table(const tb_sink_result *r, const place *places, tb_error *err)
{
    static const tb_column columns[] = {
        {"\nblock", true},
        {"\nhead", true},
        {"first-token\nshare", true},
        {"entropy of\nits largest", true},
        {"‖v_0‖ over\nthe others'", true},
        {"share of b\nin outputs", true},
        {"\nrole", false},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->blocks * r->heads && i < MOST_SHOWN && !rc; i++)
        rc = add_head(&table, r, &places[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static void print_roles(const tb_sink_result *r)
{
    size_t counts[TB_SINK_ROLES] = {0}, dormant = 0, all = r->blocks * r->heads;
    for (size_t i = 0; i < all; i++) {
        counts[tb_sink_role_of(&r->map.heads[i], &r->values[i], r->epsilon)]++;
        dormant += r->map.heads[i].share > TB_SINK_DORMANT;
    }
    printf("\nof %zu heads", all);
    for (size_t i = 0; i < TB_SINK_ROLES; i++)
        printf("%s %zu %s", i ? "," : ":", counts[i], tb_sink_role_name((tb_sink_role)i));
    printf("; %zu dormant\n", dormant);
}

static tb_code print_heads(const tb_model *model, const tb_sink_result *r, tb_error *err)
{
    (void)model;
    size_t n = r->blocks * r->heads;
    place *places = tb_alloc_array(n, sizeof *places);
    if (!places)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu heads", n);
    for (size_t i = 0; i < n; i++)
        places[i] = (place){i / r->heads, i % r->heads, r->map.heads[i].share};
    qsort(places, n, sizeof *places, by_share);
    tb_code rc = print_table(r, places, err);
    tb_free(places);
    if (!rc)
        print_roles(r);
    return rc;
}

static json_t *make_head(const tb_sink_result *r, size_t at)
{
    const tb_sink_head *h = &r->map.heads[at];
    const tb_sink_value *v = &r->values[at];
    return json_pack("{s:I, s:I, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "block", (json_int_t)(at / r->heads), "head",
                     (json_int_t)(at % r->heads), "role", tb_sink_role_name(tb_sink_role_of(h, v, r->epsilon)),
                     "dormant", h->share > TB_SINK_DORMANT, "alpha_0", tb_json_real(h->first), "first_share",
                     tb_json_real(h->share), "entropy_share", tb_json_real(h->entropy_share), "value_ratio",
                     tb_json_real(v->value_ratio), "bias_share", tb_json_real(v->bias_share));
}

static json_t *make_heads(const tb_sink_result *r)
{
    json_t *heads = json_array();
    for (size_t i = 0; i < r->blocks * r->heads; i++)
        json_array_append_new(heads, make_head(r, i));
    return heads;
}

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_MAP | TB_SINK_WHAT_VALUES,
    .key = "heads",
    .make = make_heads,
    .print = print_heads,
    .plot = tb_sink_plot_map,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_heads = {
    .name = "sink heads",
    .summary = "show head by head what it does with the first token",
    .usage = "MODEL [--plot FILE] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = tb_sink_option_table,
    .defaults = &tb_sink_args_default,
    .args_size = sizeof tb_sink_args_default,
    .shared = {{tb_sink_protocol_table, 0}},
    .run = run,
};
