// Inside formats: how a plane-type matrix lies in a file, for reading and writing.
#ifndef TB_FORMATS_MATRIX_PARTS_H
#define TB_FORMATS_MATRIX_PARTS_H

#include "formats/formats.h"

// Metadata key of a matrix: this and the matrix' name. Its value is a text, "KIND COLS GROUP
// PLANES" with KIND as tb_type_name says it.
#define TB_MATRIX_KEY "twobit.matrix."

#endif
