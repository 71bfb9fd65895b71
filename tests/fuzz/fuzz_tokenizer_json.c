// Any bytes as tokenizer.json; behind a NUL, if there is one, tokenizer_config.json.
#include <stdint.h>
#include <string.h>

#include "use_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\0', size) : NULL;
    tb_text json = {text, end ? (size_t)(end - text) : size};
    tb_text config = {end ? end + 1 : "", end ? size - json.size - 1 : 0};
    tb_vocab_file *file;
    if (tb_vocab_file_from_json(&file, json, config, NULL))
        return 0;
    use_tokenizer(tb_vocab_file_get(file));
    tb_vocab_file_free(file);
    return 0;
}
