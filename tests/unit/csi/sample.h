// Receivers measured on a few frames.
#ifndef TB_TEST_SAMPLE_H
#define TB_TEST_SAMPLE_H

#include "csi/csi.h"

tb_csi_link *sample_link(tb_csi_options options);

// The scores of receivers (at most 8, by name) over frames of one point, on one thread.
void sample_scores(tb_csi_score *scores, tb_csi_options options, tb_csi_point point, const char *const *receivers,
                   size_t count, uint64_t frames);

// One receiver.
tb_csi_score sample_score(tb_csi_options options, tb_csi_point point, const char *receiver, uint64_t frames);

// Fails unless |value − expected| ≤ tolerance (cmocka compares floats only).
void assert_near(double value, double expected, double tolerance);

// Fails unless |value − expected| ≤ 3 standard errors, where `ci` is half a 95 % interval.
void assert_within(double value, double expected, double ci);

#endif
