// Seeded random numbers: Philox4x32-10, a counter-based generator, so that any stream can
// be reached without drawing the numbers before it (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011).
#ifndef TB_BASE_RNG_H
#define TB_BASE_RNG_H

#include <stdint.h>

// One block: four words from a counter and a key.
void tb_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

// A stream of numbers. Streams of the same seed with other stream numbers are independent.
typedef struct tb_rng {
    uint32_t key[2];
    uint32_t counter[4]; // words 0,1: position; words 2,3: stream
    uint32_t block[4];
    unsigned used; // words of `block` already given out; 4: none left
    double spare;  // second value of the last normal pair
    int has_spare;
} tb_rng;

void tb_rng_init(tb_rng *rng, uint64_t seed, uint64_t stream);

uint32_t tb_rng_u32(tb_rng *rng);
uint64_t tb_rng_u64(tb_rng *rng);

// Uniform on [0, 1): 53 random bits.
double tb_rng_uniform(tb_rng *rng);

// Uniform on 0 … n−1 without bias; n > 0.
uint64_t tb_rng_below(tb_rng *rng, uint64_t n);

// Standard normal (Box–Muller).
double tb_rng_normal(tb_rng *rng);

#endif
