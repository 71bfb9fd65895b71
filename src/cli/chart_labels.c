#include "cli/chart_labels.h"

// Rings of positions around a point, each further away, in pixels from the point to the nearest edge of the text.
static const double distances[] = {8, 16, 26, 38};

enum { RINGS = sizeof distances / sizeof distances[0] };

// Where the text lies: −1 left or below, 0 centred, 1 right or above.
static const struct {
    int x, y;
} directions[] = {{-1, -1}, {-1, 0}, {0, -1}, {1, 1}, {1, 0}, {0, 1}, {1, -1}, {-1, 1}};

enum { DIRECTIONS = sizeof directions / sizeof directions[0] };

bool tb_boxes_overlap(const tb_box *a, const tb_box *b)
{
    return a->left < b->right && b->left < a->right && a->bottom < b->top && b->bottom < a->top;
}

// Begin of a text of size `size` that lies in direction `direction` of `at`.
static double place(double at, double size, int direction, double distance)
{
    return direction < 0 ? at - distance - size : direction > 0 ? at + distance : at - size / 2;
}

static tb_box make_box(const tb_chart_label *label, size_t direction, double distance)
{
    int dx = directions[direction].x, dy = directions[direction].y;
    // On a diagonal the corner is near enough at less distance in each direction.
    double step = dx && dy ? distance * 0.7 : distance;
    double left = place(label->x, label->width, dx, step), bottom = place(label->y, label->height, dy, step);
    return (tb_box){left, bottom, left + label->width, bottom + label->height};
}

static bool is_inside(const tb_box *box, const tb_box *bounds)
{
    return box->left >= bounds->left && box->right <= bounds->right && box->bottom >= bounds->bottom &&
           box->top <= bounds->top;
}

static bool is_free(const tb_box *box, const tb_chart_label *labels, size_t count, const tb_box *taken,
                    size_t taken_count)
{
    for (size_t i = 0; i < taken_count; i++)
        if (tb_boxes_overlap(box, &taken[i]))
            return false;
    for (size_t i = 0; i < count; i++)
        if (labels[i].placed && tb_boxes_overlap(box, &labels[i].box))
            return false;
    return true;
}

// Optional labels stay beside their point, where one sees whose they are.
static bool find_place(tb_chart_label *label, const tb_chart_label *labels, size_t count, const tb_box *taken,
                       size_t taken_count, const tb_box *bounds)
{
    size_t rings = label->optional ? 1 : RINGS;
    for (size_t ring = 0; ring < rings; ring++)
        for (size_t d = 0; d < DIRECTIONS; d++) {
            label->box = make_box(label, d, distances[ring]);
            if (is_inside(&label->box, bounds) && is_free(&label->box, labels, count, taken, taken_count))
                return true;
        }
    return false;
}

void tb_place_labels(tb_chart_label *labels, size_t count, const tb_box *taken, size_t taken_count, tb_box bounds)
{
    for (size_t i = 0; i < count; i++) {
        tb_chart_label *label = &labels[i];
        label->placed = false;
        bool found = find_place(label, labels, i, taken, taken_count, &bounds);
        if (!found && !label->optional)
            label->box = make_box(label, 0, distances[0]);
        label->placed = found || !label->optional;
    }
}
