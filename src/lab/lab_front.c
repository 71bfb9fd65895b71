#include "lab/lab_front.h"

#include <math.h>

static bool is_finite(const tb_front_point *p)
{
    return isfinite(p->size) && isfinite(p->loss);
}

static bool beats(const tb_front_point *a, const tb_front_point *b)
{
    return is_finite(a) && a->size <= b->size && a->loss <= b->loss && (a->size < b->size || a->loss < b->loss);
}

void tb_find_front(tb_front_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        points[i].on_front = is_finite(&points[i]);
        for (size_t j = 0; j < count; j++)
            if (beats(&points[j], &points[i]))
                points[i].on_front = false;
    }
}
