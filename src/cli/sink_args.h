// What the commands of `twobit sink` share: options, opening models, the protocol that every result states.
#ifndef TB_CLI_SINK_ARGS_H
#define TB_CLI_SINK_ARGS_H

#include "cli/cli.h"
#include "cli/table.h"
#include "sink/sink.h"

struct json_t;

typedef struct tb_sink_args {
    const char *text, *input, *bos, *reference, *plot;
    uint64_t ctx, sequences;
    double epsilon;
    bool json;
} tb_sink_args;

// Of all commands that have these options.
#define TB_SINK_ARGS_DEFAULTS                                                                                          \
    {                                                                                                                  \
        .input = "natural", .bos = "auto", .ctx = TB_SINK_CTX, .sequences = TB_SINK_SEQUENCES,                         \
        .epsilon = TB_SINK_EPSILON                                                                                     \
    }

extern const tb_option tb_sink_option_table[];   // --reference and --plot, of commands that measure …
extern const tb_option tb_sink_protocol_table[]; // … and what they are measured on: the shared table of all
extern const tb_sink_args tb_sink_args_default;

// Models and options of a measurement under way.
typedef struct tb_sink_job {
    tb_cli *cli;
    const tb_sink_args *args;
    tb_model *model, *reference; // reference: or NULL
    int32_t *text;
    tb_sink_options options;
} tb_sink_job;

// Opens what the arguments name and reads the text. Clear also after failure.
tb_code tb_sink_job_init(tb_sink_job *job, tb_cli *cli, const tb_sink_args *args, tb_error *err);
void tb_sink_job_clear(tb_sink_job *job);

// What a command measures, and how it shows the results.
typedef struct tb_sink_view {
    unsigned what;   // of tb_sink_measure
    const char *key; // of the result in JSON
    struct json_t *(*make)(const tb_sink_result *result);
    // The text below the protocol: of one model, the reference's below its name; or, where that is NULL, of both
    // together (`reference` may be NULL).
    tb_code (*print)(const tb_model *model, const tb_sink_result *result, tb_error *err);
    tb_code (*print_both)(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                          tb_error *err);
    tb_code (*plot)(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                    tb_error *err);
} tb_sink_view;

// A whole command: opens, measures both models, shows.
tb_code tb_sink_run(tb_cli *cli, const tb_sink_args *args, const tb_sink_view *view, tb_error *err);

// The lines above a result: model, and what it was measured on.
void tb_sink_print_protocol(const tb_sink_job *job, const tb_sink_result *result, double seconds);

// Prints one object: the protocol, `result` as `key`, and where there is a reference that as "reference_KEY". Takes
// both objects; a NULL that is not meant so is TB_ENOMEM.
tb_code tb_sink_print_json(const tb_sink_job *job, const tb_sink_result *protocol, double seconds, const char *key,
                           struct json_t *result, struct json_t *reference, tb_error *err);

// What trials were made on, as the two above take it; and one of them as an object.
tb_sink_result tb_sink_protocol_result(const tb_sink_job *job, const tb_sink_protocol *protocol);
struct json_t *tb_sink_make_trial(const tb_sink_trial *trial);
// A cell: what it has more than the untouched model.
tb_code tb_sink_add_more(tb_table *table, const tb_sink_trial *trial, tb_error *err);

// The text of a token, quoted, line ends escaped; cut where it is long. Of a register its number.
enum { TB_SINK_TOKEN_TEXT = 40 };
const char *tb_sink_token_text(char out[TB_SINK_TOKEN_TEXT], const tb_model *model, int32_t token);

// The last part of a path.
const char *tb_sink_model_name(const char *path);

// What sink super reads: the prompt behind a BOS, where the tokenizer's settings add one; for NULL the sentence of the
// paper, or in a mixture of experts the first tokens of twobit's calibration text. Free with tb_free_ids.
tb_code tb_sink_super_tokens(int32_t **ids, size_t *count, const tb_model *model, const char *prompt, tb_error *err);

#endif
