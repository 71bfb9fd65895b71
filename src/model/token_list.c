#include "model/token_list.h"

#include <string.h>

// What a fingerprint begins with, and what tokens are mixed in by: odd, so that for one token different fingerprints
// stay different (the number is 2^64 over the golden ratio, as in Knuth's multiplicative hashing).
#define FIRST_FINGERPRINT UINT64_C(0)
#define MIX UINT64_C(0x9e3779b97f4a7c15)

static uint64_t add_to_fingerprint(uint64_t fingerprint, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fingerprint = (fingerprint ^ (uint64_t)(uint32_t)ids[i] ^ MIX) * MIX;
        fingerprint ^= fingerprint >> 32;
    }
    return fingerprint;
}

bool tb_token_list_init(tb_token_list *list, size_t most)
{
    *list = (tb_token_list){.room = most, .spared = most, .fingerprint = FIRST_FINGERPRINT};
    list->ids = tb_alloc_array(most, sizeof *list->ids);
    return list->ids;
}

// Twice what is spared: each token moves once at most.
bool tb_token_list_init_endless(tb_token_list *list, size_t spared)
{
    size_t room;
    if (!tb_mul_size(&room, spared, 2) || !tb_token_list_init(list, room))
        return false;
    list->spared = spared;
    return true;
}

void tb_token_list_clear(tb_token_list *list)
{
    tb_free(list->ids);
    *list = (tb_token_list){0};
}

void tb_token_list_add(tb_token_list *list, const int32_t *ids, size_t n)
{
    size_t kept = list->length - list->first;
    if (n > list->room - kept) {
        size_t gone = kept - list->spared;
        list->fingerprint = add_to_fingerprint(list->fingerprint, list->ids, gone);
        memmove(list->ids, list->ids + gone, list->spared * sizeof *list->ids);
        list->first += gone;
        kept = list->spared;
    }
    memmove(list->ids + kept, ids, n * sizeof *ids);
    list->length += n;
}

void tb_token_list_truncate(tb_token_list *list, size_t length)
{
    if (length >= list->first) {
        list->length = length;
        return;
    }
    list->first = list->length = 0;
    list->fingerprint = FIRST_FINGERPRINT;
}

void tb_token_list_copy(tb_token_list *to, const tb_token_list *from)
{
    to->first = from->first;
    to->length = from->length;
    to->fingerprint = from->fingerprint;
    memcpy(to->ids, from->ids, (from->length - from->first) * sizeof *from->ids);
}

size_t tb_token_list_match(const tb_token_list *list, const int32_t *ids, size_t count)
{
    size_t most = list->length < count ? list->length : count, n = list->first;
    if (most < n || add_to_fingerprint(FIRST_FINGERPRINT, ids, n) != list->fingerprint)
        return 0;
    while (n < most && list->ids[n - list->first] == ids[n])
        n++;
    return n;
}
