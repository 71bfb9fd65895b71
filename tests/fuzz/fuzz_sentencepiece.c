// Any bytes as tokenizer.model.
#include <stdint.h>

#include "use_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_vocab_file *file;
    if (tb_vocab_file_from_sentencepiece(&file, (tb_text){(const char *)data, size}, (tb_text){0}, NULL))
        return 0;
    use_tokenizer(tb_vocab_file_get(file));
    tb_vocab_file_free(file);
    return 0;
}
