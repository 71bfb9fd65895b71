// Normalisation of text before it is tokenized.
#ifndef TB_NORMALIZE_H
#define TB_NORMALIZE_H

#include "text/text.h"

// Appends `text` in Unicode's normalization form C. What is not UTF-8 stays as it is.
tb_code tb_nfc_append(tb_str *out, tb_text text, tb_error *err);

// SentencePiece's precompiled table of replacements.
typedef struct tb_charsmap {
    const char *units; // the trie: little-endian 32-bit units, unaligned
    size_t unit_count;
    const char *replacements; // NUL-terminated texts, found by offset
    size_t replacements_size; // the last byte is a NUL
} tb_charsmap;

// Checks the frame of a table; it borrows `bytes`. An empty one replaces nothing.
tb_code tb_charsmap_init(tb_charsmap *map, tb_text bytes, tb_error *err);

// Appends `text` with the longest match at each character replaced.
tb_code tb_charsmap_append(tb_str *out, const tb_charsmap *map, tb_text text, tb_error *err);

#endif
