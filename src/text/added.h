// Added tokens where they stand written out in a text.
#ifndef TB_ADDED_H
#define TB_ADDED_H

#include "text/tokenizer.h"

// An added token found in a text: with the white space that it swallows, and where its own text ends.
typedef struct tb_added {
    size_t begin, end, own_end;
    int32_t id; // −1: none up to the end of the text
} tb_added;

// The next token of `index` at or behind `from`; control and unknown ones only where `special`. What lies before
// `taken` has been swallowed already.
tb_added tb_added_find(const tb_tokenizer *tokenizer, const tb_prefix_index *index, tb_text text, size_t from,
                       size_t taken, bool special);

#endif
