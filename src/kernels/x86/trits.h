// What the variants for trit-planes share: reading base-3 bytes with vectors.
//
// Digit i of a byte b is floor(3·frac(b/3^(i+1))). With the fraction in 16 bits this takes two
// multiplications for a register of 16-bit lanes: the low half of b·ceil(2^16/3^(i+1)) is the
// fraction, the high half of fraction·3 is the digit. It is exact for all 256 bytes: the
// rounded-up constant adds less than 255·2^-16 to a fraction that is a multiple of 3^-(i+1).
// (For i = 4 it is 270 − 65536/243 < 0.31 too large: 0.31·255·2^-16 < 1/243.)
#ifndef TB_KERNELS_X86_TRITS_H
#define TB_KERNELS_X86_TRITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "layout/layout.h"

enum {
    CHUNK = 160, // columns after which bytes and words of 32 columns begin together
    CHUNK_BYTES = CHUNK / TB_TRITS_PER_BYTE,
    READ_BYTES = 8, // read at once, perhaps past the chunk
};

// For columns that begin at digit `phase` of a byte, lane l needs byte (phase + l)/5 and its digit
// (phase + l) mod 5. Both are windows on one sequence, which begin at `phase`: the shuffle that
// brings each 16-bit lane its byte, WIDE giving the zero above it, and the multiplier
// ceil(2^16/3^(i+1)) of its digit i.
enum { WIDE = 0x80 };
// clang-format off
static const uint8_t trit_places[2 * 36] = {
    0, WIDE, 0, WIDE, 0, WIDE, 0, WIDE, 0, WIDE,
    1, WIDE, 1, WIDE, 1, WIDE, 1, WIDE, 1, WIDE,
    2, WIDE, 2, WIDE, 2, WIDE, 2, WIDE, 2, WIDE,
    3, WIDE, 3, WIDE, 3, WIDE, 3, WIDE, 3, WIDE,
    4, WIDE, 4, WIDE, 4, WIDE, 4, WIDE, 4, WIDE,
    5, WIDE, 5, WIDE, 5, WIDE, 5, WIDE, 5, WIDE,
    6, WIDE, 6, WIDE, 6, WIDE, 6, WIDE, 6, WIDE,
    7, WIDE,
};
static const uint16_t trit_multipliers[36] = {
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846, 7282, 2428, 810, 270,
    21846,
};
// clang-format on

// The bytes of up to 160 columns of both planes, readable a little beyond.
typedef struct trit_chunk {
    const uint8_t *plane1, *plane2;
    uint8_t copy1[CHUNK_BYTES + READ_BYTES], copy2[CHUNK_BYTES + READ_BYTES];
} trit_chunk;

// `left` bytes remain in each plane of the row. Reads near its end might leave the matrix:
// there the chunk is copied and padded.
static inline void open_chunk(trit_chunk *c, const uint8_t *plane1, const uint8_t *plane2, size_t left)
{
    c->plane1 = plane1;
    c->plane2 = plane2;
    if (left >= CHUNK_BYTES + READ_BYTES)
        return;
    size_t n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    memset(c->copy1, 0, sizeof c->copy1);
    memset(c->copy2, 0, sizeof c->copy2);
    c->plane1 = memcpy(c->copy1, plane1, n);
    c->plane2 = memcpy(c->copy2, plane2, n);
}

#endif
