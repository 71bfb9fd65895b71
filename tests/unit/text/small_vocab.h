// For the tests: small vocabularies, and texts to try them on.
#ifndef SMALL_VOCAB_H
#define SMALL_VOCAB_H

#include "text/text.h"

enum { SMALL_VOCAB_MAX = 512, SMALL_MERGES_MAX = 128 };

typedef struct small_vocab {
    tb_vocab vocab; // its arrays are those below
    tb_text tokens[SMALL_VOCAB_MAX], merges[SMALL_MERGES_MAX];
    float scores[SMALL_VOCAB_MAX];
    int32_t kinds[SMALL_VOCAB_MAX];
    uint8_t flags[SMALL_VOCAB_MAX];
    char texts[256 * 8]; // of the byte tokens
} small_vocab;

static inline tb_text slice_of(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return (tb_text){text, n};
}

// Appends a token; returns its id.
int32_t small_vocab_add(small_vocab *v, const char *token, float score, tb_token_kind kind);
// Appends a merge and the token that it makes.
void small_vocab_add_merge(small_vocab *v, const char *merge, const char *token);

// Byte-level BPE: the 256 bytes as ids 0 … 255 and some merges ("he", "ll", "hell", "hello",
// " t", "th", " th", " the", …), and "<|end|>" as EOS.
void small_vocab_bpe(small_vocab *v, const char *pre);
// SentencePiece: <unk> <s> </s>, the 256 byte tokens, then characters and words.
void small_vocab_spm(small_vocab *v);

// Fills `out` with random bytes, random characters, or words of few letters and spaces.
typedef enum text_kind { TEXT_BYTES, TEXT_CHARACTERS, TEXT_WORDS, TEXT_MIXED, TEXT_KINDS } text_kind;
void random_text(tb_str *out, text_kind kind, size_t size, tb_rng *rng);

#endif
