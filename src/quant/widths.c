// Widths of the blocks of a model: what they cost, what they may cost, and the scores that the rules read.
#include "quant/pipeline_state.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "quant/lieq.h"

// Slack of a budget in bits, so that an exact fit is a fit.
#define BUDGET_SLACK 1e-12

bool tb_allocation_rule_score(tb_score *out, tb_allocation_rule rule)
{
    static const struct {
        tb_allocation_rule rule;
        tb_score score;
    } readers[] = {{TB_ALLOCATE_LIEQ, TB_SCORE_V2},
                   {TB_ALLOCATE_REVERSED, TB_SCORE_V2},
                   {TB_ALLOCATE_LIEQ_V1, TB_SCORE_V1},
                   {TB_ALLOCATE_PPL, TB_SCORE_PPL},
                   {TB_ALLOCATE_FREE, TB_SCORE_FREE}};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (readers[i].rule == rule) {
            *out = readers[i].score;
            return true;
        }
    return false;
}

static uint64_t block_weights(const tb_model *model, size_t block)
{
    uint64_t sum = 0;
    tb_linears linears = tb_model_linears(model, block);
    for (size_t i = 0; i < linears.count; i++)
        sum += (uint64_t)linears.at[i].matrix.rows * linears.at[i].matrix.cols;
    return sum;
}

// Bytes that the linears of a block take in the file.
static uint64_t block_bytes(const tb_pipeline *p, size_t block, const tb_quant_options *options)
{
    uint64_t sum = 0;
    tb_output output = {
        .model = p->model, .method = p->options.method, .options = options, .held_out = p->options.held_out};
    size_t count = tb_model_linears(p->model, block).count;
    for (size_t i = 0; i < count; i++) {
        tb_matrix shape = tb_output_shape(&output, block, i);
        sum += tb_gguf_matrix_bytes(&shape);
    }
    return sum;
}

static tb_code check_options(const tb_widths_options *o, tb_error *err)
{
    bool of_lieq = o->rule == TB_ALLOCATE_LIEQ || o->rule == TB_ALLOCATE_LIEQ_V1;
    if (o->published && !(of_lieq && o->average_bits > 0 && o->width_count == 2))
        return tb_fail(err, TB_EINVAL, "published is LieQ's rule for an average of bits and two widths");
    if ((o->average_bits > 0) == (o->file_bytes > 0))
        return tb_fail(err, TB_EINVAL, "an allocation needs either an average of bits or a size of the file");
    if (o->width_count == 0 || o->width_count > TB_MAX_WIDTHS)
        return tb_fail(err, TB_EINVAL, "an allocation chooses from 1 to %d widths", TB_MAX_WIDTHS);
    for (size_t i = 1; i < o->width_count; i++)
        if (o->widths[i] <= o->widths[i - 1])
            return tb_fail(err, TB_EINVAL, "widths must ascend, and %u comes after %u", o->widths[i], o->widths[i - 1]);
    return TB_OK;
}

// costs[blocks][width_count]; every width must suit the method.
static tb_code fill_costs(uint64_t *costs, const tb_pipeline *p, const tb_widths_options *o, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t w = 0; w < o->width_count && !rc; w++) {
        tb_quant_options options = p->options.quant;
        options.bits = o->widths[w];
        rc = tb_quant_options_resolve(&options, p->options.method, &options, err);
        for (size_t b = 0; b < tb_model_config(p->model)->blocks && !rc; b++)
            costs[b * o->width_count + w] =
                o->file_bytes ? block_bytes(p, b, &options) : block_weights(p->model, b) * o->widths[w];
    }
    return rc;
}

// What the blocks may cost. A file's size is that of the narrowest file, which is asked, plus what wider blocks add:
// everything else in it has the same size whatever the widths. `bits` is scratch.
static tb_code find_budget(uint64_t *budget, uint8_t *bits, const tb_allocation *a, tb_pipeline *p,
                           const tb_widths_options *o, tb_error *err)
{
    if (!o->file_bytes) {
        uint64_t weights = 0;
        for (size_t b = 0; b < a->blocks; b++)
            weights += block_weights(p->model, b);
        double most = o->average_bits * (double)weights * (1 + BUDGET_SLACK);
        double widest = (double)a->widths[a->width_count - 1] * (double)weights;
        *budget = (uint64_t)fmin(most, widest);
        return TB_OK;
    }
    const tb_quant_identity *narrowest;
    memset(bits, (int)a->widths[0], a->blocks);
    tb_code rc = tb_pipeline_set_widths(p, bits, err);
    if (!rc)
        rc = tb_pipeline_identify(&narrowest, p, err);
    if (rc)
        return rc;
    uint64_t bytes = narrowest->file_bytes;
    if (bytes > o->file_bytes)
        return tb_fail(err, TB_EINVAL, "%" PRIu64 " bytes are too few: the smallest file has %" PRIu64, o->file_bytes,
                       bytes);
    *budget = o->file_bytes - bytes + tb_allocation_cost(a, 0);
    return TB_OK;
}

// The tokens of the pipeline begin with those that an analysis would read, where they are as many.
tb_code tb_pipeline_score_blocks(double *scores, const tb_pipeline *p, tb_score score, uint64_t seed, tb_error *err)
{
    tb_analyze_options analyze = {.score = score,
                                  .only_score = true,
                                  .windows = p->calibrated ? &p->windows : NULL,
                                  .calibration_path = p->options.calibration_path,
                                  .window = p->options.window,
                                  .seed = seed,
                                  .report = p->options.report};
    tb_analysis analysis;
    tb_code rc = tb_analyze(&analysis, p->model, &analyze, err);
    if (rc)
        return rc;
    for (size_t b = 0; b < analysis.block_count; b++)
        scores[b] = analysis.blocks[b].score;
    tb_analysis_clear(&analysis);
    return TB_OK;
}

static tb_code find_measured_scores(double *scores, tb_score score, const tb_pipeline *p, const tb_widths_options *o,
                                    tb_error *err)
{
    size_t blocks = tb_model_config(p->model)->blocks;
    if (o->scores)
        memcpy(scores, o->scores, blocks * sizeof *scores);
    tb_code rc = o->scores ? TB_OK : tb_pipeline_score_blocks(scores, p, score, o->seed, err);
    if (rc || o->rule != TB_ALLOCATE_REVERSED)
        return rc;
    size_t *scratch = tb_alloc_array(blocks, sizeof *scratch);
    if (!scratch)
        return tb_fail(err, TB_ENOMEM, "no memory for the order of %zu blocks", blocks);
    tb_reverse_scores(scores, blocks, scratch);
    tb_free(scratch);
    return TB_OK;
}

static tb_code find_scores(double *scores, const tb_pipeline *p, const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(p->model)->blocks;
    tb_score score;
    if (tb_allocation_rule_score(&score, o->rule))
        return find_measured_scores(scores, score, p, o, err);
    tb_rng rng;
    tb_rng_init(&rng, o->seed, 0);
    for (size_t b = 0; b < blocks; b++)
        scores[b] = o->rule == TB_ALLOCATE_RANDOM ? tb_rng_uniform(&rng) : (double)(blocks - b);
    return TB_OK;
}

static tb_code allocate_as_published(uint8_t *bits, const tb_allocation *a, const double *scores, double average,
                                     tb_error *err)
{
    size_t *order = tb_alloc_array(a->blocks, sizeof *order);
    if (!order)
        return tb_fail(err, TB_ENOMEM, "no memory for the order of %zu blocks", a->blocks);
    tb_score_order(order, scores, a->blocks);
    tb_allocate_two(bits, order, a->blocks, average, a->widths[0], a->widths[1]);
    tb_free(order);
    return TB_OK;
}

static tb_code spend(uint8_t *bits, const tb_allocation *a, const tb_pipeline *p, const tb_widths_options *o,
                     tb_error *err)
{
    bool enough;
    if (o->rule == TB_ALLOCATE_UNIFORM) {
        enough = tb_allocate_uniform(bits, a);
    } else {
        double *scores = tb_alloc_array(a->blocks, sizeof *scores);
        tb_code rc =
            scores ? find_scores(scores, p, o, err) : tb_fail(err, TB_ENOMEM, "no memory for %zu scores", a->blocks);
        if (!rc && o->published)
            rc = allocate_as_published(bits, a, scores, o->average_bits, err);
        enough = !rc && (o->published ? tb_allocation_cost(a, 0) <= a->budget : tb_allocate_by_score(bits, a, scores));
        tb_free(scores);
        if (rc)
            return rc;
    }
    return enough ? TB_OK
                  : tb_fail(err, TB_EINVAL, "an average of %g bits is too little: the narrowest width is %u",
                            o->average_bits, a->widths[0]);
}

static tb_code choose(uint8_t *bits, tb_pipeline *p, const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(p->model)->blocks;
    uint64_t *costs = tb_alloc_array(blocks * o->width_count, sizeof *costs);
    if (!costs)
        return tb_fail(err, TB_ENOMEM, "no memory for the costs of %zu blocks", blocks);
    tb_allocation a = {.widths = o->widths, .width_count = o->width_count, .blocks = blocks, .costs = costs};
    tb_code rc = fill_costs(costs, p, o, err);
    if (!rc)
        rc = find_budget(&a.budget, bits, &a, p, o, err);
    if (!rc)
        rc = spend(bits, &a, p, o, err);
    tb_free(costs);
    return rc;
}

tb_code tb_pipeline_choose_widths(tb_pipeline *p, const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(p->model)->blocks;
    tb_code rc = check_options(o, err);
    if (rc)
        return rc;
    uint8_t *bits = tb_alloc_array(blocks, sizeof *bits);
    rc = bits ? choose(bits, p, o, err) : tb_fail(err, TB_ENOMEM, "no memory for the widths of %zu blocks", blocks);
    if (!rc)
        rc = tb_pipeline_set_widths(p, bits, err);
    tb_free(bits);
    return rc;
}
