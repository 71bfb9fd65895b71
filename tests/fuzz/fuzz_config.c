// The JSON files of a folder, of which the first byte of an input chooses one: config.json,
// the index of several files, or one of those about the tokenizer. The others are valid.
#include <stdint.h>
#include <string.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name, *valid;
} files[] = {
    {"config.json",
     "{\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, "
     "\"num_attention_heads\": 2, \"vocab_size\": 2, \"max_position_embeddings\": 16, "
     "\"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true}"},
    {"model.safetensors.index.json", "{\"weight_map\": {\"model.norm.weight\": \"part.safetensors\"}}"},
    {"tokenizer_config.json", "{\"chat_template\": \"x\"}"},
    {"special_tokens_map.json", "{\"bos_token\": \"<s>\"}"},
    {"added_tokens.json", "{\"<s>\": 1}"},
    {"generation_config.json", "{\"eos_token_id\": [1, 2]}"},
};

enum { FILES = sizeof files / sizeof files[0] };

static void write_weights(void)
{
    static const char header[] = "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char file[8 + sizeof header - 1 + 4] = {(char)(sizeof header - 1)};
    memcpy(file + 8, header, sizeof header - 1);
    scratch_write("part.safetensors", file, sizeof file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    write_weights();
    for (size_t i = 0; i < FILES; i++) {
        if (data[0] % FILES == i)
            scratch_write(files[i].name, data + 1, size - 1);
        else
            scratch_write(files[i].name, files[i].valid, strlen(files[i].valid));
    }
    tb_checkpoint *checkpoint;
    tb_error err;
    if (tb_checkpoint_open(&checkpoint, scratch_folder(), &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
    if (tb_checkpoint_open_texts(&checkpoint, scratch_folder(), &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
    return 0;
}
