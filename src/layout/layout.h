// layout: how weights are stored. Names every storage type, tells its size, and packs and
// unpacks it in plain loops. Two kinds exist:
//
//  - ggml types, as GGUF files hold them: a row is a sequence of equal units, each with
//    its own scales (ggml calls them blocks; here a block is a layer of a transformer). The
//    numeric values of tb_type are GGUF's own.
//  - plane types, twobit's own: a matrix is planes of bits or trits plus a table of
//    coefficients per row and group of columns. Their values are never GGUF type numbers;
//    in a file each part is an ordinary tensor (see formats/).
#ifndef TB_LAYOUT_H
#define TB_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twobit/error.h"

typedef enum tb_type {
    TB_TYPE_F32 = 0,
    TB_TYPE_F16 = 1,
    TB_TYPE_Q4_0 = 2,
    TB_TYPE_Q4_1 = 3,
    TB_TYPE_Q5_0 = 6,
    TB_TYPE_Q5_1 = 7,
    TB_TYPE_Q8_0 = 8,
    TB_TYPE_Q8_1 = 9,
    TB_TYPE_Q2_K = 10,
    TB_TYPE_Q3_K = 11,
    TB_TYPE_Q4_K = 12,
    TB_TYPE_Q5_K = 13,
    TB_TYPE_Q6_K = 14,
    TB_TYPE_Q8_K = 15,
    TB_TYPE_IQ2_XXS = 16,
    TB_TYPE_IQ2_XS = 17,
    TB_TYPE_IQ3_XXS = 18,
    TB_TYPE_IQ1_S = 19,
    TB_TYPE_IQ4_NL = 20,
    TB_TYPE_IQ3_S = 21,
    TB_TYPE_IQ2_S = 22,
    TB_TYPE_IQ4_XS = 23,
    TB_TYPE_I8 = 24,
    TB_TYPE_I16 = 25,
    TB_TYPE_I32 = 26,
    TB_TYPE_I64 = 27,
    TB_TYPE_F64 = 28,
    TB_TYPE_IQ1_M = 29,
    TB_TYPE_BF16 = 30,
    TB_TYPE_TQ1_0 = 34,
    TB_TYPE_TQ2_0 = 35,
    TB_TYPE_MXFP4 = 39,
    TB_TYPE_NVFP4 = 40,
    TB_TYPE_Q1_0 = 41,

    // Plane types.
    TB_TYPE_BITPLANES = 0x1000, // k bit-planes on a variable grid (BPDQ): Σ_i c_i·b_i + c_k
    TB_TYPE_AFFINE,             // k bit-planes on a uniform grid (RTN, GPTQ): s·(Σ_i 2^i·b_i − z)
    TB_TYPE_TRITPLANES,         // two trit-planes (PTQTP): α1·t1 + α2·t2
    TB_TYPE_OFFSET,             // k bit-planes on a uniform grid that begins anywhere (HQQ): s·Σ_i 2^i·b_i + o
} tb_type;

// What is known of a ggml type.
typedef struct tb_type_traits {
    tb_type type;
    const char *name;  // as llama.cpp prints it, e.g. "Q4_K"
    size_t unit_size;  // values per unit
    size_t unit_bytes; // bytes per unit
    // Decodes `n` values (a multiple of unit_size) from consecutive units. NULL for types
    // that hold no weights or that twobit does not decode.
    void (*decode)(float *dst, const void *src, size_t n);
} tb_type_traits;

// The traits of a ggml type, or NULL for any other number (also for plane types).
const tb_type_traits *tb_type_traits_get(uint32_t type);

// The name of any type, plane types included ("bitplanes", "affine" …); "unknown" otherwise.
const char *tb_type_name(uint32_t type);

static inline bool tb_type_is_plane(tb_type type)
{
    return (unsigned)type >= TB_TYPE_BITPLANES && (unsigned)type <= TB_TYPE_OFFSET;
}

// Whether matrices of the type can be decoded; false for numbers that are no type.
bool tb_type_is_decodable(uint32_t type);

// Dense numbers of the types, for tables: GGUF's own first, then the plane types.
enum {
    TB_GGML_TYPES = TB_TYPE_Q1_0 + 1,
    TB_PLANE_TYPES = TB_TYPE_OFFSET - TB_TYPE_BITPLANES + 1,
    TB_TYPES = TB_GGML_TYPES + TB_PLANE_TYPES,
};

static inline size_t tb_type_index(tb_type type)
{
    return tb_type_is_plane(type) ? (size_t)(TB_GGML_TYPES + type - TB_TYPE_BITPLANES) : (size_t)type;
}

// Columns per 32-bit word of a bit-plane; group sizes are multiples of it.
#define TB_PLANE_WORD 32
// Trits per byte: 3^5 = 243 ≤ 256.
#define TB_TRITS_PER_BYTE 5
// Most bit-planes, and most of TB_TYPE_OFFSET, whose codes are no indices into a table.
#define TB_MAX_PLANES 4
#define TB_MAX_OFFSET_PLANES 8
// Largest number of rows or columns: BLAS counts in int.
#define TB_MAX_DIM ((size_t)INT32_MAX)

// A stored weight matrix, borrowed: W[rows][cols], rows are outputs. Never owns memory.
//
// TB_TYPE_BITPLANES, TB_TYPE_AFFINE and TB_TYPE_OFFSET
//   data    uint32 [rows][words][planes], words = ceil(cols/32). Bit j of word w of plane i
//           belongs to column 32w + j; bits past the last column are 0. Plane 0 is the
//           least significant.
//   BITPLANES coefs: half [rows][groups][planes + 1]; index i < planes: coefficient of plane
//           i, index `planes`: the bias of the grid (BPDQ, spec section 8).
//           value = ((b_0·c_0 + b_1·c_1) + …) + c_planes, summed in float in this order
//           (b·c is c or 0, also for an infinite c)
//   AFFINE  coefs: half [rows][groups], the scale s; zeros: nibbles, uint8 [rows][ceil(groups/2)],
//           group g in the low (g even) or high (g odd) half; code q = Σ 2^i·b_i.
//           value = (q − z)·s, the difference exact, one rounding
//   OFFSET  coefs: half [rows][groups][2], the scale s and the offset o.
//           value = q·s + o, the product exact, one rounding
// TB_TYPE_TRITPLANES (planes = 2)
//   data    uint8 [rows][2][ceil(cols/5)]: base 3, byte = Σ_{i<5} (t_{5j+i} + 1)·3^i, the last
//           byte of a row padded with digit 1 (trit 0).
//   coefs   half [rows][groups][2]: (α1, α2), α1 ≥ α2 ≥ 0
//           value = t1·α1 + t2·α2, one rounding
// ggml types
//   data    rows of tb_row_bytes() bytes each, consecutive.
//
// groups = ceil(cols/group); the last group of a row may be shorter. Words of 32 columns
// never straddle two groups because `group` is a multiple of 32.
typedef struct tb_matrix {
    tb_type type;
    size_t rows, cols;
    const void *data;
    // Plane types only:
    unsigned planes;       // 1 … TB_MAX_PLANES or TB_MAX_OFFSET_PLANES
    size_t group;          // columns per group, a multiple of 32
    const uint16_t *coefs; // IEEE half
    const uint8_t *zeros;  // TB_TYPE_AFFINE only
} tb_matrix;

// The arrays that plane types consist of.
typedef enum tb_part { TB_PART_PLANES, TB_PART_TRITS, TB_PART_COEFS, TB_PART_ZEROS, TB_PARTS } tb_part;

// What files put behind a matrix' name to name such a part: ".planes", ".trits", ".coefs", ".zeros".
extern const char *const tb_part_suffixes[TB_PARTS];

// What is known of a plane type.
typedef struct tb_plane_traits {
    tb_type type;
    const char *name;
    tb_part data; // TB_PART_PLANES or TB_PART_TRITS
    unsigned least_planes, most_planes;
    unsigned coefs, coefs_per_plane; // coefficients of a group: coefs + planes·coefs_per_plane
    bool has_zeros;
    // Columns first … first+n−1 of a row.
    void (*decode)(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n);
} tb_plane_traits;

// The traits of a plane type, or NULL for any other number.
const tb_plane_traits *tb_plane_traits_get(uint32_t type);

// The plane type of that name; false where there is none.
bool tb_plane_type_find(tb_type *out, const char *name, size_t size);

// A part of a matrix as files see it: an array of a ggml type. A ggml-type matrix has one, with an empty suffix.
typedef struct tb_matrix_part {
    const char *suffix; // behind the matrix' name
    tb_type type;
    unsigned dim_count;
    uint64_t dims[3]; // the fastest first
    size_t bytes;
    const void *data; // borrowed from the matrix
} tb_matrix_part;

// The parts in the order data, coefs, zeros; returns how many there are. The sizes of outside matrices are checked with
// this before they are used: 0 when the shape is impossible (a dimension of 0 or above TB_MAX_DIM, cols not a multiple
// of the unit, bad group or planes, no such type) or its bytes cannot be counted.
#define TB_MATRIX_PARTS 3
size_t tb_matrix_get_parts(tb_matrix_part parts[TB_MATRIX_PARTS], const tb_matrix *m);

// Where part `index` of a matrix lies from now on.
void tb_matrix_set_part(tb_matrix *m, size_t index, const void *data);

// Bytes of one row of a ggml type; 0 for plane types or when cols is not a multiple of the unit.
size_t tb_row_bytes(tb_type type, size_t cols);

static inline size_t tb_matrix_words(const tb_matrix *m)
{
    return (m->cols + TB_PLANE_WORD - 1) / TB_PLANE_WORD;
}

static inline size_t tb_matrix_groups(const tb_matrix *m)
{
    return (m->cols + m->group - 1) / m->group;
}

static inline size_t tb_matrix_trit_bytes(const tb_matrix *m)
{
    return (m->cols + TB_TRITS_PER_BYTE - 1) / TB_TRITS_PER_BYTE;
}

// Decodes row `row` into dst[cols], the reference for every kernel. The type must be decodable.
void tb_matrix_decode_row(float *dst, const tb_matrix *m, size_t row);

// Decodes columns first … first+n−1 of a row into dst[n], the same values. For ggml types
// `first` and `n` are multiples of the unit.
void tb_matrix_decode_part(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n);

// A packed matrix that owns its storage: what a quantizer returns.
typedef struct tb_packed {
    tb_matrix view; // points into the storage below
    void *data;
    uint16_t *coefs;
    uint8_t *zeros;
} tb_packed;

// Zeroed storage for a matrix of a plane type or of a ggml type. TB_EINVAL on a bad shape.
tb_code tb_packed_init(tb_packed *packed, tb_type type, size_t rows, size_t cols, unsigned planes, size_t group,
                       tb_error *err);
void tb_packed_clear(tb_packed *packed);

// The storage of part `index` as tb_matrix_get_parts counts them.
void *tb_packed_part(tb_packed *packed, size_t index);

// Bits stored for all weights of the matrix: 8·(data + coefs + zeros).
double tb_matrix_bits(const tb_matrix *m);

// Writing single elements of a zeroed packed matrix, for quantizers and tests.
// Codes: the integer whose bit i is plane i (0 … 2^planes − 1).
void tb_packed_set_code(tb_packed *packed, size_t row, size_t col, unsigned code);
void tb_packed_set_zero(tb_packed *packed, size_t row, size_t group, unsigned zero);
// Packs cols trits of values −1, 0, +1 as plane `plane` (0 or 1) of a row.
void tb_packed_set_trits(tb_packed *packed, size_t row, unsigned plane, const int8_t *trits);

unsigned tb_matrix_get_code(const tb_matrix *m, size_t row, size_t col);
unsigned tb_matrix_get_zero(const tb_matrix *m, size_t row, size_t group);
int tb_matrix_get_trit(const tb_matrix *m, size_t row, unsigned plane, size_t col);

// Encodes `n` floats (a multiple of 32) as Q8_0 units: scale = max|x|/127 as half, codes
// x/scale rounded to nearest. For embeddings and heads. NaN counts as 0, what lies beyond the
// largest half scale as the end of its range.
void tb_encode_q8_0(void *dst, const float *src, size_t n);

// A checksum of decoded values, order-dependent, the same on every machine: files carry it so
// that no reader misreads them quietly. 64-bit FNV-1a, one step per value: each row hashes the
// 32 bits of its decoded floats, the result hashes the sums of the rows in order. (±0 are one
// value, and all NaN are one, so that equal weights have equal sums.)
uint64_t tb_matrix_checksum(const tb_matrix *m, float *row_scratch /* [cols] */);

#endif
