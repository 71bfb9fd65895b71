// Raising errors: fill a tb_error and return its code in one expression.
#ifndef TB_BASE_FAIL_H
#define TB_BASE_FAIL_H

#include "twobit/error.h"

// Sets `err` (may be NULL) from a printf format and returns `code`.
tb_code tb_fail(tb_error *err, tb_code code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Puts "`prefix`: " in front of an error already set, for context on the way up. Returns `code`.
tb_code tb_fail_context(tb_error *err, tb_code code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
