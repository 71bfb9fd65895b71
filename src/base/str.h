// Texts: one that somebody else owns, and one that grows.
#ifndef TB_BASE_STR_H
#define TB_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "twobit/error.h"

// A text that somebody else owns: not NUL-terminated unless said so, may hold any bytes.
typedef struct tb_text {
    const char *data;
    size_t size;
} tb_text;

// Whether it is exactly the C string `word`; a text without data is none.
bool tb_text_is(tb_text text, const char *word);

// The bytes [begin, end) of a text.
typedef struct tb_stretch {
    size_t begin, end;
} tb_stretch;

// A text that grows: bytes, a length, a NUL always behind them, and a maximum.
typedef struct tb_str {
    char *data;      // NULL while empty and never grown
    size_t size;     // bytes, without the NUL
    size_t capacity; // bytes allocated
    size_t limit;    // most bytes it may hold; 0 means TB_STR_LIMIT
} tb_str;

#define TB_STR_LIMIT ((size_t)1 << 30)

// A zeroed tb_str is valid and empty. All appends fail with TB_ENOMEM or TB_ELIMIT and
// then leave the text as it was.
tb_code tb_str_append(tb_str *str, const void *bytes, size_t n, tb_error *err);
tb_code tb_str_append_text(tb_str *str, const char *text, tb_error *err);
tb_code tb_str_printf(tb_str *str, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// The text as a C string; "" when empty. Borrowed until the next append.
const char *tb_str_get(const tb_str *str);

// Keeps the first `size` bytes, which it must have.
void tb_str_truncate(tb_str *str, size_t size);

// Makes it empty and keeps the storage.
void tb_str_reset(tb_str *str);

void tb_str_clear(tb_str *str);

#endif
