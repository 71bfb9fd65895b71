// Golden vectors of the quantizers: tests/golden.
#ifndef TB_TEST_QUANT_GOLDEN_H
#define TB_TEST_QUANT_GOLDEN_H

#include "quant/quant.h"

// Opens tests/golden/FOLDER/NAME.npy; fails the test when it is missing or of another type.
// `kind` as in tb_npy, `count` 0 means any.
tb_npy golden_open(const char *folder, const char *name, char kind, size_t item_size, size_t count);

// The values as double, new memory (tb_free).
double *golden_doubles(const char *folder, const char *name, size_t count);

#endif
