// model: from a checkpoint to logits. Configuration, weight binding, the one forward pass,
// KV cache; probes watch the pass. The public face is twobit/twobit.h; this header
// is for the modules above: quantization, evaluation, sinks.
#ifndef TB_MODEL_H
#define TB_MODEL_H

#include "formats/formats.h"
#include "tensor/tensor.h"
#include "text/text.h"
#include "twobit/twobit.h"

// ---- structure ----

// What a matrix of a block does.
typedef enum tb_linear_kind {
    TB_LINEAR_Q,
    TB_LINEAR_K,
    TB_LINEAR_V,
    TB_LINEAR_O,
    TB_LINEAR_GATE,
    TB_LINEAR_UP,
    TB_LINEAR_DOWN,
    TB_LINEAR_ATTENTION_GATE // what the output of attention, or its values, are multiplied by
} tb_linear_kind;

// The inputs that linears share: q, k, v and attention's gate read one; gate and up another.
typedef enum tb_linear_input {
    TB_INPUT_ATTENTION,
    TB_INPUT_OUTPUT,
    TB_INPUT_FFN,
    TB_INPUT_DOWN,
    TB_LINEAR_INPUTS
} tb_linear_input;

// A matrix of a block, as the checkpoint stores it. Everything is borrowed from the model.
typedef struct tb_linear {
    tb_linear_kind kind;
    size_t expert; // which of several of its kind; 0 where there is one. The shared expert stands behind the others
    tb_linear_input input;
    bool has_gate;    // attention's gate is in it: alone, or between the queries
    const char *stem; // its name within the block: "attn_q", "ffn_up.7"
    const char *name; // of its tensor: "blk.0.attn_q.weight"
    tb_matrix matrix;
    const float *bias; // [rows], or NULL
} tb_linear;

// The matrices of a block, in the order in which they are used. How many and which is the model's affair: whoever
// works on all of them walks the list.
typedef struct tb_linears {
    const tb_linear *at; // [count]
    size_t count;
    size_t first; // how many there are in the blocks before
} tb_linears;

// The index of a matrix in the list; count when there is none.
size_t tb_linears_find(tb_linears linears, tb_linear_kind kind, size_t expert);

typedef struct tb_config {
    size_t blocks, width, ffn_width, heads, kv_heads, head_size, vocab, context;
    size_t value_size;                 // numbers of a value; head_size where the family does not say otherwise
    size_t experts, experts_used;      // of a mixture, and how many of them a token goes through; 0: there is none
    size_t expert_width, shared_width; // of an expert, and of the one that all tokens go through (0: there is none)
    size_t sink_keys;                  // of every key head, that stand at no position and that every query sees
    size_t registers;                  // rows in front of every sequence that are no tokens, at positions 0, 1, …
    double norm_eps;
} tb_config;

const tb_config *tb_model_config(const tb_model *model);
const tb_checkpoint *tb_model_checkpoint(const tb_model *model);
const tb_tokenizer *tb_model_tokenizer(const tb_model *model); // NULL when the file has none
const tb_compute *tb_model_compute(const tb_model *model);
// The chat template's text; empty when the model has none.
tb_text tb_model_chat_template(const tb_model *model);

tb_linears tb_model_linears(const tb_model *model, size_t block);
// Of all blocks together.
size_t tb_model_linear_count(const tb_model *model);
// The matrix of a kind that the block has. Borrowed.
const tb_linear *tb_model_linear(const tb_model *model, size_t block, tb_linear_kind kind);
// The RMSNorm [width] in front of TB_INPUT_ATTENTION or TB_INPUT_FFN; NULL for the other inputs.
const float *tb_model_norm(const tb_model *model, size_t block, tb_linear_input input);
// Whether what scales an input of linears can be divided out of what precedes it, a norm or other linears.
bool tb_model_can_fold(const tb_model *model);
// How a block turns queries and keys (RoPE) in a sequence of `length` tokens: pair i of a head at position p by the
// angle p·frequencies[i], the fastest first; frequencies[head_size/2]. Returns the pairs, 0 where nothing is turned.
// `halves`: number i of a head is paired with i + pairs; else 2i with 2i + 1. The numbers behind the pairs stay.
size_t tb_model_get_turns(double *frequencies, bool *halves, const tb_model *model, size_t block, size_t length);
// Token embedding, and the output head (the same matrix where they are tied).
const tb_matrix *tb_model_embedding(const tb_model *model);
const tb_matrix *tb_model_head(const tb_model *model);
bool tb_model_head_is_tied(const tb_model *model);

// Bits per weight really stored: all bytes of the block linears / their weights.
double tb_model_linear_bits(const tb_model *model);

// ---- tokenizers of checkpoints ----

// The tokenizer a checkpoint brings, in metadata or as a folder's files; *out is NULL when it brings
// none. A checkpoint with nothing but a vocabulary suffices.
tb_code tb_model_load_tokenizer(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err);

// The special tokens that chat templates know: "bos_token", "eos_token", … by index; NULL behind the last.
const char *tb_special_name(size_t index);
// Appends the text of that token; nothing where the checkpoint has none. Needs no tokenizer.
tb_code tb_model_special_text(tb_str *out, const tb_checkpoint *checkpoint, size_t index, tb_error *err);

// Writes a checkpoint's tokenizer and chat template as metadata, from whichever container. These
// are exactly the keys of which tb_is_tokenizer_key is true: whoever copies the rest skips those.
tb_code tb_model_write_tokenizer(tb_gguf_writer *w, const tb_checkpoint *checkpoint, tb_error *err);
bool tb_is_tokenizer_key(tb_text key);

// ---- prefixes ----

// Keys and values of the tokens that texts begin with (model/prefix.h). Where a sequence or a window begins with these
// tokens, it has these keys and values in the place of computed ones.
typedef struct tb_prefix {
    size_t count;                  // tokens; 0: there is no prefix
    const int32_t *tokens;         // [count]
    const uint16_t *keys, *values; // [blocks][kv_heads][count][head_size], halves
    char source[65];               // fingerprint of the checkpoint that made them
} tb_prefix;

// That of the model. Borrowed.
const tb_prefix *tb_model_prefix(const tb_model *model);

// Computes the prefix of some tokens; it lies in `arena`. TB_EINVAL: none, too many, or the model is broken.
tb_code tb_prefix_make(tb_prefix *out, tb_arena *arena, const tb_model *model, const int32_t *tokens, size_t count,
                       tb_error *err);

// TB_EUNSUPPORTED where the model takes no prefix.
tb_code tb_model_check_prefix(const tb_model *model, tb_error *err);

// The BOS; where the tokenizer has none, the token that ends texts and so stands between them. −1: there is neither, or
// no tokenizer.
int32_t tb_model_begin_token(const tb_model *model);

// The same of a text behind that token. Also TB_EUNSUPPORTED: there is none.
tb_code tb_prefix_make_of_text(tb_prefix *out, tb_arena *arena, const tb_model *model, tb_text text, bool special,
                               tb_error *err);

// A file of its own.
tb_code tb_prefix_save(const tb_prefix *prefix, const tb_model *model, const char *path, tb_error *err);

// As part of a file: keys and tensors, and later the tensors' bytes.
tb_code tb_prefix_declare(tb_gguf_writer *w, const tb_prefix *prefix, const tb_model *model, tb_error *err);
tb_code tb_prefix_write(tb_gguf_writer *w, const tb_prefix *prefix, const tb_model *model, tb_error *err);

// 64 digits that stand for all of it.
tb_code tb_prefix_hash(char out[65], const tb_prefix *prefix, const tb_model *model, tb_error *err);

// The names that it takes in a file.
bool tb_prefix_has_tensor(const char *name);
bool tb_prefix_has_key(tb_text key);

// How many of ids[count] are the prefix's first ones.
size_t tb_prefix_match(const tb_prefix *prefix, const int32_t *ids, size_t count);

// Has a text begin with the model's prefix, where it has one; a BOS that stands there already is the prefix's own,
// where that has one at its begin or elsewhere.
tb_code tb_model_begin_text(tb_ids *ids, const tb_model *model, tb_error *err);

// What texts of the model begin with, the prefix or else the BOS that its settings ask for, takes the place of the
// first tokens of a window; returns how many.
size_t tb_model_begin_window(int32_t *ids, size_t count, const tb_model *model);

// ---- the first token's weight ----

// What multiplies its weight by γ ≥ 0, before weights are made to sum to 1, when it joins its score: ln γ, of 0 a
// number so low that nothing is left of the weight but for the first token itself, which sees no other.
double tb_sink_bias_of(double gamma);
#define TB_MOST_GAMMA 1e6 // that is taken from outside

// Reads the factors of heads from a text, which `name` names in messages: lines of a block, a head and its γ; "#"
// begins a comment. Free *out [*count] with tb_free; NULL after failure. TB_EFORMAT says what is wrong.
tb_code tb_head_gammas_parse(tb_head_bias **out, size_t *count, tb_text text, const char *name, tb_error *err);

// ---- probes ----

// What a call of a probe belongs to.
typedef struct tb_probe_place {
    size_t block;  // SIZE_MAX: the embeddings, in front of all blocks
    size_t span;   // which sequence of the batch; 0 where there is one
    size_t expert; // whose linears read the input, as tb_linear has it; 0 where there is one
    size_t worker; // the thread that calls, below the model's number of threads
} tb_probe_place;

// Rows of one span, as they lie in the workspace.
typedef struct tb_probe_rows {
    const float *x; // [rows] rows of `stride` floats, `cols` used; padding behind them is zero
    size_t stride, rows, cols;
    const int32_t *positions; // [rows]
} tb_probe_rows;

// Attention weights of consecutive keys.
typedef struct tb_attention_piece {
    const float *weights; // [count]
    size_t count;
    const int32_t *positions; // [count] of the keys, ascending; NULL: first, first + 1, …
    size_t first;
} tb_attention_piece;

static inline size_t tb_attention_piece_position(const tb_attention_piece *piece, size_t key)
{
    return piece->positions ? (size_t)piece->positions[key] : piece->first + key;
}

// What a block computes and an experiment may change before it is used.
typedef enum tb_edit_stage {
    TB_EDIT_KEY,       // heads one behind the other, normed and turned, about to go into the sequence's memory
    TB_EDIT_VALUE,     // the same, neither normed nor turned; head_size numbers of each
    TB_EDIT_QUERY,     // heads as attention takes them: normed and turned
    TB_EDIT_ATTENDED,  // what the heads have read, in front of Wo: value_size numbers of each
    TB_EDIT_ATTENTION, // what the attention part is about to add to the stream, in front of a norm of its own
    TB_EDIT_FFN,       // the same of the feed-forward part
    TB_EDIT_EXPERT,    // what an expert of a mixture makes of the rows that chose it, before their shares of it
    TB_EDIT_RESIDUAL,  // the stream of the embeddings, and behind each block
} tb_edit_stage;

// Rows of one span, as they lie in the workspace; padding behind `cols` stays zero.
typedef struct tb_edit_rows {
    float *x; // [rows] rows of `stride` floats
    size_t stride, rows, cols;
    const int32_t *positions; // [rows]
} tb_edit_rows;

// Callbacks on the forward pass; unused ones are NULL. What they are shown is the pass's own memory, borrowed for the
// call. Blocks and stages come in order, within a stage the spans.
typedef struct tb_probe {
    // An input of linears. Called by worker 0 while no loop runs: it may run its own. In a mixture of experts the
    // inputs TB_INPUT_FFN and TB_INPUT_DOWN come once for each expert that a row chose, with the rows that chose it.
    void (*linear_input)(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows);
    // The same rows before, which it may change: linear_input is shown, and linears read, what it left. A router and
    // the head read rows of their own.
    void (*edit_input)(void *user, const tb_probe_place *at, tb_linear_input input, const tb_edit_rows *rows);
    // Attention weights of one head for the query at `position`, over the keys it sees, in `count` pieces. What is
    // missing of 1 went to a sink. Calls for different rows and heads come side by side, from all workers.
    void (*attention_row)(void *user, const tb_probe_place *at, size_t head, size_t position,
                          const tb_attention_piece *pieces, size_t count);
    // The residual stream, of the embeddings and behind each block. Called as linear_input is.
    void (*residual)(void *user, const tb_probe_place *at, const tb_probe_rows *rows);
    // Rows that it may change, or only look at. What comes later, the other callbacks too, sees what it left. Called as
    // linear_input is.
    void (*edit)(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows);
    // Positions below are hidden from queries at this one and later, as if their keys were masked; 0: none is.
    size_t hidden;
    void *user;
} tb_probe;

const tb_model *tb_seq_model(const tb_seq *seq);

// Watches every later push of the sequence; NULL stops. The probe is borrowed.
void tb_seq_set_probe(tb_seq *seq, const tb_probe *probe);

// The fingerprint of the model that this one was quantized from, or its own.
tb_code tb_model_origin(char out[65], const tb_model *model, tb_error *err);

// ---- heads that read far ----

// How far the KV heads of a model read: the higher, the farther (twobit sink split).
typedef struct tb_head_scores {
    size_t blocks, kv_heads;
    double *scores;  // [blocks][kv_heads]; free with tb_free
    char source[65]; // the origin of their model
} tb_head_scores;

// Reads the text of a file that tb_head_scores_write wrote; `path` names it in messages. TB_EFORMAT: it is none.
tb_code tb_head_scores_parse(tb_head_scores *out, tb_text text, const char *path, tb_error *err);
tb_code tb_head_scores_write(const tb_head_scores *scores, const char *path, tb_error *err);
void tb_head_scores_clear(tb_head_scores *scores);

// The share of the heads with the highest scores remembers everything, of equal ones the earlier; heads of near blocks,
// which see what they always see, do not count. TB_EINVAL: the scores are of another shape, the share is none, or the
// window is empty.
tb_code tb_head_split_new(tb_head_split **out, const tb_model *model, const tb_head_scores *scores, double share,
                          size_t sinks, size_t window, tb_error *err);

// ---- block by block, for quantization and layer-wise diagnostics ----

// Hidden states of many equal windows: x[windows·length][stride], stride = tb_padded(width),
// padding zero, aligned. The first rows of a window are the model's registers, if it has some.
typedef struct tb_states {
    float *x;
    size_t windows, length, stride;
    const tb_seq_options *memory; // how windows remember, set behind tb_states_init; NULL: every row, as floats
    size_t prompt;                // first tokens of a window that are a prompt (tb_seq_set_prompt); set likewise
    size_t registers;             // of the `length` rows
    size_t *prefixed;             // [windows]: first tokens that are those of the model's prefix; NULL: it has none
} tb_states;

// Embeds windows·length tokens (with the model's embedding scale), and the registers in front of each window.
tb_code tb_states_init(tb_states *states, const tb_model *model, const int32_t *tokens, size_t windows, size_t length,
                       tb_error *err);
void tb_states_clear(tb_states *states);

// What a block runs with instead of its own weights; where NULL, it keeps its own.
typedef struct tb_linear_override {
    const tb_matrix *matrix;
    const float *bias; // [rows]
} tb_linear_override;

typedef struct tb_block_override {
    tb_linear_override *linears;          // parallel to tb_model_linears of the block
    const float *norms[TB_LINEAR_INPUTS]; // [width], as tb_model_norm has them
} tb_block_override;

// The kernel level that the states of windows of `length` tokens depend on, in their last bits.
const char *tb_states_level(const tb_model *model, size_t length);

// Runs one block over all windows in place: each window is a sequence of its own from position
// 0. `override` may be NULL. The probe (may be NULL) sees linear inputs of this block, window by window, in pieces of
// at most 512 tokens.
// It is the same code that tb_seq_push runs.
tb_code tb_states_run_block(tb_states *states, const tb_model *model, size_t block, const tb_block_override *override,
                            const tb_probe *probe, tb_error *err);

// Final norm and head for `n` rows of hidden states: logits[n][vocab].
tb_code tb_states_logits(float *logits, const tb_model *model, const float *x, size_t stride, size_t n, tb_error *err);

#endif
