// A sorted array instead of a tree: a step is a binary search on one byte, and the index of a
// quarter of a million tokens needs no memory beside the entries.
#include "text/prefix_index.h"

#include <stdlib.h>
#include <string.h>

static int compare_entries(const void *left, const void *right)
{
    const tb_prefix_entry *a = left, *b = right;
    size_t n = a->text.size < b->text.size ? a->text.size : b->text.size;
    int order = memcmp(a->text.data, b->text.data, n);
    if (order == 0 && a->text.size != b->text.size)
        order = a->text.size < b->text.size ? -1 : 1;
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

void tb_prefix_index_init(tb_prefix_index *index, tb_prefix_entry *entries, size_t count)
{
    if (count)
        qsort(entries, count, sizeof *entries, compare_entries);
    index->entries = entries;
    index->count = count;
    size_t at = 0;
    for (size_t byte = 0; byte < 256; byte++) {
        index->first[byte] = at;
        while (at < count && (unsigned char)entries[at].text.data[0] == byte)
            at++;
    }
    index->first[256] = count;
}

// The first entry in [low, high) whose byte at `depth` is at least `byte`; those that end
// there come first of all and count as smaller.
static size_t lower_bound(const tb_prefix_index *index, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        tb_text text = index->entries[middle].text;
        if (text.size <= depth || (unsigned char)text.data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tb_prefix_step(tb_prefix_walk *walk, const tb_prefix_index *index, unsigned char byte)
{
    if (walk->depth == 0) {
        walk->low = index->first[byte];
        walk->high = index->first[byte + 1];
    } else {
        walk->low = lower_bound(index, walk->low, walk->high, walk->depth, byte);
        walk->high = lower_bound(index, walk->low, walk->high, walk->depth, byte + 1u);
    }
    walk->depth++;
    return walk->low < walk->high;
}

int32_t tb_prefix_here(const tb_prefix_walk *walk, const tb_prefix_index *index)
{
    const tb_prefix_entry *entry = &index->entries[walk->low];
    return entry->text.size == walk->depth ? entry->id : -1;
}
