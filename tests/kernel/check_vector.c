// Operations on vectors: every length around the widths of registers and of unrolled loops, odd
// starts, inputs and outputs that end at unmapped pages.
#include "check.h"

#include <math.h>
#include <string.h>

enum { MOST = 300 };

static bool worth_checking(size_t n)
{
    return n < 140 || n >= MOST - 2;
}

static guarded guarded_floats(size_t n, sample_kind kind, tb_rng *rng)
{
    guarded g = guarded_new(n * sizeof(float));
    sample_vector(g.data, n, kind, rng);
    return g;
}

static guarded guarded_halves(size_t n, sample_kind kind, tb_rng *rng)
{
    float values[MOST];
    guarded g = guarded_new(n * sizeof(uint16_t));
    sample_vector(values, n, kind, rng);
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)g.data)[i] = tb_half_from_float(values[i]);
    return g;
}

static void check_dot_result(const char *name, size_t n, sample_kind kind, const float *a, const float *b, float result)
{
    double exact = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        exact += (double)a[i] * (double)b[i];
        magnitude += fabs((double)a[i] * (double)b[i]);
    }
    double error = fabs((double)result - exact);
    double bound = kind == SAMPLE_INTEGER ? 0 : 2 * ((double)n + 8) * 0x1p-24 * magnitude;
    if (!(error <= bound))
        check_fail(name, "length %zu: %g, exactly %g", n, (double)result, exact);
}

static void check_dots(const tb_kernels *kernels, size_t n, sample_kind kind, tb_rng *rng)
{
    guarded a = guarded_floats(n, kind, rng), b = guarded_floats(n, kind, rng), h = guarded_halves(n, kind, rng);
    float widened[MOST];
    for (size_t i = 0; i < n; i++)
        widened[i] = tb_half_to_float(((uint16_t *)h.data)[i]);
    check_dot_result("dot_f32", n, kind, a.data, b.data, kernels->dot_f32(a.data, b.data, n));
    check_dot_result("dot_f32_f16", n, kind, a.data, widened, kernels->dot_f32_f16(a.data, h.data, n));
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&h);
}

static void check_axpy_result(const char *name, size_t n, float s, const float *x, const float *before,
                              const guarded *after)
{
    const float *y = after->data;
    bool fused = true, separate = true;
    for (size_t i = 0; i < n; i++) {
        fused = fused && y[i] == fmaf(s, x[i], before[i]);
        separate = separate && y[i] == s * x[i] + before[i];
    }
    if (!fused && !separate)
        check_fail(name, "length %zu: neither one rounding everywhere nor two", n);
    if (!guarded_is_intact(after))
        check_fail(name, "length %zu: wrote before its output", n);
}

static void check_axpys(const tb_kernels *kernels, size_t n, sample_kind kind, tb_rng *rng)
{
    guarded y = guarded_floats(n, kind, rng), x = guarded_floats(n, kind, rng), h = guarded_halves(n, kind, rng);
    float before[MOST] = {0}, widened[MOST], s = 0.7f;
    for (size_t i = 0; i < n; i++) {
        before[i] = ((float *)y.data)[i];
        widened[i] = tb_half_to_float(((uint16_t *)h.data)[i]);
    }
    kernels->axpy_f32(y.data, s, x.data, n);
    check_axpy_result("axpy_f32", n, s, x.data, before, &y);
    if (n)
        memcpy(y.data, before, n * sizeof(float));
    kernels->axpy_f16(y.data, s, h.data, n);
    check_axpy_result("axpy_f16", n, s, widened, before, &y);
    guarded_free(&y);
    guarded_free(&x);
    guarded_free(&h);
}

static bool same_half(uint16_t a, uint16_t b)
{
    bool nan = (a & 0x7FFF) > 0x7C00 && (b & 0x7FFF) > 0x7C00;
    return a == b || nan;
}

static void check_half_lengths(const tb_kernels *kernels, size_t n, tb_rng *rng)
{
    guarded in = guarded_new(n * sizeof(float)), out = guarded_new(n * sizeof(uint16_t));
    float *x = in.data;
    uint16_t *h = out.data;
    for (size_t i = 0; i < n; i++)
        x[i] = tb_float_from_bits(tb_rng_u32(rng)); // any float at all
    kernels->half_from_float(h, x, n);
    for (size_t i = 0; i < n; i++)
        if (!same_half(h[i], tb_half_from_float(x[i])))
            check_fail("half_from_float", "length %zu: %g becomes %04x", n, (double)x[i], h[i]);
    if (!guarded_is_intact(&out))
        check_fail("half_from_float", "length %zu: wrote before its output", n);
    guarded_free(&in);
    guarded_free(&out);
}

// All halves, what lies in the middle between two of them, and the floats beside the middle.
static void check_half_values(const tb_kernels *kernels)
{
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float low = tb_half_to_float((uint16_t)h), high = h == 0x7BFF ? 65536 : tb_half_to_float((uint16_t)(h + 1));
        float middle = (float)(0.5 * ((double)low + (double)high));
        float x[8] = {low, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY), -low, -middle, INFINITY, NAN};
        uint16_t out[8];
        kernels->half_from_float(out, x, 8);
        for (size_t i = 0; i < 8; i++)
            if (!same_half(out[i], tb_half_from_float(x[i])))
                check_fail("half_from_float", "%.9g becomes %04x", (double)x[i], out[i]);
    }
}

void check_vector(const tb_kernels *kernels)
{
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t n = 0; n <= MOST; n++) {
        if (!worth_checking(n))
            continue;
        check_begin("vector operations");
        for (sample_kind kind = SAMPLE_NORMAL; kind <= SAMPLE_EXTREME; kind++) {
            check_dots(kernels, n, kind, &rng);
            check_axpys(kernels, n, kind, &rng);
        }
        check_half_lengths(kernels, n, &rng);
    }
    check_half_values(kernels);
}
