// A safetensors file in a folder of Gemma, whose norms are copied: it is refused, or all of it can be read.
#include <stdint.h>
#include <string.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char config[] = "{\"model_type\": \"gemma3_text\", \"hidden_size\": 8, \"intermediate_size\": 8, "
                                 "\"num_hidden_layers\": 2, \"sliding_window\": 4}";
    tb_checkpoint *checkpoint;
    tb_error err;
    scratch_write("config.json", config, strlen(config));
    scratch_write("model.safetensors", data, size);
    if (tb_checkpoint_open(&checkpoint, scratch_folder(), &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
    return 0;
}
