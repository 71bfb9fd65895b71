// Normalisation of text before it is tokenized.
#ifndef TB_NORMALIZE_H
#define TB_NORMALIZE_H

#include "text/text.h"

// Unicode's normalization forms.
typedef enum tb_form { TB_NFC, TB_NFD, TB_NFKC, TB_NFKD } tb_form;

// Appends `text` in a form. What is not UTF-8 stays as it is.
tb_code tb_form_append(tb_str *out, tb_text text, tb_form form, tb_error *err);

// SentencePiece's precompiled table of replacements.
typedef struct tb_charsmap {
    const char *units; // the trie: little-endian 32-bit units, unaligned
    size_t unit_count;
    const char *replacements; // NUL-terminated texts, found by offset
    size_t replacements_size; // the last byte is a NUL
} tb_charsmap;

// Decodes a table that is written in base64, into the arena.
tb_code tb_charsmap_decode(tb_text *out, tb_arena *arena, tb_text base64, tb_error *err);

// Checks the frame of a table; it borrows `bytes`. An empty one replaces nothing.
tb_code tb_charsmap_init(tb_charsmap *map, tb_text bytes, tb_error *err);

// Appends `text` with the longest match at each character replaced, as SentencePiece does.
tb_code tb_charsmap_append(tb_str *out, const tb_charsmap *map, tb_text text, tb_error *err);

// The same as the library behind tokenizer.json does it: whole characters as readers see them, of up to five bytes, are
// replaced by what stands for their shortest beginning in the table, then single code points.
tb_code tb_charsmap_append_by_grapheme(tb_str *out, const tb_charsmap *map, tb_text text, tb_error *err);

#endif
