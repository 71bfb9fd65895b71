// UTF-8, one character at a time.
#ifndef TB_BASE_UTF8_H
#define TB_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

// Decodes one character: returns its bytes (1 … 4) and stores the code point, or 0 when
// `text` is empty or does not start with a valid, shortest-form, non-surrogate sequence.
size_t tb_utf8_decode(uint32_t *code_point, const char *text, size_t size);
// Writes a code point as UTF-8 into out[4]; returns the bytes, 0 if it is not one.
size_t tb_utf8_encode(char out[4], uint32_t code_point);
// Bytes at the start of `text` that are whole valid characters.
size_t tb_utf8_valid_prefix(const char *text, size_t size);
// Bytes (0 … 3) at the end of `text` that start a character and could still become a valid one.
size_t tb_utf8_unfinished(const char *text, size_t size);

// Appends a text of any bytes: those that are not part of UTF-8 become U+FFFD.
tb_code tb_append_as_utf8(tb_str *out, tb_text text, tb_error *err);

#endif
