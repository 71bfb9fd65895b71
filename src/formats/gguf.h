// Inside formats: constants of the GGUF container, for its reader and its writer.
#ifndef TB_FORMATS_GGUF_H
#define TB_FORMATS_GGUF_H

// A file is: magic, version, tensor count, metadata count (little-endian u32, u64); metadata
// entries (key, type, value); tensor entries (name, dims, type, offset); zeros up to the
// alignment; the tensors' bytes, each at its offset from there. A text is a u64 length and
// that many bytes.
#define TB_GGUF_MAGIC "GGUF"
#define TB_GGUF_VERSION 3 // version 2 has the same layout

// Tensor offsets are multiples of it unless the key general.alignment says otherwise.
#define TB_GGUF_ALIGNMENT 32
#define TB_GGUF_LEAST_ALIGNMENT 8 // of the specification; enough for every ggml type

#define TB_GGUF_MAX_KEY 65535 // of the specification
#define TB_GGUF_MAX_NAME 255  // the specification says 64; longer ones exist

#endif
