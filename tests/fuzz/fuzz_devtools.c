// What a browser may send: bytes in pieces. However they are cut, the same messages come out, and each is an object.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "agent/browser/devtools_reader.h"

enum { MOST_MESSAGES = 64 };

typedef struct outcome {
    char *messages[MOST_MESSAGES]; // NULL: no object
    size_t count;
} outcome;

static void take_all(outcome *o, tb_devtools_reader *reader)
{
    for (size_t before = SIZE_MAX; reader->begin != before && o->count < MOST_MESSAGES;) {
        json_t *message;
        before = reader->begin;
        tb_code rc = tb_devtools_reader_next(&message, reader, NULL);
        assert(rc == TB_OK || rc == TB_EFORMAT);
        assert(!message || json_is_object(message));
        if (reader->begin != before)
            o->messages[o->count++] = message ? json_dumps(message, JSON_SORT_KEYS) : NULL;
        json_decref(message);
    }
}

static void read_in_pieces(outcome *o, const uint8_t *data, size_t size, size_t piece)
{
    tb_devtools_reader reader = {0};
    for (size_t at = 0; at < size && o->count < MOST_MESSAGES; at += piece) {
        tb_code rc = tb_devtools_reader_feed(&reader, data + at, size - at < piece ? size - at : piece, NULL);
        assert(rc == TB_OK);
        take_all(o, &reader);
    }
    tb_devtools_reader_clear(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    outcome whole = {{0}, 0}, pieces = {{0}, 0};
    read_in_pieces(&whole, data, size, size ? size : 1);
    read_in_pieces(&pieces, data, size, 1 + size % 7);
    assert(whole.count == pieces.count);
    for (size_t i = 0; i < whole.count; i++) {
        assert(!whole.messages[i] == !pieces.messages[i]);
        assert(!whole.messages[i] || strcmp(whole.messages[i], pieces.messages[i]) == 0);
        free(whole.messages[i]);
        free(pieces.messages[i]);
    }
    return 0;
}
