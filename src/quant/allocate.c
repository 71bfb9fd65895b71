#include "quant/allocate.h"

#include "quant/output.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

// A score that is not positive counts as this share of the best one.
#define LEAST_SHARE 1e-6
// Slack of a budget in bits, so that an exact fit is a fit.
#define BUDGET_SLACK 1e-12

static const char *const rule_names[TB_ALLOCATION_RULES] = {
    [TB_ALLOCATE_LIEQ] = "lieq",         [TB_ALLOCATE_LIEQ_V1] = "lieq-v1", [TB_ALLOCATE_PPL] = "ppl",
    [TB_ALLOCATE_FREE] = "free",         [TB_ALLOCATE_FIRST] = "first",     [TB_ALLOCATE_UNIFORM] = "uniform",
    [TB_ALLOCATE_REVERSED] = "reversed", [TB_ALLOCATE_RANDOM] = "random",
};

const char *tb_allocation_rule_name(tb_allocation_rule rule)
{
    return rule_names[rule];
}

bool tb_allocation_rule_find(tb_allocation_rule *out, const char *name)
{
    for (unsigned i = 0; i < TB_ALLOCATION_RULES; i++)
        if (strcmp(rule_names[i], name) == 0) {
            *out = (tb_allocation_rule)i;
            return true;
        }
    return false;
}

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

void tb_reverse_scores(double *scores, size_t blocks, size_t *scratch)
{
    tb_score_order(scratch, scores, blocks);
    for (size_t i = 0, j = blocks; i + 1 < j; i++) {
        j--;
        double best = scores[scratch[i]];
        scores[scratch[i]] = scores[scratch[j]];
        scores[scratch[j]] = best;
    }
}

// ---- the rule ----

static uint64_t cost_at(const tb_allocation *a, size_t block, size_t width)
{
    return a->costs[block * a->width_count + width];
}

static uint64_t total_cost(const tb_allocation *a, size_t width)
{
    uint64_t sum = 0;
    for (size_t b = 0; b < a->blocks; b++)
        sum += cost_at(a, b, width);
    return sum;
}

static size_t index_of_width(const tb_allocation *a, unsigned bits)
{
    size_t i = 0;
    while (a->widths[i] != bits)
        i++;
    return i;
}

// Error taken away per bit when a block rises from its width to the next.
static double gain(const tb_allocation *a, double weight, size_t width)
{
    int from = (int)a->widths[width], to = (int)a->widths[width + 1];
    return weight * (ldexp(1, -2 * from) - ldexp(1, -2 * to)) / (to - from);
}

static double positive_score(double score, double best)
{
    double least = best > 0 ? LEAST_SHARE * best : 1;
    return score > least ? score : least;
}

// The block whose next step fits into `left` and gains most; a->blocks when none fits.
static size_t find_step(const tb_allocation *a, const uint8_t *bits, const double *scores, double best_score,
                        uint64_t left)
{
    size_t found = a->blocks;
    double most = 0;
    for (size_t b = 0; b < a->blocks; b++) {
        size_t width = index_of_width(a, bits[b]);
        if (width + 1 == a->width_count || cost_at(a, b, width + 1) - cost_at(a, b, width) > left)
            continue;
        double g = gain(a, positive_score(scores[b], best_score), width);
        if (found == a->blocks || g > most || (g == most && scores[b] > scores[found])) {
            found = b;
            most = g;
        }
    }
    return found;
}

bool tb_allocate_by_score(uint8_t *bits, const tb_allocation *a, const double *scores)
{
    uint64_t cost = total_cost(a, 0);
    double best = -INFINITY;
    for (size_t b = 0; b < a->blocks; b++) {
        bits[b] = (uint8_t)a->widths[0];
        best = fmax(best, scores[b]);
    }
    if (cost > a->budget)
        return false;
    for (;;) {
        size_t b = find_step(a, bits, scores, best, a->budget - cost);
        if (b == a->blocks)
            return true;
        size_t width = index_of_width(a, bits[b]);
        cost += cost_at(a, b, width + 1) - cost_at(a, b, width);
        bits[b] = (uint8_t)a->widths[width + 1];
    }
}

bool tb_allocate_uniform(uint8_t *bits, const tb_allocation *a)
{
    size_t width = 0;
    while (width + 1 < a->width_count && total_cost(a, width + 1) <= a->budget)
        width++;
    memset(bits, (int)a->widths[width], a->blocks);
    return total_cost(a, width) <= a->budget;
}

// ---- on a model ----

static uint64_t block_weights(const tb_model *model, size_t block)
{
    uint64_t sum = 0;
    tb_linears linears = tb_model_linears(model, block);
    for (size_t i = 0; i < linears.count; i++)
        sum += (uint64_t)linears.at[i].matrix.rows * linears.at[i].matrix.cols;
    return sum;
}

// Bytes that the linears of a block take in the file.
static uint64_t block_bytes(const tb_model *model, size_t block, tb_method method, const tb_quant_options *options)
{
    uint64_t sum = 0;
    tb_output output = {.model = model, .method = method, .options = options};
    tb_linears linears = tb_model_linears(model, block);
    for (size_t i = 0; i < linears.count; i++) {
        tb_matrix shape = tb_output_shape(&output, block, &linears.at[i]);
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
static tb_code fill_costs(uint64_t *costs, const tb_model *model, const tb_pipeline_options *pipeline,
                          const tb_widths_options *o, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t w = 0; w < o->width_count && !rc; w++) {
        tb_quant_options options = pipeline->quant;
        options.bits = o->widths[w];
        rc = tb_quant_options_resolve(&options, pipeline->method, &options, err);
        for (size_t b = 0; b < tb_model_config(model)->blocks && !rc; b++)
            costs[b * o->width_count + w] = o->file_bytes ? block_bytes(model, b, pipeline->method, &options)
                                                          : block_weights(model, b) * o->widths[w];
    }
    return rc;
}

// What the blocks may cost. A file's size is that of the narrowest file, which is asked, plus what wider blocks add:
// everything else in it has the same size whatever the widths. `bits` is scratch.
static tb_code find_budget(uint64_t *budget, uint8_t *bits, const tb_allocation *a, const tb_model *model,
                           const tb_pipeline_options *pipeline, const tb_widths_options *o, tb_error *err)
{
    if (!o->file_bytes) {
        uint64_t weights = 0;
        for (size_t b = 0; b < a->blocks; b++)
            weights += block_weights(model, b);
        double most = o->average_bits * (double)weights * (1 + BUDGET_SLACK);
        double widest = (double)a->widths[a->width_count - 1] * (double)weights;
        *budget = (uint64_t)fmin(most, widest);
        return TB_OK;
    }
    tb_pipeline_options narrowest = *pipeline;
    uint64_t bytes = 0;
    memset(bits, (int)a->widths[0], a->blocks);
    narrowest.block_bits = bits;
    tb_code rc = tb_pipeline_file_bytes(&bytes, model, &narrowest, err);
    if (rc)
        return rc;
    if (bytes > o->file_bytes)
        return tb_fail(err, TB_EINVAL, "%" PRIu64 " bytes are too few: the smallest file has %" PRIu64, o->file_bytes,
                       bytes);
    *budget = o->file_bytes - bytes + total_cost(a, 0);
    return TB_OK;
}

tb_code tb_score_blocks(double *scores, tb_score score, const tb_model *model, const tb_pipeline_options *pipeline,
                        uint64_t seed, tb_error *err)
{
    tb_analyze_options analyze = {.score = score,
                                  .only_score = true,
                                  .calibration_path = pipeline->calibration_path,
                                  .window = pipeline->window,
                                  .seed = seed,
                                  .report = pipeline->report};
    tb_analysis analysis;
    tb_code rc = tb_analyze(&analysis, model, &analyze, err);
    if (rc)
        return rc;
    for (size_t b = 0; b < analysis.block_count; b++)
        scores[b] = analysis.blocks[b].score;
    tb_analysis_clear(&analysis);
    return TB_OK;
}

static tb_code find_measured_scores(double *scores, tb_score score, const tb_model *model,
                                    const tb_pipeline_options *pipeline, const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(model)->blocks;
    if (o->scores)
        memcpy(scores, o->scores, blocks * sizeof *scores);
    tb_code rc = o->scores ? TB_OK : tb_score_blocks(scores, score, model, pipeline, o->seed, err);
    if (rc || o->rule != TB_ALLOCATE_REVERSED)
        return rc;
    size_t *scratch = tb_alloc_array(blocks, sizeof *scratch);
    if (!scratch)
        return tb_fail(err, TB_ENOMEM, "no memory for the order of %zu blocks", blocks);
    tb_reverse_scores(scores, blocks, scratch);
    tb_free(scratch);
    return TB_OK;
}

static tb_code find_scores(double *scores, const tb_model *model, const tb_pipeline_options *pipeline,
                           const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(model)->blocks;
    tb_score score;
    if (tb_allocation_rule_score(&score, o->rule))
        return find_measured_scores(scores, score, model, pipeline, o, err);
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

static tb_code spend(uint8_t *bits, const tb_allocation *a, const tb_model *model, const tb_pipeline_options *pipeline,
                     const tb_widths_options *o, tb_error *err)
{
    bool enough;
    if (o->rule == TB_ALLOCATE_UNIFORM) {
        enough = tb_allocate_uniform(bits, a);
    } else {
        double *scores = tb_alloc_array(a->blocks, sizeof *scores);
        tb_code rc = scores ? find_scores(scores, model, pipeline, o, err)
                            : tb_fail(err, TB_ENOMEM, "no memory for %zu scores", a->blocks);
        if (!rc && o->published)
            rc = allocate_as_published(bits, a, scores, o->average_bits, err);
        enough = !rc && (o->published || tb_allocate_by_score(bits, a, scores));
        tb_free(scores);
        if (rc)
            return rc;
    }
    return enough ? TB_OK
                  : tb_fail(err, TB_EINVAL, "an average of %g bits is too little: the narrowest width is %u",
                            o->average_bits, a->widths[0]);
}

tb_code tb_choose_widths(uint8_t *bits, const tb_model *model, const tb_pipeline_options *pipeline,
                         const tb_widths_options *o, tb_error *err)
{
    size_t blocks = tb_model_config(model)->blocks;
    tb_code rc = check_options(o, err);
    if (rc)
        return rc;
    uint64_t *costs = tb_alloc_array(blocks * o->width_count, sizeof *costs);
    if (!costs)
        return tb_fail(err, TB_ENOMEM, "no memory for the costs of %zu blocks", blocks);
    tb_allocation a = {.widths = o->widths, .width_count = o->width_count, .blocks = blocks, .costs = costs};
    rc = fill_costs(costs, model, pipeline, o, err);
    if (!rc)
        rc = find_budget(&a.budget, bits, &a, model, pipeline, o, err);
    if (!rc)
        rc = spend(bits, &a, model, pipeline, o, err);
    tb_free(costs);
    return rc;
}
