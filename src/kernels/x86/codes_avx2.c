// Codes with AVX2: eight lie in one word up to four bits, in eight bytes else, and up to three bits a register has all
// numbers of a row.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

// Eight sums, a row's numbers, a register of them, four weights and where codes lie are 15 of 16.
#define TOGETHER 4
#define REGISTERS 2

// Codes of these are numbers by a table, computed from a word, from eight bytes, from a byte each.
typedef enum width { FEW, SOME, MANY, BYTES } width;

typedef struct lanes {
    __m256i bytes, shifts; // lane i: its code begins at bit `shift` of two of the eight bytes (of the word: of all)
    __m256i mask;          // of a code
    floats table;          // codes of a table, again and again
} lanes;

typedef struct numbers {
    floats scale, offset; // of a table: offset, the numbers themselves
} numbers;

static width width_of(unsigned bits)
{
    return bits <= 3 ? FEW : bits <= 4 ? SOME : bits < 8 ? MANY : BYTES;
}

INLINE lanes find_lanes(unsigned bits)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i at = _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)bits)), byte = _mm256_srli_epi32(at, 3);
    lanes l = {.mask = _mm256_set1_epi32((1 << bits) - 1), .shifts = at};
    l.table = _mm256_cvtepi32_ps(_mm256_and_si256(lane, l.mask));
    if (width_of(bits) != MANY)
        return l;
    // Bytes b and b + 1 of lanes; the upper two are zero, as bit 7 says.
    const __m256i next = _mm256_slli_epi32(_mm256_add_epi32(byte, _mm256_set1_epi32(1)), 8);
    l.bytes = _mm256_or_si256(_mm256_or_si256(byte, next), _mm256_set1_epi32((int)0x80800000));
    l.shifts = _mm256_and_si256(at, _mm256_set1_epi32(7));
    return l;
}

INLINE numbers begin_row(float scale, float offset, const lanes *l, width bits)
{
    const numbers row = {broadcast_float(scale), broadcast_float(offset)};
    return bits == FEW ? (numbers){.offset = multiply_add(row.scale, l->table, row.offset)} : row;
}

// Bits above a code are left where a table is looked up by it: permutations ignore them, or it begins anew there.
INLINE floats read_numbers(const uint8_t *codes, const numbers *row, const lanes *l, width bits)
{
    __m256i all;
    if (bits == BYTES) {
        all = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)codes));
        return multiply_add(row->scale, _mm256_cvtepi32_ps(all), row->offset);
    }
    if (bits != MANY) {
        int word;
        memcpy(&word, codes, sizeof word);
        all = _mm256_set1_epi32(word);
    } else {
        long long eight;
        memcpy(&eight, codes, sizeof eight);
        all = _mm256_shuffle_epi8(_mm256_set1_epi64x(eight), l->bytes);
    }
    all = _mm256_srlv_epi32(all, l->shifts);
    if (bits == FEW)
        return _mm256_permutevar8x32_ps(row->offset, all);
    return multiply_add(row->scale, _mm256_cvtepi32_ps(_mm256_and_si256(all, l->mask)), row->offset);
}

#define OP(x) x##_avx2
#include "kernels/x86/codes_tmpl.h"
