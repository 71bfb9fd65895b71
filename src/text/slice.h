// A text that somebody else owns: where it starts and how many bytes it has.
#ifndef TB_TEXT_SLICE_H
#define TB_TEXT_SLICE_H

#include <stddef.h>

typedef struct tb_slice {
    const char *data;
    size_t size;
} tb_slice;

#endif
