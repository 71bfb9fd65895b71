// What a tokenizer holds. Everything is made by tb_tokenizer_new and only read afterwards.
#ifndef TB_TOKENIZER_H
#define TB_TOKENIZER_H

#include "text/bpe.h"
#include "text/normalize.h"
#include "text/normalizer.h"
#include "text/prefix_index.h"
#include "text/pretokenize.h"
#include "text/text.h"
#include "text/text_map.h"

#include <string.h>

struct tb_tokenizer {
    tb_arena arena; // owns the arrays and texts below
    tb_vocab_model model;
    size_t size;
    tb_text *tokens; // as the vocabulary has them
    tb_text *pieces; // the bytes they print: byte alphabet, "▁" and "<0x41>" resolved
    uint8_t *kinds;  // tb_token_kind
    uint8_t *flags;  // sets of tb_token_flag
    bool *ends_turn;
    float *scores; // NULL for BPE
    tb_text_map by_token;
    int32_t bos, eos, unk;
    bool add_bos, add_space_prefix, space_prefix_once, space_prefix_missing, space_prefix_over_user_defined;
    bool remove_extra_whitespaces, nfc;
    int32_t byte_ids[256]; // the token of a byte, −1: none

    tb_charsmap charsmap;
    tb_prefix_index added;            // control, unknown and user-defined tokens …
    tb_prefix_index added_normalized; // … and those of them that are looked for after normalisation

    tb_normalizer *normalizer;     // of a tokenizer.json's steps; NULL: the settings above decide
    tb_pretokenizer *pretokenizer; // of byte-level BPE, and of steps
    tb_unknown_rule unknown;       // BPE: what becomes of characters without a token

    // SentencePiece
    bool marks_lead;                // no plain token has a mark behind another character, and the mark is one
    tb_prefix_index lattice_tokens; // normal tokens; unigram only
    double worst_score;             // of them

    tb_merges *merges; // BPE; SentencePiece: NULL where scores decide

    bool ignore_merges;
    tb_text_map whole_pieces; // normal tokens, as a pre-tokenizer would give them; with ignore_merges only
};

// True for tokens that print text and not their own name.
static inline bool tb_token_is_text(const tb_tokenizer *tokenizer, int32_t id)
{
    uint8_t kind = tokenizer->kinds[id];
    return kind == TB_TOKEN_NORMAL || kind == TB_TOKEN_USER_DEFINED;
}

// True for tokens that characters may become: in SentencePiece's own way user-defined ones, too.
static inline bool tb_token_is_plain(const tb_tokenizer *tokenizer, int32_t id)
{
    uint8_t kind = tokenizer->kinds[id];
    if (!tokenizer->normalizer)
        return tb_token_is_text(tokenizer, id);
    return kind == TB_TOKEN_NORMAL || kind == TB_TOKEN_BYTE || (tokenizer->flags[id] & TB_TOKEN_OF_MODEL);
}

// What SentencePiece writes for a space: U+2581.
#define TB_SPACE_MARK "\xE2\x96\x81"
enum { TB_SPACE_MARK_SIZE = 3 };

static inline bool tb_starts_with_mark(tb_text text)
{
    return text.size >= TB_SPACE_MARK_SIZE && memcmp(text.data, TB_SPACE_MARK, TB_SPACE_MARK_SIZE) == 0;
}

// Normalises *text, which then lies in `scratch`, or where it was if nothing is to be done. `begins`, `ends`: it is, or
// is the beginning or the end of, what is normalised at once.
tb_code tb_tokenizer_normalize(tb_normalized *scratch, tb_text *text, const tb_tokenizer *tokenizer, bool begins,
                               bool ends, tb_error *err);

#endif
