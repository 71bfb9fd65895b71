// For tests: a GGUF file with something changed.
#ifndef TB_TEST_EDITED_MODEL_H
#define TB_TEST_EDITED_MODEL_H

#include "formats/formats.h"

typedef enum model_edit_kind {
    SET_U32,
    SET_F32,
    SET_TEXT,
    SET_BOOL,
    SET_FLAGS,
    SET_NUMBERS,
    DROP_KEY,
    DROP_TENSOR,
    RENAME_TENSOR,
    REPLACE_MATRIX,
    ADD_VECTOR,
    FILL_VECTOR,
} model_edit_kind;

typedef struct model_edit {
    model_edit_kind kind;
    const char *name; // of the key or tensor
    double
        number; // SET_U32, SET_F32, SET_BOOL: the value; ADD_VECTOR: its length; FILL_VECTOR: what all elements become
    const void *value; // SET_TEXT: the text; SET_FLAGS: "0110", one a flag; SET_NUMBERS: uint32_t, `number` of them;
                       // RENAME_TENSOR: the name; REPLACE_MATRIX: a tb_matrix; ADD_VECTOR: floats, NULL: all 0.5
} model_edit;

// Copies a GGUF file with the edits applied (at most one per key or tensor; n may be 0). Fails the test when it
// cannot. Keys that are set and were absent are added.
void write_edited(const char *out_path, const char *in_path, const model_edit *edits, size_t n);

#endif
