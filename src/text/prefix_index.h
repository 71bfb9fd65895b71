// Which texts of a set begin at a place: the set sorted by bytes, walked byte by byte.
#ifndef TB_PREFIX_INDEX_H
#define TB_PREFIX_INDEX_H

#include "text/text.h"

typedef struct tb_prefix_entry {
    tb_text text; // borrowed
    int32_t id;
} tb_prefix_entry;

typedef struct tb_prefix_index {
    tb_prefix_entry *entries; // sorted; borrowed from an arena
    size_t count;
    size_t first[257]; // entries that start with byte b: first[b] … first[b + 1] − 1
} tb_prefix_index;

// Sorts `entries` (none of them empty) and keeps them.
void tb_prefix_index_init(tb_prefix_index *index, tb_prefix_entry *entries, size_t count);

// The entries that start with the bytes walked so far. Zero it before the first step.
typedef struct tb_prefix_walk {
    size_t low, high, depth;
} tb_prefix_walk;

// Walks on by one byte; false when no entry goes on so.
bool tb_prefix_step(tb_prefix_walk *walk, const tb_prefix_index *index, unsigned char byte);

// The id of the entry that ends here (the first one in the set if there are several), or −1.
int32_t tb_prefix_here(const tb_prefix_walk *walk, const tb_prefix_index *index);

#endif
