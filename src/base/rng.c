#include "base/rng.h"

#include <math.h>

// Multipliers and Weyl constants of Philox4x32 (Salmon et al., table 2 and section 4.3).
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

void tb_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void tb_rng_init(tb_rng *rng, uint64_t seed, uint64_t stream)
{
    *rng = (tb_rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, 0, (uint32_t)stream, (uint32_t)(stream >> 32)},
        .used = 4,
    };
}

uint32_t tb_rng_u32(tb_rng *rng)
{
    if (rng->used == 4) {
        tb_philox(rng->block, rng->counter, rng->key);
        if (++rng->counter[0] == 0)
            rng->counter[1]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

uint64_t tb_rng_u64(tb_rng *rng)
{
    uint64_t low = tb_rng_u32(rng);
    return low | (uint64_t)tb_rng_u32(rng) << 32;
}

double tb_rng_uniform(tb_rng *rng)
{
    return (double)(tb_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t tb_rng_below(tb_rng *rng, uint64_t n)
{
    // Values below 2^64 mod n would make small results likelier; draw again.
    uint64_t threshold = (0 - n) % n;
    for (;;) {
        uint64_t value = tb_rng_u64(rng);
        if (value >= threshold)
            return value % n;
    }
}

double tb_rng_normal(tb_rng *rng)
{
    if (rng->has_spare) {
        rng->has_spare = 0;
        return rng->spare;
    }
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(1.0 - tb_rng_uniform(rng)));
    double angle = two_pi * tb_rng_uniform(rng);
    rng->spare = radius * sin(angle);
    rng->has_spare = 1;
    return radius * cos(angle);
}
