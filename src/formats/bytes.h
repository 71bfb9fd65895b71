// Bounded reading of little-endian bytes, for the readers of this module.
#ifndef TB_FORMATS_BYTES_H
#define TB_FORMATS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t tb_load_le(const unsigned char *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline void tb_store_le(unsigned char *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

// A position in bytes that never passes their end.
typedef struct tb_cursor {
    const unsigned char *data;
    size_t size, position;
} tb_cursor;

static inline size_t tb_cursor_left(const tb_cursor *in)
{
    return in->size - in->position;
}

// Both return false, and stay where they are, when fewer than `n` bytes are left.
static inline bool tb_cursor_take(tb_cursor *in, const unsigned char **bytes, uint64_t n)
{
    if (n > tb_cursor_left(in))
        return false;
    *bytes = in->data ? in->data + in->position : NULL;
    in->position += (size_t)n;
    return true;
}

static inline bool tb_cursor_take_le(tb_cursor *in, uint64_t *value, size_t n)
{
    const unsigned char *bytes;
    if (!tb_cursor_take(in, &bytes, n))
        return false;
    *value = tb_load_le(bytes, n);
    return true;
}

#endif
