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
    "and without. Where one activation is massive, one direction has nearly all, and few are left to the others.\n"
    "Moved: by how much later tokens move when the embedding at T/4 does, both relative to their lengths.\n";

// ---- text ----

static tb_sink_key_shape keys_of(const tb_sink_result *r, size_t block)
{
    size_t n = r->kv_heads;
    tb_sink_key_shape mean = {0};
    for (size_t h = 0; h < n; h++) {
        mean.first += r->geometry.keys[block * n + h].first / (double)n;
        mean.rest += r->geometry.keys[block * n + h].rest / (double)n;
        mean.spearman += r->geometry.keys[block * n + h].spearman / (double)n;
    }
    return mean;
}

// Of the block that reads the stage; the last one is read by none.
static tb_code add_attention(tb_table *table, const tb_sink_result *r, size_t block, tb_error *err)
{
    bool read = block < r->blocks;
    tb_sink_key_shape keys = read ? keys_of(r, block) : (tb_sink_key_shape){0};
    tb_sink_update_shape update = read ? r->geometry.updates[block] : (tb_sink_update_shape){0};
    const double reals[] = {keys.first, keys.rest, keys.spearman, update.stable_rank, update.top_share};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof reals / sizeof reals[0] && !rc; i++)
        rc = read ? tb_table_printf(table, err, "%.3f", reals[i]) : tb_table_add(table, "", err);
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
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, s->first_apart), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", r->mixing[stage].response);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", r->mixing[stage].hidden);
    return rc ? rc : add_attention(table, r, stage, err);
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
        {"first position\napart, times", true},
        {"moved by an earlier\ntoken, times", true},
        {"the same, position\n0 hidden", true},
        {"next block: keys' cos with\ntheir mean, first token", true},
        {"\nothers", true},
        {"rank correlation of\n−cos and weight", true},
        {"stable rank of what\nattention adds", true},
        {"share of its\nlargest direction", true},
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

static json_t *make_stage(const tb_sink_stage_shape *s, const tb_sink_mix *mix)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "first_cos", tb_json_real(s->first_cos),
                     "top_share", tb_json_real(s->top_share), "rank", tb_json_real(s->rank), "rest_top_share",
                     tb_json_real(s->rest_top_share), "rest_rank", tb_json_real(s->rest_rank), "position_share",
                     tb_json_real(s->position_share), "first_apart", tb_json_real(s->first_apart), "response",
                     tb_json_real(mix->response), "response_hidden", tb_json_real(mix->hidden));
}

static json_t *make_keys(const tb_sink_key_shape *keys, size_t heads)
{
    json_t *list = json_array();
    for (size_t h = 0; h < heads; h++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "first", tb_json_real(keys[h].first), "rest",
                                              tb_json_real(keys[h].rest), "spearman", tb_json_real(keys[h].spearman)));
    return list;
}

static json_t *make_geometry(const tb_sink_result *r)
{
    json_t *stages = json_array(), *keys = json_array(), *updates = json_array();
    for (size_t s = 0; s <= r->blocks; s++)
        json_array_append_new(stages, make_stage(&r->geometry.stages[s], &r->mixing[s]));
    for (size_t b = 0; b < r->blocks; b++) {
        const tb_sink_update_shape *u = &r->geometry.updates[b];
        json_array_append_new(keys, make_keys(r->geometry.keys + b * r->kv_heads, r->kv_heads));
        json_array_append_new(updates, json_pack("{s:o, s:o}", "stable_rank", tb_json_real(u->stable_rank), "top_share",
                                                 tb_json_real(u->top_share)));
    }
    return json_pack("{s:o, s:o, s:o}", "stages", stages, "key_cos", keys, "attention_updates", updates);
}

// ---- the command ----

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_GEOMETRY | TB_SINK_WHAT_MIXING,
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
