// cli: names beside the points of a chart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "cli/chart_labels.h"

enum { LABELS = 30, ROUNDS = 100 };

static const tb_box bounds = {0, 0, 800, 500};

static bool is_inside(const tb_box *b)
{
    return b->left >= bounds.left && b->bottom >= bounds.bottom && b->right <= bounds.right && b->top <= bounds.top;
}

static void make_labels(tb_chart_label *labels, tb_box *points, tb_rng *rng, bool optional)
{
    for (size_t i = 0; i < LABELS; i++) {
        double x = 800 * tb_rng_uniform(rng), y = 500 * tb_rng_uniform(rng);
        labels[i] = (tb_chart_label){
            .x = x, .y = y, .width = 20 + 80 * tb_rng_uniform(rng), .height = 14, .optional = optional};
        points[i] = (tb_box){x - 5, y - 5, x + 5, y + 5};
    }
}

static void labels__that_may_be_left_out_cover_nothing(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    size_t placed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        tb_chart_label labels[LABELS];
        tb_box points[LABELS];
        make_labels(labels, points, &rng, true);
        tb_place_labels(labels, LABELS, points, LABELS, bounds);
        for (size_t i = 0; i < LABELS; i++) {
            if (!labels[i].placed)
                continue;
            placed++;
            assert_true(is_inside(&labels[i].box));
            for (size_t j = 0; j < LABELS; j++) {
                assert_false(tb_boxes_overlap(&labels[i].box, &points[j]));
                assert_false(i != j && labels[j].placed && tb_boxes_overlap(&labels[i].box, &labels[j].box));
            }
        }
    }
    assert_true(placed > ROUNDS * LABELS / 2);
}

static void labels__that_must_be_there_are(void **state)
{
    (void)state;
    tb_chart_label labels[LABELS];
    tb_box everything = bounds;
    for (size_t i = 0; i < LABELS; i++) // all at one point, and no room at all
        labels[i] = (tb_chart_label){.x = 400, .y = 250, .width = 50, .height = 14};
    tb_place_labels(labels, LABELS, &everything, 1, bounds);
    for (size_t i = 0; i < LABELS; i++)
        assert_true(labels[i].placed);
    // Alone, a label lies left below its point; in the corner, right above.
    tb_place_labels(labels, 1, NULL, 0, bounds);
    assert_true(labels[0].box.right < 400 && labels[0].box.top < 250);
    labels[0].x = labels[0].y = 1;
    tb_place_labels(labels, 1, NULL, 0, bounds);
    assert_true(labels[0].box.left > 1 && labels[0].box.bottom > 1 && is_inside(&labels[0].box));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels__that_may_be_left_out_cover_nothing),
        cmocka_unit_test(labels__that_must_be_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
