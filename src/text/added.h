// Added tokens where they stand written out in a text.
#ifndef TB_ADDED_H
#define TB_ADDED_H

#include "text/tokenizer.h"

// An added token found in a text: with the white space that it swallows, and where its own text ends.
typedef struct tb_added {
    size_t begin, end, own_end;
    int32_t id; // −1: none up to the end of the text
} tb_added;

// The stretches of a text in which control and unknown tokens are recognised: in order, apart.
typedef struct tb_control {
    const tb_stretch *stretches; // [count] positions from `offset` bytes before the text that is looked at
    size_t count, offset;
} tb_control;

// The stretch that holds byte `at` of the text, or the next one behind it; NULL if there is none.
const tb_stretch *tb_control_find(const tb_control *control, size_t at);

// The next token of `index` at or behind `from`. What lies before `taken` has been swallowed already.
tb_added tb_added_find(const tb_tokenizer *tokenizer, const tb_prefix_index *index, tb_text text, size_t from,
                       size_t taken, const tb_control *control);

#endif
