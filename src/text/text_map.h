// A hash map from texts to their numbers in an array of texts.
#ifndef TB_TEXT_MAP_H
#define TB_TEXT_MAP_H

#include "text/text.h"

// Borrows the texts and, for its slots, an arena.
typedef struct tb_text_map {
    const tb_text *texts;
    int32_t *slots; // number of a text, −1: free
    size_t mask;    // slots − 1, a power of two minus one
    uint64_t seed;
} tb_text_map;

// A map with room for `count` of the texts; false when memory ran out.
bool tb_text_map_init(tb_text_map *map, const tb_text *texts, size_t count, tb_arena *arena);

// Enters text number `id`; where an equal one is present, that one stays.
void tb_text_map_add(tb_text_map *map, int32_t id);

// The number of an equal text, or −1.
int32_t tb_text_map_find(const tb_text_map *map, const char *text, size_t size);

// Scrambles 64 bits so that each of them depends on all.
static inline uint64_t tb_mix64(uint64_t x)
{
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

// A seed that differs from run to run, so that no file can be made to collide in our tables.
uint64_t tb_hash_seed(void);

#endif
