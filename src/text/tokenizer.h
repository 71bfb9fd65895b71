// What a tokenizer holds. Everything is made by tb_tokenizer_new and only read afterwards.
#ifndef TB_TOKENIZER_H
#define TB_TOKENIZER_H

#include "text/bpe.h"
#include "text/normalize.h"
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

    // SentencePiece
    bool marks_lead;                // no plain token has a mark behind another character
    tb_prefix_index lattice_tokens; // normal tokens; unigram only
    double worst_score;             // of them

    tb_merges *merges; // BPE; SentencePiece: NULL where scores decide

    // byte-level BPE
    tb_pretokenizer *pretokenizer;
    bool ignore_merges;
    tb_text_map by_piece; // normal tokens; with ignore_merges only
};

// True for tokens that merges and lattices may make from text.
static inline bool tb_token_is_plain(const tb_tokenizer *tokenizer, int32_t id)
{
    uint8_t kind = tokenizer->kinds[id];
    return kind == TB_TOKEN_NORMAL || kind == TB_TOKEN_USER_DEFINED;
}

// What SentencePiece writes for a space: U+2581.
#define TB_SPACE_MARK "\xE2\x96\x81"
enum { TB_SPACE_MARK_SIZE = 3 };

static inline bool tb_starts_with_mark(tb_text text)
{
    return text.size >= TB_SPACE_MARK_SIZE && memcmp(text.data, TB_SPACE_MARK, TB_SPACE_MARK_SIZE) == 0;
}

// Appends `text` as the tokenizer normalises it (NFC or a character map, or as it is).
tb_code tb_tokenizer_normalize(tb_str *out, const tb_tokenizer *tokenizer, tb_text text, tb_error *err);

#endif
