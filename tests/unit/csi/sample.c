#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

enum { MOST_RECEIVERS = 8 };

typedef struct sample {
    const tb_csi_link *link;
    tb_csi_receiver receivers[MOST_RECEIVERS];
} sample;

static void receive(void *user, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    (void)worker;
    const sample *s = user;
    tb_csi_receive(batch, &s->receivers[receiver], s->link);
}

tb_csi_link *sample_link(tb_csi_options options)
{
    tb_csi_link *link;
    tb_error err;
    if (tb_csi_link_new(&link, &options, &err))
        fail_msg("%s", err.message);
    return link;
}

void sample_scores(tb_csi_score *scores, tb_csi_options options, tb_csi_point point, const char *const *receivers,
                   size_t count, uint64_t frames)
{
    tb_csi_link *link = sample_link(options);
    tb_csi_tally tallies[MOST_RECEIVERS];
    tb_csi_measure_options measure = {.frames = frames, .threads = 1};
    tb_error err;
    sample s = {.link = link};
    assert_in_range(count, 1, MOST_RECEIVERS);
    for (size_t i = 0; i < count; i++)
        assert_true(tb_csi_receiver_find(&s.receivers[i], receivers[i]));
    assert_int_equal(tb_csi_measure(tallies, link, &point, 1, receive, &s, count, &measure, &err), TB_OK);
    for (size_t i = 0; i < count; i++)
        scores[i] = tb_csi_tally_score(&tallies[i]);
    tb_csi_link_free(link);
}

tb_csi_score sample_score(tb_csi_options options, tb_csi_point point, const char *receiver, uint64_t frames)
{
    tb_csi_score score;
    sample_scores(&score, options, point, &receiver, 1, frames);
    return score;
}

void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

void assert_within(double value, double expected, double ci)
{
    if (!(fabs(value - expected) <= 3 / 1.96 * ci))
        fail_msg("%g is not %g within three standard errors of %g", value, expected, ci / 1.96);
}
