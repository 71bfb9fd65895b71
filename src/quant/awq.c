#include "quant/awq.h"

#include "quant/objective.h"
#include "quant/rtn.h"

#include <math.h>
#include <string.h>

enum { ALPHAS = 20 }; // steps from 0 to 1

// The quietest channels count as loud as this share of the loudest: what was never heard must not vanish.
#define LEAST_LOUDNESS 1e-4f

// Relative to the loudest channel.
static void measure_loudness(float *loudness, const tb_awq_problem *p)
{
    float loudest = 0;
    memset(loudness, 0, p->channels * sizeof *loudness);
    for (size_t c = 0; c < p->cols; c++)
        loudness[p->channel[c]] += (float)p->loudness[c];
    for (size_t i = 0; i < p->channels; i++)
        loudest = fmaxf(loudest, loudness[i]);
    for (size_t i = 0; i < p->channels; i++)
        loudness[i] = loudest > 0 ? fmaxf(loudness[i] / loudest, LEAST_LOUDNESS) : 1;
}

void tb_awq_scales(float *scales, const tb_awq_problem *problem, double alpha)
{
    double least = INFINITY, most = 0;
    measure_loudness(scales, problem);
    for (size_t i = 0; i < problem->channels; i++) {
        scales[i] = (float)pow((double)scales[i], alpha);
        least = fmin(least, (double)scales[i]);
        most = fmax(most, (double)scales[i]);
    }
    for (size_t i = 0; i < problem->channels; i++)
        scales[i] = (float)((double)scales[i] / sqrt(least * most));
}

typedef struct search {
    const tb_awq_problem *problem;
    const tb_quant_options *options;
    tb_packed packed;   // rounded scaled weights
    double *importance; // [cols] of their errors
    float *weights;     // [rows][cols]: scaled, then what they became, with the scales taken out again
    float *scales;      // [channels]
} search;

static void scale_problem(search *s)
{
    const tb_awq_problem *p = s->problem;
    for (size_t c = 0; c < p->cols; c++) {
        float scale = s->scales[p->channel[c]];
        for (size_t r = 0; r < p->rows; r++)
            s->weights[r * p->cols + c] = p->weights[r * p->cols + c] * scale;
        s->importance[c] = p->moments[c * p->cols + c] / ((double)scale * (double)scale);
    }
}

static void decode_unscaled(search *s)
{
    const tb_awq_problem *p = s->problem;
    for (size_t r = 0; r < p->rows; r++) {
        float *row = s->weights + r * p->cols;
        tb_matrix_decode_row(row, &s->packed.view, r);
        for (size_t c = 0; c < p->cols; c++)
            row[c] /= s->scales[p->channel[c]];
    }
}

// The cost of rounding with `scales`.
static tb_code try_scales(double *cost, search *s, tb_error *err)
{
    const tb_awq_problem *p = s->problem;
    tb_quant_report report = {0};
    scale_problem(s);
    tb_quant_problem scaled = {.weights = s->weights, .rows = p->rows, .cols = p->cols};
    tb_code rc = tb_round_clipped(&s->packed, &scaled, s->options, s->importance, &report, err);
    if (rc)
        return rc;
    decode_unscaled(s);
    tb_matrix rounded = {.type = TB_TYPE_F32, .rows = p->rows, .cols = p->cols, .data = s->weights};
    tb_quant_problem unscaled = {.weights = p->weights, .rows = p->rows, .cols = p->cols, .moments = p->moments};
    return tb_objective_measure(cost, NULL, &rounded, &unscaled, s->options->threads, err);
}

static tb_code search_init(search *s, const tb_awq_problem *problem, const tb_quant_options *options, tb_error *err)
{
    *s = (search){.problem = problem, .options = options};
    s->weights = tb_alloc_array(problem->rows * problem->cols, sizeof *s->weights);
    s->scales = tb_alloc_array(problem->channels, sizeof *s->scales);
    s->importance = tb_alloc_array(problem->cols, sizeof *s->importance);
    if (!s->weights || !s->scales || !s->importance)
        return tb_fail(err, TB_ENOMEM, "no memory to scale %zu inputs", problem->cols);
    return tb_packed_init(&s->packed, TB_TYPE_AFFINE, problem->rows, problem->cols, options->bits, options->group, err);
}

static void search_clear(search *s)
{
    tb_packed_clear(&s->packed);
    tb_free(s->importance);
    tb_free(s->scales);
    tb_free(s->weights);
}

tb_code tb_awq_search(float *scales, double *alpha, const tb_awq_problem *problem, const tb_quant_options *options,
                      tb_error *err)
{
    search s;
    double least = INFINITY;
    tb_code rc = search_init(&s, problem, options, err);
    *alpha = 0;
    for (int step = 0; step <= ALPHAS && !rc; step++) {
        double now = (double)step / ALPHAS, cost;
        tb_awq_scales(s.scales, problem, now);
        rc = try_scales(&cost, &s, err);
        if (!rc && (step == 0 || cost < least)) {
            least = cost;
            *alpha = now;
        }
    }
    if (!rc)
        tb_awq_scales(scales, problem, *alpha);
    search_clear(&s);
    return rc;
}
