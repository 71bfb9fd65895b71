// Pre-tokenizers: steps that cut a text into the pieces inside which the algorithm of a vocabulary
// works. GGUF names those of byte-level BPE, tokenizer.json spells them out.
#ifndef TB_PRETOKENIZE_H
#define TB_PRETOKENIZE_H

#include "text/text.h"

// Patterns that tokenizer.json has as components with names of their own.
#define TB_PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define TB_PATTERN_DIGIT "\\p{N}"
#define TB_PATTERN_DIGITS "\\p{N}+"
#define TB_PATTERN_PUNCTUATION "[\\p{P}$+<=>^~|`]" // ASCII's and Unicode's
#define TB_PATTERN_PUNCTUATIONS "[\\p{P}$+<=>^~|`]+"
#define TB_PATTERN_SPACE "\\p{White_Space}"

struct json_t; // jansson's

// Immutable, shareable.
typedef struct tb_pretokenizer tb_pretokenizer;

// `pre` as in tb_vocab. TB_EUNSUPPORTED names an unknown one, TB_EFORMAT a pattern that does
// not compile.
tb_code tb_pretokenizer_new(tb_pretokenizer **out, tb_text pre, tb_error *err);
// From the pre_tokenizer of a tokenizer.json; none of them cuts nothing. TB_EUNSUPPORTED names a component or a
// setting that is not known.
tb_code tb_pretokenizer_from_json(tb_pretokenizer **out, const struct json_t *component, tb_error *err);
// Whether pieces are bytes to it, as in byte-level BPE, not characters.
bool tb_pretokenizer_has_bytes(const tb_pretokenizer *pretokenizer);
void tb_pretokenizer_free(tb_pretokenizer *pretokenizer);

// What a known name implies beside its patterns.
typedef struct tb_pre_traits {
    bool ignore_merges; // tb_vocab.ignore_merges
    bool add_bos;       // tb_vocab.add_bos, where a file does not say it
} tb_pre_traits;
tb_pre_traits tb_pre_traits_of(tb_text pre);

// The patterns of a known name, the last of them NULL.
const char *const *tb_pre_patterns_of(const char *pre);

// The first known name with exactly these patterns and this trait, or NULL.
const char *tb_pre_name_of(const tb_text *patterns, size_t count, bool ignore_merges);

// The state of one call that cuts texts; one thread at a time.
typedef struct tb_presplit tb_presplit;

tb_code tb_presplit_new(tb_presplit **out, const tb_pretokenizer *pretokenizer, tb_error *err);
void tb_presplit_free(tb_presplit *split);

// Called with each piece in turn.
typedef tb_code (*tb_piece_fn)(void *user, tb_text piece, tb_error *err);

// Cuts `text` (any bytes) into pieces that together are the text, unless steps drop or add some of it. Stretches that
// are not UTF-8 are pieces of their own; the steps see what lies between them. `at_start`: nothing stands before it.
tb_code tb_presplit_run(tb_presplit *split, tb_text text, bool at_start, tb_piece_fn fn, void *user, tb_error *err);

#endif
