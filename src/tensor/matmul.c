// Products with stored matrices.
//
// Few rows of activations: every range of rows of the matrix is multiplied with each by the gemv kernel, while its
// bytes are in the cache. Many: a tile of rows of the matrix is decoded to floats once and multiplied by BLAS. Ranges
// and tiles depend on the shapes only, and every output belongs to one of them, so the number of threads changes no
// bit.
#include "base/base.h"
#include "tensor/tensor.h"

#include <stdalign.h>

enum {
    FEW_ROWS = 4,              // at most so many run the gemv kernels; see docs/kernels.md
    TILE_ROWS = 64,            // rows decoded at a time for BLAS
    RANGE_WEIGHTS = 64 * 1024, // weights of a gemv range: some ten microseconds of work
    MIN_RANGE_ROWS = 4,
};

// ---- activations ----

static bool are_ready(size_t stride, size_t cols)
{
    return stride >= tb_padded(cols);
}

size_t tb_activations_room(const tb_compute *compute, size_t rows, size_t stride, size_t cols)
{
    size_t most = 0;
    for (size_t i = 0; i < TB_TYPES; i++) {
        const tb_activation_form *form = compute->kernels.products[i].form;
        size_t bytes = form == &tb_floats_form && are_ready(stride, cols) ? 0 : form->bytes(cols);
        most = bytes > most ? bytes : most;
    }
    return rows * most;
}

static void prepare_rows(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const tb_activations *x = user;
    size_t bytes = x->form->bytes(x->cols);
    for (size_t t = begin; t < end; t++)
        x->form->prepare((char *)x->room + t * bytes, x->x + t * x->stride, x->cols);
}

// The rows in a form, *stride bytes apart.
static const void *prepare(size_t *stride, tb_activations *x, const tb_activation_form *form, size_t threads)
{
    if (form == &tb_floats_form && are_ready(x->stride, x->cols)) {
        *stride = x->stride * sizeof *x->x;
        return x->x;
    }
    if (x->form != form) {
        x->form = form;
        tb_parallel(threads, x->rows, 1, prepare_rows, x);
    }
    *stride = form->bytes(x->cols);
    return x->room;
}

// ---- few rows ----

typedef struct few_job {
    const tb_product *product;
    const tb_matrix *w;
    float *y;
    size_t y_stride;
    const char *x; // prepared
    size_t x_bytes, count;
} few_job;

static void multiply_few(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const few_job *job = user;
    for (size_t t = 0; t < job->count; t++)
        job->product->gemv(job->y + t * job->y_stride + begin, job->w, begin, end, job->x + t * job->x_bytes);
}

static size_t range_rows(const tb_matrix *w, size_t grain)
{
    size_t rows = RANGE_WEIGHTS / w->cols;
    return tb_round_up(rows < MIN_RANGE_ROWS ? MIN_RANGE_ROWS : rows, grain);
}

// ---- many rows ----

typedef struct many_job {
    const tb_kernels *kernels;
    const tb_matrix *w;
    float *y;
    size_t y_stride;
    const float *x;
    size_t x_stride, count;
    float *scratch;
} many_job;

// Rows that lie in memory as BLAS wants them need no decoding.
static const float *stored_floats(const tb_matrix *w, size_t row)
{
    if (w->type != TB_TYPE_F32 || (uintptr_t)w->data % alignof(float))
        return NULL;
    return (const float *)w->data + row * w->cols;
}

static void multiply_many(void *user, size_t begin, size_t end, size_t worker)
{
    const many_job *job = user;
    const tb_matrix *w = job->w;
    size_t stride = w->cols;
    const float *rows = stored_floats(w, begin);
    if (!rows) {
        stride = tb_padded(w->cols);
        float *tile = job->scratch + worker * TILE_ROWS * stride;
        tb_kernels_decode(job->kernels, w->type)(tile, stride, w, begin, end);
        rows = tile;
    }
    tb_gemm_f32(job->y + begin, job->y_stride, job->x, job->x_stride, false, rows, stride, true, job->count,
                end - begin, w->cols, 1, 0);
}

// ---- both ----

size_t tb_matmul_scratch(const tb_compute *compute, size_t count, size_t cols)
{
    return count <= FEW_ROWS ? 0 : compute->threads * TILE_ROWS * tb_padded(cols);
}

const char *tb_compute_level(const tb_compute *compute, size_t count)
{
    return tb_cpu_name(count <= FEW_ROWS ? compute->kernels.cpu : compute->kernels.vector_cpu);
}

void tb_matmul(const tb_compute *compute, float *y, size_t y_stride, const tb_matrix *w, tb_activations *x,
               size_t first, size_t count, float *scratch)
{
    if (count <= FEW_ROWS) {
        const tb_product *product = tb_kernels_product(&compute->kernels, w->type);
        few_job job = {.product = product, .w = w, .y = y, .y_stride = y_stride, .count = count};
        job.x = prepare(&job.x_bytes, x, product->form, compute->threads);
        job.x += first * job.x_bytes;
        tb_parallel(compute->threads, w->rows, range_rows(w, product->grain), multiply_few, &job);
    } else {
        many_job job = {&compute->kernels, w, y, y_stride, x->x + first * x->stride, x->stride, count, scratch};
        tb_parallel(compute->threads, w->rows, TILE_ROWS, multiply_many, &job);
    }
}
