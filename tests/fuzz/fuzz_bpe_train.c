// Any bytes as a text to learn a vocabulary from. The first byte says how many tokens; what is learned must open, and
// bring the text back.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define END "<|endoftext|>"

static void use(const tb_str *json, size_t count, tb_text text)
{
    tb_vocab_file *file;
    tb_tokenizer *tokenizer;
    tb_ids ids = {0};
    tb_str back = {0};
    if (tb_vocab_file_from_json(&file, (tb_text){json->data, json->size}, (tb_text){0}, NULL) ||
        tb_tokenizer_new(&tokenizer, tb_vocab_file_get(file), NULL) || tb_tokenizer_size(tokenizer) != count)
        abort();
    if (tb_encode(&ids, tokenizer, text, TB_ENCODE_SPECIAL, NULL) ||
        tb_decode(&back, tokenizer, ids.data, ids.size, true, NULL))
        abort();
    if (ids.size > text.size || back.size != text.size || memcmp(tb_str_get(&back), text.data, text.size) != 0)
        abort();
    tb_str_clear(&back);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
    tb_vocab_file_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_str json = {0};
    size_t count;
    if (size == 0)
        return 0;
    tb_text text = {(const char *)data + 1, size - 1};
    if (tb_bpe_train(&json, &count, text, 257 + (size_t)data[0], END, data[0] % 2, NULL))
        abort();
    use(&json, count, text);
    tb_str_clear(&json);
    return 0;
}
