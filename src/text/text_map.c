// Open addressing with linear probing, at most half full. Nothing depends on the order of
// slots, so the random seed does not show in results.
#include "text/text_map.h"

#include <string.h>

uint64_t tb_hash_seed(void)
{
    double seconds = tb_clock_seconds();
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    return tb_mix64(bits ^ (uint64_t)(uintptr_t)&bits << 17);
}

static uint64_t hash_text(uint64_t seed, const char *text, size_t size)
{
    uint64_t h = seed ^ size;
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        h = tb_mix64(h ^ word);
        text += 8;
        size -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, text, size);
    return tb_mix64(h ^ tail);
}

bool tb_text_map_init(tb_text_map *map, const tb_text *texts, size_t count, tb_arena *arena)
{
    size_t slots = 16;
    while (slots / 2 < count)
        slots *= 2;
    map->texts = texts;
    map->mask = slots - 1;
    map->seed = tb_hash_seed();
    map->slots = tb_arena_array(arena, slots, sizeof *map->slots);
    if (map->slots)
        memset(map->slots, 0xFF, slots * sizeof *map->slots);
    return map->slots != NULL;
}

// The slot that holds an equal text, or the free one where it belongs.
static size_t probe(const tb_text_map *map, const char *text, size_t size)
{
    size_t at = hash_text(map->seed, text, size) & map->mask;
    while (map->slots[at] >= 0) {
        tb_text other = map->texts[map->slots[at]];
        if (other.size == size && memcmp(other.data, text, size) == 0)
            break;
        at = (at + 1) & map->mask;
    }
    return at;
}

void tb_text_map_add(tb_text_map *map, int32_t id)
{
    size_t at = probe(map, map->texts[id].data, map->texts[id].size);
    if (map->slots[at] < 0)
        map->slots[at] = id;
}

int32_t tb_text_map_find(const tb_text_map *map, const char *text, size_t size)
{
    return map->slots[probe(map, text, size)];
}
