// Some OpenBLAS versions choose kernels by the processor's name that compute wrong results on
// it. Products of small integers are exact in any order of summation, so any difference from
// plain loops is an error of the library.
#include "tensor/blas_check.h"

#include "base/base.h"
#include "tensor/tensor.h"

#include <cblas.h>
#include <math.h>
#include <stdatomic.h>

typedef enum verdict { UNKNOWN, CORRECT, WRONG } verdict;

// Threads that ask at the same time may check twice and come to the same verdict.
static atomic_int known_verdict = UNKNOWN;

// Shapes [m][k]·[k][n] as they come up: one row, tile edges, many rows.
static const struct {
    size_t m, n, k;
} shapes[] = {{1, 64, 576}, {5, 17, 33}, {48, 64, 192}, {130, 67, 300}};

enum { MOST_VALUES = 130 * 300, FACTOR_SIZE = 96 };

// Integers −7 … 7 in a fixed irregular order.
static int small_integer(size_t i)
{
    return (int)((i * 2654435761u >> 7) % 15) - 7;
}

static double exact_product(size_t m, size_t n, size_t k, bool transpose_a, bool transpose_b, size_t row, size_t col)
{
    double sum = 0;
    for (size_t l = 0; l < k; l++) {
        size_t a = transpose_a ? l * m + row : row * k + l;
        size_t b = transpose_b ? col * k + l : l * n + col;
        sum += small_integer(a) * small_integer(b + 1);
    }
    return sum;
}

typedef struct check_buffers {
    double *a, *b, *c;
    float *af, *bf, *cf;
} check_buffers;

static bool product_is_correct(const check_buffers *s, size_t m, size_t n, size_t k, bool transpose_a, bool transpose_b)
{
    size_t lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
    tb_gemm_f64(s->c, n, s->a, lda, transpose_a, s->b, ldb, transpose_b, m, n, k, 1, 0);
    tb_gemm_f32(s->cf, n, s->af, lda, transpose_a, s->bf, ldb, transpose_b, m, n, k, 1, 0);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double exact = exact_product(m, n, k, transpose_a, transpose_b, i, j);
            if (s->c[i * n + j] != exact || (double)s->cf[i * n + j] != exact)
                return false;
        }
    return true;
}

static bool products_are_correct(const check_buffers *s)
{
    for (size_t i = 0; i < MOST_VALUES; i++) {
        s->af[i] = (float)(s->a[i] = small_integer(i));
        s->bf[i] = (float)(s->b[i] = small_integer(i + 1));
    }
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (unsigned transposed = 0; transposed < 4; transposed++)
            if (!product_is_correct(s, shapes[i].m, shapes[i].n, shapes[i].k, transposed & 1, transposed & 2))
                return false;
    return true;
}

// V·Vᵀ for an integer V with a dominant diagonal must give V back.
static bool factor_is_correct(const check_buffers *s)
{
    const size_t n = FACTOR_SIZE;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            s->b[i * n + j] = i == j ? 64 : i < j ? small_integer(i * n + j) : 0;
    tb_gemm_f64(s->a, n, s->b, n, false, s->b, n, true, n, n, n, 1, 0);
    if (tb_factor_upper(1, s->a, n, NULL) != TB_OK)
        return false;
    double worst = 0;
    for (size_t i = 0; i < n * n; i++)
        worst = fmax(worst, fabs(s->a[i] - s->b[i]));
    return worst < 1e-9; // V is well conditioned: a correct library stays below 1e-12
}

static tb_code find_verdict(verdict *out, tb_error *err)
{
    check_buffers s = {
        tb_alloc_array(MOST_VALUES, sizeof(double)), tb_alloc_array(MOST_VALUES, sizeof(double)),
        tb_alloc_array(MOST_VALUES, sizeof(double)), tb_alloc_array(MOST_VALUES, sizeof(float)),
        tb_alloc_array(MOST_VALUES, sizeof(float)),  tb_alloc_array(MOST_VALUES, sizeof(float)),
    };
    tb_code rc = TB_OK;
    if (s.a && s.b && s.c && s.af && s.bf && s.cf)
        *out = products_are_correct(&s) && factor_is_correct(&s) ? CORRECT : WRONG;
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory to check the BLAS library");
    tb_free(s.a);
    tb_free(s.b);
    tb_free(s.c);
    tb_free(s.af);
    tb_free(s.bf);
    tb_free(s.cf);
    return rc;
}

tb_code tb_blas_check(tb_error *err)
{
    verdict found = (verdict)atomic_load(&known_verdict);
    if (found == UNKNOWN) {
        openblas_set_num_threads(1);
        tb_code rc = find_verdict(&found, err);
        if (rc)
            return rc;
        atomic_store(&known_verdict, found);
    }
    if (found == WRONG)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "the OpenBLAS library computes wrong results on this processor: set the environment variable "
                       "OPENBLAS_CORETYPE=Haswell, or install a newer OpenBLAS");
    return TB_OK;
}
