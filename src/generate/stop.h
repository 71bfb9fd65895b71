// Stop strings: where a text that comes in pieces shall end. A stop string may span pieces, so text
// that may be the beginning of one is held back until it is known.
#ifndef TB_GENERATE_STOP_H
#define TB_GENERATE_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef struct tb_stop tb_stop;

// The `count` strings are copied. TB_EINVAL for an empty one.
tb_code tb_stop_new(tb_stop **out, const char *const *strings, size_t count, tb_error *err);
void tb_stop_free(tb_stop *stop);

// Takes the next piece of the text and appends to `out` what is certain to lie before any stop
// string. The text ends where the first stop string is complete; of several that end there, the
// longest is cut off. *found then is true, and further text is not taken.
tb_code tb_stop_push(tb_stop *stop, tb_str *out, const char *text, size_t size, bool *found, tb_error *err);

// The text is over: appends what was held back. The next piece begins another text.
tb_code tb_stop_finish(tb_stop *stop, tb_str *out, tb_error *err);

#endif
