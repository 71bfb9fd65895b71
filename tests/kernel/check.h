// checkkernel: every variant of every kernel against the scalar reference. One check_<family>.c
// per family; each checks one table of kernels and reports through check_fail.
#ifndef TB_TESTS_KERNEL_CHECK_H
#define TB_TESTS_KERNEL_CHECK_H

#include <stdbool.h>

#include "kernels/kernels.h"
#include "sample.h"

// Each checks all kernels of its family in `kernels`.
void check_gemv(const tb_kernels *kernels);
void check_decode(const tb_kernels *kernels);
void check_vector(const tb_kernels *kernels);
void check_attention(const tb_kernels *kernels);
void check_codes(const tb_kernels *kernels);

// Prints a table of speeds: a line per kernel, a column per table.
void bench_kernels(const tb_kernels *tables, size_t count);

// Says what is checked from now on.
void check_begin(const char *name);

// Reports a failure of the kernel named `name`; the first few are printed.
void check_fail(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Memory whose last byte is followed by an unmapped page, so that reading or writing past the
// end ends the program with a report. The front is filled with canary bytes.
typedef struct guarded {
    unsigned char *map;
    size_t map_size;
    void *data; // `size` bytes, up to the unmapped page
    size_t size;
} guarded;

guarded guarded_new(size_t size);
void guarded_free(guarded *g);
// False when the bytes before the data were touched.
bool guarded_is_intact(const guarded *g);

// The name of a shape, in static storage: "bitplanes 7x172 k=2 g=64".
const char *shape_name(const sample_shape *shape);

#endif
