// The texts of a training, cut and turned into tokens.
#ifndef TB_CLI_TRAIN_TEXT_H
#define TB_CLI_TRAIN_TEXT_H

#include "base/base.h"

// Separates documents in a text, and begins and ends them for the model.
#define TB_TRAIN_END "<|endoftext|>"

typedef struct tb_train_text {
    tb_str text;       // of all files
    size_t held_bytes; // at its end, held out
    tb_str tokenizer;  // a whole tokenizer.json, learned from the rest
    size_t vocab;
    int32_t *ids, *held;
    size_t count, held_count;
    int32_t end; // the token
} tb_train_text;

// Reads the files, holds the last `share` out (from a document's begin on, or a line's), learns a vocabulary of up to
// `vocab` tokens that puts the end token in front of texts where `bos` says so, and encodes.
tb_code tb_train_text_read(tb_train_text *out, const char *const *paths, size_t count, double share, size_t vocab,
                           bool bos, tb_error *err);
// Accepts a zeroed text.
void tb_train_text_clear(tb_train_text *text);

#endif
