// For tests: random models of twobit's own architecture, with any of the variants of attention, as the trainer has them
// and as files.
#ifndef TB_TEST_VARIANT_MODEL_H
#define TB_TEST_VARIANT_MODEL_H

#include "train/train.h"

// Two blocks of width 32, four heads that share two key heads, softmax and none of the others.
extern const tb_lm_shape variant_plain;

// A model in double precision whose numbers floats hold.
tb_lm *variant_new(const tb_lm_shape *shape, uint64_t seed);

// As a GGUF file, and as a folder.
void variant_write_gguf(const char *path, tb_lm *lm);
void variant_write_folder(const char *name, tb_lm *lm);

// A line that says what it is.
const char *variant_text(const tb_lm_shape *shape);

#endif
