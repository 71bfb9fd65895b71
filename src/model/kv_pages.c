// [pages][2][head_size] of the keys' own type, the most of each channel in front of the least, so that nothing is
// rounded; then [pages] floats.
#include <string.h>

#include "model/kv_pages.h"

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

static float read_item(const void *items, size_t i, bool half)
{
    return half ? tb_half_to_float(((const uint16_t *)items)[i]) : ((const float *)items)[i];
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
    }
    double size = 0;
    for (size_t i = 0; i < n; i++) {
        float x = read_item(key, i, half);
        if (x > read_item(most, i, half))
            memcpy(most + i * item, (const char *)key + i * item, item);
        if (x < read_item(least, i, half))
            memcpy(least + i * item, (const char *)key + i * item, item);
        double largest = fmax(fabs((double)read_item(most, i, half)), fabs((double)read_item(least, i, half)));
        size += largest * largest;
    }
    sizes[page] = (float)(sqrt(size) * (1 + 0x1p-22)); // not below the exact one
}
