// twobit sink value: what the first tokens' values are worth to the heads that look at them.
#include <jansson.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink value model.gguf",
    "per block: how much smaller the first token's values are, and what they add to the outputs",
    "twobit sink value model.gguf --plot value.svg",
    "the ratio of each head, as a map",
    NULL,
};

static const char notes[] =
    "‖v_0‖ over the median of the other tokens' values: below 0.2 a head that looks at the first token reads next to\n"
    "nothing (no-op), near 1 it spreads what is there (broadcast). b is what the first four tokens give an output: "
    "where\n"
    "its cosine between queries is near 1 and its length varies little, it is a constant bias of the head.\n"
    "Slow pairs: the half of the pairs of numbers that RoPE turns less; what they add to cos(q, k_0).\n";

// A block's heads, averaged; sinks: those with α_0 > ε.
typedef struct block_values {
    tb_sink_value mean;
    size_t sinks, idle, broadcast;
} block_values;

static block_values average(const tb_sink_result *r, size_t block)
{
    block_values b = {0};
    double share = 1 / (double)r->heads;
    for (size_t h = 0; h < r->heads; h++) {
        const tb_sink_value *v = &r->values[block * r->heads + h];
        b.mean.value_ratio += share * v->value_ratio;
        b.mean.key_ratio += share * v->key_ratio;
        b.mean.query_cos += share * v->query_cos;
        b.mean.still_cos += share * v->still_cos;
        b.mean.query_cos_of[TB_SINK_TURN_SLOW] += share * v->query_cos_of[TB_SINK_TURN_SLOW];
        b.mean.bias_share += share * v->bias_share;
        b.mean.bias_cos += share * v->bias_cos;
        b.mean.bias_cv += share * v->bias_cv;
        tb_sink_role role = tb_sink_role_of(&r->map.heads[block * r->heads + h], v, r->epsilon);
        b.sinks += role != TB_SINK_ROLE_READS;
        b.idle += role == TB_SINK_ROLE_IDLE;
        b.broadcast += role == TB_SINK_ROLE_BROADCAST;
    }
    return b;
}

static tb_code add_block(tb_table *table, const tb_sink_result *r, size_t block, tb_error *err)
{
    block_values b = average(r, block);
    const double reals[] = {b.mean.value_ratio,
                            b.mean.key_ratio,
                            b.mean.still_cos,
                            b.mean.query_cos,
                            b.mean.query_cos_of[TB_SINK_TURN_SLOW],
                            b.mean.bias_share,
                            b.mean.bias_cos,
                            b.mean.bias_cv};
    const size_t counts[] = {b.sinks, b.idle, b.broadcast};
    tb_code rc = tb_table_printf(table, err, "%zu", block);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0] && !rc; i++)
        rc = tb_table_printf(table, err, "%.3f", reals[i]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && !rc; i++)
        rc = tb_table_printf(table, err, "%zu", counts[i]);
    return rc;
}

static tb_code print_blocks(const tb_model *model, const tb_sink_result *r, tb_error *err)
{
    (void)model;
    static const tb_column columns[] = {
        {"\nblock", true},
        {"‖v_0‖ over\nthe others'", true},
        {"‖k_0‖ over\nthe others'", true},
        {"cos(q, k_0)\nbefore RoPE", true},
        {"\nbehind it", true},
        {"of it by\nslow pairs", true},
        {"share of b\nin outputs", true},
        {"cos of b\nof queries", true},
        {"its length\nvaries", true},
        {"heads with\na sink", true},
        {"\nno-op", true},
        {"\nbroadcast", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t b = 0; b < r->blocks && !rc; b++)
        rc = add_block(&table, r, b, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static json_t *make_head(const tb_sink_head *head, const tb_sink_value *v, double epsilon)
{
    const double *parts = v->query_cos_of;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "role",
                     tb_sink_role_name(tb_sink_role_of(head, v, epsilon)), "value_ratio", tb_json_real(v->value_ratio),
                     "key_ratio", tb_json_real(v->key_ratio), "query_cos", tb_json_real(v->query_cos), "still_cos",
                     tb_json_real(v->still_cos), "fast_cos", tb_json_real(parts[TB_SINK_TURN_FAST]), "slow_cos",
                     tb_json_real(parts[TB_SINK_TURN_SLOW]), "unturned_cos", tb_json_real(parts[TB_SINK_TURN_NONE]),
                     "query_norm", tb_json_real(v->query_norm), "key_norm", tb_json_real(v->key_norm), "bias_share",
                     tb_json_real(v->bias_share), "bias_cos", tb_json_real(v->bias_cos), "bias_cv",
                     tb_json_real(v->bias_cv));
}

// {"heads": [[{…} per head] per block]}
static json_t *make_value(const tb_sink_result *r)
{
    json_t *blocks = json_array();
    for (size_t b = 0; b < r->blocks; b++) {
        json_t *heads = json_array();
        for (size_t h = 0; h < r->heads; h++) {
            size_t at = b * r->heads + h;
            json_array_append_new(heads, make_head(&r->map.heads[at], &r->values[at], r->epsilon));
        }
        json_array_append_new(blocks, heads);
    }
    return json_pack("{s:o}", "heads", blocks);
}

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_MAP | TB_SINK_WHAT_VALUES,
    .key = "value",
    .make = make_value,
    .print = print_blocks,
    .plot = tb_sink_plot_value,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_value = {
    .name = "sink value",
    .summary = "show what the first token's value is worth to its heads",
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
