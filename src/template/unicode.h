// What Python's str methods know about characters: private to the template files.
//
// Categories and case mappings come from utf8proc, the few classes beyond them from generated tables; checked over all
// characters against Python.
#ifndef TB_TEMPLATE_UNICODE_H
#define TB_TEMPLATE_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "template/piece.h"

// str.isspace, isalpha … of one character.
bool tb_unicode_is_space(uint32_t c);
bool tb_unicode_is_alpha(uint32_t c);
bool tb_unicode_is_alnum(uint32_t c);
bool tb_unicode_is_decimal(uint32_t c);
bool tb_unicode_is_digit(uint32_t c);
bool tb_unicode_is_printable(uint32_t c);

// Ends a line for str.splitlines; \r\n is one end, which the caller must see to.
bool tb_unicode_is_line_end(uint32_t c);

typedef enum tb_letter_case { TB_CASE_UPPER, TB_CASE_LOWER, TB_CASE_TITLE, TB_CASE_CAPITALIZE } tb_letter_case;

// How far a text has been converted.
typedef struct tb_conversion {
    size_t at;         // byte of the next character
    bool cased_before; // the last character that is not ignorable, for the final sigma
    bool after_cased;  // the last character, for title case
} tb_conversion;       // zeroed: at the start

// Writes the next character of a text as str.upper, lower, title or capitalize convert it; returns the bytes.
enum { TB_CONVERTED_BYTES = 12 }; // a character becomes at most three
size_t tb_unicode_convert(char out[TB_CONVERTED_BYTES], tb_conversion *walk, tb_letter_case how, tb_piece text);

// str.isupper and islower: some characters have case, and all that have it have this one.
bool tb_unicode_text_has_case(tb_piece text, tb_letter_case which);

// Characters in `text`, which is valid UTF-8.
size_t tb_unicode_count(tb_piece text);

// Byte offset of character number `index` (at most their count).
size_t tb_unicode_offset(tb_piece text, size_t index);

#endif
