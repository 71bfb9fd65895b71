// sink: attention sinks, seen. Where the attention of heads that have nothing to read goes, which activations and
// weights send it there, and what happens without them. It watches the forward pass through its probes and keeps sums
// per head and channel, never whole matrices of attention.
//
// Words: the *first token* is the one at position 0, a *stage* the residual stream of the embeddings (0) or behind
// block s − 1 (s). Papers number blocks and tokens from 0 or from 1; here it is always 0.
#ifndef TB_SINK_H
#define TB_SINK_H

#include "model/model.h"

// ---- what is measured on ----

typedef enum tb_sink_input {
    TB_SINK_NATURAL, // the text, cut into sequences that do not overlap
    TB_SINK_RANDOM,  // tokens drawn uniformly from the ordinary ones of the vocabulary
    TB_SINK_REPEAT,  // one such token, again and again; another one in each sequence
} tb_sink_input;

typedef enum tb_sink_bos {
    TB_SINK_BOS_AUTO,   // where the tokenizer's own settings add one
    TB_SINK_BOS_ALWAYS, // TB_EINVAL where the tokenizer has none
    TB_SINK_BOS_NEVER,
} tb_sink_bos;

// A BOS takes the place of the first token of each sequence.
typedef struct tb_sink_options {
    size_t ctx;       // tokens of a sequence, TB_SINK_LEAST_CTX … TB_SINK_MOST_CTX; 0: TB_SINK_CTX
    size_t sequences; // at most so many; 0: TB_SINK_SEQUENCES. Natural ones may be fewer: as many as the text fills
    tb_sink_input input;
    tb_sink_bos bos;
    double epsilon;      // a column is a sink where its mean weight is above; 0: TB_SINK_EPSILON
    uint64_t seed;       // of random and repeated tokens
    const int32_t *text; // [text_count] the ids of a text, without BOS; for natural input only
    size_t text_count;
    const tb_report *report; // or NULL
} tb_sink_options;

// The setting of "When Attention Sink Emerges" (arXiv 2410.10781).
enum { TB_SINK_CTX = 64, TB_SINK_SEQUENCES = 100 };
#define TB_SINK_EPSILON 0.3
enum { TB_SINK_LEAST_CTX = 4, TB_SINK_MOST_CTX = 1 << 16 };

// ---- results ----

// One query head, averaged over the sequences. Column k is seen by the queries i ≥ k, in a near block by those within
// its reach; its mean weight α_k is over the queries that see it.
typedef struct tb_sink_head {
    double first;         // α_0
    double sink;          // share of the sequences with α_0 > ε
    double anywhere;      // share with α_k > ε for some k that a quarter of the queries see
    size_t strongest;     // the k of the largest mean α_k among those
    double share;         // mean weight of position 0 over the queries i ≥ 1 that see it
    double argmax;        // share of these that give it the most
    double sink_logit;    // mean weight that went to no token: to a learned sink logit
    double entropy;       // −Σ a ln a, mean over the queries
    double entropy_share; // the same of ln(keys seen), over queries that see at least two
} tb_sink_head;

// The same, averaged over all heads, and what they would be if heads read all they see alike.
typedef struct tb_sink_map {
    tb_sink_head *heads; // [blocks][heads]
    double first, sink, anywhere, share, argmax, sink_logit, entropy, entropy_share;
    double uniform; // α_0 of a head that does not look
} tb_sink_map;

// Massive: |x| > 100 and |x| ≥ 1000·median|x| of its token (Sun et al., arXiv 2402.17762). Models on a small scale have
// none; relative: |x| ≥ 100·median and 6 median absolute deviations above it.
typedef enum tb_sink_rule { TB_SINK_RULE_NONE, TB_SINK_RULE_STRICT, TB_SINK_RULE_RELATIVE } tb_sink_rule;

// The residual stream at a stage.
typedef struct tb_sink_stage {
    double top[3];                        // the largest magnitudes of a sequence; mean over sequences
    double first_top, rest_top;           // the largest of the first token; of all others; means
    double first_median, median;          // of the first token's magnitudes; over the tokens, of their medians; means
    size_t massive, relative;             // tokens with a massive activation, by either rule
    size_t first_massive, first_relative; // of them first tokens
} tb_sink_stage;

// A channel with massive activations, by the result's rule.
typedef struct tb_sink_channel {
    size_t channel;
    bool first;             // at first tokens; else at others
    size_t tokens;          // that have it, at the stage where most do
    size_t begin, end;      // stages [begin, end) where it was found, first and last
    double value;           // the largest in magnitude, with its sign …
    size_t stage, position; // … and where that was
    int32_t token;
} tb_sink_channel;

typedef struct tb_sink_massive {
    tb_sink_rule rule;
    tb_sink_stage *stages;     // [blocks + 1]
    tb_sink_channel *channels; // [channel_count], by magnitude
    size_t channel_count;
    double largest;                  // magnitude anywhere
    size_t appearance;               // first stage with massive activations; 0: none
    size_t emergence;                // first of those where the largest has half of what it has at most
    size_t stable_begin, stable_end; // the longest run of stages over which the largest changes by at most 5 %
    size_t dissipation;              // the last stage behind emergence that halves it; 0: none
} tb_sink_massive;

enum { TB_SINK_WHAT_MAP = 1, TB_SINK_WHAT_MASSIVE = 2 };

typedef struct tb_sink_result {
    size_t blocks, heads, ctx, sequences;
    bool bos;
    double epsilon;
    tb_sink_map map;
    tb_sink_massive massive;
    tb_arena arena; // owns all of it
} tb_sink_result;

// Measures a set of TB_SINK_WHAT_… in one pass over the sequences. The result is the same bits for any number of
// threads. TB_EINVAL: the text fills no sequence, there is no BOS, the model is broken (its logits are not finite).
// Clear also after failure.
tb_code tb_sink_measure(tb_sink_result *out, const tb_model *model, unsigned what, const tb_sink_options *options,
                        tb_error *err);
void tb_sink_result_clear(tb_sink_result *result);

#endif
