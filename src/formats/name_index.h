// From names to positions in a table: a sorted list. Chosen over hashing because the names
// come from files, and no choice of names makes sorting slow.
#ifndef TB_FORMATS_NAME_INDEX_H
#define TB_FORMATS_NAME_INDEX_H

#include "formats/formats.h"

typedef struct tb_name_entry {
    tb_text name; // borrowed
    size_t position;
} tb_name_entry;

typedef struct tb_name_index {
    tb_name_entry *entries;
    size_t count;
} tb_name_index;

// Sorts the entries in place. When two have the same name, *duplicate is one of them;
// otherwise NULL.
void tb_name_index_sort(tb_name_index *index, const tb_name_entry **duplicate);

// The entry of that name, or NULL.
const tb_name_entry *tb_name_index_find(const tb_name_index *index, tb_text name);

#endif
