// Pages of keys that a query need not read, for what it would give them is known to be next to nothing. Private to
// attention.
//
// A page's score is at most u = Σ_c max(q_c·most_c, q_c·least_c), its weight before it is divided by the sum at most
// 16·e^u. Some keys are always read, the first page and the newest ones; their sum S is part of the row's. Pages with
// 16·e^u ≤ S·δ/pages are skipped: together they have at most δ of the row's weight, and what is read changes by
// 2δ·max‖v‖ at most. All roundings are on the safe side. (Pages as in Quest, arXiv 2406.10774; the rule is ours.)
#ifndef TB_MODEL_ATTENTION_SKIP_H
#define TB_MODEL_ATTENTION_SKIP_H

#include "model/attention_sweep.h"

// The keys that may be skipped of what one row sees: whole pages; none where nothing is known of pages or there are
// too few keys. Those in front and behind are always read.
tb_kv_range tb_skip_range(const tb_seen *seen);

// Whether to look for pages to skip at all: of a few pages in `range`, one may be skipped by the query. `sum` as below,
// of some of the keys that are always read.
bool tb_skip_promises(const tb_sweep *sweep, size_t query, tb_kv_range range, double sum, double delta, float *scratch);

// Floats of scratch for a sweep of one row.
size_t tb_skip_scratch(const tb_config *config);

// By how much, as a logarithm, pages of keys [begin, end) in `range` may weigh more than what may be skipped, for one
// query of a sweep of one row; `sum` is that of the keys that are always read, as a logarithm, δ > 0. A page is
// skipped where that is above 0 for no query.
void tb_skip_weigh(float *excess, const tb_sweep *sweep, size_t query, tb_kv_range range, size_t begin, size_t end,
                   double sum, double delta, float *scratch);

#endif
