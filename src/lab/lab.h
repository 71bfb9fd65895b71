// lab, the laboratory: many models, many ways to quantize each, many texts, one table. What has been made lies in a
// work folder and is used again as long as nothing it was made from has changed. The only room that knows SQLite.
//
//   recipe_args.c   what a recipe can say: options of quantize
//   lab_recipe.c    a recipe: text or JSON to those options
//   lab_quantize.c  a recipe and a model to a file: tb_quantize of twobit.h
//   lab_grid.c      models × recipes × texts, from the command line or a file
//   lab_folder.c    the work folder: which quantized models it holds, and what each was made from
//   lab_store.c     the results in SQLite
//   lab_make.c      quantizing what is missing, in child processes (child.c)
//   lab_measure.c   measuring what is missing; results from what is kept
//   lab_front.c     what nothing else beats in both size and perplexity
//   lab.c           the order of the work, and what lives as long as a comparison
#ifndef TB_LAB_H
#define TB_LAB_H

#include "eval/eval.h"
#include "lab/lab_folder.h"
#include "lab/lab_grid.h"
#include "lab/lab_store.h"
#include "quant/quant.h"

// What a comparison is told. Text is borrowed.
typedef struct tb_lab_options {
    const char *work;    // the folder; NULL: "compare" in the cache of twobit
    const char *against; // the row that others are compared with: a recipe's name or TB_COMPARE_ORIGINAL; NULL: none
    const char *calibration; // a file; NULL: the text that comes with twobit
    uint64_t calibration_tokens;
    tb_perplexity_options protocol; // its report is not looked at
    bool fresh;                     // make everything anew, whatever the folder holds
    bool speed;                     // also measure tokens per second
    uint64_t threads;               // 0: all processors
    uint64_t seed;                  // where a recipe has none
    const char *cpu;                // NULL: native
    bool quiet;                     // children say no more than warnings
    const tb_report *report;
} tb_lab_options;

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
    const tb_lab_recipe *recipe; // TB_ROW_RECIPE, with the next two
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
    const tb_lab_grid_model *source;
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

// `options` and `grid` are set by the caller, the rest is made.
typedef struct tb_comparison {
    tb_lab_options options;
    tb_lab_grid grid;
    char calibration_hash[65]; // of the text; "built in"
    tb_compare_text *texts;    // [grid.text_count]
    tb_compare_model *models;  // [grid.model_count]
    tb_folder folder;
    tb_store *store;
    const char *cpu_name;     // level of the kernels
    size_t cells, cells_done; // for progress
    tb_arena arena;           // of rows, paths and keys
} tb_comparison;

// The name of the row of the model itself.
#define TB_COMPARE_ORIGINAL "original"

// Recipes compared when nobody says otherwise.
#define TB_COMPARE_METHODS "rtn:3,rtn:4,awq:3,awq:4,gptq:3,gptq:4,bpdq:2,bpdq:3,ptqtp"

// Makes what the folder lacks of every model of the grid and measures what the results lack. A recipe that cannot be
// made is noted, its row says why, and the others go on. Stopped, the same call goes on where it was.
tb_code tb_compare(tb_comparison *c, tb_error *err);

// Also after failure. The grid is cleared as well.
void tb_comparison_clear(tb_comparison *c);

// Threads that work uses: what was asked for, or all processors.
size_t tb_compare_threads(const tb_comparison *c);

// The best recipe under four bits per weight: the least divergence. NULL when there is none.
const tb_compare_row *tb_compare_best(const tb_compare_model *m);

// ---- inside ----

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

// Opens a model as the options say. Close with tb_model_close.
tb_code tb_compare_open_model(tb_model **out, const tb_comparison *c, const char *path, tb_error *err);

#endif
