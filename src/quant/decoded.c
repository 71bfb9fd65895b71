#include "quant/decoded.h"

#include <math.h>

enum { DECODE_ROWS = 32 }; // rows per range

typedef struct decode_job {
    const tb_matrix *matrix;
    tb_decode_rows_fn *decode;
    float *out;
} decode_job;

static void decode_range(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    decode_job *job = user;
    size_t cols = job->matrix->cols;
    job->decode(job->out + begin * cols, cols, job->matrix, begin, end);
}

tb_code tb_matrix_decode(float **out, const tb_model *model, const tb_matrix *matrix, tb_error *err)
{
    const tb_compute *compute = tb_model_compute(model);
    size_t count;
    *out = tb_mul_size(&count, matrix->rows, matrix->cols) ? tb_alloc_array(count, sizeof **out) : NULL;
    if (!*out)
        return tb_fail(err, TB_ENOMEM, "no memory for a matrix of %zu x %zu", matrix->rows, matrix->cols);
    decode_job job = {matrix, tb_kernels_decode(&compute->kernels, matrix->type), *out};
    tb_parallel(compute->threads, matrix->rows, DECODE_ROWS, decode_range, &job);
    return TB_OK;
}

size_t tb_zero_nonfinite(float *values, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) {
            values[i] = 0;
            count++;
        }
    return count;
}
