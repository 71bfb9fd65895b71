#include "quant/allocate.h"

#include "quant/lieq.h"

#include <math.h>
#include <string.h>

// A score that is not positive counts as this share of the best one.
#define LEAST_SHARE 1e-6

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

uint64_t tb_allocation_cost(const tb_allocation *a, size_t width)
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
    uint64_t cost = tb_allocation_cost(a, 0);
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
    while (width + 1 < a->width_count && tb_allocation_cost(a, width + 1) <= a->budget)
        width++;
    memset(bits, (int)a->widths[width], a->blocks);
    return tb_allocation_cost(a, width) <= a->budget;
}
