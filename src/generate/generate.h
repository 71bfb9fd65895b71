// generate: from a model to text. Sampling (tb_sampler_… of twobit.h) and its options, stop strings, conversations and
// the prompts that templates make of them, and here: continuing a text token by token. Knows no command and no file;
// `run`, `chat` and `compare` stand on it.
#ifndef TB_GENERATE_H
#define TB_GENERATE_H

#include "generate/conversation.h"
#include "generate/prompt_template.h"
#include "generate/sampling.h"
#include "generate/stop.h"
#include "model/model.h"

typedef enum tb_generate_end {
    TB_GENERATE_COUNT,     // as many tokens as were asked for
    TB_GENERATE_TOKEN,     // the model ended its text
    TB_GENERATE_STOP,      // a stop string came
    TB_GENERATE_CONTEXT,   // the context is full
    TB_GENERATE_TAKER,     // whoever takes the text wanted no more
    TB_GENERATE_INTERRUPT, // the report said so
} tb_generate_end;

// What the pass looked like that a token was chosen from: that of the token in front of it.
typedef struct tb_sink_sight {
    size_t position;    // tokens in front of the chosen one
    int32_t token;      // that was chosen
    double probability; // that the model gave it, before sampling options had their say
    // Means over all heads: of the attention that went to position 0, or to the first tokens where the memory keeps
    // some of them for ever (keep_sinks); and of −Σ a ln a, in nats.
    double mass, entropy;
    double largest; // magnitude in the token's residual stream, at any depth
} tb_sink_sight;

typedef struct tb_generate_options {
    unsigned tokenize;     // flags of tb_model_tokenize
    size_t most;           // tokens to generate
    bool echo;             // hand on the prompt, too, before its continuation
    tb_seq_options memory; // how the sequence remembers; its context is made to fit
    tb_sampler_options sampler;
    const char *const *stops; // [stop_count] texts that end the continuation; see generate/stop.h
    size_t stop_count;
    const tb_report *report; // progress through the prompt, and whether to stop; may be NULL
    // Takes whole characters as they come (any bytes where the model makes them); false: no more.
    bool (*take)(void *user, const char *text, size_t size);
    // Sees every token that was chosen, also the one that ends the text, before its text is taken; may be NULL. Its
    // failure is that of the whole. Of tb_generate only.
    tb_code (*watch)(void *user, const tb_sink_sight *sight, tb_error *err);
    void *user;
} tb_generate_options;

typedef struct tb_generate_stats {
    size_t prompt_tokens, tokens;
    size_t kv_bytes;                // of the sequence's keys and values
    size_t length, dropped;         // tokens of the sequence, and those that fell out of its stream
    double skipped;                 // tb_seq_skipped
    double prompt_seconds, seconds; // seconds: of the continuation
    tb_generate_end end;
} tb_generate_stats;

// Pushes `prompt` and hands its continuation to options->take. TB_EINVAL for an empty prompt where
// the model has no BOS, TB_ELIMIT for one that fills the context, TB_ECANCELLED where the report asked to stop.
tb_code tb_generate(tb_generate_stats *stats, const tb_model *model, const char *prompt, size_t prompt_size,
                    const tb_generate_options *options, tb_error *err);

// ---- its two halves, for a sequence that goes on living ----

// Pushes the ids of a prompt behind what the sequence holds, and reports in between. TB_ECANCELLED where the
// report asks to stop; what was pushed stays.
tb_code tb_generate_push(tb_generate_stats *stats, tb_seq *seq, const int32_t *ids, size_t count,
                         const tb_report *report, tb_error *err);

// Continues the sequence, which must have logits. Of the options, `tokenize`, `echo` and `sampler` are
// not looked at. `in_text`: the continuation follows text of the same writer, so that a blank in front of
// its first word is not dropped. The last token is not pushed: nothing follows it.
tb_code tb_generate_continue(tb_generate_stats *stats, tb_seq *seq, tb_sampler *sampler, bool in_text,
                             const tb_generate_options *options, tb_error *err);

#endif
