#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Allocations left until injected failure; negative: no injection. Only tests write it.
static atomic_llong fail_countdown = -1;

static bool injected_failure(void)
{
    long long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
            return false;
    return left == 0;
}

void tb_mem_fail_after(long long n)
{
    atomic_store(&fail_countdown, n);
}

void *tb_alloc(size_t size)
{
    if (size > PTRDIFF_MAX - TB_ALIGNMENT || injected_failure())
        return NULL;
    size_t padded = tb_round_up(size ? size : 1, TB_ALIGNMENT);
    return aligned_alloc(TB_ALIGNMENT, padded);
}

void *tb_alloc_array(size_t count, size_t size)
{
    size_t total;
    if (!tb_mul_size(&total, count, size))
        return NULL;
    void *block = tb_alloc(total);
    if (block)
        memset(block, 0, total);
    return block;
}

void *tb_realloc(void *block, size_t old_size, size_t new_size)
{
    void *grown = tb_alloc(new_size);
    if (!grown)
        return NULL;
    if (block)
        memcpy(grown, block, old_size < new_size ? old_size : new_size);
    tb_free(block);
    return grown;
}

void *tb_realloc_array(void *block, size_t old_count, size_t count, size_t size)
{
    size_t total;
    return tb_mul_size(&total, count, size) ? tb_realloc(block, old_count * size, total) : NULL;
}

void tb_free(void *block)
{
    free(block);
}

char *tb_dup_text(const char *text, size_t n)
{
    size_t size;
    char *copy = tb_add_size(&size, n, 1) ? tb_alloc(size) : NULL;
    if (copy) {
        if (n)
            memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

bool tb_mul_size(size_t *out, size_t a, size_t b)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool tb_add_size(size_t *out, size_t a, size_t b)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}
