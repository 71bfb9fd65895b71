// Text that remembers where each of its bytes comes from: from the template, or from the conversation that is
// rendered. Only the template's bytes may become control tokens, so every operation on text carries the origin of the
// bytes along. Private to the template files.
#ifndef TB_TEMPLATE_PIECE_H
#define TB_TEMPLATE_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/base.h"

typedef enum tb_origin { TB_FROM_TEMPLATE, TB_FROM_CONVERSATION } tb_origin;

// Borrowed text: valid UTF-8, no NUL behind it.
typedef struct tb_piece {
    const char *data;
    size_t size;
    const char *origins; // [size] tb_origin of each byte, or NULL: all are of `origin`
    tb_origin origin;
} tb_piece;

static inline tb_piece tb_piece_of(tb_text text, tb_origin origin)
{
    return (tb_piece){text.data, text.size, NULL, origin};
}

// Letters that the template, or a function that it calls, writes by itself.
static inline tb_piece tb_piece_literal(const char *letters)
{
    return (tb_piece){letters, strlen(letters), NULL, TB_FROM_TEMPLATE};
}

// `size` bytes from byte `at` on.
static inline tb_piece tb_piece_cut(tb_piece piece, size_t at, size_t size)
{
    return (tb_piece){piece.data + at, size, piece.origins ? piece.origins + at : NULL, piece.origin};
}

static inline tb_piece tb_piece_behind(tb_piece piece, size_t at)
{
    return tb_piece_cut(piece, at, piece.size - at);
}

static inline tb_origin tb_piece_origin_at(tb_piece piece, size_t at)
{
    return piece.origins ? (tb_origin)piece.origins[at] : piece.origin;
}

// Where something that was computed from the whole text comes from: from the conversation if any byte does.
static inline tb_origin tb_piece_origin(tb_piece piece)
{
    if (!piece.origins)
        return piece.origin;
    return memchr(piece.origins, TB_FROM_CONVERSATION, piece.size) ? TB_FROM_CONVERSATION : TB_FROM_TEMPLATE;
}

static inline bool tb_piece_is(tb_piece piece, const char *word)
{
    return tb_text_is((tb_text){piece.data, piece.size}, word);
}

static inline bool tb_piece_equal(tb_piece a, tb_piece b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
