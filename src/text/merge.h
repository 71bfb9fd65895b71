// Merging of neighbouring symbols, best pair first: the engine of both kinds of BPE.
//
// Symbols are a linked list over a text, candidate merges a heap; one merge costs a logarithm,
// so a text of any length without a break takes O(n log n). What a symbol is and which pairs
// merge is the caller's business.
#ifndef TB_MERGE_H
#define TB_MERGE_H

#include "text/text.h"

#define TB_NO_MERGE UINT32_MAX

typedef struct tb_symbol {
    uint32_t start, size;    // its bytes in the text; size 0: merged away
    int32_t id;              // its token, −1: none
    uint32_t previous, next; // neighbours; UINT32_MAX: none
    uint32_t priority;       // of the merge with the next symbol, smaller first; TB_NO_MERGE: none
    int32_t merged;          // the token which that merge makes
} tb_symbol;

// The token that `left` and `right` become together and the priority of that; −1: they do not merge.
typedef int32_t (*tb_pair_fn)(const void *user, uint32_t *priority, const tb_symbol *left, const tb_symbol *right);

// Storage that is used again from text to text. A zeroed one is valid and empty.
typedef struct tb_merger {
    tb_symbol *symbols;
    size_t count, capacity;
    uint64_t *heap; // priority << 32 | symbol, smallest first
    size_t heap_size, heap_capacity;
} tb_merger;

// Empties it and makes room for `symbols` symbols.
tb_code tb_merger_reset(tb_merger *merger, size_t symbols, tb_error *err);
void tb_merger_clear(tb_merger *merger);

// Appends a symbol; there must be room.
void tb_merger_push(tb_merger *merger, size_t start, size_t size, int32_t id);

// Merges until nothing merges; equal priorities go from left to right. The symbols whose size
// is not 0 are the result, in order.
tb_code tb_merger_run(tb_merger *merger, tb_pair_fn pair, const void *user, tb_error *err);

#endif
