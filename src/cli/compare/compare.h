// compare, the laboratory: many models, many ways to quantize each, many texts, one table. What has been made lies in
// a work folder and is used again as long as nothing it was made from has changed.
//
//   compare_recipe.c   a recipe: text or JSON to options of quantize
//   compare_grid.c     models × recipes × texts, from the command line or a file
//   compare_folder.c   the work folder: which quantized models it holds, and what each was made from
//   compare_store.c    the results in SQLite
//   compare_make.c     quantizing what is missing, in child processes
//   compare_measure.c  measuring what is missing; results from what is kept
//   compare_front.c    what nothing else beats in both size and perplexity
//   compare_show.c     the table, also as Markdown
//   compare_data.c     JSON and CSV
//   compare_chart.c    the picture
//   compare_text.c     texts that are printed into its arena, and the keys of results
#ifndef TB_CLI_COMPARE_H
#define TB_CLI_COMPARE_H

#include "cli/cli.h"
#include "cli/compare/compare_folder.h"
#include "cli/compare/compare_grid.h"
#include "cli/compare/compare_store.h"
#include "eval/eval.h"
#include "quant/quant.h"

typedef struct tb_compare_args {
    const char *methods, *grid, *calibration, *work, *generate, *against, *csv, *markdown, *plot;
    tb_option_texts texts, also;
    uint64_t ctx, skip, max_tokens, calibration_tokens, tokens;
    bool fresh, speed, json;
} tb_compare_args;

typedef enum tb_row_kind {
    TB_ROW_ORIGINAL,
    TB_ROW_RECIPE, // quantized here
    TB_ROW_ALSO,   // a file of the same model that somebody else made
} tb_row_kind;

// One row, on one text.
typedef struct tb_compare_cell {
    int64_t id;                  // in the store
    tb_perplexity_result result; // the original's divergence from itself is 0
    double more, more_stderr;    // nats per token beyond what the base row has; NAN where one of them is broken
    bool on_front;               // no other row of the model is as small and as good on this text
} tb_compare_cell;

typedef struct tb_compare_row {
    tb_row_kind kind;
    const char *name;
    const tb_compare_recipe *recipe; // TB_ROW_RECIPE, with the next two
    tb_method method;
    tb_quant_options quant; // resolved

    const char *missing; // why there is nothing to measure: a sentence; NULL: there is
    const char *path;    // of the model
    const char *subject; // what it is made from, as a sentence
    size_t file_bytes;
    double linear_bits;

    bool timed; // the next three are known
    double quantize_seconds;
    size_t quantize_peak_rss_bytes;
    size_t blocks_reused; // quantizing was interrupted: the time is that of the last part

    bool clocked; // the next two are known
    double prefill_tps, decode_tps;

    tb_compare_cell *cells;      // [text_count]
    bool broken;                 // its logits are not finite on some text
    tb_perplexity_result pooled; // divergence and agreement over the predictions of all texts
} tb_compare_row;

typedef struct tb_compare_model {
    const tb_grid_model *source;
    tb_model *model; // open while its rows are made and measured; NULL afterwards
    char fingerprint[65];
    tb_compare_row *rows; // [count]; the first is the original
    size_t count;
    size_t base; // the row that others are compared with: the original, or --against
} tb_compare_model;

// A text that is measured on, read.
typedef struct tb_compare_text {
    const char *name, *path; // as in the grid
    tb_text text;
    char *own; // where it was read from a file
    char hash[65];
} tb_compare_text;

typedef struct tb_comparison {
    tb_cli *cli;
    const tb_compare_args *args;
    tb_grid grid;
    tb_perplexity_options protocol;
    const char *against;     // name of the base row; NULL: the original
    const char *calibration; // NULL: the text that comes with twobit
    uint64_t calibration_tokens;
    char calibration_hash[65]; // of the text; "built in"
    tb_compare_text *texts;    // [grid.text_count]
    tb_compare_model *models;  // [grid.model_count]
    tb_folder folder;
    tb_store *store;
    const char *cpu_name;     // level of the kernels
    size_t cells, cells_done; // for progress
    tb_arena arena;           // of rows, paths and keys
} tb_comparison;

// Recipes compared when nobody says otherwise.
#define TB_COMPARE_METHODS "rtn:3,rtn:4,awq:3,awq:4,gptq:3,gptq:4,bpdq:2,bpdq:3,ptqtp"

// A key for the store: what the format says, behind the version of twobit and its kernels. In the arena, or NULL.
const char *tb_compare_key(tb_comparison *c, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// A printed text in the comparison's arena, or NULL.
const char *tb_compare_keep(tb_comparison *c, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// Makes the rows of a model, which is open: quantizes what the folder lacks. A recipe that cannot be made is noted, its
// row says why, and the others go on.
tb_code tb_compare_make_rows(tb_comparison *c, tb_compare_model *m, tb_error *err);

// Measures what the store lacks of the model's rows on every text, and fills in what is shown.
tb_code tb_compare_measure_rows(tb_comparison *c, tb_compare_model *m, tb_error *err);

// The best recipe under four bits per weight: the least divergence. NULL when there is none.
const tb_compare_row *tb_compare_best(const tb_compare_model *m);

tb_code tb_compare_print_table(const tb_comparison *c, tb_error *err);
tb_code tb_compare_write_markdown(const tb_comparison *c, const char *path, tb_error *err);
tb_code tb_compare_write_csv(const tb_comparison *c, const char *path, tb_error *err);
tb_code tb_compare_draw(const tb_comparison *c, const char *path, tb_error *err);

struct json_t;
// Takes `continuations` (a JSON array, may be NULL).
tb_code tb_compare_print_json(const tb_comparison *c, struct json_t *continuations, tb_error *err);

#endif
