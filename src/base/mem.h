// Heap memory. malloc is called in mem.c and nowhere else, so that limits, alignment
// and injected failures have one place.
#ifndef TB_BASE_MEM_H
#define TB_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

// Every block is aligned to this many bytes: one cache line, one AVX-512 register.
#define TB_ALIGNMENT 64

// Uninitialised storage, or NULL. Size 0 gives a distinct non-NULL pointer.
void *tb_alloc(size_t size);

// Zeroed storage for `count` objects of `size` bytes, or NULL (also when the product overflows).
void *tb_alloc_array(size_t count, size_t size);

// Grows or shrinks a block of tb_alloc; `old_size` bytes are kept. NULL leaves the old block alone.
void *tb_realloc(void *block, size_t old_size, size_t new_size);

// The same for `count` objects of `size` bytes, of which `old_count` are kept; NULL also when the product overflows.
void *tb_realloc_array(void *block, size_t old_count, size_t count, size_t size);

void tb_free(void *block);

// A zeroed object of type T, or NULL.
#define tb_new(T) ((T *)tb_alloc_array(1, sizeof(T)))

// Copy of `n` bytes with a NUL behind them, or NULL.
char *tb_dup_text(const char *text, size_t n);

// False when the result does not fit; *out is then untouched.
bool tb_mul_size(size_t *out, size_t a, size_t b);
bool tb_add_size(size_t *out, size_t a, size_t b);

static inline size_t tb_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t tb_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t tb_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

// For tests: the allocation after `n` more of this process fails, and so does every later
// one, until called again; a negative n switches injection off.
void tb_mem_fail_after(long long n);

#endif
