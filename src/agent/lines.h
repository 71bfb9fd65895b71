// Inside agent: white space and lines as Python's texts have them, for what Python programs wrote and read before us.
#ifndef TB_AGENT_LINES_H
#define TB_AGENT_LINES_H

#include "base/base.h"

// Bytes of the white-space character (str.isspace) that `text` starts with; 0: none.
size_t tb_space_size(tb_text text);

// What is left without white space at both ends (str.strip).
tb_text tb_strip(tb_text text);

// Takes the next line of `rest` without its end (str.splitlines); false when nothing is left.
bool tb_next_line(tb_text *line, tb_text *rest);

// What is left without a byte-order mark in front.
tb_text tb_without_mark(tb_text text);

// What is left from byte `at` on.
static inline tb_text tb_text_from(tb_text text, size_t at)
{
    return (tb_text){text.data + at, text.size - at};
}

// Whether it starts with the C string `word`.
bool tb_starts_with(tb_text text, const char *word);

#endif
