// twobit analyze: which blocks of a model deserve more bits.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/analyze_plot.h"
#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/plot.h"
#include "cli/table.h"
#include "quant/quant.h"

typedef struct analyze_args {
    const char *calibration, *score, *projections, *plot;
    uint64_t calibration_tokens, skip_tokens, draws;
    bool per_head, center, keep_first, json;
} analyze_args;

static const analyze_args defaults = {.score = "v2", .projections = "qkv", .draws = 1};

static const tb_option options[] = {
    {"score", 0, TB_OPTION_TEXT, offsetof(analyze_args, score), "NAME", 0, 0,
     "what ranks the blocks: v2 (rank gap), v1 (composite), ppl (cost of skipping) or free (weights alone)"},
    {"calib", 0, TB_OPTION_TEXT, offsetof(analyze_args, calibration), "FILE", 0, 0,
     "text to look at the model with (default: the text that comes with twobit)"},
    {"calib-tokens", 0, TB_OPTION_COUNT, offsetof(analyze_args, calibration_tokens), "N", 1, 1 << 30,
     "most tokens of it that are used (default 2048)"},
    {"skip-tokens", 0, TB_OPTION_COUNT, offsetof(analyze_args, skip_tokens), "N", 1, 1 << 30,
     "most tokens of these for skipping blocks, which takes a pass per block (default one window of 512)"},
    {"projections", 0, TB_OPTION_TEXT, offsetof(analyze_args, projections), "SET", 0, 0,
     "linears that are looked at: qkv, qkvo or all7"},
    {"per-head", 0, TB_OPTION_FLAG, offsetof(analyze_args, per_head), NULL, 0, 0, "look at q, k and v head by head"},
    {"center", 0, TB_OPTION_FLAG, offsetof(analyze_args, center), NULL, 0, 0,
     "subtract each token's mean over its outputs and divide by its norm"},
    {"keep-first", 0, TB_OPTION_FLAG, offsetof(analyze_args, keep_first), NULL, 0, 0,
     "also count the first position of each window, often an attention sink"},
    {"draws", 0, TB_OPTION_COUNT, offsetof(analyze_args, draws), "N", 1, 1000,
     "random counterparts that are averaged; tiny models want 3"},
    {"plot", 0, TB_OPTION_TEXT, offsetof(analyze_args, plot), "FILE", 0, 0,
     "also draw a picture: FILE.svg or FILE.png (needs gnuplot)"},
    {"json", 0, TB_OPTION_FLAG, offsetof(analyze_args, json), NULL, 0, 0,
     "print an object: blocks, each with index, score, effective_rank, ppl_drop, energy_gain, weights, and more"},
    {0},
};

static const char *const examples[] = {
    "twobit analyze model.gguf",
    "every diagnostic of every block",
    "twobit analyze model.gguf --score ppl --skip-tokens 2048 --plot blocks.svg",
    "ranked by what skipping a block costs, as a picture",
    "twobit analyze model.gguf --calib my.txt --json",
    "on text like yours, for programs",
    NULL,
};

static const char notes[] =
    "A block is important when its outputs are concentrated: their effective rank lies below that of random weights\n"
    "on the same inputs (gap), and more of their energy in the leading directions (gain). The columns 'skipped' say "
    "what\n"
    "the model loses without the block: the best guide on models measured so far, and what 'twobit quantize --size'\n"
    "goes by. '--allocate lieq' goes by the gap.\n";

// ---- results ----

// place[block] in the order of scores, from 1.
static tb_code make_places(size_t **places, const tb_analysis *a, tb_error *err)
{
    double *scores = tb_alloc_array(a->block_count, sizeof *scores);
    size_t *order = tb_alloc_array(a->block_count, sizeof *order);
    *places = tb_alloc_array(a->block_count, sizeof **places);
    tb_code rc = scores && order && *places ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to sort the blocks");
    for (size_t b = 0; b < a->block_count && !rc; b++)
        scores[b] = a->blocks[b].score;
    if (!rc)
        tb_score_order(order, scores, a->block_count);
    for (size_t b = 0; b < a->block_count && !rc; b++)
        (*places)[order[b]] = b + 1;
    tb_free(scores);
    tb_free(order);
    if (rc) {
        tb_free(*places);
        *places = NULL;
    }
    return rc;
}

static json_t *make_block(const tb_block_analysis *b, size_t index, size_t place)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "index", (json_int_t)index, "place",
                     (json_int_t)place, "score", tb_json_real(b->score), "effective_rank",
                     tb_json_real(b->effective_rank), "random_rank", tb_json_real(b->random_rank), "rank_gap",
                     tb_json_real(b->rank_gap), "energy_gain", tb_json_real(b->energy_gain), "free_gap",
                     tb_json_real(b->free_gap), "ppl_drop", tb_json_real(b->perplexity_drop), "loss_increase",
                     tb_json_real(b->loss_increase), "weights", (json_int_t)b->weights);
}

static tb_code print_json(const tb_cli *cli, const analyze_args *args, const tb_analysis *a, const size_t *places,
                          double seconds, tb_error *err)
{
    json_t *blocks = json_array();
    for (size_t b = 0; b < a->block_count; b++)
        if (json_array_append_new(blocks, make_block(&a->blocks[b], b, places[b]))) {
            json_decref(blocks);
            return tb_json_print(NULL, err);
        }
    return tb_json_print(json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:o}", "score", args->score, "projections",
                                   args->projections, "tokens", (json_int_t)a->tokens, "skip_tokens",
                                   (json_int_t)a->skip_tokens, "perplexity", tb_json_real(a->perplexity), "seconds",
                                   tb_json_real(seconds), "seed", (json_int_t)cli->common.seed, "blocks", blocks),
                         err);
}

static tb_code add_real(tb_table *table, const char *format, double value, tb_error *err)
{
    char text[TB_NUMBER_TEXT];
    snprintf(text, sizeof text, format, value);
    return tb_table_add(table, text, err);
}

static tb_code add_block(tb_table *table, const tb_block_analysis *b, size_t index, size_t place, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    tb_code rc = tb_table_add(table, tb_text_of_count(number, index), err);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_count(number, place), err);
    if (!rc)
        rc = add_real(table, "%.4f", b->score, err);
    if (!rc)
        rc = add_real(table, "%.1f", b->effective_rank, err);
    if (!rc)
        rc = add_real(table, "%.1f", b->random_rank, err);
    if (!rc)
        rc = add_real(table, "%.4f", b->rank_gap, err);
    if (!rc)
        rc = add_real(table, "%.4f", b->energy_gain, err);
    if (!rc)
        rc = add_real(table, "%.4f", b->free_gap, err);
    if (!rc)
        rc = add_real(table, "%.4f", b->loss_increase, err);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, b->perplexity_drop), err);
    return rc ? rc : tb_table_add(table, tb_text_of_count(number, b->weights), err);
}

static tb_code print_table(const tb_analysis *a, const size_t *places, tb_error *err)
{
    static const tb_column columns[] = {
        {"\nblock", true},        {"\nplace", true},
        {"\nscore", true},        {"effective\nrank", true},
        {"random\nrank", true},   {"rank\ngap", true},
        {"energy\ngain", true},   {"gap of\nweights", true},
        {"skipped:\nnats", true}, {"skipped:\nperplexity +", true},
        {"\nweights", true},
    };
    tb_table table;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    tb_code rc = TB_OK;
    for (size_t b = 0; b < a->block_count && !rc; b++)
        rc = add_block(&table, &a->blocks[b], b, places[b], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code print_text(const analyze_args *args, const tb_analysis *a, const size_t *places, double seconds,
                          tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    tb_code rc = print_table(a, places, err);
    if (rc)
        return rc;
    printf("\nscore %s; spectra of %s on %zu tokens; skipping on %zu tokens, where the whole model has perplexity "
           "%s;",
           args->score, args->projections, a->tokens, a->skip_tokens, tb_text_of_real(number, a->perplexity));
    printf(" took %s\n", tb_text_of_seconds(number, seconds));
    return TB_OK;
}

// ---- the command ----

static bool find_projections(tb_projection_set *out, const char *name)
{
    static const char *const names[] = {
        [TB_PROJECT_QKV] = "qkv", [TB_PROJECT_QKVO] = "qkvo", [TB_PROJECT_ALL] = "all7"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (tb_projection_set)i;
            return true;
        }
    return false;
}

static tb_code resolve(tb_analyze_options *out, tb_cli *cli, const analyze_args *args, tb_error *err)
{
    *out = (tb_analyze_options){
        .per_head = args->per_head,
        .center = args->center,
        .keep_first = args->keep_first,
        .draws = (size_t)args->draws,
        .seed = cli->common.seed,
        .calibration_path = args->calibration,
        .calibration_tokens = (size_t)args->calibration_tokens,
        .skip_tokens = (size_t)args->skip_tokens,
        .report = &cli->report,
    };
    if (!tb_score_find(&out->score, args->score))
        return tb_fail_usage(cli, err, "unknown score '%s'; use v2, v1, ppl or free", args->score);
    if (!find_projections(&out->projections, args->projections))
        return tb_fail_usage(cli, err, "unknown projections '%s'; use qkv, qkvo or all7", args->projections);
    tb_code rc = args->plot ? tb_plot_check(args->plot, err) : TB_OK;
    cli->misused = rc == TB_EINVAL;
    return rc;
}

static tb_code show(const tb_cli *cli, const analyze_args *args, const tb_analysis *a, double seconds, tb_error *err)
{
    size_t *places;
    tb_code rc = make_places(&places, a, err);
    if (rc)
        return rc;
    rc = args->json ? print_json(cli, args, a, places, seconds, err) : print_text(args, a, places, seconds, err);
    if (!rc && args->plot)
        rc = tb_analyze_plot(args->plot, a, cli->operands.items[0], args->score, places, err);
    tb_free(places);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const analyze_args *args = untyped;
    tb_analyze_options analyze;
    tb_model *model;
    double start = tb_clock_seconds();
    tb_code rc = resolve(&analyze, cli, args, err);
    if (!rc)
        rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (rc)
        return rc;
    tb_analysis analysis;
    rc = tb_analyze(&analysis, model, &analyze, err);
    tb_progress_clear(&cli->progress);
    tb_model_close(model);
    if (rc)
        return rc;
    rc = show(cli, args, &analysis, tb_clock_seconds() - start, err);
    tb_analysis_clear(&analysis);
    return rc;
}

const tb_command tb_command_analyze = {
    .name = "analyze",
    .summary = "show which blocks of a model deserve more bits",
    .usage = "MODEL [--score NAME] [--plot FILE] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
