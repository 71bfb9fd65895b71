#include "formats/name_index.h"

#include <stdlib.h>
#include <string.h>

static int compare_texts(tb_text a, tb_text b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_texts(((const tb_name_entry *)a)->name, ((const tb_name_entry *)b)->name);
}

void tb_name_index_sort(tb_name_index *index, const tb_name_entry **duplicate)
{
    *duplicate = NULL;
    if (index->count == 0)
        return;
    qsort(index->entries, index->count, sizeof index->entries[0], compare_entries);
    for (size_t i = 1; i < index->count && !*duplicate; i++)
        if (compare_entries(&index->entries[i - 1], &index->entries[i]) == 0)
            *duplicate = &index->entries[i];
}

const tb_name_entry *tb_name_index_find(const tb_name_index *index, tb_text name)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_texts(index->entries[middle].name, name);
        if (order == 0)
            return &index->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
