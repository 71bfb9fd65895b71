#include "model/attention_skip.h"

#include <string.h>

// The newest keys, which are always read: as many as caches of few bits leave as they are.
enum { NEWEST = 128 };

// Before a search every eighth page is looked at, of many pages MOST_SAMPLES: each costs what memory takes to answer.
// Where a quarter of all could be skipped they miss it once in ten times.
enum { SAMPLED = 8, MOST_SAMPLES = 8 };

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

// What the pages of one query are compared with.
typedef struct threshold {
    double limit; // of a page's bound, as a logarithm
    // What a score and a bound are off by at most, for a key or page of size 1 (the kernels' promise, Σ|q·k| ≤
    // ‖q‖·‖k‖).
    double error;
} threshold;

static threshold find_threshold(const tb_sweep *sweep, tb_kv_range range, double norm, double sum, double delta)
{
    const double n = (double)sweep->a->config->head_size, eps = 0x1p-24;
    const double all = (double)(range.end - range.begin) / TB_KV_PAGE;
    double score_error = 2 * (n + 8) * eps * norm, bound_error = 2 * (2 * n + 8) * eps * norm;
    // Of the logarithm of a sum of floats.
    double sum_error = score_error * largest_read(&sweep->seen, range) + 4 * (2 * NEWEST + 8) * eps;
    return (threshold){
        .limit = sum - sum_error + log(delta / all) - log((double)TB_KV_PAGE),
        .error = score_error + bound_error,
    };
}

static const void *bounds_of(const tb_sweep *sweep, size_t page)
{
    const tb_kv_segment *segment = &sweep->seen.segments[0];
    size_t item = segment->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
    return (const char *)segment->pages.bounds + page * 2 * sweep->a->config->head_size * item;
}

// The bound of a page for the query in `split`.
static float score_page(const tb_sweep *sweep, const float *split, size_t page)
{
    const tb_kernels *kernels = &sweep->a->compute->kernels;
    const size_t n = 2 * sweep->a->config->head_size;
    const void *bounds = bounds_of(sweep, page);
    return sweep->seen.segments[0].type == TB_KV_CACHE_F16 ? kernels->dot_f32_f16(split, bounds, n)
                                                           : kernels->dot_f32(split, bounds, n);
}

// tanh of floats is good to two units in the last place.
static double cap_bound(double u, double cap)
{
    return cap > 0 ? cap * tanh(u / cap) + 8 * cap * 0x1p-24 : u;
}

// By how much a page may weigh more than what may be skipped; not below what it is.
static float find_excess(float bound, const tb_sweep *sweep, const threshold *t, size_t page)
{
    double error = t->error * (double)sweep->seen.segments[0].pages.sizes[page];
    double over = cap_bound((double)bound + error, (double)sweep->a->cap) - t->limit;
    return (float)(over + 2 * 0x1p-24 * fabs(over));
}

void tb_skip_weigh(float *excess, const tb_sweep *sweep, size_t query, tb_kv_range range, size_t begin, size_t end,
                   double sum, double delta, float *scratch)
{
    const size_t n = sweep->a->config->head_size, first = begin / TB_KV_PAGE, pages = (end - begin) / TB_KV_PAGE;
    double norm = split(scratch, sweep->queries + query * tb_padded(n), n);
    threshold t = find_threshold(sweep, range, norm, sum, delta);
    const tb_kernels *kernels = &sweep->a->compute->kernels;
    tb_scores_fn *score = sweep->seen.segments[0].type == TB_KV_CACHE_F16 ? kernels->scores_f16 : kernels->scores_f32;
    score(excess, pages, scratch, tb_padded(2 * n), 1, bounds_of(sweep, first), pages, 2 * n);
    for (size_t i = 0; i < pages; i++)
        excess[i] = find_excess(excess[i], sweep, &t, first + i);
}

bool tb_skip_promises(const tb_sweep *sweep, size_t query, tb_kv_range range, double sum, double delta, float *scratch)
{
    const size_t n = sweep->a->config->head_size;
    double norm = split(scratch, sweep->queries + query * tb_padded(n), n);
    threshold t = find_threshold(sweep, range, norm, sum, delta);
    size_t first = range.begin / TB_KV_PAGE, end = range.end / TB_KV_PAGE;
    for (size_t page = first; page < end; page += tb_max_size(SAMPLED, (end - first) / MOST_SAMPLES))
        if (cap_bound((double)score_page(sweep, scratch, page), (double)sweep->a->cap) <= t.limit)
            return true;
    return false;
}
