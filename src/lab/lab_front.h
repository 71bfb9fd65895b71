// What is worth taking: points that nothing else beats in both size and perplexity.
#ifndef TB_LAB_FRONT_H
#define TB_LAB_FRONT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tb_front_point {
    double size, loss; // less is better; a point that is not finite is never on the front
    bool on_front;
} tb_front_point;

// Sets on_front: no other point has at most the size and at most the loss, and less of one of them. Of equal points
// all are on the front or none.
void tb_find_front(tb_front_point *points, size_t count);

#endif
