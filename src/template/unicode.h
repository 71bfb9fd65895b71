// What Python's str methods know about characters: private to the template files.
//
// Categories and simple case mappings come from utf8proc, the few classes and expansions beyond
// them from generated tables; checked over all characters against Python.
#ifndef TB_TEMPLATE_UNICODE_H
#define TB_TEMPLATE_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

// str.isspace, isalpha … of one character.
bool tb_juni_is_space(uint32_t c);
bool tb_juni_is_alpha(uint32_t c);
bool tb_juni_is_alnum(uint32_t c);
bool tb_juni_is_decimal(uint32_t c);
bool tb_juni_is_digit(uint32_t c);
bool tb_juni_is_numeric(uint32_t c);
bool tb_juni_is_printable(uint32_t c);
bool tb_juni_is_lower(uint32_t c);
bool tb_juni_is_upper(uint32_t c);
bool tb_juni_is_title(uint32_t c); // a ligature such as U+01C5 that is a capital in front only

// Ends a line for str.splitlines; \r\n is one end, which the caller must see to.
bool tb_juni_is_line_end(uint32_t c);

typedef enum tb_jcase { TB_JCASE_UPPER, TB_JCASE_LOWER, TB_JCASE_TITLE, TB_JCASE_CAPITALIZE, TB_JCASE_SWAP } tb_jcase;

// Appends `text` (valid UTF-8) converted as str.upper, lower, title, capitalize or swapcase do.
tb_code tb_juni_convert(tb_str *out, tb_text text, tb_jcase how, tb_error *err);

// str.islower, isupper, istitle: some characters have case, and all that have it have this one.
bool tb_juni_text_is_lower(tb_text text);
bool tb_juni_text_is_upper(tb_text text);
bool tb_juni_text_is_title(tb_text text);

// Characters in `text`, which is valid UTF-8.
size_t tb_juni_count(tb_text text);

// Byte offset of character number `index` (at most their count).
size_t tb_juni_offset(tb_text text, size_t index);

#endif
