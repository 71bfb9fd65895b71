// cmocka compares floats only; these are doubles.
#ifndef TB_TEST_NEAR_H
#define TB_TEST_NEAR_H

#include <math.h>

// Include after cmocka.h.
static inline void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

#endif
