// A GGUF file, by itself and as the second part of a model: it is refused, or all of it can be read.
#include <stdint.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const char *path)
{
    tb_checkpoint *checkpoint;
    tb_error err;
    if (tb_checkpoint_open(&checkpoint, path, &err) == TB_OK)
        walk_checkpoint(checkpoint);
    tb_checkpoint_close(checkpoint);
}

// A first part of two, without tensors.
static const unsigned char first_part[] = "GGUF\3\0\0\0"
                                          "\0\0\0\0\0\0\0\0"
                                          "\1\0\0\0\0\0\0\0"
                                          "\x0B\0\0\0\0\0\0\0split.count"
                                          "\2\0\0\0\2"; // U16 2, whose last byte is the NUL of the text

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(scratch_write("model.gguf", data, size));
    scratch_write("model-00002-of-00002.gguf", data, size);
    read_all(scratch_write("model-00001-of-00002.gguf", first_part, sizeof first_part));
    return 0;
}
