// Any bytes as vocab.json, merges.txt and tokenizer_config.json, one behind the other, with a NUL between them.
#include <stdint.h>
#include <string.h>

#include "use_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Takes what stands before the next NUL.
static tb_text take(tb_text *rest)
{
    const char *end = rest->size ? memchr(rest->data, '\0', rest->size) : NULL;
    tb_text part = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
    size_t used = part.size + (end != NULL);
    *rest = (tb_text){rest->data + used, rest->size - used};
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_text rest = {(const char *)data, size};
    tb_text vocab = take(&rest), merges = take(&rest);
    tb_vocab_file *file;
    if (tb_vocab_file_from_merges(&file, vocab, merges, rest, NULL))
        return 0;
    use_tokenizer(tb_vocab_file_get(file));
    tb_vocab_file_free(file);
    return 0;
}
