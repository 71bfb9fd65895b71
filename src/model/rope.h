// Rotary position embedding (RoFormer, arXiv 2104.09864). The model owns the frequencies; from them the angles of any
// position follow, and a table holds those of the rows at hand. Private to model.
#ifndef TB_MODEL_ROPE_H
#define TB_MODEL_ROPE_H

#include "base/base.h"

// How the heads of one kind of block turn. Pair i of a head at position p is turned by the angle p·frequencies[i] and
// multiplied by `magnitude`; the numbers behind the pairs stay as they are.
typedef struct tb_rope {
    size_t pairs;        // at most half the head size
    bool halves;         // number i is paired with i + pairs; else 2i with 2i + 1
    double magnitude;    // "attention factor" of YaRN and longrope; 1 elsewhere
    double *frequencies; // [pairs]
    // Sequences of more than `original` tokens turn in another way; 0: the length does not matter.
    size_t original;
    const double *long_frequencies; // [pairs]: theirs (longrope); NULL: their base grows with the length (dynamic)
    double base, factor;            // dynamic's
} tb_rope;

// A number that says how a sequence of `length` tokens turns: lengths with the same number have the same frequencies.
size_t tb_rope_regime(const tb_rope *rope, size_t length);

// Whether keys that were turned in a sequence of length `from` are wrong in one of length `to`, so that all of it must
// be computed again: longrope, on the two sides of `original`. (Keys of dynamic stay as they are.)
bool tb_rope_turns_again(const tb_rope *rope, size_t from, size_t to);

// out[pairs] ← frequencies of base^(−2i/size), size = 2·pairs.
void tb_rope_base_frequencies(double *out, size_t pairs, double base);

// out[pairs] ← those of a sequence of `length` tokens.
void tb_rope_get_frequencies(double *out, const tb_rope *rope, size_t length);

// Cosines and sines of up to `capacity` rows.
typedef struct tb_rope_table {
    const tb_rope *rope;
    float *cos, *sin;    // [capacity][pairs]
    int32_t *positions;  // [capacity]: of the rows as they are; −1: not filled
    size_t *regimes;     // [capacity]
    double *frequencies; // [pairs]: scratch
} tb_rope_table;

// An empty table; its storage lies in `arena`. False: no memory.
bool tb_rope_table_init(tb_rope_table *table, tb_arena *arena, const tb_rope *rope, size_t capacity);

// Makes rows first … first + n − 1 those of positions[n] in a sequence of `length` tokens. Rows that are so already
// cost nothing.
void tb_rope_table_fill(const tb_rope_table *table, size_t first, const int32_t *positions, size_t n, size_t length);

// Turns one head of a query or key in place by the angles of a row.
void tb_rope_apply(float *head, const tb_rope_table *table, size_t row);

#endif
