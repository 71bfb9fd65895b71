// Codes with AVX-512: sixteen lie in one word up to two bits, in 16 bytes else, and up to four bits a register has all
// numbers of a row.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

// Sixteen sums, a row's numbers, a register of them, four weights and two registers of where codes lie are 24 of 32.
#define TOGETHER 4
#define REGISTERS 4

typedef enum width { FEW, SOME, MANY, BYTES } width; // of codes: by a table from a word, by a table, computed

typedef struct lanes {
    __m512i bytes,
        shifts;   // lane i: its code begins at bit `shift` of two bytes of the 16 (of the word: at bit `shift`)
    __m512i mask; // of a code
    floats table; // codes of a table, again and again
} lanes;

typedef struct numbers {
    floats scale, offset; // of a table: offset, the numbers themselves
} numbers;

static width width_of(unsigned bits)
{
    return bits <= 2 ? FEW : bits <= 4 ? SOME : bits < 8 ? MANY : BYTES;
}

INLINE lanes find_lanes(unsigned bits)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)bits)), byte = _mm512_srli_epi32(at, 3);
    lanes l = {.mask = _mm512_set1_epi32((1 << bits) - 1), .shifts = at};
    l.table = _mm512_cvtepi32_ps(_mm512_and_si512(lane, l.mask));
    if (width_of(bits) == FEW)
        return l;
    // Bytes b and b + 1 of lanes; the upper two are zero, as bit 7 says.
    const __m512i next = _mm512_slli_epi32(_mm512_add_epi32(byte, _mm512_set1_epi32(1)), 8);
    l.bytes = _mm512_or_si512(_mm512_or_si512(byte, next), _mm512_set1_epi32((int)0x80800000));
    l.shifts = _mm512_and_si512(at, _mm512_set1_epi32(7));
    return l;
}

INLINE numbers begin_row(float scale, float offset, const lanes *l, width bits)
{
    const numbers row = {broadcast_float(scale), broadcast_float(offset)};
    return bits >= MANY ? row : (numbers){.offset = multiply_add(row.scale, l->table, row.offset)};
}

// Bits above a code are left where a table is looked up by it: permutations ignore them, or it begins anew there.
INLINE floats read_numbers(const uint8_t *codes, const numbers *row, const lanes *l, width bits)
{
    __m512i all;
    if (bits == BYTES) {
        all = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)codes));
        return multiply_add(row->scale, _mm512_cvtepi32_ps(all), row->offset);
    }
    if (bits == FEW) {
        int word;
        memcpy(&word, codes, sizeof word);
        all = _mm512_set1_epi32(word);
    } else {
        all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)codes));
        all = _mm512_shuffle_epi8(all, l->bytes);
    }
    all = _mm512_srlv_epi32(all, l->shifts);
    if (bits < MANY)
        return _mm512_permutexvar_ps(all, row->offset);
    return multiply_add(row->scale, _mm512_cvtepi32_ps(_mm512_and_si512(all, l->mask)), row->offset);
}

#define OP(x) x##_avx512
#include "kernels/x86/codes_tmpl.h"
