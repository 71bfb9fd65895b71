// Spending a budget on the blocks of a model: which block gets how many bits.
//
// The error of block l at b bits counts as s_l·N_l·4^-b: its score, its weights, and the square of the step, which
// halves with each bit. Blocks rise from width to width where a bit takes most of that error away, as long as the
// budget allows. With two widths this is LieQ's order: the best blocks get the high one.
#ifndef TB_QUANT_ALLOCATE_H
#define TB_QUANT_ALLOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TB_MAX_WIDTHS = 4 };

// Which blocks come first.
typedef enum tb_allocation_rule {
    TB_ALLOCATE_LIEQ,     // scores of tb_analyze: v2
    TB_ALLOCATE_LIEQ_V1,  // v1
    TB_ALLOCATE_PPL,      // ppl
    TB_ALLOCATE_FREE,     // free
    TB_ALLOCATE_FIRST,    // the first blocks of the model
    TB_ALLOCATE_UNIFORM,  // none: one width for all
    TB_ALLOCATE_REVERSED, // LieQ's order, the worst block first: what a rule must beat
    TB_ALLOCATE_RANDOM,   // an order drawn from the seed: what a rule must beat
    TB_ALLOCATION_RULES
} tb_allocation_rule;

// "lieq", "lieq-v1", "ppl", "free", "first", "uniform", "reversed", "random"
const char *tb_allocation_rule_name(tb_allocation_rule rule);
bool tb_allocation_rule_find(tb_allocation_rule *out, const char *name);

// The best score goes to the block that had the worst, and so on: the same scores in the reverse order.
// `scratch`[blocks].
void tb_reverse_scores(double *scores, size_t blocks, size_t *scratch);

// Widths to choose from, ascending, and what each block costs at each: in bits or in bytes.
typedef struct tb_allocation {
    const unsigned *widths; // [width_count], at most TB_MAX_WIDTHS
    size_t width_count, blocks;
    const uint64_t *costs; // [blocks][width_count], ascending with the width
    uint64_t budget;
} tb_allocation;

// What all blocks cost at the width of that index.
uint64_t tb_allocation_cost(const tb_allocation *allocation, size_t width);

// The width of every block, by scores. Scores that are not positive count as nearly nothing; equal gains go by score,
// then by index. No single step that would still fit remains. False: the narrowest widths exceed the budget; bits then
// holds them.
bool tb_allocate_by_score(uint8_t *bits, const tb_allocation *allocation, const double *scores);

// The largest width that all blocks can have. False as above.
bool tb_allocate_uniform(uint8_t *bits, const tb_allocation *allocation);

#endif
