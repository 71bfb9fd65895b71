// A GGUF file: it is refused, or all of it can be read.
#include <stdint.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_checkpoint *checkpoint;
    tb_error err;
    if (tb_checkpoint_open(&checkpoint, scratch_write("model.gguf", data, size), &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
    return 0;
}
