// The tokens of a sequence: all of them, or, where it may grow without end, the newest and a fingerprint of those
// before. Private to model.
#ifndef TB_MODEL_TOKEN_LIST_H
#define TB_MODEL_TOKEN_LIST_H

#include "base/base.h"

typedef struct tb_token_list {
    int32_t *ids;  // [room]: tokens first … length − 1
    size_t room;   // so many are kept at most
    size_t spared; // so many of the newest at least stay when others make room
    size_t first, length;
    uint64_t fingerprint; // of the tokens in front of `first`
} tb_token_list;

// Keeps `most` tokens, the most that it will ever have. False: no memory. Clear also after failure.
bool tb_token_list_init(tb_token_list *list, size_t most);
// Keeps the newest `spared` at least, however many come.
bool tb_token_list_init_endless(tb_token_list *list, size_t spared);
void tb_token_list_clear(tb_token_list *list);

// Appends; in an endless list `spared` at most at a time.
void tb_token_list_add(tb_token_list *list, const int32_t *ids, size_t n);

// Forgets tokens from `length` on. All of them where those in front are known by their fingerprint only.
void tb_token_list_truncate(tb_token_list *list, size_t length);

void tb_token_list_copy(tb_token_list *to, const tb_token_list *from);

// How many of ids[count] the list begins with. (Two texts with one fingerprint: one pair in 2^64.)
size_t tb_token_list_match(const tb_token_list *list, const int32_t *ids, size_t count);

#endif
