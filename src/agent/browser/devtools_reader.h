// Messages of the DevTools pipe: JSON objects, each with a zero byte behind it. Takes bytes as they come.
#ifndef TB_DEVTOOLS_READER_H
#define TB_DEVTOOLS_READER_H

#include "base/base.h"

struct json_t; // jansson's, included by the .c files

// Pictures and snapshots of pages are single messages.
#define TB_DEVTOOLS_MOST_BYTES ((size_t)256 << 20)

// Zeroed it is empty.
typedef struct tb_devtools_reader {
    tb_str bytes;
    size_t begin;   // of the message that is being read
    size_t scanned; // no zero byte lies before it
} tb_devtools_reader;

// TB_ELIMIT when a message grows beyond TB_DEVTOOLS_MOST_BYTES.
tb_code tb_devtools_reader_feed(tb_devtools_reader *reader, const void *bytes, size_t n, tb_error *err);

// The next whole message, for json_decref; NULL: it has not come yet. TB_EFORMAT when it is no object; the one behind
// it can be read all the same.
tb_code tb_devtools_reader_next(struct json_t **message, tb_devtools_reader *reader, tb_error *err);

void tb_devtools_reader_clear(tb_devtools_reader *reader);

#endif
