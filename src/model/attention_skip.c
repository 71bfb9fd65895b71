#include "model/attention_skip.h"

#include <string.h>

// The newest keys, which are always read: as many as caches of few bits leave as they are.
enum { NEWEST = 128 };

tb_kv_range tb_skip_range(const tb_seen *seen)
{
    const tb_kv_segment *segment = &seen->segments[0];
    tb_kv_range rows = seen->rows[0];
    if (seen->segment_count == 0 || !segment->pages.bounds || rows.begin > 0 || rows.end < TB_KV_PAGE + NEWEST)
        return (tb_kv_range){0, 0};
    return (tb_kv_range){TB_KV_PAGE, (rows.end - NEWEST) / TB_KV_PAGE * TB_KV_PAGE};
}

size_t tb_skip_scratch(const tb_config *config)
{
    return tb_padded(2 * config->head_size);
}

// q⁺ in front of q⁻, for the product with most and least. Returns ‖q‖₂.
static double split(float *to, const float *query, size_t n)
{
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
        to[i] = query[i] > 0 ? query[i] : 0;
        to[n + i] = query[i] > 0 ? 0 : query[i];
        norm += (double)query[i] * (double)query[i];
    }
    memset(to + 2 * n, 0, (tb_padded(2 * n) - 2 * n) * sizeof *to);
    return sqrt(norm);
}

// The largest page of those that are always read.
static double largest_read(const tb_seen *seen, tb_kv_range range)
{
    const float *sizes = seen->segments[0].pages.sizes;
    double largest = (double)sizes[0];
    for (size_t page = range.end / TB_KV_PAGE; page * TB_KV_PAGE < seen->rows[0].end; page++)
        largest = fmax(largest, (double)sizes[page]);
    return largest;
}

void tb_skip_weigh(float *excess, const tb_sweep *sweep, size_t query, tb_kv_range range, size_t begin, size_t end,
                   double sum, double delta, float *scratch)
{
    const tb_attention *a = sweep->a;
    const tb_kernels *kernels = &a->compute->kernels;
    const tb_kv_segment *segment = &sweep->seen.segments[0];
    const size_t n = a->config->head_size, first = begin / TB_KV_PAGE, pages = (end - begin) / TB_KV_PAGE;
    const size_t item = segment->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
    const void *bounds = (const char *)segment->pages.bounds + first * 2 * n * item;
    const double eps = 0x1p-24, cap = (double)a->cap, all = (double)(range.end - range.begin) / TB_KV_PAGE;
    double norm = split(scratch, sweep->queries + query * tb_padded(n), n);
    tb_scores_fn *score = segment->type == TB_KV_CACHE_F16 ? kernels->scores_f16 : kernels->scores_f32;
    score(excess, pages, scratch, tb_padded(2 * n), 1, bounds, pages, 2 * n);
    // What a score and a bound are off by at most, for a key or page of size 1 (the kernels' promise, Σ|q·k| ≤
    // ‖q‖·‖k‖); and the logarithm of a sum of floats.
    double score_error = 2 * (double)(n + 8) * eps * norm, bound_error = 2 * (double)(2 * n + 8) * eps * norm;
    double sum_error = score_error * largest_read(&sweep->seen, range) + 4 * (2 * NEWEST + 8) * eps;
    double limit = sum - sum_error + log(delta / all) - log((double)TB_KV_PAGE);
    for (size_t i = 0; i < pages; i++) {
        double u = (double)excess[i] + (score_error + bound_error) * (double)segment->pages.sizes[first + i];
        u = cap > 0 ? cap * tanh(u / cap) + 8 * cap * eps : u; // tanh of floats is good to two units in the last place
        excess[i] = (float)(u - limit + 2 * eps * fabs(u - limit)); // not below what it is
    }
}
