// Sums of powers per token and per channel, in double; then the three kurtoses that papers mean (sink.h).
#include "sink/moments.h"

#include <math.h>
#include <string.h>

enum {
    ROW_GRAIN = 4,      // tokens a thread takes at a time
    CHANNEL_GRAIN = 64, // channels
    LANES = 8,          // of sums: a fixed order that compilers can vectorise
};

// LLM.int8 (arXiv 2208.07339): a channel of magnitude 6 in 6 % of the tokens and a quarter of the blocks. Quantizable
// Transformers (arXiv 2306.12929) count 6 standard deviations.
#define OUTLIER_SIZE 6.0
#define OUTLIER_TOKENS 0.06
#define OUTLIER_BLOCKS 0.25

// Σ x^p of one token for p = 1 … 4.
struct tb_sink_row_moments {
    double power[4], largest;
};

// The most columns of any site.
static size_t widest_of(const tb_model *model)
{
    const tb_config *c = tb_model_config(model);
    size_t widest = tb_max_size(c->width, c->heads * c->head_size);
    for (size_t b = 0; b < c->blocks; b++) {
        tb_linears linears = tb_model_linears(model, b);
        for (size_t i = 0; i < linears.count; i++)
            widest = tb_max_size(widest, tb_max_size(linears.at[i].matrix.cols, linears.at[i].matrix.rows));
    }
    return widest;
}

tb_code tb_sink_moments_init(tb_sink_moments *m, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    *m = (tb_sink_moments){.threads = tb_model_compute(model)->threads,
                           .blocks = c->blocks,
                           .width = c->width,
                           .widest = widest_of(model)};
    size_t sites = c->blocks * TB_SINK_SITES;
    m->rows = tb_arena_array(arena, ctx, sizeof *m->rows);
    m->squares = tb_arena_array(arena, m->widest, sizeof *m->squares);
    m->beyond = tb_arena_array(arena, c->width, TB_SINK_OUTLIER_RULES * sizeof *m->beyond);
    m->hits = tb_arena_array(arena, c->width, TB_SINK_OUTLIER_RULES * sizeof *m->hits);
    m->sites = tb_arena_array(arena, sites, sizeof *m->sites);
    m->calls = tb_arena_array(arena, sites, sizeof *m->calls);
    bool ok = m->rows && m->squares && m->beyond && m->hits && m->sites && m->calls;
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the activations of %zu tokens", ctx);
}

// ---- loops ----

// Activations under way.
typedef struct moment_loop {
    tb_sink_moments *moments;
    const tb_sink_activations *x;
    double mean, bound; // of all: where |x − mean| ≥ bound is beyond 6 deviations
} moment_loop;

static void sum_row(tb_sink_row_moments *r, const float *x, size_t n)
{
    double power[4][LANES] = {{0}}, largest[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES && i + j < n; j++) {
            double v = (double)x[i + j], square = v * v;
            power[0][j] += v;
            power[1][j] += square;
            power[2][j] += square * v;
            power[3][j] += square * square;
            largest[j] = fabs(v) > largest[j] ? fabs(v) : largest[j];
        }
    *r = (tb_sink_row_moments){0};
    for (size_t j = 0; j < LANES; j++) {
        for (size_t p = 0; p < 4; p++)
            r->power[p] += power[p][j];
        r->largest = fmax(r->largest, largest[j]);
    }
}

static void sum_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const moment_loop *loop = user;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        sum_row(&loop->moments->rows[t], loop->x->x + t * loop->x->stride, loop->x->cols);
}

static void sum_channels(void *user, size_t begin, size_t end, size_t worker)
{
    const moment_loop *loop = user;
    double *squares = loop->moments->squares;
    (void)worker;
    memset(squares + begin, 0, (end - begin) * sizeof *squares);
    for (size_t t = 0; t < loop->x->rows; t++) {
        const float *x = loop->x->x + t * loop->x->stride;
        for (size_t c = begin; c < end; c++)
            squares[c] += (double)x[c] * (double)x[c];
    }
}

static void count_outliers(void *user, size_t begin, size_t end, size_t worker)
{
    const moment_loop *loop = user;
    uint32_t *beyond = loop->moments->beyond;
    (void)worker;
    memset(beyond + begin * TB_SINK_OUTLIER_RULES, 0, (end - begin) * TB_SINK_OUTLIER_RULES * sizeof *beyond);
    for (size_t t = 0; t < loop->x->rows; t++) {
        const float *x = loop->x->x + t * loop->x->stride;
        for (size_t c = begin; c < end; c++) {
            uint32_t *count = beyond + c * TB_SINK_OUTLIER_RULES;
            count[TB_SINK_OUTLIER_SIZE] += fabs((double)x[c]) >= OUTLIER_SIZE;
            count[TB_SINK_OUTLIER_DEVIATIONS] += fabs((double)x[c] - loop->mean) >= loop->bound;
        }
    }
}

// ---- a call ----

// E[(x − μ)^4]/E[(x − μ)²]², from sums of powers of n values.
static double kurtosis(const double power[4], double n)
{
    double mean = power[0] / n, m2 = power[1] / n, m3 = power[2] / n, m4 = power[3] / n;
    double variance = m2 - mean * mean;
    double fourth = m4 - 4 * mean * m3 + 6 * mean * mean * m2 - 3 * mean * mean * mean * mean;
    return variance > 0 ? fourth / (variance * variance) : 0;
}

// E[s⁴]/E[s²]², s_c = rms of channel c.
static double rms_kurtosis(const double *squares, size_t n)
{
    double second = 0, fourth = 0;
    for (size_t c = 0; c < n; c++) {
        second += squares[c];
        fourth += squares[c] * squares[c];
    }
    return second > 0 ? fourth * (double)n / (second * second) : 0;
}

static void find_outliers(tb_sink_moments *m, const tb_sink_activations *x, const double power[4])
{
    double n = (double)(x->rows * x->cols), mean = power[0] / n;
    moment_loop loop = {m, x, mean, OUTLIER_SIZE * sqrt(fmax(power[1] / n - mean * mean, 0))};
    tb_parallel(m->threads, x->cols, CHANNEL_GRAIN, count_outliers, &loop);
    m->streams++;
    for (size_t i = 0; i < x->cols * TB_SINK_OUTLIER_RULES; i++)
        m->hits[i] += m->beyond[i] >= OUTLIER_TOKENS * (double)x->rows;
}

void tb_sink_moments_add(tb_sink_moments *m, size_t block, tb_sink_site site, const tb_sink_activations *x)
{
    size_t at = block * TB_SINK_SITES + site, others = 0;
    tb_sink_activity *a = &m->sites[at];
    moment_loop loop = {.moments = m, .x = x};
    double power[4] = {0}, largest = 0, first = 0, rest = 0;
    if (x->rows == 0)
        return;
    tb_parallel(m->threads, x->rows, ROW_GRAIN, sum_rows, &loop);
    tb_parallel(m->threads, x->cols, CHANNEL_GRAIN, sum_channels, &loop);
    for (size_t t = 0; t < x->rows; t++) {
        const tb_sink_row_moments *r = &m->rows[t];
        double of_row = kurtosis(r->power, (double)x->cols);
        for (size_t p = 0; p < 4; p++)
            power[p] += r->power[p];
        largest = fmax(largest, r->largest);
        others += x->positions[t] > 0;
        *(x->positions[t] > 0 ? &rest : &first) += of_row;
    }
    m->calls[at][0] += others < x->rows;
    m->calls[at][1] += others > 0;
    a->first_token += first;
    a->rest += others ? rest / (double)others : 0;
    a->tensor += kurtosis(power, (double)(x->rows * x->cols));
    a->rms += rms_kurtosis(m->squares, x->cols);
    a->largest += largest;
    a->calls++;
    if (site == TB_SINK_SITE_STREAM)
        find_outliers(m, x, power);
}

// ---- all calls ----

static void average(tb_sink_activity *a, const size_t calls[2])
{
    double n = (double)a->calls;
    a->first_token /= calls[0] ? (double)calls[0] : 1;
    a->rest /= calls[1] ? (double)calls[1] : 1;
    if (a->calls)
        a->tensor /= n, a->rms /= n, a->largest /= n;
}

static tb_code collect_outliers(tb_sink_tails *out, const tb_sink_moments *m, tb_arena *arena, tb_error *err)
{
    for (size_t rule = 0; rule < TB_SINK_OUTLIER_RULES; rule++) {
        size_t *channels = tb_arena_array(arena, m->width, sizeof *channels), n = 0;
        if (!channels)
            return tb_fail(err, TB_ENOMEM, "no memory for %zu channels", m->width);
        for (size_t c = 0; c < m->width; c++)
            if (m->hits[c * TB_SINK_OUTLIER_RULES + rule] >= OUTLIER_BLOCKS * (double)m->streams)
                channels[n++] = c;
        out->outliers[rule] = channels;
        out->outlier_count[rule] = n;
    }
    return TB_OK;
}

tb_code tb_sink_moments_finish(tb_sink_tails *out, tb_sink_moments *m, tb_arena *arena, tb_error *err)
{
    for (size_t i = 0; i < m->blocks * TB_SINK_SITES; i++)
        average(&m->sites[i], m->calls[i]);
    *out = (tb_sink_tails){.sites = m->sites};
    return collect_outliers(out, m, arena, err);
}
