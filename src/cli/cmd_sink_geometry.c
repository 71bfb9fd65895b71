// twobit sink geometry: directions of keys and of the residual stream.
#include <jansson.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink geometry model.gguf",
    "per block: where the first key points, and how many directions the stream uses",
    "twobit sink geometry model.gguf --plot geometry.svg",
    "the number of directions over the depth, as a picture",
    NULL,
};

static const char notes[] =
    "Directions: e to the entropy of the squared singular values' shares, of the stream as it is, with the first "
    "token\n"
    "and without. Where one activation is massive, one direction has nearly all, and few are left to the others.\n";

// ---- text ----

static tb_sink_key_shape keys_of(const tb_sink_result *r, size_t block)
{
    size_t n = r->kv_heads;
    tb_sink_key_shape mean = {0};
    for (size_t h = 0; h < n; h++) {
        mean.first += r->geometry.keys[block * n + h].first / (double)n;
        mean.rest += r->geometry.keys[block * n + h].rest / (double)n;
    }
    return mean;
}

// The keys of the block that reads the stage; the last one is read by none.
static tb_code add_keys(tb_table *table, const tb_sink_result *r, size_t block, tb_error *err)
{
    tb_sink_key_shape keys = block < r->blocks ? keys_of(r, block) : (tb_sink_key_shape){0};
    const double cosines[] = {keys.first, keys.rest};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = block < r->blocks ? tb_table_printf(table, err, "%.3f", cosines[i]) : tb_table_add(table, "", err);
    return rc;
}

static tb_code add_stage(tb_table *table, const tb_sink_result *r, size_t stage, tb_error *err)
{
    const tb_sink_stage_shape *s = &r->geometry.stages[stage];
    char number[TB_NUMBER_TEXT];
    tb_code rc = tb_table_printf(table, err, "%zu", stage);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", s->first_cos);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * s->top_share);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, s->rank), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * s->rest_top_share);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, s->rest_rank), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * s->position_share);
    return rc ? rc : add_keys(table, r, stage, err);
}

static tb_code print_stages(const tb_model *model, const tb_sink_result *r, tb_error *err)
{
    (void)model;
    static const tb_column columns[] = {
        {"\nstage", true},
        {"|cos(h_t, h_0)|\nof others", true},
        {"largest direction\nhas", true},
        {"directions\n", true},
        {"the same without\nthe first token", true},
        {"\n", true},
        {"variance by\nposition", true},
        {"keys it makes: cos with\ntheir mean, first token", true},
        {"\nothers", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t s = 0; s <= r->blocks && !rc; s++)
        rc = add_stage(&table, r, s, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

// ---- JSON ----

static json_t *make_stage(const tb_sink_stage_shape *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "first_cos", tb_json_real(s->first_cos), "top_share",
                     tb_json_real(s->top_share), "rank", tb_json_real(s->rank), "rest_top_share",
                     tb_json_real(s->rest_top_share), "rest_rank", tb_json_real(s->rest_rank), "position_share",
                     tb_json_real(s->position_share));
}

static json_t *make_geometry(const tb_sink_result *r)
{
    json_t *stages = json_array(), *blocks = json_array();
    for (size_t s = 0; s <= r->blocks; s++)
        json_array_append_new(stages, make_stage(&r->geometry.stages[s]));
    for (size_t b = 0; b < r->blocks; b++) {
        json_t *heads = json_array();
        for (size_t h = 0; h < r->kv_heads; h++) {
            const tb_sink_key_shape *k = &r->geometry.keys[b * r->kv_heads + h];
            json_array_append_new(
                heads, json_pack("{s:o, s:o}", "first", tb_json_real(k->first), "rest", tb_json_real(k->rest)));
        }
        json_array_append_new(blocks, heads);
    }
    return json_pack("{s:o, s:o}", "stages", stages, "key_cos", blocks);
}

// ---- the command ----

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_GEOMETRY,
    .key = "geometry",
    .make = make_geometry,
    .print = print_stages,
    .plot = tb_sink_plot_geometry,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_geometry = {
    .name = "sink geometry",
    .summary = "show where keys point and how many directions the stream uses",
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
