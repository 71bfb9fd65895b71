// A model whose heads do what they were made for: it goes on as the text went on where its last token stood before.
#ifndef TB_TESTS_PLANTED_MODEL_H
#define TB_TESTS_PLANTED_MODEL_H

#include <stddef.h>

#include "twobit/error.h"

enum {
    PLANTED_VOCAB = 64,
    PLANTED_BLOCKS = 2,
    PLANTED_HEADS = 2,     // each with keys of its own
    PLANTED_PREVIOUS = 0,  // the head of block 0 that reads the token before
    PLANTED_INDUCTION = 0, // the head of block 1 that reads behind the last place where the query's token stood
    PLANTED_EVEN = 1,      // the other head of either block reads all alike, and adds nothing
};

// A Llama GGUF file without a vocabulary's texts.
tb_code planted_model_write(const char *path, tb_error *err);

#endif
