// Products with stored matrices.
//
// Few tokens: every range of rows is multiplied with each token by the gemv kernel, while the
// rows' bytes are in the cache. Many tokens: a tile of rows is decoded to floats once and
// multiplied by BLAS. Ranges and tiles depend on the shapes only, and every output belongs to
// one of them, so the number of threads changes no bit.
#include "base/base.h"
#include "tensor/tensor.h"

#include <stdalign.h>

enum {
    FEW_TOKENS = 4,            // at most so many run the gemv kernels; see docs/kernels.md
    TILE_ROWS = 64,            // rows decoded at a time for BLAS
    RANGE_WEIGHTS = 64 * 1024, // weights of a gemv range: some ten microseconds of work
    MIN_RANGE_ROWS = 4,
};

typedef struct matmul_job {
    const tb_kernels *kernels;
    float *y;
    size_t y_stride;
    const tb_matrix *w;
    const float *x;
    size_t x_stride, tokens;
    float *scratch;
} matmul_job;

static void multiply_few(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const matmul_job *job = user;
    tb_gemv_fn *gemv = tb_kernels_gemv(job->kernels, job->w->type);
    for (size_t t = 0; t < job->tokens; t++)
        gemv(job->y + t * job->y_stride + begin, job->w, begin, end, job->x + t * job->x_stride);
}

// Rows that lie in memory as BLAS wants them need no decoding.
static const float *stored_floats(const tb_matrix *w, size_t row)
{
    if (w->type != TB_TYPE_F32 || (uintptr_t)w->data % alignof(float))
        return NULL;
    return (const float *)w->data + row * w->cols;
}

static void multiply_many(void *user, size_t begin, size_t end, size_t worker)
{
    const matmul_job *job = user;
    const tb_matrix *w = job->w;
    size_t stride = w->cols;
    const float *rows = stored_floats(w, begin);
    if (!rows) {
        stride = tb_padded(w->cols);
        float *tile = job->scratch + worker * TILE_ROWS * stride;
        tb_kernels_decode(job->kernels, w->type)(tile, stride, w, begin, end);
        rows = tile;
    }
    tb_gemm_f32(job->y + begin, job->y_stride, job->x, job->x_stride, false, rows, stride, true, job->tokens,
                end - begin, w->cols, 1, 0);
}

static size_t range_rows(const tb_matrix *w)
{
    size_t rows = RANGE_WEIGHTS / w->cols;
    return rows < MIN_RANGE_ROWS ? MIN_RANGE_ROWS : rows;
}

size_t tb_matmul_scratch(size_t tokens, size_t rows, size_t cols, size_t threads)
{
    (void)rows;
    return tokens <= FEW_TOKENS ? 0 : threads * TILE_ROWS * tb_padded(cols);
}

const char *tb_compute_level(const tb_compute *compute, size_t tokens)
{
    return tb_cpu_name(tokens <= FEW_TOKENS ? compute->kernels.cpu : compute->kernels.vector_cpu);
}

void tb_matmul(const tb_compute *compute, float *y, size_t y_stride, const tb_matrix *w, const float *x,
               size_t x_stride, size_t tokens, float *scratch)
{
    matmul_job job = {&compute->kernels, y, y_stride, w, x, x_stride, tokens, scratch};
    if (tokens <= FEW_TOKENS)
        tb_parallel(compute->threads, w->rows, range_rows(w), multiply_few, &job);
    else
        tb_parallel(compute->threads, w->rows, TILE_ROWS, multiply_many, &job);
}
