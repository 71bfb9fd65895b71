// Second moments G += Xᵀ·X, tile by tile of the upper triangle. A tile and its mirror image
// belong to one task, so tasks never meet; a tile's sums depend on nothing but the shapes.
#include "base/base.h"
#include "tensor/tensor.h"

enum {
    TILE = 128,  // 128·128 floats of products stay in the L2 cache while they are added to G
    STRIP = 256, // tokens summed in float: the rounding stays below 256·2^-24 of Σ|x·x|
};

typedef struct gram_job {
    double *g;
    const float *x;
    size_t ldx, tokens, n;
    size_t tiles; // per side
    float *products;
} gram_job;

// The index-th tile (row, col) of the upper triangle, row by row.
static void tile_position(size_t *row, size_t *col, size_t index, size_t tiles)
{
    size_t r = 0;
    while (index >= tiles - r) {
        index -= tiles - r;
        r++;
    }
    *row = r;
    *col = r + index;
}

static void accumulate_tile(const gram_job *job, size_t tile_row, size_t tile_col)
{
    const size_t n = job->n, i0 = tile_row * TILE, j0 = tile_col * TILE;
    const size_t rows = tb_min_size(TILE, n - i0), cols = tb_min_size(TILE, n - j0);
    float *products = job->products + i0 * n + j0;
    for (size_t t = 0; t < job->tokens; t += STRIP) {
        const float *x = job->x + t * job->ldx;
        tb_gemm_f32(products, n, x + i0, job->ldx, true, x + j0, job->ldx, false, rows, cols,
                    tb_min_size(STRIP, job->tokens - t), 1, 0);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = tile_row == tile_col ? i : 0; j < cols; j++)
                job->g[(i0 + i) * n + j0 + j] += (double)products[i * n + j];
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            if (i0 + i < j0 + j)
                job->g[(j0 + j) * n + i0 + i] = job->g[(i0 + i) * n + j0 + j];
}

static void accumulate_tiles(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const gram_job *job = user;
    for (size_t index = begin; index < end; index++) {
        size_t row, col;
        tile_position(&row, &col, index, job->tiles);
        accumulate_tile(job, row, col);
    }
}

void tb_accumulate_gram(const tb_compute *compute, double *g, const float *x, size_t ldx, size_t tokens, size_t n,
                        float *scratch)
{
    size_t tiles = (n + TILE - 1) / TILE;
    gram_job job = {g, x, ldx, tokens, n, tiles, scratch};
    tb_parallel(compute->threads, tiles * (tiles + 1) / 2, 1, accumulate_tiles, &job);
}
