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
bool tb_unicode_is_space(uint32_t c);
bool tb_unicode_is_alpha(uint32_t c);
bool tb_unicode_is_alnum(uint32_t c);
bool tb_unicode_is_decimal(uint32_t c);
bool tb_unicode_is_digit(uint32_t c);
bool tb_unicode_is_numeric(uint32_t c);
bool tb_unicode_is_printable(uint32_t c);
bool tb_unicode_is_lower(uint32_t c);
bool tb_unicode_is_upper(uint32_t c);
bool tb_unicode_is_title(uint32_t c); // a ligature such as U+01C5 that is a capital in front only

// Ends a line for str.splitlines; \r\n is one end, which the caller must see to.
bool tb_unicode_is_line_end(uint32_t c);

typedef enum tb_letter_case {
    TB_CASE_UPPER,
    TB_CASE_LOWER,
    TB_CASE_TITLE,
    TB_CASE_CAPITALIZE,
    TB_CASE_SWAP
} tb_letter_case;

// Appends `text` (valid UTF-8) converted as str.upper, lower, title, capitalize or swapcase do.
tb_code tb_unicode_convert(tb_str *out, tb_text text, tb_letter_case how, tb_error *err);

// str.islower, isupper, istitle: some characters have case, and all that have it have this one.
bool tb_unicode_text_is_lower(tb_text text);
bool tb_unicode_text_is_upper(tb_text text);
bool tb_unicode_text_is_title(tb_text text);

// Characters in `text`, which is valid UTF-8.
size_t tb_unicode_count(tb_text text);

// Byte offset of character number `index` (at most their count).
size_t tb_unicode_offset(tb_text text, size_t index);

#endif
