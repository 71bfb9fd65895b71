// Normal numbers from words, against <math.h> in long double.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/base.h"
#include "csi/streams.h"
#include "sample.h"

static const tb_csi_stream stream = {.seed = 5, .frame = 0x123456789abcu, .purpose = TB_CSI_FOR_NOISE};

static const long double two_pi = 6.283185307179586476925286766559L;

static long double uniform(uint32_t word)
{
    return ((long double)word + 0.5L) * 0x1p-32L;
}

// Normal number i of the stream and the bounds of its error, relative to its radius.
static void assert_normal(double re, double im, size_t i, double deviation)
{
    uint32_t words[4];
    tb_csi_words(words, &stream, (uint32_t)(i / 2));
    long double radius = deviation * sqrtl(-logl(uniform(words[2 * (i % 2)])));
    long double angle = two_pi * uniform(words[2 * (i % 2) + 1]);
    long double bound = 6.3e-16L * radius; // 2.2e-16 of the root, 1.8e-16 of the angle's functions, two products
    assert_true(fabsl(re - radius * cosl(angle)) <= bound);
    assert_true(fabsl(im - radius * sinl(angle)) <= bound);
}

static void normals__are_those_of_their_words(void **state)
{
    (void)state;
    enum { COUNT = 1 << 18 };
    double *re = tb_alloc_array(COUNT, sizeof *re), *im = tb_alloc_array(COUNT, sizeof *im);
    assert_non_null(re);
    assert_non_null(im);
    tb_csi_normals(re, im, &stream, 0, COUNT, 1);
    for (size_t i = 0; i < COUNT; i++)
        assert_normal(re[i], im[i], i, 1);
    tb_free(re);
    tb_free(im);
}

static void normals__do_not_depend_on_where_they_are_cut(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    double re[COUNT + 1], im[COUNT + 1], part_re[COUNT + 1], part_im[COUNT + 1];
    tb_csi_normals(re, im, &stream, 0, COUNT, 0.25);
    for (size_t i = 0; i < COUNT; i++)
        assert_normal(re[i], im[i], i, 0.5);
    for (size_t first = 0; first < COUNT; first += 14)
        for (size_t n = 0; first + n <= COUNT; n += n < 3 ? 1 : 61) {
            part_re[n] = part_im[n] = -7; // stays
            tb_csi_normals(part_re, part_im, &stream, first, n, 0.25);
            assert_memory_equal(part_re, re + first, n * sizeof *re);
            assert_memory_equal(part_im, im + first, n * sizeof *im);
            assert_true(part_re[n] == -7 && part_im[n] == -7);
        }
}

// Four words make four real numbers, in the order of complex parts, √2 times as large.
static void real_normals__are_the_parts_of_complex_ones(void **state)
{
    (void)state;
    enum { COUNT = 263 };
    double re[COUNT], im[COUNT], real[COUNT + 1];
    tb_csi_normals(re, im, &stream, 0, COUNT, 2);
    for (size_t n = COUNT - 5; n <= COUNT; n++) {
        real[n] = -7;
        tb_csi_real_normals(real, &stream, 0, n, 1);
        for (size_t i = 0; i < n; i++)
            assert_true(real[i] == (i % 2 ? im[i / 2] : re[i / 2]));
        assert_true(real[n] == -7);
    }
    double shifted[60];
    tb_csi_real_normals(shifted, &stream, 200, 60, 1);
    assert_memory_equal(shifted, real + 200, sizeof shifted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normals__are_those_of_their_words),
        cmocka_unit_test(normals__do_not_depend_on_where_they_are_cut),
        cmocka_unit_test(real_normals__are_the_parts_of_complex_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
