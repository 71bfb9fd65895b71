// sink: attention sinks, seen. Where the attention of heads that have nothing to read goes, which activations and
// weights send it there, and what happens without them. It watches the forward pass through its probes and keeps sums
// per head and channel, never whole matrices of attention.
//
// Words: the *first token* is the one at position 0 (where a model has registers, which stand in front of every text,
// the first of them: token −1, the second −2 …), a *stage* the residual stream of the embeddings (0) or behind
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
enum { TB_SINK_LEAST_CTX = 8, TB_SINK_MOST_CTX = 1 << 16 };

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
    double text;    // α of the first position behind the registers
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

// What a query head makes of the first tokens' values, averaged over the sequences; keys and values are those of its KV
// head. Cosines and norms are of queries and keys as attention takes them, behind RoPE.
enum { TB_SINK_BIAS_TOKENS = 4 }; // S: as many as StreamingLLM keeps

// Numbers of a head by how RoPE turns them: the half of the pairs that turns faster, the other half, and the numbers
// that stay as they are.
typedef enum tb_sink_turn { TB_SINK_TURN_FAST, TB_SINK_TURN_SLOW, TB_SINK_TURN_NONE, TB_SINK_TURNS } tb_sink_turn;

typedef struct tb_sink_value {
    double value_ratio, key_ratio;      // ‖v_0‖ and ‖k_0‖ over the median of the others
    double query_cos;                   // cos(q_i, k_0), mean over the queries i ≥ 1
    double still_cos;                   // the same of queries as they are in front of RoPE, which leaves k_0 as it is
    double query_cos_of[TB_SINK_TURNS]; // the parts of query_cos
    double query_norm, key_norm;        // mean ‖q_i‖; ‖k_0‖
    // b_i = Σ_{j<S} a_ij v_j, what the first tokens give the output of query i ≥ S: a constant bias?
    double bias_share; // ‖b_i‖ over that of the whole output, mean
    double bias_cos;   // cosine of two queries' b, mean over pairs
    double bias_cv;    // deviation of ‖b_i‖ over its mean
} tb_sink_value;

// Where activations are looked at. Inputs of linears are what products are computed from.
typedef enum tb_sink_site {
    TB_SINK_SITE_STREAM,    // the residual stream behind the block
    TB_SINK_SITE_ATTENTION, // input of q, k, v: behind a norm
    TB_SINK_SITE_KEY,
    TB_SINK_SITE_VALUE,
    TB_SINK_SITE_OUTPUT, // input of o: what the heads have read
    TB_SINK_SITE_FFN,    // input of gate and up: behind a norm
    TB_SINK_SITE_DOWN,   // input of down
    TB_SINK_SITES
} tb_sink_site;

// Three kurtoses that papers mean, not to be mixed; a Gaussian has 3.
typedef struct tb_sink_activity {
    double first_token, rest; // over the channels of a token ("kurt_tok"), of the first one and of the others; means
    double tensor;            // over all channels of all tokens ("kurt_tensor")
    double rms;               // of the channels' root mean squares, without their mean ("kurt_rms"): 1 … channels
    double largest;           // magnitude in a sequence, mean
    size_t calls;             // sequences; in a mixture of experts more: by expert
} tb_sink_activity;

// Channels of the stream that stand out in 6 % of the tokens and a quarter of the blocks: by magnitude 6 (LLM.int8), or
// by 6 standard deviations of the whole stream.
typedef enum tb_sink_outlier_rule {
    TB_SINK_OUTLIER_SIZE,
    TB_SINK_OUTLIER_DEVIATIONS,
    TB_SINK_OUTLIER_RULES
} tb_sink_outlier_rule;

typedef struct tb_sink_tails {
    tb_sink_activity *sites; // [blocks][TB_SINK_SITES]
    size_t *outliers[TB_SINK_OUTLIER_RULES];
    size_t outlier_count[TB_SINK_OUTLIER_RULES];
} tb_sink_tails;

// A token that becomes a sink, or has massive activations (by the rule of tb_sink_massive).
enum { TB_SINK_BANDS = 3 }; // the first, middle and last third of the blocks
typedef struct tb_sink_spot {
    int32_t token;
    size_t seen;                 // how often it stands there
    size_t massive, relative;    // how often with massive activations; by the relative rule
    size_t sinks;                // how often with α_k > ε in some head
    size_t heads[TB_SINK_BANDS]; // such heads, of all blocks of a band
    double position;             // k, mean over the sinks
} tb_sink_spot;

typedef struct tb_sink_positions {
    tb_sink_spot first;   // at position 0, whatever the token
    tb_sink_spot *tokens; // [token_count] at k ≥ 1, those with the most heads first
    size_t token_count;
    size_t others;           // sinks at k ≥ 1, of all sequences
    size_t *sinks, *massive; // [rows]: sequences in which position k is one
} tb_sink_positions;

// Keys of a KV head as attention takes them: cosine with the mean of all, of the first token's and of the others'; and
// how well it tells which tokens are looked at: Spearman's rank correlation of −cosine and the weight that the queries
// of the last quarter give the tokens in front of them, mean over the heads that read the keys. Means over sequences.
typedef struct tb_sink_key_shape {
    double first, rest, spearman;
} tb_sink_key_shape;

// What attention adds to the stream in a block, [T][width]: Σσ²/σ₁² and σ₁/Σσ; means over sequences.
typedef struct tb_sink_update_shape {
    double stable_rank, top_share;
} tb_sink_update_shape;

// Directions of the residual stream at a stage; means over sequences. Singular values are those of a sequence's tokens
// as they are, without subtracting a mean.
typedef struct tb_sink_stage_shape {
    double first_cos;                 // |cos(h_t, h_0)|, mean over t ≥ 1
    double top_share, rank;           // share of σ₁² in Σσ²; e^entropy of the shares: how many directions count
    double rest_top_share, rest_rank; // the same without the first token
    double position_share; // of the variance of the tokens t ≥ 1, what their positions explain: by chance 1/sequences
    double first_apart;    // with p_t the mean of position t: ‖p_0 − mean of the others‖ over their mean length
} tb_sink_stage_shape;

typedef struct tb_sink_geometry {
    tb_sink_stage_shape *stages;   // [blocks + 1]
    tb_sink_key_shape *keys;       // [blocks][kv_heads]
    tb_sink_update_shape *updates; // [blocks]
} tb_sink_geometry;

// How tokens mix (Barbero et al., arXiv 2504.02732): the embedding at position T/4 is moved by a tenth of its length in
// a random direction, and the stream of each later token moves, relative to its length, by so many times a tenth; mean
// over these tokens and the sequences. Also with position 0 hidden from later queries.
typedef struct tb_sink_mix {
    double response, hidden;
} tb_sink_mix;

// ---- judgements ----

// What a head does with the first token: reads other things (α_0 ≤ ε); or rests there, by how large the value it finds
// is: below 0.2 of the others' it does nothing, above 0.8 it spreads what is there. After Guo et al. (arXiv
// 2410.13835).
typedef enum tb_sink_role {
    TB_SINK_ROLE_READS,
    TB_SINK_ROLE_IDLE,
    TB_SINK_ROLE_MIXED,
    TB_SINK_ROLE_BROADCAST,
    TB_SINK_ROLES
} tb_sink_role;
tb_sink_role tb_sink_role_of(const tb_sink_head *head, const tb_sink_value *value, double epsilon);
const char *tb_sink_role_name(tb_sink_role role); // "reads", "no-op", "mixed", "broadcast"

// A head is dormant where its first-token share is above.
#define TB_SINK_DORMANT 0.9

// Parts of a measurement. Positions need map and massive, which come along. Mixing takes four passes
// more.
enum {
    TB_SINK_WHAT_MAP = 1,
    TB_SINK_WHAT_MASSIVE = 2,
    TB_SINK_WHAT_VALUES = 4,
    TB_SINK_WHAT_TAILS = 8,
    TB_SINK_WHAT_POSITIONS = 16,
    TB_SINK_WHAT_GEOMETRY = 32,
    TB_SINK_WHAT_MIXING = 64
};

typedef struct tb_sink_result {
    size_t blocks, heads, kv_heads, ctx, sequences;
    size_t registers, rows; // in front of the ctx tokens; both together: positions
    bool bos;
    double epsilon;
    tb_sink_map map;
    tb_sink_massive massive;
    tb_sink_value *values; // [blocks][heads]
    tb_sink_tails tails;
    tb_sink_positions positions;
    tb_sink_geometry geometry;
    tb_sink_mix *mixing; // [blocks + 1]: by stage
    tb_arena arena;      // owns all of it
} tb_sink_result;

// Measures a set of TB_SINK_WHAT_… in one pass over the sequences. The result is the same bits for any number of
// threads. TB_EINVAL: the text fills no sequence, there is no BOS, the model is broken (its logits are not finite).
// Clear also after failure.
tb_code tb_sink_measure(tb_sink_result *out, const tb_model *model, unsigned what, const tb_sink_options *options,
                        tb_error *err);
void tb_sink_result_clear(tb_sink_result *result);

// Where a model's sinks are, by their positions: nowhere, where not one head in a hundred has one; at the first token
// only; or at others too, once in two sequences or more often.
typedef enum tb_sink_class { TB_SINK_CLASS_NONE, TB_SINK_CLASS_FIRST, TB_SINK_CLASS_OTHERS } tb_sink_class;
tb_sink_class tb_sink_class_of(const tb_sink_result *result);
const char *tb_sink_class_name(tb_sink_class which);

// ---- heads that read far ----

// A text that ends in the answer to what it asks for: its last `answer` tokens stand at tokens[key …], too.
typedef struct tb_sink_prompt {
    const int32_t *tokens;
    size_t count, key, answer;
} tb_sink_prompt;

// `count` texts of `length` tokens with ten numbers between pieces of text[text_count], of which the end asks for one;
// they lie in `arena`. TB_EINVAL: the text or `length` is too short.
tb_code tb_sink_make_passkeys(tb_sink_prompt *out, tb_arena *arena, const tb_model *model, size_t count, size_t length,
                              const int32_t *text, size_t text_count, uint64_t seed, tb_error *err);

typedef struct tb_sink_reach_options {
    const tb_sink_prompt *prompts; // [prompt_count]
    size_t prompt_count;
    const int32_t *texts; // [text_count][length]: plain ones
    size_t text_count, length;
    const tb_report *report; // or NULL
} tb_sink_reach_options;

// Of a KV head: shares of the attention of the query head that reads farthest.
typedef struct tb_sink_reach {
    double recall; // to the answer in the text, by the queries that write it
    double leak;   // behind the first 64 tokens and in front of the last 256, by the last quarter of plain texts
    double score;  // recall + leak/10
} tb_sink_reach;

// out[blocks][kv_heads]. TB_EINVAL: a prompt's answer is not in it, or the model is broken.
tb_code tb_sink_measure_reach(tb_sink_reach *out, const tb_model *model, const tb_sink_reach_options *options,
                              tb_error *err);

// ---- super weights ----

// A single weight of a down matrix through which massive activations are made (Yu et al., arXiv 2411.07191).
typedef struct tb_super_weight {
    size_t block, row, col; // of TB_LINEAR_DOWN; row: channel of the stream, col: inner channel
    double weight;
    double input, output; // the spikes: activation `col` that goes in, `row` that comes out before it was removed
    size_t position;      // where, in the prompt
    int32_t token;
} tb_super_weight;

// The largest magnitudes of a block's feed-forward part, in the untouched model.
typedef struct tb_super_spike {
    double input, output;
} tb_super_spike;

typedef struct tb_super_options {
    double spike; // what input and output must exceed; 0: TB_SUPER_SPIKE
    size_t most;  // weights; 0: TB_SUPER_MOST
    const tb_report *report;
} tb_super_options;

#define TB_SUPER_SPIKE 50.0
#define TB_SUPER_PROMPT "Apple Inc. is a worldwide tech company." // the paper's
enum { TB_SUPER_MOST = 16 };

typedef struct tb_super_result {
    double spike;
    tb_super_spike *blocks;   // [blocks]
    tb_super_weight *weights; // [count], as they were found
    size_t count;
    bool complete; // no spike is left that a weight explains; else `most` were found first
    size_t block_count;
    tb_arena arena; // owns all of it
} tb_super_result;

// Looks at the prompt's tokens, one pass for each weight: in the first block whose largest input and output of the
// feed-forward part both exceed the threshold at the same token, the weight between them is one; its share is taken out
// of all later passes. TB_EUNSUPPORTED for mixtures of experts, whose routers scale what comes out. Clear also after
// failure.
tb_code tb_sink_find_super(tb_super_result *out, const tb_model *model, const int32_t *tokens, size_t count,
                           const tb_super_options *options, tb_error *err);
void tb_super_result_clear(tb_super_result *result);

// What an expert of a mixture puts out at most, before its share.
typedef struct tb_super_expert {
    size_t block, expert; // as tb_linear counts them
    size_t rows;          // tokens that chose it
    double output;
    size_t channel, position;
    int32_t token;
} tb_super_expert;

typedef struct tb_super_experts {
    tb_super_expert *all;   // [block_count][experts]
    tb_super_expert *found; // [count], largest first
    size_t count, block_count, experts;
    double largest, threshold; // of all outputs; what a super expert's is above
    tb_arena arena;            // owns all of it
} tb_super_experts;

enum { TB_SUPER_EXPERT_TOKENS = 512 }; // of a text, where nothing else is said: an expert has to be chosen to be seen

// Super experts (arXiv 2507.23279), in one pass: those of the first three quarters of the blocks whose largest output
// is above the 99.5 % quantile of all experts' and above a tenth of the largest. TB_EUNSUPPORTED: the model is no
// mixture; TB_EINVAL: the prompt is empty. Clear also after failure.
tb_code tb_sink_find_super_experts(tb_super_experts *out, const tb_model *model, const int32_t *tokens, size_t count,
                                   tb_error *err);
void tb_super_experts_clear(tb_super_experts *result);

// ---- experiments ----

// Scores the logits that predict `target`, beside those of the untouched model: −log q(target) and KL(reference‖q) in
// nats. False: a logit is not finite. Called from all threads. (eval has one; rooms beside each other stay apart.)
typedef bool tb_sink_score_fn(double *nll, double *kl, const float *logits, const float *reference, size_t vocab,
                              int32_t target);

// What is done to a model, and what becomes of it. Massive activations are those of the first token at the stage of
// their emergence, in channels where half of the sequences have one; a row that has nothing to work on did not run.
typedef enum tb_ablation_kind {
    TB_ABLATE_NOTHING,
    TB_ABLATE_BOS,          // C1: the first token is the text's own instead of a BOS, or the other way round
    TB_ABLATE_COLUMN,       // C2: later queries do not see position 0
    TB_ABLATE_VALUE,        // C3: v_0 = 0
    TB_ABLATE_MASSIVE_ZERO, // C4: massive activations become 0
    TB_ABLATE_MASSIVE_MEAN, // C5: … what they are on average
    TB_ABLATE_MEDIAN_ZERO,  // C6: as many activations of median size become 0
    TB_ABLATE_FFN,          // C7: the feed-forward part in front of that stage adds nothing to the first token
    TB_ABLATE_SUPER,        // C8: super weights up to there become 0
    TB_ABLATE_WINDOW,       // C9: a stream of the last T/4 tokens …
    TB_ABLATE_WINDOW_SINKS, // … and the first 4
    TB_ABLATE_OTHER_PROMPT, // C10: keys and values of position 0 come from another text with the same first token
    TB_ABLATE_DORMANT,      // C11: heads with a first-token share above TB_SINK_DORMANT give 0
    TB_ABLATE_RANDOM_HEADS, // … as many others do
    TB_ABLATE_RANDOM_TOKEN, // C12: the first token is a random one
    TB_ABLATE_MOVE,         // at that stage the streams of positions 0 and T/4 change places
    TB_ABLATIONS
} tb_ablation_kind;

const char *tb_ablation_id(tb_ablation_kind kind);   // "C4"
const char *tb_ablation_name(tb_ablation_kind kind); // "massive activations to 0"

typedef struct tb_ablation {
    bool ran;
    size_t objects;               // channels, weights or heads it worked on; 0 where there is no number
    size_t broken;                // predictions whose logits were not finite; they count in neither mean
    double nll, kl;               // nats per prediction
    double ratio;                 // of the perplexities, to the untouched model's
    bool identical;               // all logits are the untouched model's, to the bit
    double largest;               // magnitude in the residual stream of a sequence, mean
    bool has_map;                 // what follows was measured; not for streams
    double sink, anywhere, share; // as in tb_sink_map
    double moved;                 // mean α of position T/4 in the blocks behind the emergence
} tb_ablation;

typedef struct tb_ablation_result {
    size_t ctx, registers, sequences, predictions, emergence; // predictions: of tokens 1 … T − 2 of all sequences
    bool bos;
    double epsilon;
    tb_sink_rule rule;
    tb_ablation rows[TB_ABLATIONS];
} tb_ablation_result;

// One row after the other on the same sequences. Fails as tb_sink_measure does.
tb_code tb_sink_ablate(tb_ablation_result *out, const tb_model *model, const tb_sink_options *options,
                       tb_sink_score_fn *score, tb_error *err);

// ---- trials: changed forms of a model beside it ----

// What trials were made on.
typedef struct tb_sink_protocol {
    size_t ctx, sequences, predictions; // predictions: at positions 1 … T − 2 of all sequences
    bool bos;
} tb_sink_protocol;

// A form of the model.
typedef struct tb_sink_trial {
    size_t broken;           // predictions whose logits were not finite; they count in no mean
    double nll, kl, entropy; // nats per prediction: −log q(target), KL from the untouched model, entropy of q
    double more,
        more_error; // nll that the untouched model does not have, and the standard error over sequences (NaN of one)
} tb_sink_trial;

// The first token's weight in all heads, times γ (ZeroTuning, arXiv 2505.11739).
typedef struct tb_gamma_result {
    tb_sink_protocol protocol;
    const tb_sink_trial *untouched;
    tb_sink_trial *trials; // [count], of the factors
    size_t count;
    size_t least_nll, least_entropy; // which has the least; the latter needs no text to be right
    tb_arena arena;                  // owns them
} tb_gamma_result;

// TB_EINVAL for a factor that is negative or not finite; else fails as tb_sink_measure does. Clear also after failure.
tb_code tb_sink_sweep_gamma(tb_gamma_result *out, const tb_model *model, const double *gammas, size_t count,
                            const tb_sink_options *options, tb_sink_score_fn *score, tb_error *err);
void tb_gamma_result_clear(tb_gamma_result *result);

// Heads that give 0, some share of all, in an order: those whose first-token share is largest (κ) first, those whose
// part of Wo is smallest (by ‖·‖₂ of its numbers), or as they are drawn.
typedef enum tb_prune_order { TB_PRUNE_SINK, TB_PRUNE_NORM, TB_PRUNE_RANDOM, TB_PRUNE_ORDERS } tb_prune_order;
const char *tb_prune_order_name(tb_prune_order order);

enum { TB_PRUNE_DRAWS = 3 }; // of random heads, whose figures are means

typedef struct tb_prune_point {
    size_t heads;
    double least;                          // first-token share of the last of them in the order of sinks
    tb_sink_trial trials[TB_PRUNE_ORDERS]; // of the random heads: means, and more_error is the deviation of the draws
} tb_prune_point;

typedef struct tb_prune_result {
    tb_sink_protocol protocol;
    tb_sink_trial untouched;
    size_t heads, dormant;  // of all blocks; those above TB_SINK_DORMANT
    tb_prune_point *points; // [count]
    size_t count;
    tb_arena arena; // owns them
} tb_prune_result;

// `shares` of all heads, each above 0 and below 1 (TB_EINVAL); at least one head. First-token shares are of the same
// sequences. Fails as tb_sink_measure does. Clear also after failure.
tb_code tb_sink_prune(tb_prune_result *out, const tb_model *model, const double *shares, size_t count,
                      const tb_sink_options *options, tb_sink_score_fn *score, tb_error *err);
void tb_prune_result_clear(tb_prune_result *result);

#endif
