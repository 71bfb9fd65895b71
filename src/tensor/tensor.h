// tensor: products with stored matrices, and the dense linear algebra of the quantizers.
// Owns the division of rows among threads; results never depend on the number of threads.
// OpenBLAS and LAPACKE are included by .c files of this module only, and run on one thread
// per call: the loops around them are ours.
#ifndef TB_TENSOR_H
#define TB_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "twobit/error.h"

// Where and how products run. Shared, read-only after init.
typedef struct tb_compute {
    tb_kernels kernels;
    size_t threads; // ≥ 1
} tb_compute;

// threads 0: all processors. Also checks once per process that the BLAS library multiplies
// correctly on this processor (some versions do not); TB_EUNSUPPORTED with the remedy if not.
tb_code tb_compute_init(tb_compute *compute, tb_cpu cpu, size_t threads, tb_error *err);

// The kernel level that the bits of passes over `count` rows at a time depend on. Products of many rows depend on
// none: matrices decode to the same bits everywhere, and BLAS chooses for itself.
const char *tb_compute_level(const tb_compute *compute, size_t count);

// Rows of activations on their way into products. What form kernels want them in is prepared when a product first
// asks for it, for all rows, and serves the products that follow: one object for all matrices that share an input.
// Matrices whose kernels want different forms take turns in one room, so those of one form should follow each other.
typedef struct tb_activations {
    // [rows], `cols` of each. Where the stride is at least tb_padded(cols), rows are aligned and padded as kernels.h
    // says, and kernels on floats read them where they are; otherwise rows may lie anyhow.
    const float *x;
    size_t stride, rows, cols;
    void *room;                     // tb_activations_room bytes, aligned
    const tb_activation_form *form; // what is in the room; NULL: nothing yet
} tb_activations;

size_t tb_activations_room(const tb_compute *compute, size_t rows, size_t stride, size_t cols);

// Floats of scratch that tb_matmul needs for up to `count` rows of `cols` activations.
size_t tb_matmul_scratch(const tb_compute *compute, size_t count, size_t cols);

// y[t][r] = Σ_c W[r][c]·x[first + t][c] for t < count, y: [count] rows of y_stride floats.
// Few rows run the gemv kernels; more decode tiles of W and multiply with BLAS. Which of the two, and the tiles, depend
// on the shapes only. `scratch` as tb_matmul_scratch says.
void tb_matmul(const tb_compute *compute, float *y, size_t y_stride, const tb_matrix *w, tb_activations *x,
               size_t first, size_t count, float *scratch);

// ---- dense linear algebra, row-major ----

// C[m][n] (stride ldc) = alpha·op(A)·op(B) + beta·C, in double; a transposed operand is given
// by transpose_* = true and its own stride. One thread.
void tb_gemm_f64(double *c, size_t ldc, const double *a, size_t lda, bool transpose_a, const double *b, size_t ldb,
                 bool transpose_b, size_t m, size_t n, size_t k, double alpha, double beta);
void tb_gemm_f32(float *c, size_t ldc, const float *a, size_t lda, bool transpose_a, const float *b, size_t ldb,
                 bool transpose_b, size_t m, size_t n, size_t k, float alpha, float beta);

// G[n][n] += Xᵀ·X for X[tokens][n] (stride ldx): accumulates second moments. The products of
// one call are summed in float per strip of 256 tokens and added to G in double; both
// triangles are filled. Threads divide G into fixed tiles. scratch: n·n floats.
void tb_accumulate_gram(const tb_compute *compute, double *g, const float *x, size_t ldx, size_t tokens, size_t n,
                        float *scratch);

// Factor of a symmetric positive definite A[n][n], in place: A = V·Vᵀ with V upper
// triangular; the strict lower triangle is set to 0. TB_EINVAL when A is not positive definite
// to working precision (A is then destroyed). The result does not depend on `threads`.
tb_code tb_factor_upper(size_t threads, double *a, size_t n, tb_error *err);

// B[m][n] ← B·V⁻¹ for V upper triangular [n][n] (stride ldv).
void tb_solve_upper_right(double *b, size_t ldb, const double *v, size_t ldv, size_t m, size_t n);

// B[m][n] ← B·V for V upper triangular.
void tb_multiply_upper_right(double *b, size_t ldb, const double *v, size_t ldv, size_t m, size_t n);

// Singular values of A[m][n] in descending order into s[min(m,n)]; A is destroyed.
tb_code tb_singular_values(double *s, double *a, size_t m, size_t n, tb_error *err);

// Eigenvalues of a symmetric A[n][n] in ascending order into values[n]; A is destroyed.
tb_code tb_symmetric_eigenvalues(double *values, double *a, size_t n, tb_error *err);

// ---- the BLAS library ----

enum { TB_BLAS_NAME = 96 };

// The library and the kernels that it runs, as in "OpenBLAS 0.3.21 with Cooperlake kernels". Returns `out`.
const char *tb_blas_name(char out[TB_BLAS_NAME]);

enum { TB_MACHINE_NAME = 256 };

// What speed and last digits depend on: the processor's name as Linux knows it ("unknown processor" elsewhere), and the
// above: "AMD EPYC, OpenBLAS 0.3.21 with Cooperlake kernels". Returns `out`.
const char *tb_machine_name(char out[TB_MACHINE_NAME]);

// What the library calls the processor whose kernels it runs: "Cooperlake". Static storage.
const char *tb_blas_core(void);

// The environment variable by which a user, or the program before it starts anew, chooses the core. The library
// reads it once, when it is loaded.
#define TB_BLAS_CORE_VARIABLE "OPENBLAS_CORETYPE"

// The core that the library should run on a processor that offers `cpu`, where it started with the kernels of `core`;
// NULL when those fit, when `core` is none we know, or when the user chose (`setting`, the variable's value, is not
// NULL). Static storage.
const char *tb_blas_better_core(tb_cpu cpu, const char *core, const char *setting);

#endif
