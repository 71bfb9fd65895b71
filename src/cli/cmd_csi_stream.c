// twobit csi stream: receivers on frames that come one by one: how long each takes, against its slot.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/csi_args.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/table.h"

typedef struct stream_args {
    tb_csi_link_args link;
    const char *input, *normaliser;
    uint64_t frames;
    double rate, rho, snr_db;
    bool json;
} stream_args;

static const stream_args defaults = {
    .link = TB_CSI_LINK_DEFAULTS, .normaliser = "analytic", .rate = 2000, .rho = 0.2, .snr_db = 5};

static const tb_option options[] = {
    {"frames", 0, TB_OPTION_COUNT, offsetof(stream_args, frames), "N", 2, 1 << 24,
     "frames to process (default 10000, or all of --input)"},
    {"rate", 0, TB_OPTION_REAL, offsetof(stream_args, rate), "R", 1e-3, 1e9,
     "frames per second that come; each should be done before the next one"},
    {"input", 'i', TB_OPTION_TEXT, offsetof(stream_args, input), "FILE", 0, 0,
     "take the frames, and their link, from a file of 'twobit csi simulate' instead of simulating them"},
    {"rho", 0, TB_OPTION_REAL, offsetof(stream_args, rho), "R", -1e9, 1e9, "share of power that the CSI has"},
    {"snr-db", 0, TB_OPTION_REAL, offsetof(stream_args, snr_db), "DB", -1e9, 1e9, "SNR per symbol after combining"},
    {"normaliser", 0, TB_OPTION_TEXT, offsetof(stream_args, normaliser), "NAME", 0, 0,
     "how the inputs of paper networks are standardised: frame or analytic"},
    TB_CSI_LINK_OPTIONS,
    {"json", 0, TB_OPTION_FLAG, offsetof(stream_args, json), NULL, 0, 0, "print an object with receivers"},
    {0},
};

static const char *const examples[] = {
    "twobit csi stream net.safetensors net-2bit.safetensors",
    "a network in float against the same in planes, on 10,000 frames, 2,000 of which come each second",
    "twobit csi stream hard bayes net.safetensors --input frames.safetensors --rate 1000",
    "classical receivers and a network on frames of a file",
    NULL,
};

typedef struct streaming {
    tb_cli *cli;
    const stream_args *args;
    tb_csi_frame_file *file;
    tb_csi_link *link;
    tb_csi_source source;
    uint64_t frames;
    const char *const *receivers; // names
    size_t receiver_count;
    tb_csi_stream_score *scores; // [receiver_count]
} streaming;

// ---- running ----

static tb_code open_source(streaming *s, tb_error *err)
{
    const stream_args *args = s->args;
    tb_code rc = TB_OK;
    s->frames = args->frames ? args->frames : 10000;
    if (args->input) {
        rc = tb_csi_frame_file_open(&s->file, args->input, err);
        if (!rc)
            rc = tb_csi_link_new(&s->link, tb_csi_frame_file_options(s->file), err);
        if (!rc && !args->frames)
            s->frames = tb_csi_frame_file_count(s->file);
    } else {
        rc = tb_csi_link_from_args(&s->link, s->cli, &args->link, err);
    }
    if (rc)
        return rc;
    s->source = (tb_csi_source){s->link, {args->rho, args->snr_db}, s->file};
    if (s->file)
        s->source.point = tb_csi_frame_file_point(s->file);
    return TB_OK;
}

static tb_code measure(streaming *s, tb_error *err)
{
    tb_csi_panel_options panel_options = {.threads = tb_cli_threads(s->cli)};
    if (!tb_csi_normaliser_find(&panel_options.normaliser, s->args->normaliser) ||
        panel_options.normaliser == TB_CSI_BY_BATCH)
        return tb_fail_usage(s->cli, err, "unknown normaliser '%s'; use frame or analytic", s->args->normaliser);
    s->scores = tb_alloc_array(s->receiver_count, sizeof *s->scores);
    if (!s->scores)
        return tb_fail(err, TB_ENOMEM, "no memory for the results");
    tb_csi_panel *panel;
    tb_csi_stream_options stream_options = {s->frames, s->args->rate, &s->cli->report};
    tb_code rc = tb_csi_panel_new(&panel, s->receivers, s->receiver_count, s->link, &panel_options, err);
    if (!rc)
        rc = tb_csi_stream_measure(s->scores, &s->source, tb_csi_panel_receive, panel, s->receiver_count,
                                   &stream_options, err);
    tb_csi_panel_free(panel);
    tb_progress_clear(&s->cli->progress);
    return rc;
}

// ---- results ----

static const double microseconds = 1e6; // of a second

static double frames_per_second(const streaming *s, const tb_csi_stream_score *score)
{
    return (double)s->frames / score->seconds;
}

static json_t *make_receiver(const streaming *s, size_t index)
{
    const tb_csi_stream_score *t = &s->scores[index];
    tb_csi_score score = tb_csi_tally_score(&t->tally);
    const char *name = s->receivers[index];
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "receiver", tb_json_text(name, strlen(name)),
                     "frames_per_s", tb_json_real(frames_per_second(s, t)), "median_us",
                     tb_json_real(microseconds * t->median), "p99_us", tb_json_real(microseconds * t->p99), "worst_us",
                     tb_json_real(microseconds * t->worst), "missed", (json_int_t)t->missed, "nmse",
                     tb_json_real(score.nmse), "nmse_ci", tb_json_real(score.nmse_ci), "ber", tb_json_real(score.ber),
                     "ber_ci", tb_json_real(score.ber_ci));
}

// The object; NULL when memory ran out.
static json_t *make_object(const streaming *s)
{
    const tb_csi_options *o = tb_csi_link_options(s->link);
    json_t *receivers = json_array();
    for (size_t i = 0; receivers && i < s->receiver_count; i++)
        if (json_array_append_new(receivers, make_receiver(s, i)) != 0) {
            json_decref(receivers);
            return NULL;
        }
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:I, s:o}", "frames", (json_int_t)s->frames,
                     "rate", tb_json_real(s->args->rate), "slot_us", tb_json_real(microseconds / s->args->rate),
                     "threads", (json_int_t)tb_cli_threads(s->cli), "n", (json_int_t)o->n, "p", (json_int_t)o->p, "b",
                     (json_int_t)o->b, "normaliser", s->args->normaliser, "rho", tb_json_real(s->source.point.rho),
                     "snr_db", tb_json_real(s->source.point.snr_db), "seed", (json_int_t)o->seed, "receivers",
                     receivers);
}

static tb_code add_row(tb_table *table, const streaming *s, size_t index, tb_error *err)
{
    const tb_csi_stream_score *t = &s->scores[index];
    tb_csi_score score = tb_csi_tally_score(&t->tally);
    char cells[7][TB_NUMBER_TEXT];
    tb_text_of_count(cells[0], (uint64_t)frames_per_second(s, t));
    tb_text_of_real(cells[1], microseconds * t->median);
    tb_text_of_real(cells[2], microseconds * t->p99);
    tb_text_of_real(cells[3], microseconds * t->worst);
    tb_text_of_count(cells[4], t->missed);
    snprintf(cells[5], sizeof cells[5], "%.4f", score.nmse);
    snprintf(cells[6], sizeof cells[6], "%.3g", score.ber);
    tb_code rc = tb_table_add(table, s->receivers[index], err);
    for (size_t i = 0; !rc && i < sizeof cells / sizeof cells[0]; i++)
        rc = tb_table_add(table, cells[i], err);
    return rc;
}

static tb_code print_table(const streaming *s, tb_error *err)
{
    static const tb_column columns[] = {{"receiver", false}, {"frames/s", true}, {"median µs", true}, {"p99 µs", true},
                                        {"worst µs", true},  {"missed", true},   {"NMSE", true},      {"BER", true}};
    char count[TB_NUMBER_TEXT];
    printf("%s frames at %g dB, rho %g; one each %g µs\n", tb_text_of_count(count, s->frames), s->source.point.snr_db,
           s->source.point.rho, microseconds / s->args->rate);
    tb_table table;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < s->receiver_count; i++)
        rc = add_row(&table, s, i, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    streaming s = {
        .cli = cli, .args = untyped, .receivers = cli->operands.items, .receiver_count = cli->operands.count};
    if (!s.receiver_count)
        return tb_fail_usage(cli, err, "a network or receiver is missing");
    tb_code rc = open_source(&s, err);
    if (!rc)
        rc = measure(&s, err);
    if (!rc)
        rc = s.args->json ? tb_json_print(make_object(&s), err) : print_table(&s, err);
    tb_csi_link_free(s.link);
    tb_csi_frame_file_close(s.file);
    tb_free(s.scores);
    return rc;
}

const tb_command tb_command_csi_stream = {
    .name = "csi stream",
    .summary = "receive frame by frame: latency against the slot",
    .usage = "NET… [options]",
    .examples = examples,
    .notes =
        "NET is the file of a network or a receiver's name (see 'twobit help csi evaluate'). All of them get each "
        "frame\n"
        "in turn. A frame is missed when it is not done before the next one comes, waiting for late ones included.\n",
    .most_operands = 32,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
