// For tests: a GGUF file with something changed.
#ifndef TB_TEST_EDITED_MODEL_H
#define TB_TEST_EDITED_MODEL_H

#include "formats/formats.h"

typedef struct model_edit {
    enum {
        SET_U32 = 1,
        SET_F32,
        SET_TEXT,
        SET_FLAGS,
        DROP_KEY,
        DROP_TENSOR,
        RENAME_TENSOR,
        ADD_VECTOR,
        FILL_VECTOR
    } kind;
    const char *name; // of the key or tensor
    double number;    // FLAGS: bits; ADD_VECTOR: its length; FILL_VECTOR: what all elements become
    const char *text; // or the new name
} model_edit;

// Copies a GGUF file with the edits applied (at most one per key or tensor; n may be 0). Fails the test when it
// cannot. Keys that are set and were absent are added.
void write_edited(const char *out_path, const char *in_path, const model_edit *edits, size_t n);

#endif
