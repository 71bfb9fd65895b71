// twobit sink massive: activations that are thousands of times larger than the rest, and where they live.
#include <jansson.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink massive model.gguf",
    "the largest activations over the depth, and the channels they live in",
    "twobit sink massive model.gguf --ctx 1024 --sequences 4 --plot depth.svg",
    "in long sequences, with a picture",
    NULL,
};

static const char notes[] =
    "An activation x of the residual stream is massive where |x| > 100 and |x| ≥ 1000 times the median of its token\n"
    "(strict), or, in models on a small scale that have none, where |x| ≥ 100 times the median and lies 6 median\n"
    "absolute deviations above it (relative). Stage 0 is the embeddings, stage s stands behind block s − 1.\n";

// ---- text ----

static tb_code add_real(tb_table *table, double value, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    return tb_table_add(table, tb_text_of_real(number, value), err);
}

static tb_code add_count(tb_table *table, size_t value, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    return tb_table_add(table, tb_text_of_count(number, value), err);
}

static tb_code add_stage(tb_table *table, const tb_sink_massive *m, size_t stage, tb_error *err)
{
    const tb_sink_stage *s = &m->stages[stage];
    const double reals[] = {s->top[0], s->top[1], s->top[2], s->first_top, s->first_median, s->rest_top, s->median};
    bool relative = m->rule == TB_SINK_RULE_RELATIVE;
    size_t all = relative ? s->relative : s->massive, first = relative ? s->first_relative : s->first_massive;
    tb_code rc = add_count(table, stage, err);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0] && !rc; i++)
        rc = add_real(table, reals[i], err);
    if (!rc)
        rc = add_count(table, first, err);
    return rc ? rc : add_count(table, all - first, err);
}

static tb_code print_stages(const tb_sink_result *r, tb_error *err)
{
    static const tb_column columns[] = {
        {"\nstage", true},
        {"largest |x|\nof all tokens", true},
        {"\nsecond", true},
        {"\nthird", true},
        {"first token:\nlargest", true},
        {"\nmedian", true},
        {"other tokens:\nlargest", true},
        {"\nmedian", true},
        {"massive at\nfirst tokens", true},
        {"\nat others", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t s = 0; s <= r->blocks && !rc; s++)
        rc = add_stage(&table, &r->massive, s, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code add_channel(tb_table *table, const tb_sink_channel *c, const tb_model *model, tb_error *err)
{
    char token[TB_SINK_TOKEN_TEXT];
    tb_code rc = add_count(table, c->channel, err);
    if (!rc)
        rc = tb_table_add(table, c->first ? "first" : "others", err);
    if (!rc)
        rc = add_real(table, c->value, err);
    if (!rc)
        rc = add_count(table, c->stage, err);
    if (!rc)
        rc = add_count(table, c->position, err);
    if (!rc)
        rc = tb_table_add(table, tb_sink_token_text(token, model, c->token), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu … %zu", c->begin, c->end - 1);
    return rc ? rc : add_count(table, c->tokens, err);
}

// The text shows the strongest; JSON has them all.
enum { MOST_SHOWN = 20 };

static tb_code print_channels(const tb_sink_massive *m, const tb_model *model, tb_error *err)
{
    static const tb_column columns[] = {
        {"channel", true},  {"at tokens", false}, {"largest", true}, {"at stage", true},
        {"position", true}, {"token", false},     {"stages", true},  {"tokens", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < m->channel_count && i < MOST_SHOWN && !rc; i++)
        rc = add_channel(&table, &m->channels[i], model, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (m->channel_count > MOST_SHOWN)
        printf("and %zu more (--json has them)\n", m->channel_count - MOST_SHOWN);
    return rc;
}

static const char *rule_name(tb_sink_rule rule)
{
    return rule == TB_SINK_RULE_STRICT ? "strict" : rule == TB_SINK_RULE_RELATIVE ? "relative" : "none";
}

static void print_lifecycle(const tb_sink_result *r)
{
    const tb_sink_massive *m = &r->massive;
    if (m->rule == TB_SINK_RULE_NONE) {
        printf("\nno massive activations by either rule\n\n");
        return;
    }
    printf("\nrule       %s\nfirst      at stage %zu\nemergence  stage %zu has half of the largest or more\nstable     "
           "stages %zu … %zu (within 5 %% from one to the next)\n",
           rule_name(m->rule), m->appearance, m->emergence, m->stable_begin, m->stable_end - 1);
    if (m->dissipation)
        printf("gone       stage %zu halves it\n\n", m->dissipation);
    else
        printf("gone       no later stage halves it\n\n");
}

static tb_code print_massive(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                             tb_error *err)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    tb_code rc = print_stages(r, err);
    if (rc)
        return rc;
    print_lifecycle(r);
    if (r->massive.channel_count)
        rc = print_channels(&r->massive, job->model, err);
    if (reference)
        printf("\nlargest    %s, of the reference %s (rule %s, emergence at stage %zu)\n",
               tb_text_of_real(a, r->massive.largest), tb_text_of_real(b, reference->massive.largest),
               rule_name(reference->massive.rule), reference->massive.emergence);
    return rc;
}

// ---- JSON ----

static json_t *make_stage(const tb_sink_stage *s)
{
    return json_pack("{s:[o, o, o], s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "top", tb_json_real(s->top[0]),
                     tb_json_real(s->top[1]), tb_json_real(s->top[2]), "first_top", tb_json_real(s->first_top),
                     "first_median", tb_json_real(s->first_median), "rest_top", tb_json_real(s->rest_top), "median",
                     tb_json_real(s->median), "massive", (json_int_t)s->massive, "massive_first",
                     (json_int_t)s->first_massive, "relative", (json_int_t)s->relative, "relative_first",
                     (json_int_t)s->first_relative);
}

static json_t *make_channel(const tb_sink_channel *c)
{
    return json_pack("{s:I, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "channel", (json_int_t)c->channel, "first_token",
                     c->first, "value", tb_json_real(c->value), "stage", (json_int_t)c->stage, "position",
                     (json_int_t)c->position, "token", (json_int_t)c->token, "first_stage", (json_int_t)c->begin,
                     "last_stage", (json_int_t)(c->end - 1), "tokens", (json_int_t)c->tokens);
}

// A stage; null where there is none.
static json_t *make_index(size_t stage)
{
    return stage ? json_integer((json_int_t)stage) : json_null();
}

static json_t *make_massive(const tb_sink_result *r)
{
    const tb_sink_massive *m = &r->massive;
    json_t *stages = json_array(), *channels = json_array();
    for (size_t s = 0; s <= r->blocks; s++)
        json_array_append_new(stages, make_stage(&m->stages[s]));
    for (size_t i = 0; i < m->channel_count; i++)
        json_array_append_new(channels, make_channel(&m->channels[i]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rule", rule_name(m->rule), "largest",
                     tb_json_real(m->largest), "appearance", make_index(m->appearance), "emergence",
                     make_index(m->emergence), "stable_first", make_index(m->stable_begin), "stable_last",
                     make_index(m->stable_end ? m->stable_end - 1 : 0), "dissipation", make_index(m->dissipation),
                     "stages", stages, "channels", channels);
}

// ---- the command ----

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_MASSIVE,
    .key = "massive",
    .make = make_massive,
    .print_both = print_massive,
    .plot = tb_sink_plot_massive,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_massive = {
    .name = "sink massive",
    .summary = "show the massive activations and the channels they live in",
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
