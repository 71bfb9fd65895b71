// Names beside the points of a chart, so that none covers another, a point, or the edge.
#ifndef TB_CLI_CHART_LABELS_H
#define TB_CLI_CHART_LABELS_H

#include <stdbool.h>
#include <stddef.h>

// Pixels; y grows upwards.
typedef struct tb_box {
    double left, bottom, right, top;
} tb_box;

typedef struct tb_chart_label {
    double x, y;          // of the point
    double width, height; // of the text
    bool optional;        // left out where there is no room; the others are placed in any case
    bool placed;          // the box is set
    tb_box box;
} tb_chart_label;

// Places labels in their order, each at the first position around its point where it covers nothing: left below
// first, where a front that falls to the right leaves room. `taken` are boxes that must stay free.
void tb_place_labels(tb_chart_label *labels, size_t count, const tb_box *taken, size_t taken_count, tb_box bounds);

bool tb_boxes_overlap(const tb_box *a, const tb_box *b);

#endif
