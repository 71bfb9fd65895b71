// The results of comparisons, in one SQLite database. Keys are sentences that say in full what a figure was made from;
// a figure is found only under the very same sentence. What was measured is kept window by window, so that a process
// that is killed loses one batch of windows and nothing else, and everything that is shown is made from what is kept.
//
// Every function fails with TB_EFORMAT and a sentence when the database is damaged or somebody else's.
#ifndef TB_LAB_STORE_H
#define TB_LAB_STORE_H

#include "base/base.h"
#include "eval/eval.h"

typedef struct tb_store tb_store;

// Opens or creates.
tb_code tb_store_open(tb_store **out, const char *path, tb_error *err);
void tb_store_close(tb_store *store);

// What stands between begin and commit is kept whole or not at all; closing without commit drops it.
tb_code tb_store_begin(tb_store *store, tb_error *err);
tb_code tb_store_commit(tb_store *store, tb_error *err);

// A cell: one model on one text. *id is found or made new.
tb_code tb_store_cell(int64_t *id, tb_store *store, const char *key, tb_error *err);

// present[windows]: which are kept.
tb_code tb_store_find_windows(bool *present, tb_store *store, int64_t cell, size_t windows, tb_error *err);
tb_code tb_store_put_window(tb_store *store, int64_t cell, const tb_window_scores *scores, tb_error *err);
tb_code tb_store_forget_windows(tb_store *store, int64_t cell, tb_error *err);

// Fills nll and, where it is not NULL, kl of `out`, whose sizes are given; also agreements and broken. A window that is
// missing or of another size is TB_EFORMAT.
tb_code tb_store_read_windows(tb_text_scores *out, tb_store *store, int64_t cell, tb_error *err);

// Numbers of one kind under a key: "quantize", "speed", "scores". *count: most that fit before, those found after; 0
// when there are none. More than fit is TB_EFORMAT.
tb_code tb_store_get_numbers(double *values, size_t *count, tb_store *store, const char *kind, const char *key,
                             tb_error *err);
tb_code tb_store_put_numbers(tb_store *store, const char *kind, const char *key, const double *values, size_t count,
                             tb_error *err);

#endif
