// Searching and cutting text as Python's str methods do. Private to the template files.
#ifndef TB_TEMPLATE_TEXT_SEARCH_H
#define TB_TEMPLATE_TEXT_SEARCH_H

#include "template/run.h"
#include "template/unicode.h"

#define TB_JNOWHERE SIZE_MAX

// Byte offset of the first `needle` at or behind `from`, or TB_JNOWHERE.
tb_code tb_jfind(size_t *out, tb_jrun *run, tb_text text, tb_text needle, size_t from);
// Byte offset of the last `needle` that ends at or before `end`, or TB_JNOWHERE.
tb_code tb_jfind_last(size_t *out, tb_jrun *run, tb_text text, tb_text needle, size_t end);

// Without the white space, or the characters of `chars` where it is not NULL, on either side.
tb_text tb_jstrip(tb_text text, const tb_text *chars, bool left, bool right);

// Writes `text` as str.upper and its kin convert it.
tb_code tb_jwrite_converted(tb_jrun *run, tb_text text, tb_jcase how);

// Writes `text` with the first `count` (negative: all) `old` replaced.
tb_code tb_jwrite_replaced(tb_jrun *run, tb_text text, tb_text old, tb_text new, int64_t count);

// A list of the parts between separators (NULL: runs of white space), cut at most `most` times (negative:
// everywhere) from the left or the right. The parts are marked like `string`.
tb_code tb_jsplit(tb_jvalue *out, tb_jrun *run, tb_jvalue string, const tb_text *separator, int64_t most,
                  bool from_right);

tb_code tb_jsplit_lines(tb_jvalue *out, tb_jrun *run, tb_jvalue string, bool keep_ends);

// Words as the regular expression \w+ finds them.
size_t tb_jcount_words(tb_text text);

#endif
