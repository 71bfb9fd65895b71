// Inside formats: one .safetensors file. It is: a u64 length, that many bytes of JSON
//     {"NAME": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [begin, end]}, …}
// and the tensors' bytes, which the offsets count from. "__metadata__" may be a key too.
#ifndef TB_FORMATS_SAFETENSORS_H
#define TB_FORMATS_SAFETENSORS_H

#include "formats/formats.h"

typedef struct tb_safetensor {
    tb_text name;  // also NUL-terminated
    tb_text dtype; // "F32" …; also NUL-terminated
    unsigned dim_count;
    uint64_t dims[TB_MAX_DIMS]; // slowest first, as the file says them; unused ones are 1
    const unsigned char *data;  // inside the mapping, at any alignment
    size_t bytes;
} tb_safetensor;

// Reads the header of a mapped file. The tensors lie in the arena, in the order of the header.
// Checked: offsets inside the file, bytes = dims · size of dtype, every byte of the file in
// exactly one tensor.
tb_code tb_safetensors_read(tb_safetensor **out, size_t *count, tb_arena *arena, tb_map map, const char *path,
                            tb_error *err);

#endif
