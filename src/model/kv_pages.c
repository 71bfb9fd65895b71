// [pages][2][head_size] of the keys' own type, the most of each channel in front of the least, so that nothing is
// rounded; then [pages] floats.
#include <string.h>

#include "model/kv_pages.h"

enum { CHUNK = 64 }; // channels of which numbers lie side by side for vectors

static size_t page_count(const tb_kv_head *head)
{
    return (head->capacity + TB_KV_PAGE - 1) / TB_KV_PAGE;
}

static size_t item_bytes(const tb_kv_head *head)
{
    return head->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
}

bool tb_kv_pages_bytes(size_t *out, const tb_kv_head *head)
{
    return tb_mul_size(out, page_count(head), 2 * head->head_size * item_bytes(head) + sizeof(float));
}

tb_kv_pages tb_kv_pages_get(const void *pages, const tb_kv_head *head)
{
    const char *sizes = (const char *)pages + page_count(head) * 2 * head->head_size * item_bytes(head);
    return (tb_kv_pages){pages, (const float *)(const void *)sizes};
}

// Halves as integers in the same order, and back.
static int16_t order_half(uint16_t half)
{
    return (int16_t)(half ^ ((half >> 15) * 0x7FFF));
}

static void widen_halves(uint16_t *restrict most, uint16_t *restrict least, const uint16_t *restrict key, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int16_t x = order_half(key[i]), high = order_half(most[i]), low = order_half(least[i]);
        most[i] = (uint16_t)order_half((uint16_t)(x > high ? x : high));
        least[i] = (uint16_t)order_half((uint16_t)(x < low ? x : low));
    }
}

static void widen_floats(float *most, float *least, const float *key, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        most[i] = key[i] > most[i] ? key[i] : most[i];
        least[i] = key[i] < least[i] ? key[i] : least[i];
    }
}

// Σ max(|most|, |least|)², exact but for the additions. Halves without their signs, moved to where floats have their
// bits, are 2^112 times too small; infinite ones count as 2^16, for their bounds are infinite themselves.
static double sum_squares(const void *most, const void *least, size_t n, bool half)
{
    double sum = 0;
    for (size_t first = 0, count; first < n; first += count) {
        float largest[CHUNK];
        count = tb_min_size(CHUNK, n - first);
        for (size_t i = 0; i < count && half; i++) {
            uint32_t high = ((const uint16_t *)most)[first + i] & 0x7FFF;
            uint32_t low = ((const uint16_t *)least)[first + i] & 0x7FFF;
            largest[i] = tb_float_from_bits((high > low ? high : low) << 13) * 0x1p112f;
        }
        for (size_t i = 0; i < count && !half; i++) {
            float high = fabsf(((const float *)most)[first + i]), low = fabsf(((const float *)least)[first + i]);
            largest[i] = high > low ? high : low;
        }
        for (size_t i = 0; i < count; i++)
            sum += (double)largest[i] * (double)largest[i];
    }
    return sum;
}

void tb_kv_pages_add(void *pages, const tb_kv_head *head, size_t row, const void *key)
{
    bool half = head->type == TB_KV_CACHE_F16;
    size_t n = head->head_size, item = item_bytes(head), page = row / TB_KV_PAGE;
    char *most = (char *)pages + page * 2 * n * item, *least = most + n * item;
    float *sizes = (float *)(void *)((char *)pages + page_count(head) * 2 * n * item);
    if (row % TB_KV_PAGE == 0) {
        memcpy(most, key, n * item);
        memcpy(least, key, n * item);
    } else if (half) {
        widen_halves((uint16_t *)(void *)most, (uint16_t *)(void *)least, key, n);
    } else {
        widen_floats((float *)(void *)most, (float *)(void *)least, key, n);
    }
    sizes[page] = (float)(sqrt(sum_squares(most, least, n, half)) * (1 + 0x1p-22)); // not below the exact one
}
