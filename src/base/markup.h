// Documents of markup that are written piece by piece, and texts from outside within HTML and XML.
#ifndef TB_BASE_MARKUP_H
#define TB_BASE_MARKUP_H

#include "base/str.h"

// A document that is being written. It remembers the first error, so that writing reads like the document.
typedef struct tb_markup {
    tb_str *out;
    tb_error *err;
    tb_code rc;
} tb_markup;

// Appends markup of our own: at most 4 kB, of which no argument comes from outside.
void tb_markup_put(tb_markup *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// Appends a text from outside, as content or within the quotes of an attribute: what could be markup is escaped, what
// is no UTF-8 or no character of XML becomes U+FFFD, as do the characters that turn the direction of what follows.
void tb_markup_text(tb_markup *m, tb_text text);

// The same of at most `most` bytes of it, cut between characters; what is cut is said.
void tb_markup_text_cut(tb_markup *m, tb_text text, size_t most);

void tb_markup_word(tb_markup *m, const char *text);

#endif
