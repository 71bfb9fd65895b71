// Dense linear algebra by OpenBLAS and LAPACKE, and what these need to be called safely.
#include "base/base.h"
#include "tensor/tensor.h"

#include <assert.h>
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

// BLAS counts in int; layout refuses larger matrices.
static int to_int(size_t n)
{
    assert(n <= TB_MAX_DIM);
    return (int)n;
}

static enum CBLAS_TRANSPOSE transposition(bool transpose)
{
    return transpose ? CblasTrans : CblasNoTrans;
}

void tb_gemm_f64(double *c, size_t ldc, const double *a, size_t lda, bool transpose_a, const double *b, size_t ldb,
                 bool transpose_b, size_t m, size_t n, size_t k, double alpha, double beta)
{
    cblas_dgemm(CblasRowMajor, transposition(transpose_a), transposition(transpose_b), to_int(m), to_int(n), to_int(k),
                alpha, a, to_int(lda), b, to_int(ldb), beta, c, to_int(ldc));
}

void tb_gemm_f32(float *c, size_t ldc, const float *a, size_t lda, bool transpose_a, const float *b, size_t ldb,
                 bool transpose_b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    cblas_sgemm(CblasRowMajor, transposition(transpose_a), transposition(transpose_b), to_int(m), to_int(n), to_int(k),
                alpha, a, to_int(lda), b, to_int(ldb), beta, c, to_int(ldc));
}

// Turns a square matrix by 180 degrees: element (i, j) goes to (n−1−i, n−1−j).
static void turn_around(double *a, size_t n)
{
    for (size_t i = 0, j = n * n - 1; i < j; i++, j--) {
        double swap = a[i];
        a[i] = a[j];
        a[j] = swap;
    }
}

// With J the reversal of order, J·A·J = L·Lᵀ gives A = (J·L·J)·(J·L·J)ᵀ, and J·L·J is upper
// triangular. A row-major lower triangle is to LAPACK a column-major upper one, so no copy is
// made.
tb_code tb_factor_upper(double *a, size_t n, tb_error *err)
{
    if (n == 0)
        return TB_OK;
    turn_around(a, n);
    lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', to_int(n), a, to_int(n));
    if (info != 0)
        return tb_fail(err, TB_EINVAL, "matrix of order %zu is not positive definite", n);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i * n + i])) // LAPACK's comparison lets NaN and infinity through
            return tb_fail(err, TB_EINVAL, "matrix of order %zu is not finite", n);
        memset(a + i * n + i + 1, 0, (n - 1 - i) * sizeof *a);
    }
    turn_around(a, n);
    return TB_OK;
}

void tb_solve_upper_right(double *b, size_t ldb, const double *v, size_t ldv, size_t m, size_t n)
{
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, to_int(m), to_int(n), 1, v,
                to_int(ldv), b, to_int(ldb));
}

void tb_multiply_upper_right(double *b, size_t ldb, const double *v, size_t ldv, size_t m, size_t n)
{
    cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, to_int(m), to_int(n), 1, v,
                to_int(ldv), b, to_int(ldb));
}

// Row-major A is column-major Aᵀ, whose singular values are the same.
tb_code tb_singular_values(double *s, double *a, size_t m, size_t n, tb_error *err)
{
    if (m == 0 || n == 0)
        return TB_OK;
    lapack_int info = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', to_int(n), to_int(m), a, to_int(n), s, NULL, 1, NULL, 1);
    if (info == LAPACK_WORK_MEMORY_ERROR)
        return tb_fail(err, TB_ENOMEM, "no memory for the singular values of a %zu × %zu matrix", m, n);
    if (info != 0)
        return tb_fail(err, TB_EINVAL, "singular values of a %zu × %zu matrix do not converge: it is not finite", m, n);
    return TB_OK;
}

tb_code tb_symmetric_eigenvalues(double *values, double *a, size_t n, tb_error *err)
{
    if (n == 0)
        return TB_OK;
    lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', to_int(n), a, to_int(n), values);
    if (info == LAPACK_WORK_MEMORY_ERROR)
        return tb_fail(err, TB_ENOMEM, "no memory for the eigenvalues of a %zu × %zu matrix", n, n);
    if (info != 0)
        return tb_fail(err, TB_EINVAL, "eigenvalues of a %zu × %zu matrix do not converge: it is not finite", n, n);
    return TB_OK;
}
