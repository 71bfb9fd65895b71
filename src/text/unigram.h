// SentencePiece unigram: the segmentation of a text with the greatest sum of scores.
#ifndef TB_UNIGRAM_H
#define TB_UNIGRAM_H

#include "text/tokenizer.h"

// The best way to each place of a text; storage that is used again. A zeroed one is valid.
typedef struct tb_lattice {
    struct tb_lattice_node *nodes;
    size_t capacity;
} tb_lattice;

void tb_lattice_clear(tb_lattice *lattice);

// Appends the tokens of a text in which spaces are already marks.
tb_code tb_unigram_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_lattice *lattice, tb_error *err);

#endif
