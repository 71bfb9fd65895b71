// Any bytes as text. The first byte chooses the tokenizer; what is encoded must come back.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "small_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
    "gpt-2",        "smollm", "llama-bpe", "qwen2",          "qwen35",      "tekken", "gpt-4o",
    "deepseek-llm", "falcon", "default",   "deepseek-coder", "deepseek-v3", "bloom",  "viking",
};
enum { NAMES = sizeof names / sizeof *names };

static void make_vocab(small_vocab *v, unsigned choice)
{
    if (choice < NAMES) {
        small_vocab_bpe(v, names[choice]);
        small_vocab_add(v, "  ", 0, TB_TOKEN_USER_DEFINED);
    } else { // without added tokens: behind one SentencePiece puts a space, which stays
        small_vocab_spm(v);
        v->vocab.model = choice % 2 ? TB_VOCAB_SPM : TB_VOCAB_UNIGRAM;
    }
}

// SentencePiece takes its own mark in a text for a space.
static bool has_mark(tb_text text)
{
    for (size_t at = 0; at + 3 <= text.size; at++)
        if (memcmp(text.data + at, "\xE2\x96\x81", 3) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static small_vocab v;
    static tb_tokenizer *tokenizers[NAMES + 2];
    if (size == 0)
        return 0;
    unsigned choice = data[0] % (NAMES + 2u);
    if (!tokenizers[choice]) {
        make_vocab(&v, choice);
        if (tb_tokenizer_new(&tokenizers[choice], &v.vocab, NULL))
            abort();
    }
    tb_text text = {(const char *)data + 1, size - 1};
    tb_ids ids = {0};
    tb_str back = {0};
    if (tb_encode(&ids, tokenizers[choice], text, 0, NULL) ||
        tb_decode(&back, tokenizers[choice], ids.data, ids.size, false, NULL))
        abort();
    bool exact = choice < NAMES || !has_mark(text);
    if (exact && (back.size != text.size || memcmp(tb_str_get(&back), text.data, text.size) != 0))
        abort();
    tb_str_clear(&back);
    tb_ids_clear(&ids);
    return 0;
}
