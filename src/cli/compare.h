// compare: one model, many ways to quantize it, one table. What has been made lies in a work folder
// and is used again as long as nothing it was made from has changed.
//
//   compare_plan.c   the rows: which methods, bits and groups; which of them is best
//   compare_store.c  the work folder: names of files, records of what was made from what
//   compare_make.c   making what is missing: quantizing in child processes, measuring
//   compare_show.c   the table, the same as JSON
#ifndef TB_CLI_COMPARE_H
#define TB_CLI_COMPARE_H

#include "cli/cli.h"
#include "eval/eval.h"
#include "quant/quant.h"

typedef struct tb_compare_args {
    const char *methods, *text, *calibration, *work, *generate;
    uint64_t ctx, skip, max_tokens, calibration_tokens, tokens;
    bool fresh, json;
} tb_compare_args;

// One row: the original or a quantized model.
typedef struct tb_compare_row {
    char name[40]; // "original", "bpdq:2:64"
    bool original;
    tb_method method;
    tb_quant_options quant; // bits and group, resolved

    const char *path;                         // of the model
    const char *quantized_path;               // of the record about quantizing; NULL for the original
    const char *measured_path;                // of the record about measuring
    const char *quantized_key, *measured_key; // what each is made from, as a sentence

    bool quantized; // the next fields are known; always true for the original
    size_t file_bytes;
    double linear_bits;
    double quantize_seconds; // 0 for the original
    size_t quantize_peak_rss_bytes;
    size_t blocks_reused; // quantizing was interrupted: the time is that of the last part

    bool measured; // the next fields are known
    bool broken;   // its logits are not finite: only the speeds are known
    double perplexity, stderr_, nll, kl_mean, kl_p99, top1_agreement;
    size_t tokens, windows, ctx, skip;
    double prefill_tps, decode_tps;
} tb_compare_row;

typedef struct tb_comparison {
    tb_cli *cli;
    const tb_compare_args *args;
    const char *model_path;
    tb_model *model;      // the original
    tb_compare_row *rows; // [count]; the first is the original
    size_t count;
    const char *folder; // where everything lies
    tb_arena arena;     // of rows, paths and keys
} tb_comparison;

// Methods compared when nobody says otherwise.
#define TB_COMPARE_METHODS "rtn:2,rtn:3,gptq:2,gptq:3,bpdq:2,bpdq:3,ptqtp"

// Fills rows from the list "method[:bits[:group]],…". TB_EINVAL says what does not fit.
tb_code tb_compare_plan(tb_comparison *c, const char *methods, tb_error *err);

// Chooses and creates the work folder, names all files, and takes over records that are still true.
tb_code tb_compare_open_store(tb_comparison *c, tb_error *err);

struct json_t;

// Takes over what `quantize --json` prints; false when something is missing.
bool tb_compare_take_quantized(tb_compare_row *row, struct json_t *figures);

// Stores what is known of a row now.
tb_code tb_compare_save_quantized(const tb_compare_row *row, tb_error *err);
tb_code tb_compare_save_measured(const tb_compare_row *row, tb_error *err);

// Quantizes and measures what is missing.
tb_code tb_compare_make(tb_comparison *c, tb_error *err);

// The best row under four bits per weight: the least divergence. NULL when there is none.
const tb_compare_row *tb_compare_best(const tb_comparison *c);

tb_code tb_compare_print_table(const tb_comparison *c, tb_error *err);
// Takes `continuations` (a JSON array, may be NULL).
tb_code tb_compare_print_json(const tb_comparison *c, struct json_t *continuations, tb_error *err);

#endif
