// For the tests: a tb_vocab from the metadata of a GGUF file, and where the shared data lie.
#ifndef VOCAB_GGUF_H
#define VOCAB_GGUF_H

#include "formats/formats.h"
#include "text/text.h"

typedef struct vocab_gguf {
    tb_checkpoint *checkpoint;
    tb_vocab vocab; // borrows from the checkpoint and the arrays below
    tb_slice *tokens, *merges;
    float *scores;
    int32_t *kinds;
} vocab_gguf;

tb_code vocab_gguf_open(vocab_gguf *out, const char *path, tb_error *err);
void vocab_gguf_close(vocab_gguf *file);

// Path of a file below the shared data folder (static storage, one at a time), or NULL when it is
// absent; a line on stdout then says so.
const char *shared_path(const char *name);

#endif
