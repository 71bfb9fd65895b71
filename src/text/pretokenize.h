// Pre-tokenizers of byte-level BPE: patterns that cut a text into the pieces inside which
// merges happen.
#ifndef TB_PRETOKENIZE_H
#define TB_PRETOKENIZE_H

#include "text/text.h"

// Patterns that tokenizer.json has as components with names of their own.
#define TB_PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define TB_PATTERN_DIGIT "\\p{N}"
#define TB_PATTERN_DIGITS "\\p{N}+"
#define TB_PATTERN_PUNCTUATION "[\\p{P}$+<=>^~|`]" // ASCII's and Unicode's
#define TB_PATTERN_PUNCTUATIONS "[\\p{P}$+<=>^~|`]+"

// Compiled patterns: immutable, shareable.
typedef struct tb_pretokenizer tb_pretokenizer;

// `pre` as in tb_vocab. TB_EUNSUPPORTED names an unknown one, TB_EFORMAT a pattern that does
// not compile.
tb_code tb_pretokenizer_new(tb_pretokenizer **out, tb_text pre, tb_error *err);
void tb_pretokenizer_free(tb_pretokenizer *pretokenizer);

// What a known name implies beside its patterns.
typedef struct tb_pre_traits {
    bool ignore_merges; // tb_vocab.ignore_merges
    bool add_bos;       // tb_vocab.add_bos, where a file does not say it
} tb_pre_traits;
tb_pre_traits tb_pre_traits_of(tb_text pre);

// The first known name with exactly these patterns and this trait, or NULL.
const char *tb_pre_name_of(const tb_text *patterns, size_t count, bool ignore_merges);

// The state of one call that cuts texts; one thread at a time.
typedef struct tb_presplit tb_presplit;

tb_code tb_presplit_new(tb_presplit **out, const tb_pretokenizer *pretokenizer, tb_error *err);
void tb_presplit_free(tb_presplit *split);

// Called with each piece in turn.
typedef tb_code (*tb_piece_fn)(void *user, tb_text piece, tb_error *err);

// Cuts `text` (any bytes) into pieces that together are the text. Stretches that are not UTF-8
// are pieces of their own; the patterns see what lies between them.
tb_code tb_presplit_run(tb_presplit *split, tb_text text, tb_piece_fn fn, void *user, tb_error *err);

#endif
