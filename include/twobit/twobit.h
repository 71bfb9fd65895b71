// twobit: language models at about two bits per weight.
//
// Two objects: a tb_model holds weights (read-only, shareable by threads), a tb_seq is one
// timeline on it (KV cache, position, logits; one thread at a time). A typical program:
//
//     tb_model *model;  tb_seq *seq;  tb_error err;
//     tb_model_open(&model, "model.gguf", NULL, &err);
//     tb_model_tokenize(model, text, size, TB_TOKENIZE_BOS, &ids, &count, &err);
//     tb_seq_new(&seq, model, NULL, &err);
//     tb_seq_push(seq, ids, count, &err);
//     tb_sampler_pick(&next, sampler, seq, &err);
//
// examples/ has whole ones. Text is a pointer and a length; what comes back as new memory says how it is freed, all
// else is borrowed. Functions of one model may be called by several threads at once, those of one sequence, sampler or
// stream by one at a time. Nothing prints and nothing ends the process.
#ifndef TWOBIT_TWOBIT_H
#define TWOBIT_TWOBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twobit/error.h"
#include "twobit/report.h"
#include "twobit/version.h"

#if defined(__GNUC__)
#define TB_API __attribute__((visibility("default")))
#else
#define TB_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

// The version of the library, e.g. "0.1.0".
TB_API const char *tb_version(void);

// ---- model ----

typedef struct tb_model tb_model;

typedef struct tb_model_options {
    size_t threads;  // 0: all processors
    const char *cpu; // highest kernel level: "scalar", "avx2", "avx512", "vnni"; NULL: native
    // Keys and values of the first tokens, computed in full precision (docs/memory.md): "auto" or NULL for those that
    // the file carries, "none", or a file of their own, which must have been made for this model or its original.
    const char *prefix_kv;
} tb_model_options;

// Opens a GGUF file, a twobit file or a Hugging Face folder. The file is mapped, not read.
// Products use OpenBLAS, which chooses its kernels when the process starts; where it does not know the processor, start
// the process with the environment variable OPENBLAS_CORETYPE (`twobit info -v` shows which kernels the program takes).
// `options` may be NULL. TB_EUNSUPPORTED names what is not known (architecture, type, …).
TB_API tb_code tb_model_open(tb_model **out, const char *path, const tb_model_options *options, tb_error *err);
TB_API void tb_model_close(tb_model *model);

TB_API const char *tb_model_architecture(const tb_model *model); // "llama", "qwen2" …
TB_API size_t tb_model_vocab_size(const tb_model *model);
TB_API size_t tb_model_context_length(const tb_model *model); // tokens it was trained for
TB_API uint64_t tb_model_parameters(const tb_model *model);   // weights, all tensors

// What the file says of itself: its GGUF metadata, also where it is a Hugging Face folder. Keys are borrowed, without a
// NUL.
TB_API size_t tb_model_metadata_count(const tb_model *model);
TB_API void tb_model_metadata_key(const tb_model *model, size_t index, const char **key, size_t *size);
// The value as text: numbers in digits, true or false. *text is new memory with a NUL behind it: free with
// tb_free_text. TB_EINVAL: there is no such key; TB_EUNSUPPORTED: it is a list.
TB_API tb_code tb_model_metadata_text(const tb_model *model, const char *key, char **text, size_t *size, tb_error *err);

// ---- tokens ----

enum {
    TB_TOKENIZE_BOS = 1,     // add the BOS where the model's own settings say so, and the model's prefix
    TB_TOKENIZE_SPECIAL = 2, // recognise control tokens written in the text
};

// Converts text (any bytes) to ids. *ids is new memory: free with tb_free_ids.
TB_API tb_code tb_model_tokenize(const tb_model *model, const char *text, size_t size, unsigned flags, int32_t **ids,
                                 size_t *count, tb_error *err);
TB_API void tb_free_ids(int32_t *ids);

// Converts ids to bytes. *text is new memory with a NUL behind it: free with tb_free_text.
TB_API tb_code tb_model_detokenize(const tb_model *model, const int32_t *ids, size_t count, bool special, char **text,
                                   size_t *size, tb_error *err);
TB_API void tb_free_text(char *text);

// From tokens to text as they come: whole characters, and an end at the first of some stop strings.
typedef struct tb_stream tb_stream;

typedef struct tb_stream_options {
    bool special;             // print control tokens, too
    bool in_text;             // the tokens follow text of the same writer: a blank in front of the first word stays
    const char *const *stops; // [stop_count] texts that end the stream and are not part of it; copied
    size_t stop_count;
} tb_stream_options;

// `options` may be NULL. TB_EUNSUPPORTED: the model has no tokenizer; TB_EINVAL: a stop string is empty. The model must
// outlive the stream.
TB_API tb_code tb_stream_new(tb_stream **out, const tb_model *model, const tb_stream_options *options, tb_error *err);
TB_API void tb_stream_free(tb_stream *stream);

// Takes the next token. *text[*size], with a NUL behind it, is what is certain now; what may become a character or a
// stop string is held back. Borrowed until the stream's next call. Behind a stop string nothing comes.
TB_API tb_code tb_stream_push(tb_stream *stream, int32_t token, const char **text, size_t *size, tb_error *err);

// True after a stop string.
TB_API bool tb_stream_is_over(const tb_stream *stream);

// There are no more tokens: *text[*size] is what was held back, borrowed as above.
TB_API tb_code tb_stream_finish(tb_stream *stream, const char **text, size_t *size, tb_error *err);

// True for a token that ends an answer.
TB_API bool tb_model_is_end(const tb_model *model, int32_t id);

// ---- conversations ----

// The prompt that a conversation becomes by the model's chat template. `json` is an object with "messages", each with a
// "role" and mostly a "content", perhaps "tools" and whatever else the template reads; or just the list of messages.
// `answer`: the prompt ends in the beginning of an answer. *text is new memory: free with tb_free_text.
// TB_EFORMAT: that is no conversation. TB_EINVAL: the model has no template, or the template refuses.
TB_API tb_code tb_model_render_chat(const tb_model *model, const char *json, size_t json_size, bool answer, char **text,
                                    size_t *size, tb_error *err);

// Its tokens, as the model was trained to see them: control tokens are recognised in what the template wrote, not in
// what the conversation says. *ids is new memory: free with tb_free_ids. Also TB_EUNSUPPORTED:
// the model has no tokenizer.
TB_API tb_code tb_model_tokenize_chat(const tb_model *model, const char *json, size_t json_size, bool answer,
                                      int32_t **ids, size_t *count, tb_error *err);

// ---- embeddings ----

// A text as one vector: the mean over its tokens of what the model makes of them, behind its last norm. It is not
// normalised. `mask_first`: no other token sees the first one, which most models spend attention on without need, and
// the mean is without it. out[tb_model_embedding_size]. TB_EINVAL: no token is left, or the model is broken; TB_ELIMIT:
// more tokens than the model was trained for.
TB_API tb_code tb_model_embed(float *out, const tb_model *model, const int32_t *ids, size_t count, bool mask_first,
                              tb_error *err);
TB_API size_t tb_model_embedding_size(const tb_model *model);

// ---- sequence ----

typedef struct tb_seq tb_seq;

typedef enum tb_kv_cache_type { TB_KV_CACHE_F16, TB_KV_CACHE_F32 } tb_kv_cache_type;

// In how many bits keys and values are kept that are no longer new (KIVI). The `residual` newest tokens at least, and
// the first keep_sinks, stay as they are; of the others `group` share a scale for each channel of their keys.
typedef struct tb_kv_bits {
    unsigned keys, values; // 1 to 8, or 16; both 0: all tokens are kept as they are
    size_t group;          // a multiple of 8; of values so many numbers of a token share a scale
    size_t residual;
} tb_kv_bits;

// By what a sequence with a budget chooses the tokens that it keeps between the first keep_sinks and the newest ones,
// which are half of what is left: the weights that they were given so far (H2O), the same with the older ones fading
// (A2SF), or times the size of their values (VATP), or how unlike the other keys their keys are (KEYDIFF). Or what it
// keeps of a prompt once that has ended, by the weights that its last 32 tokens give (SNAPKV), with more for the first
// blocks and less for the last (PYRAMID).
typedef enum tb_eviction {
    TB_EVICT_NOTHING,
    TB_EVICT_H2O,
    TB_EVICT_A2SF,
    TB_EVICT_VATP,
    TB_EVICT_KEYDIFF,
    TB_EVICT_SNAPKV,
    TB_EVICT_PYRAMID,
} tb_eviction;

// What joins the score of the first token in one head.
typedef struct tb_head_bias {
    size_t block, head;
    double bias;
} tb_head_bias;

// Attention taken from tokens behind the first that other tokens spend it on without need (ACT, arXiv 2406.15765): from
// those that were given more than `threshold` of the attention of the queries so far, on average. What is freed goes to
// all other tokens that the query sees, by their weights or to all alike, so that a head's weights sum up to what they
// did. The first two blocks and the last one stay as they are, and those that see only a reach of positions.
typedef struct tb_redistribution {
    double freed; // share that is taken; 0: nothing changes
    double threshold;
    bool alike;
} tb_redistribution;

// Which heads of a model remember everything, and which only the first tokens and the newest (DuoAttention).
typedef struct tb_head_split tb_head_split;

// Opens what twobit sink split wrote of this model or of the one that it was quantized from. `text` is FILE, FILE:SHARE
// or FILE:SHARE:S:W: of the KV heads this share, those that read farthest, remembers everything, the others the first S
// tokens and the last W (64 and 256). By default it is half of them, or a quarter where no query heads share a KV head.
// TB_EINVAL: it was made for another model; TB_EFORMAT: the file is none.
TB_API tb_code tb_head_split_open(tb_head_split **out, const char *text, const tb_model *model, tb_error *err);
TB_API void tb_head_split_close(tb_head_split *split);

typedef struct tb_seq_options {
    size_t context;            // most tokens it will hold; 0: the model's context length, at most 4096
    size_t batch;              // most tokens computed at once; 0: 256
    tb_kv_cache_type kv_cache; // f16 by default; of tokens that are kept as they are
    tb_kv_bits kv_bits;        // of others
    // With kv_bits: tokens with an activation of at least so many times their median, the first 16 in each block, stay
    // as they are, too (KVSink). 0: none do.
    double apart_ratio;
    // A stream (StreamingLLM), where `window` is not 0: a sequence without end in memory that does not grow. Each token
    // sees the first `keep_sinks` of the text and the last `window`, its own included; all others are forgotten.
    size_t keep_sinks, window;
    // Joins the scores of the first token in every head (ZeroTuning): ln γ multiplies its weight by γ before weights
    // are made to sum to 1. 0: nothing does.
    double sink_bias;
    // The same for single heads, besides. Borrowed for as long as the sequence, or one forked from it, lives.
    const tb_head_bias *head_biases; // [head_bias_count]
    size_t head_bias_count;
    // A sequence that redistributes keeps all tokens and reads all keys; when it goes back it forgets everything.
    tb_redistribution redistribution;
    // Each head of a block keeps at most `budget` tokens, keep_sinks < budget; others are forgotten one by one. They
    // keep their positions, so that the context stays what it is; a sequence that goes back forgets everything.
    // SNAPKV and PYRAMID keep so many of a prompt (tb_seq_set_prompt), keep_sinks + 32 ≤ budget, and all that follows.
    tb_eviction eviction;
    size_t budget;
    // Which heads remember everything; NULL: all. Borrowed, also by forks. Goes with nothing else that forgets tokens.
    const tb_head_split *head_split;
    // Keys are not read that are known to get together at most this share of a head's attention. 0: all are read.
    double skip_mass;
} tb_seq_options;

// Sets kv_cache and kv_bits from a text: "f16", "f32", "q8" (keys and values of 8 bits), "k2v4" (of 2 and 4), with
// ":g64" and ":r128" behind the last two for group and residual (these are the defaults). TB_EINVAL says what is wrong.
TB_API tb_code tb_seq_options_set_kv(tb_seq_options *options, const char *text, tb_error *err);

// Sets `redistribution` from a text: 1 − freed, with ":alike" and ":t0.2", the threshold, behind it where they are
// wanted (the threshold is 0.1 by default): "0.4", "0:alike", "0.4:alike:t0.05". TB_EINVAL says what is wrong.
TB_API tb_code tb_seq_options_set_redistribution(tb_seq_options *options, const char *text, tb_error *err);

// Sets eviction and budget from a text, "h2o:512". TB_EINVAL says what is wrong.
TB_API tb_code tb_seq_options_set_eviction(tb_seq_options *options, const char *text, tb_error *err);

// All memory the sequence will ever need is allocated here. The model must outlive it.
// A stream has keep_sinks ≤ window, and `context` 0; its keep_sinks + window tokens are at most those the model was
// trained for (TB_ELIMIT), and the model's RoPE is the same at every length (TB_EUNSUPPORTED).
TB_API tb_code tb_seq_new(tb_seq **out, const tb_model *model, const tb_seq_options *options, tb_error *err);
TB_API void tb_seq_free(tb_seq *seq);

// Appends `n` tokens and computes the logits that follow the last of them. TB_ELIMIT if the
// context would overflow, TB_EINVAL for an id outside the vocabulary; the sequence is then
// unchanged. One thread at a time per sequence; sequences of one model may run in parallel.
TB_API tb_code tb_seq_push(tb_seq *seq, const int32_t *tokens, size_t n, tb_error *err);

// The same, with the logits after every token: out[n][vocab].
TB_API tb_code tb_seq_push_all(tb_seq *seq, const int32_t *tokens, size_t n, float *out, tb_error *err);

// The first `length` tokens are a prompt, and are still to be pushed: with SNAPKV or PYRAMID, what is not kept of them
// is forgotten behind the last one. Holds until it is called again, as in a conversation for each turn: what was kept
// of the last prompt, the answer and the next message are the next one. Without such a budget nothing happens.
TB_API void tb_seq_set_prompt(tb_seq *seq, size_t length);

// Logits [vocab] after the last token; NULL before any. Borrowed until the next push.
TB_API const float *tb_seq_logits(const tb_seq *seq);

// What the logits say of a token: log of its probability, in nats. NaN before any logits, or for no token of the
// vocabulary.
TB_API double tb_seq_log_probability(const tb_seq *seq, int32_t token);

typedef struct tb_choice {
    int32_t token;
    double log_probability;
} tb_choice;

// The likeliest next tokens, in order, equal ones by id: fills best[most], returns how many, 0 before any logits.
TB_API size_t tb_seq_best(tb_choice *best, size_t most, const tb_seq *seq);

TB_API size_t tb_seq_length(const tb_seq *seq);
TB_API size_t tb_seq_kv_bytes(const tb_seq *seq); // of keys and values, all that there will ever be
TB_API size_t tb_seq_context(const tb_seq *seq);  // most tokens; of a stream INT32_MAX
// How many tokens have fallen out of a stream: length − (keep_sinks + window), where that is more than 0.
TB_API size_t tb_seq_dropped(const tb_seq *seq);
// The share of keys that may be skipped, all but the first and the newest, and were; 0 without skip_mass.
TB_API double tb_seq_skipped(const tb_seq *seq);
TB_API const int32_t *tb_seq_tokens(const tb_seq *seq); // [length − dropped]: the last of them, borrowed

// A second sequence that stands where `seq` does, logits included, with memory of its own: what is pushed to one is not
// seen by the other.
TB_API tb_code tb_seq_fork(tb_seq **out, const tb_seq *seq, tb_error *err);

// Forgets all tokens from position `length` on. The logits are gone with them. Returns how many are left: `length`, or
// 0 where a stream has dropped what the next token would see, so that the text must be pushed again. (It can go back by
// its batch at least.)
TB_API size_t tb_seq_truncate(tb_seq *seq, size_t length);

// The same for all that is not a beginning of ids[count], count > 0, and for the last of them, whose logits are wanted:
// pushing ids + the result makes the sequence hold exactly `ids`, and computes only what is new.
TB_API size_t tb_seq_reuse(tb_seq *seq, const int32_t *ids, size_t count);

// ---- sampling ----

// The chain, in this order: penalties, temperature 0 → greedy; else top-k, typical-p, top-p,
// min-p, temperature, then a seeded draw. A zeroed option switches its step off.
typedef struct tb_sampler_options {
    double temperature; // 0: greedy
    size_t top_k;
    double top_p; // 0 or 1: off
    double min_p;
    double typical_p;      // 0 or 1: off
    double repeat_penalty; // 0 or 1: off
    double presence_penalty;
    double frequency_penalty;
    size_t penalty_window;   // how many of the last tokens the penalties look at; 0: 64
    const int32_t *bias_ids; // logit bias: [bias_count] ids and what is added to their logits
    const float *bias_values;
    size_t bias_count;
    bool no_end; // tokens that end a text are never picked
    uint64_t seed;
} tb_sampler_options;

typedef struct tb_sampler tb_sampler;

TB_API tb_code tb_sampler_new(tb_sampler **out, const tb_model *model, const tb_sampler_options *options,
                              tb_error *err);
TB_API void tb_sampler_free(tb_sampler *sampler);

// Picks the next token from the sequence's logits; does not push it. TB_EINVAL when there are
// none, or when the logits are not finite (a broken model).
TB_API tb_code tb_sampler_pick(int32_t *token, tb_sampler *sampler, const tb_seq *seq, tb_error *err);

// ---- quantization ----

typedef struct tb_quantize_options {
    const char *calibration; // a text file; NULL: the text that comes with twobit
    size_t threads;          // 0: all processors. The result does not depend on it
    const char *cpu;         // as for tb_model_open
    uint64_t seed;           // of the rules that draw, where the recipe has none
    const tb_report *report; // progress, notes, and whether to stop; may be NULL
} tb_quantize_options;

// Writes the model `input` in fewer bits to the file `output`. `recipe` is a line as `twobit compare` takes it: "bpdq",
// "gptq:3", "bpdq:2:192+head=6", "bpdq+ppl=2.5" (docs/cli/compare.md). `options` may be NULL. Stopped or killed, the
// same call goes on where it was. TB_EINVAL names what is wrong with the recipe; TB_ECANCELLED: the report asked to
// stop.
TB_API tb_code tb_quantize(const char *input, const char *output, const char *recipe,
                           const tb_quantize_options *options, tb_error *err);

#ifdef __cplusplus
}
#endif

#endif
