// Continuing a text token by token: what `run` streams and `compare` shows.
#ifndef TB_CLI_GENERATE_H
#define TB_CLI_GENERATE_H

#include "base/base.h"
#include "twobit/twobit.h"

typedef enum tb_generate_end {
    TB_GENERATE_COUNT,   // as many tokens as were asked for
    TB_GENERATE_TOKEN,   // the model ended its text
    TB_GENERATE_CONTEXT, // the context is full
    TB_GENERATE_TAKER,   // whoever takes the text wanted no more
} tb_generate_end;

typedef struct tb_generate_options {
    unsigned tokenize; // flags of tb_model_tokenize
    size_t most;       // tokens to generate
    bool echo;         // hand on the prompt, too, before its continuation
    tb_sampler_options sampler;
    const tb_report *report; // may be NULL
    // Takes whole characters as they come (any bytes where the model makes them); false: no more.
    bool (*take)(void *user, const char *text, size_t size);
    void *user;
} tb_generate_options;

typedef struct tb_generate_stats {
    size_t prompt_tokens, tokens;
    double prompt_seconds, seconds; // seconds: of the continuation
    tb_generate_end end;
} tb_generate_stats;

// Pushes `prompt` and hands its continuation to options->take. TB_EINVAL for an empty prompt where
// the model has no BOS, TB_ELIMIT for one that fills the context, TB_ECANCELLED after Ctrl-C.
tb_code tb_generate(tb_generate_stats *stats, const tb_model *model, const char *prompt, size_t prompt_size,
                    const tb_generate_options *options, tb_error *err);

#endif
