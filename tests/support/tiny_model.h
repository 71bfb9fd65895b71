// A Llama model with random weights, small enough for tests: a GGUF file with a SentencePiece
// vocabulary of bytes and a few words. It knows nothing, but it is complete.
#ifndef TB_TESTS_TINY_MODEL_H
#define TB_TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twobit/error.h"

typedef struct tiny_model {
    uint64_t blocks, width, ffn_width, heads, kv_heads, context;
    uint64_t seed;
    bool tied;            // no output.weight of its own
    bool loud;            // every sixteenth weight of a norm is 8 instead of 1
    bool nan;             // one weight of the last block is NaN
    bool without_weights; // vocabulary and metadata only
    bool chat_template;   // with one that knows no tools
} tiny_model;

// Two blocks of width 64: quantizes in milliseconds.
extern const tiny_model tiny_model_default;

// Tokens in its vocabulary: <unk>, <s>, </s>, the 256 bytes, then words.
size_t tiny_model_vocab_size(void);

tb_code tiny_model_write(const char *path, const tiny_model *model, tb_error *err);

#endif
