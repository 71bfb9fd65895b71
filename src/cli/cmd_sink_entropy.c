// twobit sink entropy: how spread attention is, and how heavy the tails of activations are.
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink entropy model.gguf",
    "per block: entropy of attention, kurtosis of activations",
    "twobit sink entropy model.gguf --reference model0.gguf --plot entropy.svg",
    "beside another model, with a map of the heads",
    NULL,
};

static const char notes[] =
    "Three kurtoses, which a Gaussian makes 3: kurt_tok over the channels of a token, of the first and of the others\n"
    "apart; kurt_tensor over all channels of all tokens; kurt_rms of the channels' root mean squares. --json has them\n"
    "at seven sites of each block. Papers that report excess kurtosis have subtracted 3.\n";

static const char *const site_names[TB_SINK_SITES] = {
    [TB_SINK_SITE_STREAM] = "stream",   [TB_SINK_SITE_ATTENTION] = "attention_input", [TB_SINK_SITE_KEY] = "key",
    [TB_SINK_SITE_VALUE] = "value",     [TB_SINK_SITE_OUTPUT] = "output_input",       [TB_SINK_SITE_FFN] = "ffn_input",
    [TB_SINK_SITE_DOWN] = "down_input",
};

// ---- text ----

static const tb_sink_activity *site_of(const tb_sink_result *r, size_t block, tb_sink_site site)
{
    return &r->tails.sites[block * TB_SINK_SITES + site];
}

// The smallest, mean and largest share of the heads' entropy.
static void range_of(double out[3], const tb_sink_result *r, size_t block)
{
    out[0] = INFINITY, out[1] = 0, out[2] = 0;
    for (size_t h = 0; h < r->heads; h++) {
        double share = r->map.heads[block * r->heads + h].entropy_share;
        out[0] = fmin(out[0], share);
        out[1] += share / (double)r->heads;
        out[2] = fmax(out[2], share);
    }
}

static tb_code add_block(tb_table *table, const tb_sink_result *r, size_t block, tb_error *err)
{
    const tb_sink_activity *s = site_of(r, block, TB_SINK_SITE_STREAM), *d = site_of(r, block, TB_SINK_SITE_DOWN);
    const double reals[] = {s->first_token, s->rest, s->tensor, s->rms, d->first_token, d->rest, d->largest};
    char number[TB_NUMBER_TEXT];
    double range[3];
    range_of(range, r, block);
    tb_code rc = tb_table_printf(table, err, "%zu", block);
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * range[i]);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0] && !rc; i++)
        rc = tb_table_add(table, tb_text_of_real(number, reals[i]), err);
    return rc;
}

static tb_code print_entropy(const tb_model *model, const tb_sink_result *r, tb_error *err)
{
    (void)model;
    static const tb_column columns[] = {
        {"\n\nblock", true},
        {"entropy of\nits largest:\nleast head", true},
        {"\n\nmean", true},
        {"\n\nmost", true},
        {"kurtosis of the\nstream: kurt_tok,\nfirst token", true},
        {"\n\nothers", true},
        {"\n\nkurt_tensor", true},
        {"\n\nkurt_rms", true},
        {"input of down:\nkurt_tok,\nfirst token", true},
        {"\n\nothers", true},
        {"\nlargest\n|x|", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t b = 0; b < r->blocks && !rc; b++)
        rc = add_block(&table, r, b, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\noutlier channels of the stream: %zu by |x| ≥ 6, %zu by 6 standard deviations\n",
               r->tails.outlier_count[TB_SINK_OUTLIER_SIZE], r->tails.outlier_count[TB_SINK_OUTLIER_DEVIATIONS]);
    return rc;
}

// ---- JSON ----

static json_t *make_site(const tb_sink_activity *a)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "kurt_tok_first", tb_json_real(a->first_token), "kurt_tok_rest",
                     tb_json_real(a->rest), "kurt_tensor", tb_json_real(a->tensor), "kurt_rms", tb_json_real(a->rms),
                     "largest", tb_json_real(a->largest));
}

static json_t *make_block(const tb_sink_result *r, size_t block)
{
    json_t *heads = json_array(), *shares = json_array(), *sites = json_object();
    for (size_t h = 0; h < r->heads; h++) {
        json_array_append_new(heads, tb_json_real(r->map.heads[block * r->heads + h].entropy));
        json_array_append_new(shares, tb_json_real(r->map.heads[block * r->heads + h].entropy_share));
    }
    for (size_t s = 0; s < TB_SINK_SITES; s++)
        json_object_set_new(sites, site_names[s], make_site(site_of(r, block, (tb_sink_site)s)));
    return json_pack("{s:o, s:o, s:o}", "entropy", heads, "entropy_share", shares, "sites", sites);
}

static json_t *make_channels(const tb_sink_result *r, tb_sink_outlier_rule rule)
{
    json_t *channels = json_array();
    for (size_t i = 0; i < r->tails.outlier_count[rule]; i++)
        json_array_append_new(channels, json_integer((json_int_t)r->tails.outliers[rule][i]));
    return channels;
}

static json_t *make_entropy(const tb_sink_result *r)
{
    json_t *blocks = json_array();
    for (size_t b = 0; b < r->blocks; b++)
        json_array_append_new(blocks, make_block(r, b));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "entropy", tb_json_real(r->map.entropy), "entropy_share",
                     tb_json_real(r->map.entropy_share), "outliers_6", make_channels(r, TB_SINK_OUTLIER_SIZE),
                     "outliers_6_sigma", make_channels(r, TB_SINK_OUTLIER_DEVIATIONS), "blocks", blocks);
}

// ---- the command ----

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_MAP | TB_SINK_WHAT_TAILS,
    .key = "entropy",
    .make = make_entropy,
    .print = print_entropy,
    .plot = tb_sink_plot_entropy,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_entropy = {
    .name = "sink entropy",
    .summary = "show how spread attention is and how heavy activations are",
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
