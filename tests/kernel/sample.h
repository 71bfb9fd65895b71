// Random matrices and activations of every type, for tests of kernels and of tensor.
#ifndef TB_TESTS_KERNEL_SAMPLE_H
#define TB_TESTS_KERNEL_SAMPLE_H

#include "base/base.h"
#include "layout/layout.h"

typedef enum sample_kind {
    SAMPLE_NORMAL,  // ordinary finite values
    SAMPLE_INTEGER, // small integers (or eighths): any order of summation gives the same bits
    SAMPLE_EXTREME, // subnormal, tiny and very large scales; still finite
} sample_kind;

// A type and shape to try. planes and group count for plane types only.
typedef struct sample_shape {
    tb_type type;
    size_t rows, cols;
    unsigned planes;
    size_t group;
} sample_shape;

// A new random matrix; clear with tb_packed_clear. Ends the program when memory runs out.
void sample_matrix(tb_packed *out, const sample_shape *shape, sample_kind kind, tb_rng *rng);

// Fills x[0 … n−1] with values that suit the kind.
void sample_vector(float *x, size_t n, sample_kind kind, tb_rng *rng);

// Calls `fn` for every decodable type with shapes around each boundary of its units, words and
// groups, each with `rows` rows.
void sample_every_shape(size_t rows, void (*fn)(void *user, const sample_shape *shape), void *user);

#endif
