// The table of methods and the one entrance to them: options checked, storage made, row of
// the table called.
#include "quant/bpdq.h"
#include "quant/curvature.h"
#include "quant/gptq.h"
#include "quant/hqq.h"
#include "quant/objective.h"
#include "quant/ptqtp.h"
#include "quant/rtn.h"

#include <math.h>
#include <string.h>

enum {
    MAX_GROUP = 1 << 16,
    MAX_THREADS = 1024,
    MAX_ITERATIONS = 1000,
};

typedef tb_code quantize_fn(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                            tb_quant_report *report, tb_error *err);

// Groups of 64 columns for all: with larger ones the bits saved cost more than they are worth on small models
// (docs/quantization.md).
static const struct {
    tb_method_traits traits;
    quantize_fn *quantize;
    unsigned default_iterations;
} methods[TB_METHODS] = {
    [TB_METHOD_RTN] = {.traits = {.name = "rtn",
                                  .title = "round to nearest on a uniform grid",
                                  .type = TB_TYPE_AFFINE,
                                  .least_bits = 1,
                                  .most_bits = 4,
                                  .default_bits = 2,
                                  .default_group = 64},
                       .quantize = tb_rtn_quantize,
                       .default_iterations = 1},
    [TB_METHOD_CLIP] = {.traits = {.name = "clip",
                                   .title = "uniform grid with the range that costs least",
                                   .type = TB_TYPE_AFFINE,
                                   .needs_moments = true,
                                   .least_bits = 1,
                                   .most_bits = 4,
                                   .default_bits = 2,
                                   .default_group = 64},
                        .quantize = tb_clip_quantize,
                        .default_iterations = 1},
    [TB_METHOD_HQQ] = {.traits = {.name = "hqq",
                                  .title = "uniform grid with a real zero point, for few large errors",
                                  .type = TB_TYPE_OFFSET,
                                  .least_bits = 1,
                                  .most_bits = 4,
                                  .default_bits = 2,
                                  .default_group = 64},
                       .quantize = tb_hqq_quantize,
                       .default_iterations = 20},
    // Rounds as clip does; what makes it AWQ has happened to its input (awq.h, fold.h).
    [TB_METHOD_AWQ] = {.traits = {.name = "awq",
                                  .title = "uniform grid after columns with loud inputs were made larger",
                                  .type = TB_TYPE_AFFINE,
                                  .needs_moments = true,
                                  .scales_inputs = true,
                                  .least_bits = 1,
                                  .most_bits = 4,
                                  .default_bits = 2,
                                  .default_group = 64},
                       .quantize = tb_clip_quantize,
                       .default_iterations = 1},
    [TB_METHOD_GPTQ] = {.traits = {.name = "gptq",
                                   .title = "uniform grid with error feedback",
                                   .type = TB_TYPE_AFFINE,
                                   .needs_curvature = true,
                                   .least_bits = 1,
                                   .most_bits = 4,
                                   .default_bits = 2,
                                   .default_group = 64},
                        .quantize = tb_gptq_quantize,
                        .default_iterations = 1},
    [TB_METHOD_BPDQ] = {.traits = {.name = "bpdq",
                                   .title = "bit-planes on a variable grid with error feedback",
                                   .type = TB_TYPE_BITPLANES,
                                   .needs_curvature = true,
                                   .least_bits = 1,
                                   .most_bits = TB_MAX_PLANES,
                                   .default_bits = 2,
                                   .default_group = 64},
                        .quantize = tb_bpdq_quantize,
                        .default_iterations = 10},
    [TB_METHOD_PTQTP] = {.traits = {.name = "ptqtp",
                                    .title = "two trit-planes fitted to the weights alone",
                                    .type = TB_TYPE_TRITPLANES,
                                    .least_bits = 2,
                                    .most_bits = 2,
                                    .default_bits = 2,
                                    .default_group = 64},
                         .quantize = tb_ptqtp_quantize,
                         .default_iterations = 50},
};

const tb_method_traits *tb_method_get(tb_method method)
{
    return &methods[method].traits;
}

bool tb_method_find(tb_method *out, const char *name)
{
    for (unsigned m = 0; m < TB_METHODS; m++)
        if (strcmp(methods[m].traits.name, name) == 0) {
            *out = (tb_method)m;
            return true;
        }
    return false;
}

bool tb_method_is_calibrated(tb_method method)
{
    const tb_method_traits *t = tb_method_get(method);
    return t->needs_moments || t->needs_curvature;
}

static tb_code check_options(tb_method method, const tb_quant_options *o, tb_error *err)
{
    const tb_method_traits *t = tb_method_get(method);
    if (o->bits < t->least_bits || o->bits > t->most_bits) {
        if (t->least_bits == t->most_bits)
            return tb_fail(err, TB_EINVAL, "method '%s' has always %u planes, not %u", t->name, t->least_bits, o->bits);
        return tb_fail(err, TB_EINVAL, "method '%s' takes %u to %u bits, not %u", t->name, t->least_bits, t->most_bits,
                       o->bits);
    }
    if (o->group % TB_PLANE_WORD || o->group > MAX_GROUP)
        return tb_fail(err, TB_EINVAL, "group %zu is not a multiple of %d up to %d", o->group, TB_PLANE_WORD,
                       MAX_GROUP);
    if (!(o->damping > 0 && o->damping <= 1))
        return tb_fail(err, TB_EINVAL, "damping %g is not between 0 and 1", o->damping);
    if (o->iterations > MAX_ITERATIONS)
        return tb_fail(err, TB_EINVAL, "%u iterations are more than %d", o->iterations, MAX_ITERATIONS);
    if (o->threads > MAX_THREADS)
        return tb_fail(err, TB_EINVAL, "%zu threads are more than %d", o->threads, MAX_THREADS);
    return TB_OK;
}

tb_code tb_quant_options_resolve(tb_quant_options *out, tb_method method, const tb_quant_options *options,
                                 tb_error *err)
{
    tb_quant_options o = options ? *options : (tb_quant_options){0};
    const tb_method_traits *t = tb_method_get(method);
    if (o.bits == 0)
        o.bits = t->default_bits;
    if (o.group == 0)
        o.group = t->default_group;
    if (o.damping == 0)
        o.damping = TB_DAMPING;
    if (o.iterations == 0)
        o.iterations = methods[method].default_iterations;
    o.no_shrinkage |= o.published;
    o.published &= method == TB_METHOD_BPDQ; // in the others nothing else differs
    if (o.threads == 0)
        o.threads = 1;
    *out = o;
    return check_options(method, out, err);
}

static tb_code check_problem(tb_method method, const tb_quant_problem *problem, const tb_quant_options *options,
                             tb_error *err)
{
    const tb_method_traits *t = tb_method_get(method);
    size_t weights;
    if (problem->rows == 0 || problem->cols == 0 || !tb_mul_size(&weights, problem->rows, problem->cols))
        return tb_fail(err, TB_EINVAL, "a matrix of %zu x %zu cannot be quantized", problem->rows, problem->cols);
    if ((t->needs_moments && !problem->moments) || (t->needs_curvature && !problem->curvature))
        return tb_fail(err, TB_EINVAL, "method '%s' needs second moments of the inputs", t->name);
    if (t->needs_moments)
        return tb_moments_check(problem->moments, problem->cols, err);
    if (!t->needs_curvature)
        return TB_OK;
    if (problem->curvature->cols != problem->cols || problem->curvature->group != options->group)
        return tb_fail(err, TB_EINVAL,
                       "second moments of %zu inputs in groups of %zu do not fit %zu columns in groups of %zu",
                       problem->curvature->cols, problem->curvature->group, problem->cols, options->group);
    return TB_OK;
}

static size_t count_nonfinite(const float *weights, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !isfinite(weights[i]);
    return count;
}

static size_t count_dead_columns(const double *moments, size_t cols)
{
    size_t count = 0;
    for (size_t j = 0; j < cols; j++)
        count += moments[j * cols + j] == 0;
    return count;
}

tb_code tb_quantize_matrix(tb_packed *out, tb_quant_report *report, tb_method method, const tb_quant_problem *problem,
                           const tb_quant_options *options, tb_error *err)
{
    *out = (tb_packed){0};
    *report = (tb_quant_report){0};
    tb_quant_options o;
    tb_code rc = tb_quant_options_resolve(&o, method, options, err);
    if (!rc)
        rc = check_problem(method, problem, &o, err);
    if (!rc)
        rc = tb_packed_init(out, methods[method].traits.type, problem->rows, problem->cols, o.bits, o.group, err);
    if (rc)
        return rc;
    report->nonfinite_weights = count_nonfinite(problem->weights, problem->rows * problem->cols);
    if (methods[method].traits.needs_moments)
        report->dead_columns = count_dead_columns(problem->moments, problem->cols);
    if (methods[method].traits.needs_curvature) {
        report->dead_columns = problem->curvature->dead_columns;
        report->damping_used = problem->curvature->damping;
    }
    rc = methods[method].quantize(out, problem, &o, report, err);
    if (rc)
        tb_packed_clear(out);
    return rc;
}
