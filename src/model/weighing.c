// Comparisons are such that NaN stays NaN.
#include "model/weighing.h"

#include "base/base.h"

#include <math.h>

// Of softpick's denominator.
#define LEAST_SUM 1e-8f

static float largest(const float *x, size_t n)
{
    float top = x[0];
    for (size_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

static void softmax(float *x, size_t n)
{
    float top = largest(x, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] = tb_exp(x[i] - top);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

static void clip(float *x, float threshold, size_t n)
{
    softmax(x, n);
    for (size_t i = 0; i < n; i++) {
        float stretched = (1 + threshold) * x[i] - threshold;
        x[i] = stretched < 0 ? 0 : stretched > 1 ? 1 : stretched;
    }
}

// Scores of 0 give 0, so that the largest is taken as 0 where all are below: e^−top does not overflow then.
static void softpick(float *x, size_t n)
{
    float top = largest(x, n), sum = 0;
    top = top > 0 ? top : 0;
    float zero = tb_exp(-top);
    for (size_t i = 0; i < n; i++) {
        x[i] = tb_exp(x[i] - top) - zero;
        sum += fabsf(x[i]);
    }
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] <= 0 ? 0 : x[i] / (sum + LEAST_SUM);
}

static void elastic(float *x, float shift, size_t n)
{
    softmax(x, n);
    for (size_t i = 0; i < n; i++) {
        float w = x[i] + shift / (float)n;
        x[i] = w <= 0 ? 0 : w;
    }
}

void tb_weigh_scores(float *x, const tb_weighing *weighing, size_t n)
{
    if (n == 0)
        return;
    switch (weighing->kind) {
    case TB_CLIP:
        clip(x, weighing->number, n);
        break;
    case TB_SIGMOID:
        for (size_t i = 0; i < n; i++)
            x[i] = tb_sigmoid(x[i] + weighing->number);
        break;
    case TB_RELU:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] <= 0 ? 0 : x[i] / (float)n;
        break;
    case TB_SOFTPICK:
        softpick(x, n);
        break;
    default:
        elastic(x, weighing->number, n);
    }
}
