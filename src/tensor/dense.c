// Dense linear algebra by OpenBLAS and LAPACKE, and what these need to be called safely.
#include "base/base.h"
#include "tensor/tensor.h"

#include <assert.h>
#include <cblas.h>
#include <lapacke.h>

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
