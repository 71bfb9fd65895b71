#include "small_vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t small_vocab_add(small_vocab *v, const char *token, float score, tb_token_kind kind)
{
    size_t id = v->vocab.size++;
    v->tokens[id] = slice_of(token);
    v->scores[id] = score;
    v->kinds[id] = kind;
    return (int32_t)id;
}

void small_vocab_add_merge(small_vocab *v, const char *merge, const char *token)
{
    v->merges[v->vocab.merge_count++] = slice_of(merge);
    small_vocab_add(v, token, 0, TB_TOKEN_NORMAL);
}

static void start(small_vocab *v, tb_vocab_model model, const char *pre)
{
    memset(v, 0, sizeof *v);
    v->vocab = (tb_vocab){.model = model, .pre = slice_of(pre)};
    tb_vocab_set_defaults(&v->vocab);
    v->vocab.tokens = v->tokens;
    v->vocab.merges = v->merges;
    v->vocab.scores = v->scores;
    v->vocab.kinds = v->kinds;
    v->vocab.flags = v->flags;
}

void small_vocab_bpe(small_vocab *v, const char *pre)
{
    start(v, TB_VOCAB_BPE, pre);
    char *at = v->texts;
    for (unsigned b = 0, shifted = 0x100; b < 256; b++) {
        bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        size_t n = tb_utf8_encode(at, itself ? b : shifted++);
        at[n] = '\0';
        small_vocab_add(v, at, 0, TB_TOKEN_NORMAL);
        at += n + 1;
    }
    static const char *const merges[][2] = {
        {"h e", "he"},   {"l l", "ll"},     {"he ll", "hell"}, {"hell o", "hello"}, {"t h", "th"}, {"Ġ t", "Ġt"},
        {"th e", "the"}, {"Ġt he", "Ġthe"}, {"a a", "aa"},     {"aa aa", "aaaa"},   {"a b", "ab"}, {"ab a", "aba"},
        {"b b", "bb"},   {"Ġ a", "Ġa"},     {"1 2", "12"},     {"Ġ Ġ", "ĠĠ"},       {"Ã ©", "Ã©"}, // the bytes of é
    };
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
        small_vocab_add_merge(v, merges[i][0], merges[i][1]);
    v->vocab.eos = small_vocab_add(v, "<|end|>", 0, TB_TOKEN_CONTROL);
    v->vocab.bos = small_vocab_add(v, "<|start|>", 0, TB_TOKEN_CONTROL);
}

void small_vocab_spm(small_vocab *v)
{
    start(v, TB_VOCAB_SPM, "default");
    small_vocab_add(v, "<unk>", 0, TB_TOKEN_UNKNOWN);
    small_vocab_add(v, "<s>", 0, TB_TOKEN_CONTROL);
    small_vocab_add(v, "</s>", 0, TB_TOKEN_CONTROL);
    for (unsigned b = 0; b < 256; b++) {
        char *text = v->texts + 8 * b;
        snprintf(text, 8, "<0x%02X>", b);
        small_vocab_add(v, text, 0, TB_TOKEN_BYTE);
    }
    static const char *const words[] = {
        "▁t",  "he", "▁the", "ll", "hell", "hello", "▁a", "ab", "aba", "aa", "aaaa", "bb", "▁▁",
        "été", "ét", "▁",    "a",  "b",    "h",     "e",  "l",  "o",   "t",  "é",    "1",  "2",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        small_vocab_add(v, words[i], -(float)i, TB_TOKEN_NORMAL);
}

static void append_character(tb_str *out, tb_rng *rng)
{
    static const uint32_t limits[] = {0x80, 0x800, 0x3100, 0x10000, 0x110000};
    char bytes[4];
    size_t n = 0;
    while (n == 0)
        n = tb_utf8_encode(bytes, (uint32_t)tb_rng_below(rng, limits[tb_rng_below(rng, 5)]));
    tb_str_append(out, bytes, n, NULL);
}

void random_text(tb_str *out, text_kind kind, size_t size, tb_rng *rng)
{
    static const char letters[] = "aaabbthello  12\n'";
    tb_str_reset(out);
    while (out->size < size) {
        text_kind now = kind == TEXT_MIXED ? (text_kind)tb_rng_below(rng, TEXT_MIXED) : kind;
        char byte = now == TEXT_BYTES ? (char)tb_rng_below(rng, 256) : letters[tb_rng_below(rng, sizeof letters - 1)];
        if (now == TEXT_CHARACTERS)
            append_character(out, rng);
        else
            tb_str_append(out, &byte, 1, NULL);
    }
}
