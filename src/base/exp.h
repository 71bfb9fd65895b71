// The exponential and what is made of it, written so that compilers vectorise the loops
// around them; the same bits on every machine.
#ifndef TB_BASE_EXP_H
#define TB_BASE_EXP_H

#include <math.h>

#include "base/half.h"

// e^x. Largest error measured over all floats of the range: 1.0 units in the last place
// (tests/unit/base/exp_test.c). Below −87.3, where results would be subnormal, it is 0;
// above 88.3, a little early, infinity; NaN stays NaN.
//
// e^x = 2^n·e^r with n = round(x/ln 2), |r| ≤ ln2/2. ln 2 is subtracted in two parts, the
// first so short that n times it is exact. e^r = 1 + r + r²·q(r), q of degree 4 with the
// least largest error on the interval (0.05 units in the last place; by weighted least
// squares).
static inline float tb_exp(float x)
{
    const float magic = 0x1.8p23f; // adding it rounds to an integer, left in the low bits
    const float least = -87.3f, most = 88.3f;
    float clamped = x > most ? most : x;
    clamped = clamped < least ? least : clamped;
    float shifted = clamped * 0x1.715476p0f + magic;
    float n = shifted - magic;
    float r = clamped - n * 0x1.62e4p-1f;
    r = r - n * 0x1.7f7d1cp-20f;
    float q = 0x1.6a23cep-10f;
    q = q * r + 0x1.123a20p-7f;
    q = q * r + 0x1.5558f2p-5f;
    q = q * r + 0x1.555492p-3f;
    q = q * r + 0x1.fffffcp-2f;
    float two_n = tb_float_from_bits((tb_float_bits(shifted) << 23) + (127u << 23));
    float result = (q * (r * r) + r + 1.0f) * two_n;
    result = x < least ? 0.0f : result;
    return x > most ? INFINITY : result;
}

// x·σ(x)
static inline float tb_silu(float x)
{
    return x / (1.0f + tb_exp(-x));
}

static inline float tb_sigmoid(float x)
{
    return 1.0f / (1.0f + tb_exp(-x));
}

// tanh x. Largest error measured over all floats: 2 units in the last place. Near 0 an odd polynomial of degree 11 with
// the least largest relative error (0.07 units, by weighted least squares), further out 1 − 2/(e^2x + 1). The border is
// where that formula no longer cancels.
static inline float tb_tanh(float x)
{
    const float border = 0.625f;
    float size = x < 0 ? -x : x, square = x * x;
    float p = -0x1.75e166p-8f;
    p = p * square + 0x1.522682p-6f;
    p = p * square - 0x1.b83c56p-5f;
    p = p * square + 0x1.110726p-3f;
    p = p * square - 0x1.555532p-2f;
    float near = x + x * square * p;
    float far = 1.0f - 2.0f / (tb_exp(2.0f * size) + 1.0f);
    far = x < 0 ? -far : far;
    return size < border ? near : far;
}

// GELU by its tanh formula: x/2·(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³).
static inline float tb_gelu_tanh(float x)
{
    const float two_root = 1.5957691216f; // 2·√(2/π)
    return x / (1.0f + tb_exp(-two_root * (x + 0.044715f * x * x * x)));
}

#endif
