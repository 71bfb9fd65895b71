// kernels: the inner loops, as contracts. A struct of function pointers is filled once from
// a CPU mask; the scalar reference in ref/ is always built and is the oracle of every other
// variant (tests/kernel). Kernels are single-threaded, allocate nothing, know no file format
// and do not fail: the caller has checked shapes and types.
#ifndef TB_KERNELS_H
#define TB_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "layout/layout.h"

// ---- forms of activations ----

// Floats are padded: a vector for a matrix of `cols` columns is aligned to TB_ALIGNMENT, readable, and zero past cols,
// up to a multiple of this many floats. Kernels may read the padding, so that tails need no special loop; weight bits
// past the last column may have any value.
#define TB_KERNEL_PAD 32

static inline size_t tb_padded(size_t cols)
{
    return (cols + TB_KERNEL_PAD - 1) / TB_KERNEL_PAD * TB_KERNEL_PAD;
}

// How a kernel wants its activations. A vector is brought into a form once and then serves every matrix that it is
// multiplied with and whose kernel asks for the same form: what costs work for each vector (rounding to integers,
// tables of partial sums) belongs here and not into the kernel.
typedef struct tb_activation_form {
    // Bytes of a vector of `cols` activations, a multiple of TB_ALIGNMENT.
    size_t (*bytes)(size_t cols);
    // x[cols] into the form; dst is aligned to TB_ALIGNMENT. The only rounding of activations happens here.
    void (*prepare)(void *restrict dst, const float *restrict x, size_t cols);
    // The floats that a prepared vector stands for.
    void (*restore)(float *restrict dst, const void *restrict prepared, size_t cols);
} tb_activation_form;

// Floats, aligned and padded as above: nothing is rounded.
extern const tb_activation_form tb_floats_form;

// ---- products ----

// y[r − row0] = Σ_c W[r][c]·x[c] for rows row0 ≤ r < row1; exactly row1 − row0 floats are
// written. x is in the form that the kernel asks for; y, W and x do not overlap.
// Promise: |y − exact| ≤ 2·(cols + 8)·2^-24·Σ_c |W[r][c]·x[c]| with W as tb_matrix_decode_row
// gives it and x as its form restores it. Each row is independent of row0 and row1: any split gives the same bits.
typedef void tb_gemv_fn(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x);

typedef struct tb_product {
    tb_gemv_fn *gemv;
    const tb_activation_form *form; // of x
    size_t grain;                   // rows that the kernel takes together: ranges begin at multiples of it
} tb_product;

// ---- rows and vectors ----

// dst[r − row0][c] = decoded W[r][c], row stride `stride` floats; the same bits as
// tb_matrix_decode_row (but a NaN may be another NaN).
typedef void tb_decode_rows_fn(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1);

// Σ_i a[i]·b[i], b in float or half; any length, any alignment. Bound as for gemv, n for cols.
typedef float tb_dot_f32_fn(const float *a, const float *b, size_t n);
typedef float tb_dot_f32_f16_fn(const float *a, const uint16_t *b, size_t n);

// y[i] += s·x[i], x in float or half; with one or two roundings, the same for every i.
typedef void tb_axpy_f32_fn(float *restrict y, float s, const float *restrict x, size_t n);
typedef void tb_axpy_f16_fn(float *restrict y, float s, const uint16_t *restrict x, size_t n);

// dst[i] = half(src[i]), to nearest even.
typedef void tb_half_from_float_fn(uint16_t *restrict dst, const float *restrict src, size_t n);

// ---- attention ----

// A few queries of heads that share keys, against rows of those keys and values. x: [queries] rows of x_stride floats,
// aligned and padded as for gemv. Keys and values: [rows][cols] floats or halves, one row behind the other at any
// address that suits the type; nothing past the last one is read. Nothing overlaps. Each result is independent of the
// other rows and queries: any split gives the same bits.

// y[q][r] = Σ_c x[q][c]·keys[r][c], y: [queries] rows of y_stride floats, `rows` of them written. Bound as for gemv.
typedef void tb_scores_fn(float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t queries,
                          const void *restrict keys, size_t rows, size_t cols);

// y[q][c] += Σ_r w[q][r]·values[r][c], row after row, each with one or two roundings, the same for all. y: [queries]
// rows of y_stride floats, aligned and padded as x is: the padding may be rewritten and stays zero. w: [queries] rows
// of w_stride floats.
typedef void tb_mix_fn(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                       const void *restrict values, size_t rows, size_t cols);

// Rows of numbers in few bits: number c of row r is offset[r] + scale[r]·code[r][c], rounded once, for with scales that
// are halves the product is exact.
typedef struct tb_codes {
    const uint16_t *scales, *offsets; // [rows], halves
    const uint8_t *codes;             // [rows] of `stride` bytes: codes one behind the other, their lowest bits first
    size_t stride;
    unsigned bits; // of a code, 1 to 8
} tb_codes;

// Bytes behind the last code that are readable; they may have any value.
enum { TB_CODES_PAD = 16 };

// The same from a row on, and from a column, a multiple of 8.
static inline tb_codes tb_codes_from(const tb_codes *codes, size_t row, size_t col)
{
    return (tb_codes){
        .scales = codes->scales + row,
        .offsets = codes->offsets + row,
        .codes = codes->codes + row * codes->stride + col / 8 * codes->bits,
        .stride = codes->stride,
        .bits = codes->bits,
    };
}

// dst[r][c] = number c of row r: rows of dst_stride floats, `cols` of them written.
typedef void tb_decode_codes_fn(float *restrict dst, size_t dst_stride, const tb_codes *codes, size_t rows,
                                size_t cols);

// y[q][c] += Σ_r w[q][r]·number[r][c], as tb_mix_fn does it, but that y lies at any address and has no padding: `cols`
// floats of each row are written.
typedef void tb_mix_codes_fn(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride,
                             size_t queries, const tb_codes *codes, size_t rows, size_t cols);

// The largest of x[n]; −∞ for n = 0. Of numbers that are no NaN.
typedef float tb_max_f32_fn(const float *x, size_t n);

// x[i] = e^(x[i] − top), the bits of tb_exp. Returns their sum, bound as for gemv with n for cols; all levels give the
// same bits.
typedef float tb_exp_f32_fn(float *x, float top, size_t n);

typedef struct tb_kernels {
    // The levels whose kernels these are, not those of the processor: tables that agree in `cpu` compute the same bits,
    // and those that agree in `vector_cpu` do so outside products and scores. Decoding gives the same bits in all.
    tb_cpu cpu, vector_cpu;

    // By tb_type_index, for every type that can be decoded. F32 and F16 take floats.
    tb_product products[TB_TYPES];
    tb_decode_rows_fn *decode[TB_TYPES];

    tb_dot_f32_fn *dot_f32;
    tb_dot_f32_f16_fn *dot_f32_f16;
    tb_axpy_f32_fn *axpy_f32;
    tb_axpy_f16_fn *axpy_f16;
    tb_half_from_float_fn *half_from_float;

    tb_scores_fn *scores_f32, *scores_f16;
    tb_mix_fn *mix_f32, *mix_f16;
    tb_mix_codes_fn *mix_codes;
    tb_decode_codes_fn *decode_codes;
    tb_max_f32_fn *max_f32;
    tb_exp_f32_fn *exp_f32;
} tb_kernels;

// Fills the table with the best variants that `cpu` allows.
void tb_kernels_init(tb_kernels *kernels, tb_cpu cpu);

static inline const tb_product *tb_kernels_product(const tb_kernels *kernels, tb_type type)
{
    return &kernels->products[tb_type_index(type)];
}

static inline tb_decode_rows_fn *tb_kernels_decode(const tb_kernels *kernels, tb_type type)
{
    return kernels->decode[tb_type_index(type)];
}

#endif
