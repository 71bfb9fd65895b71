// cli: the program around the library. Every command is a row in commands[] (main.c) with an
// option table; it parses, calls library functions, prints results on stdout and talk on stderr.
#ifndef TB_CLI_H
#define TB_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "cli/progress.h"
#include "text/text.h"
#include "twobit/twobit.h"

typedef struct tb_command tb_command;

// Options that mean the same everywhere.
typedef struct tb_common_options {
    uint64_t threads; // 0: all processors
    uint64_t seed;
    const char *cpu; // NULL: native
    bool quiet, verbose, help;
} tb_common_options;

// What every command is given.
typedef struct tb_cli {
    const tb_command *command;
    tb_common_options common;
    tb_operands operands;
    tb_progress progress;
    tb_report report; // progress on the terminal, notes on stderr; asks to stop after Ctrl-C
    tb_ranks *ranks;  // the processes that mpirun started, of which this is one; NULL: this one only
    bool misused;     // the error is one of usage: exit 2
    int exit_status;  // with which the program ends where nothing failed
    int output_errno; // why the first write to stdout failed that was seen to fail; 0: none
} tb_cli;

// A table that several commands share, and where the structure that it describes lies within the arguments; NULL: none.
typedef struct tb_shared_options {
    const tb_option *options;
    size_t offset;
} tb_shared_options;

enum { TB_MOST_SHARED_OPTIONS = 2 };

struct tb_command {
    const char *name;
    const char *summary;         // one line
    const char *usage;           // what stands behind the name: "MODEL [options]"
    const char *const *examples; // pairs of a command line and what it does; NULL ends them
    const char *notes;           // paragraphs for the help; may be NULL
    size_t least_operands, most_operands;
    const tb_option *options;
    const void *defaults; // of the structure that `options` describes
    size_t args_size;     // of that structure
    tb_shared_options shared[TB_MOST_SHARED_OPTIONS];
    bool takes_ranks; // knows what to do as one of several processes
    tb_code (*run)(tb_cli *cli, const void *args, tb_error *err);
};

// Commands of a subject stand behind its name: "csi evaluate".
typedef struct tb_command_group {
    const char *name;
    const char *summary; // one line
    const tb_command *const *commands;
    size_t count;
} tb_command_group;

extern const tb_command tb_command_analyze;
extern const tb_command tb_command_bench;
extern const tb_command tb_command_chat;
extern const tb_command tb_command_compare;
extern const tb_command tb_command_csi_evaluate;
extern const tb_command tb_command_csi_plot;
extern const tb_command tb_command_csi_quantize;
extern const tb_command tb_command_csi_simulate;
extern const tb_command tb_command_csi_stream;
extern const tb_command tb_command_csi_train;
extern const tb_command tb_command_embed;
extern const tb_command tb_command_info;
extern const tb_command tb_command_logits;
extern const tb_command tb_command_perplexity;
extern const tb_command tb_command_prefix;
extern const tb_command tb_command_quantize;
extern const tb_command tb_command_run;
extern const tb_command tb_command_saas_compare;
extern const tb_command tb_command_saas_facts;
extern const tb_command tb_command_saas_lint;
extern const tb_command tb_command_saas_list;
extern const tb_command tb_command_saas_report;
extern const tb_command tb_command_saas_shot;
extern const tb_command tb_command_saas_verify;
extern const tb_command tb_command_sink_ablate;
extern const tb_command tb_command_sink_entropy;
extern const tb_command tb_command_sink_gamma;
extern const tb_command tb_command_sink_geometry;
extern const tb_command tb_command_sink_heads;
extern const tb_command tb_command_sink_map;
extern const tb_command tb_command_sink_massive;
extern const tb_command tb_command_sink_positions;
extern const tb_command tb_command_sink_prune;
extern const tb_command tb_command_sink_report;
extern const tb_command tb_command_sink_split;
extern const tb_command tb_command_sink_super;
extern const tb_command tb_command_sink_value;
extern const tb_command tb_command_template;
extern const tb_command tb_command_tokenize;
extern const tb_command tb_command_train;

// The common option table, for help and parsing.
extern const tb_option tb_common_option_table[];

// Prints the help of the command on stdout.
tb_code tb_command_help(tb_cli *cli, tb_error *err);

// A mistake of usage: tb_fail with TB_EINVAL, and the program exits with 2.
tb_code tb_fail_usage(tb_cli *cli, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Opens a model with the common options. Close with tb_model_close.
tb_code tb_cli_open_model(tb_model **out, const tb_cli *cli, const char *path, tb_error *err);

// The same with the prefix that an option --prefix-kv names; NULL: not given.
tb_code tb_cli_open_prefixed(tb_model **out, const tb_cli *cli, const char *path, const char *prefix_kv, tb_error *err);

// Writes to stdout and flushes, for text that is read while it is made. False when it cannot be
// written: the command should end, the program then fails by itself.
bool tb_cli_stream(tb_cli *cli, const char *text, size_t size);

// Threads that work will use: what was asked for, or all processors.
size_t tb_cli_threads(const tb_cli *cli);

// The ids of a text, without BOS, for measuring: of a file, of standard input for "-", of the
// text that comes with twobit for NULL. Free with tb_free_ids; *ids is NULL on failure.
tb_code tb_cli_read_tokens(int32_t **ids, size_t *count, const tb_model *model, const char *path,
                           tb_builtin_text otherwise, tb_error *err);

// Refuses an output that cannot be written before minutes go into what it is to hold.
tb_code tb_cli_check_output(const char *path, tb_error *err);

enum { TB_CLI_MOST_VALUES = 64 };

// "0,5,10": up to TB_CLI_MOST_VALUES numbers; `option` names the list in messages.
tb_code tb_cli_parse_reals(double *values, size_t *count, tb_cli *cli, const char *option, const char *text,
                           tb_error *err);

#endif
