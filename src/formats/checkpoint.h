// Inside formats: what an open checkpoint holds, and what its readers must fill in.
#ifndef TB_FORMATS_CHECKPOINT_H
#define TB_FORMATS_CHECKPOINT_H

#include "formats/formats.h"
#include "formats/name_index.h"

enum { TB_CHECKPOINT_NOTES = 4 }; // as many as there are kinds of them

struct tb_checkpoint {
    tb_arena arena; // everything below that is not in a mapping
    char *path;
    bool gguf;    // one GGUF file; else Hugging Face files
    tb_map *maps; // [map_count], in the arena: the files that hold tensors
    size_t map_count;
    tb_kv *kvs;
    size_t kv_count;
    tb_tensor_info *tensors;
    size_t tensor_count;
    tb_name_index kv_index, tensor_index;
    tb_map hf_maps[TB_HF_FILES]; // of TB_HF_TOKENIZER_CONFIG: none, but
    tb_text tokenizer_settings;
    const char *notes[TB_CHECKPOINT_NOTES + 1]; // NULL behind the last
};

// The readers. Each fills the checkpoint, whose path is set; on failure the caller closes it.
tb_code tb_gguf_read(tb_checkpoint *checkpoint, tb_error *err);
tb_code tb_hf_read(tb_checkpoint *checkpoint, tb_error *err);
tb_code tb_hf_read_texts(tb_checkpoint *checkpoint, tb_error *err);

// Whether a file is a part of a folder that says nothing without the others, by the end of its name.
bool tb_hf_is_part(const char *path);

// Whether a file is taken for a tokenizer.json or a tokenizer.model, by the end of its name; which of the two.
bool tb_hf_is_tokenizer_file(tb_hf_file *which, const char *path);

// Such a file alone: no weights, no settings.
tb_code tb_hf_read_tokenizer_file(tb_checkpoint *checkpoint, tb_hf_file which, tb_error *err);

// What a reader calls once the table is complete: sorts the names and refuses names that occur
// twice; for tensors, refuses also bytes that belong to two of them.
tb_code tb_checkpoint_index_kvs(tb_checkpoint *checkpoint, tb_error *err);
tb_code tb_checkpoint_index_tensors(tb_checkpoint *checkpoint, tb_error *err);

// Puts parts in the place of fused matrices: of "attn_qkv" the rows of q, k and v, of an "ffn_up" that holds both those
// of "ffn_gate" and "ffn_up"; their biases too. The parts borrow the rows. Needs the index of the metadata, and comes
// before that of the tensors.
tb_code tb_checkpoint_part_fused(tb_checkpoint *checkpoint, tb_error *err);

// Sets `bytes` from type and dims. False when a row is no whole number of units, or on overflow.
bool tb_tensor_set_bytes(tb_tensor_info *tensor);

// Adds a sentence for whoever opened it.
tb_code tb_checkpoint_add_note(tb_checkpoint *checkpoint, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// TB_ENOMEM for this checkpoint.
tb_code tb_checkpoint_no_memory(const tb_checkpoint *checkpoint, tb_error *err);

// Bytes of the elements of a metadata type; 0 for texts, arrays and unknown numbers.
size_t tb_kv_type_bytes(uint32_t type);

// Sets type and value from little-endian bytes of a type that is neither text nor array.
void tb_kv_set_scalar(tb_kv *kv, tb_kv_type type, const unsigned char *bytes);

// True for valid UTF-8 without NUL.
bool tb_text_is_name(tb_text text);

// How texts of files appear in messages: printf("%.*s", TB_SHOWN(text)). Cut when long.
#define TB_SHOWN(text) tb_text_shown_size(text), ((text).data ? (text).data : "")
int tb_text_shown_size(tb_text text);

#endif
