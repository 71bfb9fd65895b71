// The table of merges is open addressing over pairs of token numbers: merging needs no text.
#include "text/bpe.h"

#include <string.h>

// ---- the byte alphabet ----

// Bytes that print stand for themselves; the 68 others, in order, for U+0100 and on.
static bool stands_for_itself(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// How many bytes below this one stand for U+0100 and on: 0x00 … 0x20, 0x7F … 0xA0, 0xAD.
static unsigned shifted_below(unsigned byte)
{
    if (byte <= 0x20)
        return byte;
    return byte <= 0xA0 ? 33 + (byte - 0x7F) : 33 + 34;
}

int tb_byte_of_alphabet(uint32_t code_point)
{
    if (code_point < 0x100)
        return stands_for_itself(code_point) ? (int)code_point : -1;
    uint32_t n = code_point - 0x100;
    if (n < 33)
        return (int)n;
    if (n < 33 + 34)
        return (int)(0x7F + n - 33);
    return n == 33 + 34 ? 0xAD : -1;
}

size_t tb_alphabet_of_byte(char out[4], unsigned char byte)
{
    return tb_utf8_encode(out, stands_for_itself(byte) ? byte : 0x100 + shifted_below(byte));
}

// ---- byte tokens ----

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int tb_byte_of_token(tb_text token)
{
    if (token.size != 6 || memcmp(token.data, "<0x", 3) != 0 || token.data[5] != '>')
        return -1;
    int high = hex_digit(token.data[3]), low = hex_digit(token.data[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

// ---- merges ----

typedef struct merge_slot {
    int32_t left, right;
    int32_t result; // −1: free
    uint32_t rank;
} merge_slot;

struct tb_merges {
    merge_slot *slots;
    size_t mask;
    uint64_t seed;
};

static merge_slot *find_slot(const tb_merges *merges, int32_t left, int32_t right)
{
    size_t at = tb_mix64(merges->seed ^ ((uint64_t)(uint32_t)left << 32 | (uint32_t)right)) & merges->mask;
    while (merges->slots[at].result >= 0 && (merges->slots[at].left != left || merges->slots[at].right != right))
        at = (at + 1) & merges->mask;
    return &merges->slots[at];
}

bool tb_merge_parse(tb_text *left, tb_text *right, tb_text merge)
{
    // A token may itself be a space: the separator is looked for behind the first byte.
    const char *space = merge.size > 2 ? memchr(merge.data + 1, ' ', merge.size - 2) : NULL;
    if (!space)
        return false;
    *left = (tb_text){merge.data, (size_t)(space - merge.data)};
    *right = (tb_text){space + 1, merge.size - left->size - 1};
    return true;
}

// The token made of two texts, −1 if there is none.
static tb_code find_joined(int32_t *id, tb_text left, tb_text right, const tb_text_map *map, tb_str *joined,
                           tb_error *err)
{
    tb_str_reset(joined);
    tb_code rc = tb_str_append(joined, left.data, left.size, err);
    if (!rc)
        rc = tb_str_append(joined, right.data, right.size, err);
    if (!rc)
        *id = tb_text_map_find(map, joined->data, joined->size);
    return rc;
}

static tb_code add_merge(tb_merges *merges, tb_text merge, size_t rank, const tb_text_map *map, tb_str *joined,
                         tb_error *err)
{
    tb_text left, right;
    int shown = (int)(merge.size < 80 ? merge.size : 80);
    if (!tb_merge_parse(&left, &right, merge))
        return tb_fail(err, TB_EFORMAT, "merge %zu '%.*s' is not two tokens and a space", rank, shown, merge.data);
    int32_t left_id = tb_text_map_find(map, left.data, left.size);
    int32_t right_id = tb_text_map_find(map, right.data, right.size);
    int32_t result = -1;
    tb_code rc = find_joined(&result, left, right, map, joined, err);
    if (rc)
        return rc;
    if (left_id < 0 || right_id < 0 || result < 0)
        return tb_fail(err, TB_EFORMAT, "merge %zu '%.*s' has a part or a result that is not in the vocabulary", rank,
                       shown, merge.data);
    merge_slot *slot = find_slot(merges, left_id, right_id);
    if (slot->result < 0) // a pair listed twice keeps its better rank
        *slot = (merge_slot){left_id, right_id, result, (uint32_t)rank};
    return TB_OK;
}

tb_code tb_merges_new(tb_merges **out, const tb_text *merges, size_t count, const tb_text_map *map, tb_error *err)
{
    *out = NULL;
    if (count >= TB_NO_MERGE)
        return tb_fail(err, TB_ELIMIT, "%zu merges are too many", count);
    tb_merges *m = tb_new(tb_merges);
    size_t slots = 16;
    while (slots / 2 < count)
        slots *= 2;
    if (m)
        m->slots = tb_alloc_array(slots, sizeof *m->slots);
    if (!m || !m->slots) {
        tb_merges_free(m);
        return tb_fail(err, TB_ENOMEM, "no memory for %zu merges", count);
    }
    for (size_t i = 0; i < slots; i++)
        m->slots[i].result = -1;
    m->mask = slots - 1;
    m->seed = tb_hash_seed();
    tb_str joined = {0};
    tb_code rc = TB_OK;
    for (size_t rank = 0; rank < count && !rc; rank++)
        rc = add_merge(m, merges[rank], rank, map, &joined, err);
    tb_str_clear(&joined);
    if (rc)
        tb_merges_free(m);
    else
        *out = m;
    return rc;
}

int32_t tb_merges_find(const tb_merges *merges, uint32_t *rank, int32_t left, int32_t right)
{
    const merge_slot *slot = find_slot(merges, left, right);
    *rank = slot->rank;
    return slot->result;
}

void tb_merges_free(tb_merges *merges)
{
    if (merges)
        tb_free(merges->slots);
    tb_free(merges);
}

// ---- encoding ----

static int32_t pair_by_ids(const void *user, uint32_t *priority, const tb_symbol *left, const tb_symbol *right)
{
    return tb_merges_find(user, priority, left->id, right->id);
}

tb_code tb_bpe_encode(tb_ids *ids, const tb_merges *merges, const int32_t byte_ids[256], tb_unknown_rule unknown,
                      tb_text piece, tb_merger *merger, tb_error *err)
{
    tb_code rc = tb_merger_reset(merger, piece.size, err);
    if (rc)
        return rc;
    bool in_run = false;
    for (size_t i = 0; i < piece.size; i++) {
        int32_t id = byte_ids[(unsigned char)piece.data[i]];
        bool is_unknown = id < 0;
        if (!is_unknown || (unknown.id >= 0 && !(in_run && unknown.fused)))
            tb_merger_push(merger, i, 1, is_unknown ? unknown.id : id);
        in_run = is_unknown;
    }
    rc = tb_merger_run(merger, pair_by_ids, merges, err);
    return rc ? rc : tb_merger_append_ids(ids, merger, err);
}

tb_code tb_merger_append_ids(tb_ids *ids, const tb_merger *merger, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < merger->count && !rc; i++)
        if (merger->symbols[i].size > 0)
            rc = tb_ids_push(ids, merger->symbols[i].id, err);
    return rc;
}

// ---- ids ----

tb_code tb_ids_push(tb_ids *ids, int32_t id, tb_error *err)
{
    if (ids->size == ids->capacity) {
        size_t capacity = ids->capacity + ids->capacity / 2 + 64;
        int32_t *data = tb_realloc_array(ids->data, ids->size, capacity, sizeof *data);
        if (!data)
            return tb_fail(err, TB_ENOMEM, "no memory for %zu tokens", capacity);
        ids->data = data;
        ids->capacity = capacity;
    }
    ids->data[ids->size++] = id;
    return TB_OK;
}

void tb_ids_clear(tb_ids *ids)
{
    tb_free(ids->data);
    *ids = (tb_ids){0};
}
