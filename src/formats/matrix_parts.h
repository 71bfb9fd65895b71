// Inside formats: how a plane-type matrix lies in a file, for reading and writing.
#ifndef TB_FORMATS_MATRIX_PARTS_H
#define TB_FORMATS_MATRIX_PARTS_H

#include "formats/formats.h"

// Metadata key of a matrix: this and the matrix' name. Its value is a text, "KIND COLS GROUP
// PLANES" with KIND as tb_type_name says it.
#define TB_MATRIX_KEY "twobit.matrix."

// One of the tensors that make up a plane-type matrix; its name is MATRIX.SUFFIX.
typedef struct tb_matrix_part {
    const char *suffix;
    tb_type type;
    unsigned dim_count;
    uint64_t dims[TB_MAX_DIMS];
} tb_matrix_part;

#define TB_MATRIX_PARTS 3

// The parts of a matrix of valid shape and plane type, in the order data, coefs, zeros;
// returns how many there are.
size_t tb_matrix_get_parts(tb_matrix_part parts[TB_MATRIX_PARTS], const tb_matrix *shape);

#endif
