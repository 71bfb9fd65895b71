// Chunks form a stack; an allocation that does not fit the top chunk opens a new one.
#include "base/arena.h"

#include "base/mem.h"

#include <string.h>

enum { DEFAULT_CHUNK = 64 * 1024 };

struct tb_arena_chunk {
    tb_arena_chunk *below;
    size_t size; // bytes of payload
    size_t used;
};

// The payload starts at the first aligned offset behind the header.
static unsigned char *payload(tb_arena_chunk *chunk)
{
    return (unsigned char *)chunk + tb_round_up(sizeof *chunk, TB_ALIGNMENT);
}

void tb_arena_init(tb_arena *arena, size_t chunk_size)
{
    arena->top = NULL;
    arena->chunk_size = chunk_size;
}

void tb_arena_clear(tb_arena *arena)
{
    tb_arena_reset(arena, (tb_arena_mark){NULL, 0});
}

static tb_arena_chunk *push_chunk(tb_arena *arena, size_t size)
{
    size_t least = arena->chunk_size ? arena->chunk_size : DEFAULT_CHUNK;
    size_t total;
    if (size < least)
        size = least;
    if (!tb_add_size(&total, size, tb_round_up(sizeof(tb_arena_chunk), TB_ALIGNMENT)))
        return NULL;
    tb_arena_chunk *chunk = tb_alloc(total);
    if (!chunk)
        return NULL;
    chunk->below = arena->top;
    chunk->size = size;
    chunk->used = 0;
    arena->top = chunk;
    return chunk;
}

void *tb_arena_alloc(tb_arena *arena, size_t size)
{
    size_t padded;
    if (!tb_add_size(&padded, size, TB_ALIGNMENT - 1))
        return NULL;
    padded = padded / TB_ALIGNMENT * TB_ALIGNMENT;
    tb_arena_chunk *chunk = arena->top;
    if (!chunk || chunk->size - chunk->used < padded)
        chunk = push_chunk(arena, padded);
    if (!chunk)
        return NULL;
    void *block = payload(chunk) + chunk->used;
    chunk->used += padded;
    return memset(block, 0, size);
}

void *tb_arena_array(tb_arena *arena, size_t count, size_t size)
{
    size_t total;
    return tb_mul_size(&total, count, size) ? tb_arena_alloc(arena, total) : NULL;
}

char *tb_arena_text(tb_arena *arena, const char *text, size_t n)
{
    size_t size;
    char *copy = tb_add_size(&size, n, 1) ? tb_arena_alloc(arena, size) : NULL;
    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

tb_arena_mark tb_arena_get_mark(const tb_arena *arena)
{
    return (tb_arena_mark){arena->top, arena->top ? arena->top->used : 0};
}

void tb_arena_reset(tb_arena *arena, tb_arena_mark mark)
{
    while (arena->top != mark.chunk) {
        tb_arena_chunk *below = arena->top->below;
        tb_free(arena->top);
        arena->top = below;
    }
    if (arena->top)
        arena->top->used = mark.used;
}
