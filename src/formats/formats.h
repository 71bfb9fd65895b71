// formats: model files, read and written. Untrusted bytes stop here: every length is compared
// with what remains, every offset with the file, before anything uses it.
//
// Whatever the container, the rest of twobit sees a tb_checkpoint: metadata under GGUF key
// names and tensors under GGUF tensor names. A Hugging Face folder is translated on opening.
#ifndef TB_FORMATS_H
#define TB_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "layout/layout.h"

// ---- metadata ----

typedef enum tb_kv_type { // GGUF's numbers
    TB_KV_U8 = 0,
    TB_KV_I8 = 1,
    TB_KV_U16 = 2,
    TB_KV_I16 = 3,
    TB_KV_U32 = 4,
    TB_KV_I32 = 5,
    TB_KV_F32 = 6,
    TB_KV_BOOL = 7,
    TB_KV_TEXT = 8,
    TB_KV_ARRAY = 9,
    TB_KV_U64 = 10,
    TB_KV_I64 = 11,
    TB_KV_F64 = 12,
} tb_kv_type;

// One metadata entry, borrowed from its checkpoint.
typedef struct tb_kv {
    tb_text key;
    tb_kv_type type;
    union {
        uint64_t u; // unsigned types and bool
        int64_t i;  // signed types
        double f;   // float types
        tb_text text;
        struct {
            tb_kv_type type; // element type; arrays of arrays are refused
            size_t count;
            const void *data;     // elements, unaligned, little-endian; NULL for texts
            const tb_text *texts; // TB_KV_TEXT elements
        } array;
    } value;
} tb_kv;

#define TB_MAX_DIMS 4

// One tensor, borrowed from its checkpoint. dims[0] is the fastest (GGUF order): a weight
// matrix W[rows][cols] has dims = {cols, rows}.
typedef struct tb_tensor_info {
    tb_text name; // also NUL-terminated
    tb_type type; // a ggml type
    unsigned dim_count;
    uint64_t dims[TB_MAX_DIMS]; // unused ones are 1
    const void *data;           // inside the mapping, aligned as the file has it (to 4 for HF, 8 for GGUF at least)
    size_t bytes;
} tb_tensor_info;

typedef struct tb_checkpoint tb_checkpoint;

// Opens a GGUF file, a twobit file (GGUF too) or a Hugging Face folder; which one is found
// out from the path. Everything is checked except the values of tensors. There may be no
// tensors: a vocabulary-only GGUF file, a folder with a tokenizer but no config.json, or a
// tokenizer.json or tokenizer.model alone (by the end of its name).
tb_code tb_checkpoint_open(tb_checkpoint **out, const char *path, tb_error *err);
// The same for those who need the tokenizer and the chat templates alone: of a folder the weights are left out, and it
// may be one of any model, or have no config.json, or nothing but a template.
tb_code tb_checkpoint_open_texts(tb_checkpoint **out, const char *path, tb_error *err);
void tb_checkpoint_close(tb_checkpoint *checkpoint);

const char *tb_checkpoint_path(const tb_checkpoint *checkpoint);
// Bytes of all files that make it up (for a folder: the safetensors files).
size_t tb_checkpoint_file_bytes(const tb_checkpoint *checkpoint);
// One GGUF file; otherwise Hugging Face files.
bool tb_checkpoint_is_gguf(const tb_checkpoint *checkpoint);

// What whoever opened it should be told, a sentence each; NULL behind the last.
const char *tb_checkpoint_note(const tb_checkpoint *checkpoint, size_t index);

// 64 hexadecimal digits and a NUL that stand for the whole content, wherever it lies: reads all of
// it (about a second per gigabyte).
tb_code tb_checkpoint_fingerprint(char out[65], const tb_checkpoint *checkpoint, tb_error *err);

size_t tb_checkpoint_kv_count(const tb_checkpoint *checkpoint);
const tb_kv *tb_checkpoint_kv_at(const tb_checkpoint *checkpoint, size_t index);
const tb_kv *tb_checkpoint_find(const tb_checkpoint *checkpoint, const char *key); // NULL: absent

size_t tb_checkpoint_tensor_count(const tb_checkpoint *checkpoint);
const tb_tensor_info *tb_checkpoint_tensor_at(const tb_checkpoint *checkpoint, size_t index);
const tb_tensor_info *tb_checkpoint_tensor(const tb_checkpoint *checkpoint, const char *name); // NULL: absent

// Typed reads. *out keeps its value when the key is absent and `required` is false; a wrong
// type or a value out of range is TB_EFORMAT and names the key.
tb_code tb_checkpoint_get_u64(uint64_t *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                              tb_error *err);
tb_code tb_checkpoint_get_f64(double *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                              tb_error *err);
tb_code tb_checkpoint_get_bool(bool *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                               tb_error *err);
tb_code tb_checkpoint_get_text(tb_text *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                               tb_error *err);

// Element `index` of a numeric array, as double or as integer; the entry must be such an array.
double tb_kv_array_f64(const tb_kv *kv, size_t index);
int64_t tb_kv_array_i64(const tb_kv *kv, size_t index);

// For a Hugging Face folder, the tokenizer files as they lie there (NULL text when absent):
// GGUF keeps the tokenizer in metadata instead. Chat templates are metadata here, too.
typedef enum tb_hf_file {
    TB_HF_TOKENIZER_JSON,
    TB_HF_TOKENIZER_MODEL,
    TB_HF_TOKENIZER_CONFIG, // with what only special_tokens_map.json and added_tokens.json say
    TB_HF_VOCAB_JSON,       // this and the next only where there is neither tokenizer.json nor tokenizer.model
    TB_HF_MERGES,           // merges.txt
    TB_HF_FILES
} tb_hf_file;

// Metadata of twobit: all ids that end a text, an array of integers.
#define TB_KEY_END_IDS "twobit.tokenizer.end_ids"
tb_text tb_checkpoint_hf_file(const tb_checkpoint *checkpoint, tb_hf_file which);

// ---- matrices ----

// A weight matrix by its GGUF name ("blk.0.attn_q.weight"), from whichever parts hold it:
// one ggml-type tensor of that name, or twobit's plane tensors
//   NAME.planes  I32 {planes, words, rows}     bit-planes
//   NAME.trits   I8  {ceil(cols/5), 2, rows}   trit-planes
//   NAME.coefs   F16 {per group, groups, rows} coefficients (AFFINE: the scale; OFFSET: scale and offset)
//   NAME.zeros   I8  {ceil(groups/2), rows}    AFFINE only
// with per-matrix metadata twobit.matrix.NAME = "bitplanes|affine|tritplanes|offset cols group planes".
// Returns TB_OK with out->rows = 0 when no such matrix exists.
tb_code tb_checkpoint_matrix(tb_matrix *out, const tb_checkpoint *checkpoint, const char *name, tb_error *err);

// ---- files by twobit ----

// Version of the layout of plane-type matrices. A file with such matrices says it under the first
// key, and has under the second with NAME behind it, for every matrix, the U64 tb_matrix_checksum of its
// values; also for other matrices that twobit wrote.
#define TB_TWOBIT_VERSION 1
#define TB_KEY_TWOBIT_VERSION "twobit.format_version"
#define TB_KEY_CHECKSUM "twobit.checksum."

// Refuses plane-type matrices of an unknown version or without a checksum; every other file passes.
// Fast: looks at keys only.
tb_code tb_checkpoint_check_planes(const tb_checkpoint *checkpoint, tb_error *err);

// The same, then decodes every matrix that has a checksum and compares. TB_EFORMAT names the matrix that
// differs; TB_EUNSUPPORTED: there are no checksums.
tb_code tb_checkpoint_verify(const tb_checkpoint *checkpoint, size_t threads, const tb_report *report, tb_error *err);

// ---- writing GGUF v3 ----

// Declare all metadata and tensors first, then begin, then write the tensors' bytes in the
// order of declaration, in any pieces. Nothing appears under `path` before commit. Without a path (NULL)
// the file is only declared, to learn its size.
typedef struct tb_gguf_writer tb_gguf_writer;

tb_code tb_gguf_writer_open(tb_gguf_writer **out, const char *path, tb_error *err);
tb_code tb_gguf_writer_add_u32(tb_gguf_writer *w, const char *key, uint32_t value, tb_error *err);
tb_code tb_gguf_writer_add_u64(tb_gguf_writer *w, const char *key, uint64_t value, tb_error *err);
tb_code tb_gguf_writer_add_f32(tb_gguf_writer *w, const char *key, float value, tb_error *err);
tb_code tb_gguf_writer_add_bool(tb_gguf_writer *w, const char *key, bool value, tb_error *err);
tb_code tb_gguf_writer_add_text(tb_gguf_writer *w, const char *key, tb_text value, tb_error *err);
tb_code tb_gguf_writer_add_texts(tb_gguf_writer *w, const char *key, const tb_text *values, size_t n, tb_error *err);
tb_code tb_gguf_writer_add_i32s(tb_gguf_writer *w, const char *key, const int32_t *values, size_t n, tb_error *err);
tb_code tb_gguf_writer_add_f32s(tb_gguf_writer *w, const char *key, const float *values, size_t n, tb_error *err);
tb_code tb_gguf_writer_add_kv(tb_gguf_writer *w, const tb_kv *kv, tb_error *err); // a copy, any type
tb_code tb_gguf_writer_add_tensor(tb_gguf_writer *w, const char *name, tb_type type, unsigned dim_count,
                                  const uint64_t *dims, tb_error *err);
// Declares the tensors and the metadata of a plane-type matrix (see above); a ggml-type
// matrix becomes one tensor. tb_gguf_writer_matrix then writes them.
tb_code tb_gguf_writer_add_matrix(tb_gguf_writer *w, const char *name, const tb_matrix *shape, tb_error *err);
// Bytes of the whole file as declared so far.
uint64_t tb_gguf_writer_bytes(const tb_gguf_writer *w);
tb_code tb_gguf_writer_begin(tb_gguf_writer *w, tb_error *err);
tb_code tb_gguf_writer_data(tb_gguf_writer *w, const void *bytes, size_t n, tb_error *err);
tb_code tb_gguf_writer_matrix(tb_gguf_writer *w, const tb_matrix *m, tb_error *err);
tb_code tb_gguf_writer_commit(tb_gguf_writer *w, tb_error *err);
void tb_gguf_writer_close(tb_gguf_writer *w);

// ---- safetensors by themselves: small networks and their data ----

typedef struct tb_safetensor {
    tb_text name;  // also NUL-terminated
    tb_text dtype; // "F32" …; also NUL-terminated
    unsigned dim_count;
    uint64_t dims[TB_MAX_DIMS]; // slowest first, as the file says them; unused ones are 1
    const unsigned char *data;  // inside the mapping, at any alignment
    size_t bytes;
} tb_safetensor;

typedef struct tb_safetensors tb_safetensors;

tb_code tb_safetensors_open(tb_safetensors **out, const char *path, tb_error *err);
void tb_safetensors_close(tb_safetensors *file);

size_t tb_safetensors_count(const tb_safetensors *file);
const tb_safetensor *tb_safetensors_at(const tb_safetensors *file, size_t index);
const tb_safetensor *tb_safetensors_find(const tb_safetensors *file, const char *name); // NULL: absent
// A text of the metadata, NUL-terminated; NULL when absent.
const char *tb_safetensors_metadata(const tb_safetensors *file, const char *key);

// Writes tensors (all fields but `data` and `bytes` must fit them) and `pairs` keys and values of metadata, in turn.
// The file appears complete or not at all.
tb_code tb_safetensors_write(const char *path, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                             size_t pairs, tb_error *err);

// The name by which Hugging Face's Llama has a tensor ("blk.7.attn_q.weight" is
// "model.layers.7.self_attn.q_proj.weight"); false: it has none.
enum { TB_LLAMA_NAME_SIZE = 96 };
bool tb_llama_name(char out[TB_LLAMA_NAME_SIZE], const char *gguf);

// Appends what stands before the tensors of such a file, for those who write these themselves, one behind the other.
tb_code tb_safetensors_header(tb_str *out, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                              size_t pairs, tb_error *err);

// Bytes that the tensors of a matrix take in a file, padding included; 0 for an impossible shape.
uint64_t tb_gguf_matrix_bytes(const tb_matrix *shape);

// ---- NumPy arrays (.npy 1.0, C order), for logits and golden vectors ----

typedef struct tb_npy {
    tb_map map;
    char kind;        // 'f', 'i', 'u', 'b'
    size_t item_size; // 1, 2, 4 or 8
    unsigned dim_count;
    size_t dims[TB_MAX_DIMS]; // slowest first, as NumPy says them
    size_t count;
    const void *data; // inside the mapping
} tb_npy;

tb_code tb_npy_open(tb_npy *out, const char *path, tb_error *err);
void tb_npy_close(tb_npy *npy);

// Writes float32 values of shape dims[dim_count] in pieces through an open output file.
tb_code tb_npy_write_header_f32(tb_outfile *file, const size_t *dims, unsigned dim_count, tb_error *err);

#endif
