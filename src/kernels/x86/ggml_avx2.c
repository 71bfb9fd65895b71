// ggml types with AVX2. The decoders here give the same bits as layout's: each value takes the
// same multiplications and additions, none of them fused. Types without one use layout's.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

// Columns decoded at a time for a product: a multiple of every unit size.
enum { PART = 256 };

INLINE __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

// Eight bytes as floats, unsigned and signed.
INLINE __m256 float_codes(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

INLINE __m256 float_signed_codes(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

// Stores code·step + offset for 16 codes.
INLINE void store_affine(float *dst, __m128i codes, __m256 step, __m256 offset)
{
    __m256 first = float_codes(codes), second = float_codes(_mm_unpackhi_epi64(codes, codes));
    _mm256_storeu_ps(dst, _mm256_add_ps(_mm256_mul_ps(first, step), offset));
    _mm256_storeu_ps(dst + 8, _mm256_add_ps(_mm256_mul_ps(second, step), offset));
}

// Stores code·step for 16 signed codes.
INLINE void store_scaled(float *dst, __m128i codes, __m256 step)
{
    __m256 first = float_signed_codes(codes), second = float_signed_codes(_mm_unpackhi_epi64(codes, codes));
    _mm256_storeu_ps(dst, _mm256_mul_ps(first, step));
    _mm256_storeu_ps(dst + 8, _mm256_mul_ps(second, step));
}

INLINE __m128i low_nibbles(__m128i bytes)
{
    return _mm_and_si128(bytes, _mm_set1_epi8(15));
}

INLINE __m128i high_nibbles(__m128i bytes)
{
    return low_nibbles(_mm_srli_epi16(bytes, 4));
}

// Bits 16·half … 16·half+15 of a word, each moved to bit 4 of a byte of its own.
INLINE __m128i fifth_bits(const uint8_t *word, size_t half)
{
    const __m128i byte_of = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m128i bit_of = _mm_set1_epi64x((long long)0x8040201008040201);
    uint16_t bits;
    memcpy(&bits, word + 2 * half, sizeof bits);
    __m128i spread = _mm_shuffle_epi8(_mm_cvtsi32_si128(bits), byte_of);
    __m128i set = _mm_cmpeq_epi8(_mm_and_si128(spread, bit_of), bit_of);
    return _mm_and_si128(set, _mm_set1_epi8(16));
}

static void decode_f16(float *dst, const void *src, size_t n)
{
    const uint16_t *halves = src;
    for (; n >= 8; n -= 8, halves += 8, dst += 8)
        _mm256_storeu_ps(dst, _mm256_cvtph_ps(load16(halves)));
    if (n) {
        uint16_t last[8] = {0};
        float values[8];
        memcpy(last, halves, n * sizeof *halves);
        _mm256_storeu_ps(values, _mm256_cvtph_ps(load16(last)));
        memcpy(dst, values, n * sizeof *dst);
    }
}

static void decode_q4_0(float *dst, const void *src, size_t n)
{
    const __m128i eight = _mm_set1_epi8(8);
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 18, dst += 32) {
        __m256 d = broadcast_half(p);
        __m128i bytes = load16(p + 2);
        store_scaled(dst, _mm_sub_epi8(low_nibbles(bytes), eight), d);
        store_scaled(dst + 16, _mm_sub_epi8(high_nibbles(bytes), eight), d);
    }
}

static void decode_q4_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 20, dst += 32) {
        __m256 d = broadcast_half(p), m = broadcast_half(p + 2);
        __m128i bytes = load16(p + 4);
        store_affine(dst, low_nibbles(bytes), d, m);
        store_affine(dst + 16, high_nibbles(bytes), d, m);
    }
}

static void decode_q5_0(float *dst, const void *src, size_t n)
{
    const __m128i sixteen = _mm_set1_epi8(16);
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 22, dst += 32) {
        __m256 d = broadcast_half(p);
        __m128i bytes = load16(p + 6);
        __m128i first = _mm_or_si128(low_nibbles(bytes), fifth_bits(p + 2, 0));
        __m128i second = _mm_or_si128(high_nibbles(bytes), fifth_bits(p + 2, 1));
        store_scaled(dst, _mm_sub_epi8(first, sixteen), d);
        store_scaled(dst + 16, _mm_sub_epi8(second, sixteen), d);
    }
}

static void decode_q5_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 24, dst += 32) {
        __m256 d = broadcast_half(p), m = broadcast_half(p + 2);
        __m128i bytes = load16(p + 8);
        store_affine(dst, _mm_or_si128(low_nibbles(bytes), fifth_bits(p + 4, 0)), d, m);
        store_affine(dst + 16, _mm_or_si128(high_nibbles(bytes), fifth_bits(p + 4, 1)), d, m);
    }
}

static void decode_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += 34, dst += 32) {
        __m256 d = broadcast_half(p);
        store_scaled(dst, load16(p + 2), d);
        store_scaled(dst + 16, load16(p + 18), d);
    }
}

// The eight scales and eight minima of a Q4_K or Q5_K unit, one per byte (layout/ggml_k.c
// draws the packing).
static void unpack_scales(uint8_t scales[8], uint8_t mins[8], const uint8_t packed[12])
{
    uint32_t a, b, c;
    memcpy(&a, packed, 4);
    memcpy(&b, packed + 4, 4);
    memcpy(&c, packed + 8, 4);
    const uint32_t six_bits = 0x3F3F3F3F, low = 0x0F0F0F0F, top = 0x30303030;
    const uint32_t words[] = {a & six_bits, (c & low) | (a >> 2 & top), b & six_bits, (c >> 4 & low) | (b >> 2 & top)};
    memcpy(scales, words, 8);
    memcpy(mins, words + 2, 8);
}

// Step and offset of the sub-units of a Q4_K or Q5_K unit that begins at p.
typedef struct k_scales {
    float step[8], offset[8]; // value = code·step + offset
} k_scales;

INLINE void load_k_scales(k_scales *out, const uint8_t *p)
{
    uint8_t scales[8], mins[8];
    unpack_scales(scales, mins, p + 4);
    __m256 step = float_codes(_mm_loadl_epi64((const __m128i *)scales));
    __m256 min = float_codes(_mm_loadl_epi64((const __m128i *)mins));
    __m256 offset = _mm256_mul_ps(broadcast_half(p + 2), min);
    _mm256_storeu_ps(out->step, _mm256_mul_ps(broadcast_half(p), step));
    _mm256_storeu_ps(out->offset, _mm256_xor_ps(offset, _mm256_set1_ps(-0.0f)));
}

INLINE void store_sub_unit(float *dst, __m128i first, __m128i second, const k_scales *scales, size_t sub)
{
    __m256 step = _mm256_set1_ps(scales->step[sub]), offset = _mm256_set1_ps(scales->offset[sub]);
    store_affine(dst, first, step, offset);
    store_affine(dst + 16, second, step, offset);
}

static void decode_q4_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += 144) {
        k_scales scales;
        load_k_scales(&scales, p);
        for (size_t pair = 0; pair < 4; pair++, dst += 64) {
            __m128i first = load16(p + 16 + 32 * pair), second = load16(p + 32 + 32 * pair);
            store_sub_unit(dst, low_nibbles(first), low_nibbles(second), &scales, 2 * pair);
            store_sub_unit(dst + 32, high_nibbles(first), high_nibbles(second), &scales, 2 * pair + 1);
        }
    }
}

// Bit `bit` of every byte, moved to bit 4.
INLINE __m128i bit_as_fifth(__m128i bytes, unsigned bit)
{
    __m128i mask = _mm_set1_epi8((char)(1u << bit));
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, mask), mask), _mm_set1_epi8(16));
}

// 16 codes: nibbles with bit `sub` of `high` above them.
INLINE __m128i five_bits(__m128i nibbles, __m128i high, size_t sub)
{
    return _mm_or_si128(nibbles, bit_as_fifth(high, (unsigned)sub));
}

static void decode_q5_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += 176) {
        k_scales scales;
        load_k_scales(&scales, p);
        __m128i high1 = load16(p + 16), high2 = load16(p + 32);
        for (size_t sub = 0; sub < 8; sub += 2, dst += 64) {
            __m128i first = load16(p + 48 + 16 * sub), second = load16(p + 64 + 16 * sub);
            store_sub_unit(dst, five_bits(low_nibbles(first), high1, sub), five_bits(low_nibbles(second), high2, sub),
                           &scales, sub);
            store_sub_unit(dst + 32, five_bits(high_nibbles(first), high1, sub + 1),
                           five_bits(high_nibbles(second), high2, sub + 1), &scales, sub + 1);
        }
    }
}

// Bits 2·run and 2·run+1 of every byte, moved to bits 4 and 5.
INLINE __m128i top_bits(__m128i bytes, size_t run)
{
    __m128i bottom = _mm_srli_epi16(bytes, 2 * (int)run);
    return _mm_and_si128(_mm_slli_epi16(bottom, 4), _mm_set1_epi8(0x30));
}

// Half a unit, 128 values in eight sub-units of 16; layout/ggml_k.c draws where they lie.
INLINE void decode_q6_k_half(float *dst, const uint8_t *low, const uint8_t *high, const float *steps)
{
    const __m128i bias = _mm_set1_epi8(32);
    for (size_t sub = 0; sub < 8; sub++) {
        size_t run = sub / 2, part = sub % 2;
        __m128i bytes = load16(low + run % 2 * 32 + 16 * part);
        __m128i nibbles = run < 2 ? low_nibbles(bytes) : high_nibbles(bytes);
        __m128i codes = _mm_or_si128(nibbles, top_bits(load16(high + 16 * part), run));
        store_scaled(dst + 16 * sub, _mm_sub_epi8(codes, bias), _mm256_set1_ps(steps[sub]));
    }
}

static void decode_q6_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += 210, dst += 256) {
        float steps[16];
        store_scaled(steps, load16(p + 192), broadcast_half(p + 208));
        decode_q6_k_half(dst, p, p + 128, steps);
        decode_q6_k_half(dst + 128, p + 64, p + 160, steps + 8);
    }
}

typedef void decode_fn(float *dst, const void *src, size_t n);

static decode_fn *decoder_of(tb_type type)
{
    switch (type) {
    case TB_TYPE_F16:
        return decode_f16;
    case TB_TYPE_Q4_0:
        return decode_q4_0;
    case TB_TYPE_Q4_1:
        return decode_q4_1;
    case TB_TYPE_Q5_0:
        return decode_q5_0;
    case TB_TYPE_Q5_1:
        return decode_q5_1;
    case TB_TYPE_Q8_0:
        return decode_q8_0;
    case TB_TYPE_Q4_K:
        return decode_q4_k;
    case TB_TYPE_Q5_K:
        return decode_q5_k;
    case TB_TYPE_Q6_K:
        return decode_q6_k;
    default:
        return tb_type_traits_get((uint32_t)type)->decode;
    }
}

void tb_decode_ggml_avx2(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    decode_fn *decode = decoder_of(w->type);
    const size_t row_bytes = tb_row_bytes(w->type, w->cols);
    const uint8_t *rows = w->data;
    for (size_t r = row0; r < row1; r++)
        decode(dst + (r - row0) * stride, rows + r * row_bytes, w->cols);
}

static float multiply_row(const uint8_t *row, size_t cols, const tb_type_traits *traits, decode_fn *decode,
                          const float *x)
{
    float part[PART];
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t c = 0; c < cols; c += PART) {
        size_t n = cols - c < PART ? cols - c : PART, padded = tb_padded(n);
        decode(part, row + c / traits->unit_size * traits->unit_bytes, n);
        memset(part + n, 0, (padded - n) * sizeof *part);
        for (size_t i = 0; i < padded; i += 32)
            for (size_t j = 0; j < 4; j++)
                sums[j] =
                    _mm256_fmadd_ps(_mm256_loadu_ps(part + i + 8 * j), _mm256_loadu_ps(x + c + i + 8 * j), sums[j]);
    }
    return sum_lanes(sum_word(sums));
}

void tb_gemv_ggml_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)w->type);
    decode_fn *decode = decoder_of(w->type);
    const size_t row_bytes = tb_row_bytes(w->type, w->cols);
    const uint8_t *rows = w->data;
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = multiply_row(rows + r * row_bytes, w->cols, traits, decode, x);
}

// q·d is exact in float, so that scaling the sum of a unit once only saves roundings.
static float multiply_q8_0_row(const uint8_t *p, size_t cols, const float *x)
{
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
    for (size_t c = 0; c < cols; c += 32, p += 34, x += 32) {
        __m128i first = load16(p + 2), second = load16(p + 18);
        __m256 d = broadcast_half(p);
        __m256 sum0 = _mm256_mul_ps(float_signed_codes(first), _mm256_loadu_ps(x));
        __m256 sum1 = _mm256_mul_ps(float_signed_codes(_mm_unpackhi_epi64(first, first)), _mm256_loadu_ps(x + 8));
        sum0 = _mm256_fmadd_ps(float_signed_codes(second), _mm256_loadu_ps(x + 16), sum0);
        sum1 = _mm256_fmadd_ps(float_signed_codes(_mm_unpackhi_epi64(second, second)), _mm256_loadu_ps(x + 24), sum1);
        even = _mm256_fmadd_ps(sum0, d, even);
        odd = _mm256_fmadd_ps(sum1, d, odd);
    }
    return sum_lanes(_mm256_add_ps(even, odd));
}

void tb_gemv_q8_0_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    const size_t row_bytes = tb_row_bytes(w->type, w->cols);
    const uint8_t *rows = w->data;
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = multiply_q8_0_row(rows + r * row_bytes, w->cols, x);
}
