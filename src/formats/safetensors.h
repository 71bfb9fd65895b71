// Inside formats: one .safetensors file. It is: a u64 length, that many bytes of JSON
//     {"NAME": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [begin, end]}, …}
// and the tensors' bytes, which the offsets count from. "__metadata__" may be a key too.
#ifndef TB_FORMATS_SAFETENSORS_H
#define TB_FORMATS_SAFETENSORS_H

#include "formats/formats.h"

// Reads the header of a mapped file. The tensors lie in the arena, in the order of the header.
// Checked: offsets inside the file, bytes = dims · size of dtype, every byte of the file in
// exactly one tensor.
tb_code tb_safetensors_read(tb_safetensor **out, size_t *count, tb_arena *arena, tb_map map, const char *path,
                            tb_error *err);

// The texts of "__metadata__" as keys and values in turn; *count is the number of pairs. What is
// no text is TB_EFORMAT.
tb_code tb_safetensors_read_metadata(tb_text **out, size_t *count, tb_arena *arena, tb_map map, const char *path,
                                     tb_error *err);

#endif
