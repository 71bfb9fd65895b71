// A safetensors file in a folder of Gemma, whose norms are copied, and in one of gpt-oss, whose experts are: it is
// refused, or all of it can be read.
#include <stdint.h>
#include <string.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_with(const char *config)
{
    tb_checkpoint *checkpoint;
    tb_error err;
    scratch_write("config.json", config, strlen(config));
    if (tb_checkpoint_open(&checkpoint, scratch_folder(), &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scratch_write("model.safetensors", data, size);
    open_with("{\"model_type\": \"gemma3_text\", \"hidden_size\": 8, \"intermediate_size\": 8, "
              "\"num_hidden_layers\": 2, \"sliding_window\": 4}");
    open_with("{\"model_type\": \"gpt_oss\", \"hidden_size\": 32, \"intermediate_size\": 2, "
              "\"num_hidden_layers\": 2, \"num_local_experts\": 2, \"tie_word_embeddings\": true}");
    return 0;
}
