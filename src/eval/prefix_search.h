// Which tokens a prefix should have: those that carry massive activations wherever they stand, so that none behind them
// does. Two searches, both by looking at the unrounded model alone.
//
// outliers  (PrefixQuant, arXiv 2410.05265) A token's M is the largest magnitude that its block's down matrix reads of
//           it; it is an outlier where M is more than `ratio` times the median of its window. o is how many a window
//           has in the block that has most, on average, rounded up. The prefix are the o − 1 tokens that are outliers
//           most often at other places than the first, and the BOS behind them; tokens that are so in fewer than one
//           window in ten do not count.
// greedy    (CushionCache, arXiv 2406.12016) Token by token, the one behind which rounding costs least: the mean over
// all
//           inputs of linears of |x − x'|²/|x|² behind the prefix, x' being x in 8 bits with one scale for all tokens.
//           Ends when a token no longer halves that. Candidates are the BOS and the tokens with the largest M.
//
// The BOS is the model's token that begins texts (tb_model_begin_token).
#ifndef TB_EVAL_PREFIX_SEARCH_H
#define TB_EVAL_PREFIX_SEARCH_H

#include "model/model.h"

enum {
    TB_PREFIX_MOST = 8,        // tokens of a prefix; published ones have 1 to 4
    TB_PREFIX_CANDIDATES = 16, // of greedy
    TB_PREFIX_SEQUENCES = 64,
    TB_PREFIX_LENGTH = 512,
};
#define TB_PREFIX_RATIO 64.0

typedef enum tb_prefix_rule { TB_PREFIX_OUTLIERS, TB_PREFIX_GREEDY } tb_prefix_rule;

typedef struct tb_prefix_search {
    tb_prefix_rule rule;
    const int32_t *tokens; // of a text, without BOS
    size_t token_count;
    size_t sequences, length; // its first windows; 0: the defaults, or what there is
    double ratio;             // 0: TB_PREFIX_RATIO
    const tb_report *report;
} tb_prefix_search;

typedef struct tb_prefix_found {
    int32_t tokens[TB_PREFIX_MOST];
    size_t count;
    size_t sequences, length; // that were read
    double outliers;          // in a window, in the block that has most, on average
    double before, after;     // the largest M of all over the median of its window, without the prefix and behind it
    double errors[TB_PREFIX_MOST + 1]; // greedy: what rounding costs behind 0, 1, … tokens
} tb_prefix_found;

// TB_EUNSUPPORTED: the model takes no prefix, or has no token that begins texts. TB_EINVAL: the text fills no window,
// or windows are not longer than a prefix; the model is broken. TB_ECANCELLED: the report asked to stop.
tb_code tb_prefix_find(tb_prefix_found *out, const tb_model *model, const tb_prefix_search *options, tb_error *err);

#endif
