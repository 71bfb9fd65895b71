// Searching and cutting text as Python's str methods do. Private to the template files.
#ifndef TB_TEMPLATE_TEXT_SEARCH_H
#define TB_TEMPLATE_TEXT_SEARCH_H

#include "template/run.h"
#include "template/unicode.h"

#define TB_NOWHERE SIZE_MAX

// Finds the first `needle` at or behind byte `from`; *out is its offset, or TB_NOWHERE.
bool tb_find_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t from);
// Finds the last `needle` that ends at or before byte `end`.
bool tb_find_last_text(size_t *out, tb_render *run, tb_piece text, tb_piece needle, size_t end);

// Without the white space, or the characters of `chars` where it is not NULL, on either side.
tb_piece tb_strip_text(tb_render *run, tb_piece text, const tb_piece *chars, bool left, bool right);

// Writes `text` as str.upper and its kin convert it.
void tb_write_converted(tb_render *run, tb_piece text, tb_letter_case how);

// Writes `text` with the first `count` (negative: all) `old` replaced.
void tb_write_replaced(tb_render *run, tb_piece text, tb_piece old, tb_piece new, int64_t count);

// A list of the parts between separators (NULL: runs of white space), cut at most `most` times (negative:
// everywhere) from the left or the right. The parts are marked like `string`.
tb_value tb_split_text(tb_render *run, tb_value string, const tb_piece *separator, int64_t most, bool from_right);

tb_value tb_split_lines(tb_render *run, tb_value string, bool keep_ends);

#endif
