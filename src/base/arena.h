// An arena: many small allocations with one lifetime, freed together.
//
// Three lifetimes exist in twobit: a model, a sequence, one call. Each owns an arena;
// the arena of one call is used as scratch: mark, allocate, reset to the mark.
#ifndef TB_BASE_ARENA_H
#define TB_BASE_ARENA_H

#include <stddef.h>

typedef struct tb_arena_chunk tb_arena_chunk;

typedef struct tb_arena {
    tb_arena_chunk *top; // newest chunk; NULL in a zeroed arena, which is valid and empty
    size_t chunk_size;   // least bytes of a new chunk; 0 means 64 KiB
} tb_arena;

typedef struct tb_arena_mark {
    tb_arena_chunk *chunk;
    size_t used;
} tb_arena_mark;

void tb_arena_init(tb_arena *arena, size_t chunk_size);

// Frees all chunks; the arena is then as after init. Accepts a zeroed arena.
void tb_arena_clear(tb_arena *arena);

// `size` zeroed bytes aligned to TB_ALIGNMENT, or NULL.
void *tb_arena_alloc(tb_arena *arena, size_t size);

// `count` zeroed objects of `size` bytes, or NULL (also when the product overflows).
void *tb_arena_array(tb_arena *arena, size_t count, size_t size);

// Copy of a text of `n` bytes with a NUL behind it, or NULL.
char *tb_arena_text(tb_arena *arena, const char *text, size_t n);

tb_arena_mark tb_arena_get_mark(const tb_arena *arena);

// Gives back everything allocated after `mark`.
void tb_arena_reset(tb_arena *arena, tb_arena_mark mark);

#endif
