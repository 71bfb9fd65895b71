// twobit csi evaluate: NMSE and BER of receivers over a grid of operating points.
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/csi_args.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/table.h"

typedef struct evaluate_args {
    tb_csi_link_args link;
    const char *receivers, *rho, *snr_db, *normaliser, *csv;
    uint64_t frames;
    double tolerance;
    bool json;
} evaluate_args;

static const evaluate_args defaults = {.link = TB_CSI_LINK_DEFAULTS,
                                       .receivers = "mmse,hard,soft,bayes",
                                       .rho = "0.2",
                                       .snr_db = "0,5,10",
                                       .normaliser = "batch"};

static const tb_option options[] = {
    {"receivers", 'r', TB_OPTION_TEXT, offsetof(evaluate_args, receivers), "LIST", 0, 0,
     "none, ls, mmse, hard[-PASSES], soft[-PASSES], bayes or files of networks, separated by commas"},
    {"rho", 0, TB_OPTION_TEXT, offsetof(evaluate_args, rho), "LIST", 0, 0, "shares of power that the CSI has"},
    {"snr-db", 0, TB_OPTION_TEXT, offsetof(evaluate_args, snr_db), "LIST", 0, 0, "SNRs per symbol after combining"},
    {"frames", 0, TB_OPTION_COUNT, offsetof(evaluate_args, frames), "N", 2, 1 << 30,
     "most frames per point (default 2048; 262144 with --tolerance)"},
    {"tolerance", 0, TB_OPTION_REAL, offsetof(evaluate_args, tolerance), "T", 0, 1,
     "stop a point when every interval is below this share of its value"},
    {"normaliser", 0, TB_OPTION_TEXT, offsetof(evaluate_args, normaliser), "NAME", 0, 0,
     "how the inputs of paper networks are standardised: batch (of 256 frames), frame or analytic"},
    TB_CSI_LINK_OPTIONS,
    {"json", 0, TB_OPTION_FLAG, offsetof(evaluate_args, json), NULL, 0, 0,
     "print an object with points (to FILE where one is named)"},
    {"csv", 0, TB_OPTION_TEXT, offsetof(evaluate_args, csv), "FILE", 0, 0, "write one line per point to this file"},
    {0},
};

static const char *const examples[] = {
    "twobit csi evaluate --snr-db 5,10 --receivers mmse,hard,bayes",
    "three receivers at two operating points, in seconds",
    "twobit csi evaluate --rho 0.1,0.2 --snr-db 0,2,4,6,8,10 --tolerance 0.03 --json results.json",
    "until all intervals are within 3 %; then: twobit csi plot results.json -o results.svg",
    "mpirun -n 4 twobit csi evaluate --tolerance 0.01",
    "by four processes, on one machine or many",
    NULL,
};

enum { MOST_RECEIVERS = 32 };

typedef struct evaluation {
    tb_cli *cli;
    const evaluate_args *args;
    char *words;                           // of the list of receivers
    const char *receivers[MOST_RECEIVERS]; // into words
    size_t receiver_count;
    tb_csi_point *points;
    size_t point_count;
    tb_csi_link *link;
    tb_csi_tally *tallies; // [point_count][receiver_count]
    tb_str state_path;     // empty: results go to the terminal only
    tb_output_lock lock;   // where they do not, nobody else measures for the same file
} evaluation;

// ---- what was asked for ----

static tb_code split_receivers(evaluation *e, tb_error *err)
{
    e->words = tb_dup_text(e->args->receivers, strlen(e->args->receivers));
    if (!e->words)
        return tb_fail(err, TB_ENOMEM, "no memory for the arguments");
    for (char *word = e->words; word;) {
        char *comma = strchr(word, ',');
        if (comma)
            *comma++ = '\0';
        if (e->receiver_count == MOST_RECEIVERS)
            return tb_fail_usage(e->cli, err, "more than %d receivers", MOST_RECEIVERS);
        e->receivers[e->receiver_count++] = word;
        word = comma;
    }
    return TB_OK;
}

static tb_code plan_points(evaluation *e, tb_error *err)
{
    double rho[TB_CLI_MOST_VALUES], snr_db[TB_CLI_MOST_VALUES];
    size_t rho_count, snr_count;
    tb_code rc = tb_cli_parse_reals(rho, &rho_count, e->cli, "rho", e->args->rho, err);
    if (!rc)
        rc = tb_cli_parse_reals(snr_db, &snr_count, e->cli, "snr-db", e->args->snr_db, err);
    if (rc)
        return rc;
    e->points = tb_alloc_array(rho_count * snr_count, sizeof *e->points);
    if (!e->points)
        return tb_fail(err, TB_ENOMEM, "no memory for the points");
    for (size_t i = 0; i < rho_count; i++)
        for (size_t j = 0; j < snr_count; j++) {
            e->points[e->point_count] = (tb_csi_point){rho[i], snr_db[j]};
            rc = tb_csi_point_check(&e->points[e->point_count++], err);
            if (rc)
                return rc;
        }
    return TB_OK;
}

// ---- measuring ----

// A measurement whose results go to a file is kept beside it until they are there.
static tb_code claim_output(evaluation *e, tb_error *err)
{
    const char *output = e->cli->operands.count ? e->cli->operands.items[0] : e->args->csv;
    tb_target target;
    tb_code rc = output ? tb_target_find(&target, output, err) : TB_OK;
    if (rc || !output)
        return rc;
    if (!target.streams)
        rc = tb_target_work_path(&e->state_path, &target, ".partial", err);
    if (!rc && tb_ranks_is_first(e->cli->ranks))
        rc = tb_output_lock_take(&e->lock, &target, err);
    tb_target_clear(&target);
    return rc;
}

static tb_code measure_on_panel(evaluation *e, tb_csi_panel *panel, tb_error *err)
{
    const evaluate_args *args = e->args;
    tb_str description = {0};
    tb_code rc = tb_csi_panel_describe(&description, panel, err);
    tb_csi_measure_options measure = {
        .frames = args->frames          ? args->frames
                  : args->tolerance > 0 ? 262144
                                        : 2048,
        .tolerance = args->tolerance,
        .threads = tb_cli_threads(e->cli),
        .report = &e->cli->report,
        .state_path = e->state_path.data,
        .receivers = tb_str_get(&description),
        .ranks = e->cli->ranks,
    };
    if (!rc)
        rc = tb_csi_measure(e->tallies, e->link, e->points, e->point_count, tb_csi_panel_receive, panel,
                            e->receiver_count, &measure, err);
    tb_str_clear(&description);
    return rc;
}

static tb_code measure_points(evaluation *e, tb_error *err)
{
    e->tallies = tb_alloc_array(e->point_count * e->receiver_count, sizeof *e->tallies);
    if (!e->tallies)
        return tb_fail(err, TB_ENOMEM, "no memory for the results");
    tb_csi_panel_options panel_options = {.workers = tb_cli_threads(e->cli)};
    if (!tb_csi_normaliser_find(&panel_options.normaliser, e->args->normaliser))
        return tb_fail_usage(e->cli, err, "unknown normaliser '%s'; use batch, frame or analytic", e->args->normaliser);
    tb_csi_panel *panel;
    tb_code rc = tb_csi_panel_new(&panel, e->receivers, e->receiver_count, e->link, &panel_options, err);
    if (rc)
        return rc;
    rc = measure_on_panel(e, panel, err);
    tb_csi_panel_free(panel);
    tb_progress_clear(&e->cli->progress);
    return rc;
}

// ---- results ----

// Frames of one point and receiver, with all that identifies them.
typedef struct result {
    const char *receiver;
    const tb_csi_point *point;
    const tb_csi_tally *tally;
    tb_csi_score score;
} result;

static bool is_digital(const evaluation *e)
{
    return tb_csi_link_options(e->link)->channel == TB_CSI_DIGITAL;
}

static size_t result_count(const evaluation *e)
{
    return e->point_count * e->receiver_count;
}

static result result_at(const evaluation *e, size_t index)
{
    const tb_csi_tally *tally = &e->tallies[index];
    return (result){e->receivers[index % e->receiver_count], &e->points[index / e->receiver_count], tally,
                    tb_csi_tally_score(tally)};
}

static double decibels(double ratio)
{
    return 10 * log10(ratio);
}

static json_t *make_point(const result *r)
{
    json_t *point = json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "receiver",
                              tb_json_text(r->receiver, strlen(r->receiver)), "snr_db", tb_json_real(r->point->snr_db),
                              "rho", tb_json_real(r->point->rho), "frames", (json_int_t)r->tally->frames, "nmse",
                              tb_json_real(r->score.nmse), "nmse_ci", tb_json_real(r->score.nmse_ci), "nmse_db",
                              tb_json_real(decibels(r->score.nmse)), "ber", tb_json_real(r->score.ber), "ber_ci",
                              tb_json_real(r->score.ber_ci), "bits", (json_int_t)r->tally->bits, "bit_errors",
                              (json_int_t)r->tally->bit_errors, "frame_errors", (json_int_t)r->tally->frame_errors);
    if (point && r->tally->csi_bits) {
        json_object_set_new(point, "csi_ber", tb_json_real(r->score.csi_ber));
        json_object_set_new(point, "csi_ber_ci", tb_json_real(r->score.csi_ber_ci));
    }
    return point;
}

// The object; NULL when memory ran out.
static json_t *make_object(const evaluation *e)
{
    const tb_csi_options *o = tb_csi_link_options(e->link);
    json_t *points = json_array();
    for (size_t i = 0; points && i < result_count(e); i++) {
        result r = result_at(e, i);
        if (json_array_append_new(points, make_point(&r)) != 0) {
            json_decref(points);
            return NULL;
        }
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:s, s:I, s:s, s:f, s:o}", "n", (json_int_t)o->n, "p",
                     (json_int_t)o->p, "b", (json_int_t)o->b, "users", (json_int_t)o->users, "channel",
                     tb_csi_channel_name(o->channel), "spreading", tb_csi_spreading_name(o->spreading),
                     "spreading_seed", (json_int_t)o->spreading_seed, "modulation",
                     tb_csi_modulation_name(o->modulation), "seed", (json_int_t)o->seed, "nmse_def", "ratio_of_sums",
                     "confidence", 0.95, "points", points);
}

static tb_code write_csv(const evaluation *e, const char *path, tb_error *err)
{
    const tb_csi_options *o = tb_csi_link_options(e->link);
    tb_str text = {0};
    tb_code rc = tb_str_printf(&text, err,
                               "receiver,n,p,b,channel,spreading,modulation,seed,rho,snr_db,frames,bits,bit_errors,"
                               "frame_errors,nmse,nmse_ci,ber,ber_ci%s\n",
                               is_digital(e) ? ",csi_ber,csi_ber_ci" : "");
    for (size_t i = 0; !rc && i < result_count(e); i++) {
        result r = result_at(e, i);
        rc = tb_str_printf(&text, err, "%s,%zu,%zu,%zu,%s,%s,%s,%" PRIu64 ",%g,%g", r.receiver, o->n, o->p, o->b,
                           tb_csi_channel_name(o->channel), tb_csi_spreading_name(o->spreading),
                           tb_csi_modulation_name(o->modulation), o->seed, r.point->rho, r.point->snr_db);
        if (!rc)
            rc = tb_str_printf(&text, err, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.9g,%.3g,%.9g,%.3g",
                               r.tally->frames, r.tally->bits, r.tally->bit_errors, r.tally->frame_errors, r.score.nmse,
                               r.score.nmse_ci, r.score.ber, r.score.ber_ci);
        if (!rc && is_digital(e))
            rc = tb_str_printf(&text, err, ",%.9g,%.3g", r.score.csi_ber, r.score.csi_ber_ci);
        if (!rc)
            rc = tb_str_append_text(&text, "\n", err);
    }
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}

enum { COLUMNS = 9, DIGITAL_COLUMNS = 11 };

static tb_code add_row(tb_table *table, const result *r, size_t columns, tb_error *err)
{
    char cells[DIGITAL_COLUMNS - 1][TB_NUMBER_TEXT];
    snprintf(cells[0], sizeof cells[0], "%g", r->point->rho);
    snprintf(cells[1], sizeof cells[1], "%g", r->point->snr_db);
    tb_text_of_count(cells[2], r->tally->frames);
    snprintf(cells[3], sizeof cells[3], "%.4f", r->score.nmse);
    snprintf(cells[4], sizeof cells[4], "%.4f", r->score.nmse_ci);
    snprintf(cells[5], sizeof cells[5], "%.2f", decibels(r->score.nmse));
    snprintf(cells[6], sizeof cells[6], "%.3g", r->score.ber);
    snprintf(cells[7], sizeof cells[7], "%.1g", r->score.ber_ci);
    snprintf(cells[8], sizeof cells[8], "%.3g", r->score.csi_ber);
    snprintf(cells[9], sizeof cells[9], "%.1g", r->score.csi_ber_ci);
    tb_code rc = tb_table_add(table, r->receiver, err);
    for (size_t i = 0; !rc && i + 1 < columns; i++)
        rc = tb_table_add(table, cells[i], err);
    return rc;
}

static tb_code print_table(const evaluation *e, tb_error *err)
{
    static const tb_column columns[DIGITAL_COLUMNS] = {
        {"receiver", false}, {"rho", true}, {"SNR dB", true}, {"frames", true},  {"NMSE", true}, {"±", true},
        {"NMSE dB", true},   {"BER", true}, {"±", true},      {"CSI BER", true}, {"±", true}};
    size_t count = is_digital(e) ? DIGITAL_COLUMNS : COLUMNS;
    tb_table table;
    tb_table_init(&table, columns, count);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < result_count(e); i++) {
        result r = result_at(e, i);
        rc = add_row(&table, &r, count, err);
    }
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code show(const evaluation *e, tb_error *err)
{
    tb_code rc = e->args->csv ? write_csv(e, e->args->csv, err) : TB_OK;
    if (rc)
        return rc;
    if (e->args->json && e->cli->operands.count)
        return tb_json_write(make_object(e), e->cli->operands.items[0], err);
    return e->args->json ? tb_json_print(make_object(e), err) : print_table(e, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    evaluation e = {.cli = cli, .args = untyped};
    if (cli->operands.count && !e.args->json)
        return tb_fail_usage(cli, err, "'%s' is one argument too many", cli->operands.items[0]);
    tb_code rc = split_receivers(&e, err);
    if (!rc)
        rc = plan_points(&e, err);
    if (!rc)
        rc = tb_csi_link_from_args(&e.link, cli, &e.args->link, err);
    if (!rc)
        rc = claim_output(&e, err);
    if (!rc)
        rc = measure_points(&e, err);
    bool first = tb_ranks_is_first(cli->ranks);
    if (!rc && first)
        rc = show(&e, err);
    if (!rc && first && e.state_path.data)
        remove(e.state_path.data);
    tb_output_lock_give(&e.lock);
    tb_csi_link_free(e.link);
    tb_str_clear(&e.state_path);
    tb_free(e.tallies);
    tb_free(e.points);
    tb_free(e.words);
    return rc;
}

const tb_command tb_command_csi_evaluate = {
    .name = "csi evaluate",
    .summary = "measure receivers: NMSE of the CSI, BER of the data",
    .usage = "[options] [--json [FILE]]",
    .examples = examples,
    .notes =
        "All receivers see the same frames. NMSE is the ratio of sums of squares. Intervals (±) are half widths at\n"
        "95 %, from the spread between frames. The result does not depend on the number of threads,\n"
        "nor on that of the processes that mpirun starts. With --json FILE or --csv FILE a run that was interrupted "
        "goes\n"
        "on with the same command, from FILE.partial, to the same result.\n",
    .most_operands = 1,
    .takes_ranks = true,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
