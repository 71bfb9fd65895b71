// Learning the merges of a byte-level BPE (Sennrich et al., arXiv 1508.07909): of all pairs of neighbouring tokens
// inside a word, the one that occurs most becomes a token, again and again.
//
// Every different word is kept once, with how often it occurs. A heap holds pairs with what their counts were when they
// entered it: a count that has fallen since is noticed at the top, and goes back in. Among pairs that occur equally
// often the one of the oldest tokens wins, so that the result depends on the text alone.
#include <jansson.h>
#include <string.h>

#include "text/bpe.h"
#include "text/pretokenize.h"

enum {
    BYTES = 256,
    LEAST_COUNT = 2, // a pair that occurs once is worth no token
};

// ---- what is learned on ----

typedef struct word {
    size_t first; // of its symbols
    int32_t count;
    uint32_t size, bytes;
    uint64_t hash;
} word;

typedef struct pair {
    int32_t left, right; // left −1: a free slot
    int64_t count;
    uint32_t *words; // that hold it, or once did
    size_t used, room;
} pair;

typedef struct candidate {
    int64_t count;
    size_t pair;
} candidate;

typedef struct trainer {
    word *words;
    size_t word_count, word_room;
    int32_t *word_slots; // open addressing over words, −1: free
    size_t slot_count;
    int32_t *symbols;
    size_t symbol_count, symbol_room;
    pair *pairs; // in the order in which they came
    size_t pair_count, pair_room;
    int64_t *pair_slots; // open addressing over pairs, −1: free
    size_t pair_slot_count;
    candidate *heap;
    size_t heap_size, heap_room;
    size_t *touched; // pairs that grew in the merge under way
    size_t touched_count, touched_room;
    tb_text *tokens; // in GPT-2's alphabet
    tb_text *merges; // "left right"
    size_t token_count, merge_count;
    tb_arena arena;
} trainer;

// Room for one element more in an array that grows by doubling.
static tb_code reserve(void *array, size_t used, size_t *room, size_t item, tb_error *err)
{
    void **block = array;
    if (used < *room)
        return TB_OK;
    size_t more = *room ? 2 * *room : 256;
    void *grown = tb_realloc_array(*block, *room, more, item);
    if (!grown)
        return tb_fail(err, TB_ENOMEM, "no memory to learn a vocabulary");
    *block = grown;
    *room = more;
    return TB_OK;
}

static void clear(trainer *t)
{
    for (size_t i = 0; i < t->pair_count; i++)
        tb_free(t->pairs[i].words);
    tb_free(t->words);
    tb_free(t->word_slots);
    tb_free(t->symbols);
    tb_free(t->pairs);
    tb_free(t->pair_slots);
    tb_free(t->heap);
    tb_free(t->touched);
    tb_free(t->tokens);
    tb_free(t->merges);
    tb_arena_clear(&t->arena);
}

// ---- words ----

static uint64_t hash_of(tb_text piece)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a
    for (size_t i = 0; i < piece.size; i++)
        hash = (hash ^ (unsigned char)piece.data[i]) * UINT64_C(0x100000001b3);
    return tb_mix64(hash);
}

static bool is_word(const trainer *t, const word *w, tb_text piece, uint64_t hash)
{
    if (w->hash != hash || w->bytes != piece.size)
        return false;
    for (size_t i = 0; i < piece.size; i++)
        if (t->symbols[w->first + i] != (unsigned char)piece.data[i])
            return false;
    return true;
}

static tb_code grow_word_slots(trainer *t, tb_error *err)
{
    size_t count = t->slot_count ? 2 * t->slot_count : 1024;
    int32_t *slots = tb_alloc_array(count, sizeof *slots);
    if (!slots)
        return tb_fail(err, TB_ENOMEM, "no memory to learn a vocabulary");
    memset(slots, 0xff, count * sizeof *slots);
    for (size_t i = 0; i < t->word_count; i++) {
        size_t at = t->words[i].hash & (count - 1);
        while (slots[at] >= 0)
            at = (at + 1) & (count - 1);
        slots[at] = (int32_t)i;
    }
    tb_free(t->word_slots);
    t->word_slots = slots;
    t->slot_count = count;
    return TB_OK;
}

static tb_code add_symbols(trainer *t, tb_text piece, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < piece.size; i++) {
        rc = reserve(&t->symbols, t->symbol_count, &t->symbol_room, sizeof *t->symbols, err);
        if (!rc)
            t->symbols[t->symbol_count++] = (unsigned char)piece.data[i];
    }
    return rc;
}

static tb_code add_word(trainer *t, size_t slot, tb_text piece, uint64_t hash, tb_error *err)
{
    tb_code rc = t->word_count < INT32_MAX ? reserve(&t->words, t->word_count, &t->word_room, sizeof *t->words, err)
                                           : tb_fail(err, TB_ELIMIT, "the text has too many different words");
    word w = {.first = t->symbol_count,
              .count = 1,
              .size = (uint32_t)piece.size,
              .bytes = (uint32_t)piece.size,
              .hash = hash};
    if (!rc)
        rc = add_symbols(t, piece, err);
    if (rc)
        return rc;
    t->word_slots[slot] = (int32_t)t->word_count;
    t->words[t->word_count++] = w;
    return TB_OK;
}

static tb_code count_piece(void *user, tb_text piece, tb_error *err)
{
    trainer *t = user;
    if (2 * t->word_count >= t->slot_count) {
        tb_code rc = grow_word_slots(t, err);
        if (rc)
            return rc;
    }
    uint64_t hash = hash_of(piece);
    size_t at = hash & (t->slot_count - 1);
    for (; t->word_slots[at] >= 0; at = (at + 1) & (t->slot_count - 1)) {
        word *w = &t->words[t->word_slots[at]];
        if (is_word(t, w, piece, hash)) {
            w->count += w->count < INT32_MAX;
            return TB_OK;
        }
    }
    return add_word(t, at, piece, hash, err);
}

// Where `end` stands next; the end of the text where it does not.
static size_t find_end(tb_text text, tb_text end)
{
    for (const char *at = text.data; end.size <= text.size - (size_t)(at - text.data); at++) {
        at = memchr(at, end.data[0], text.size - (size_t)(at - text.data));
        if (!at || text.size - (size_t)(at - text.data) < end.size)
            break;
        if (memcmp(at, end.data, end.size) == 0)
            return (size_t)(at - text.data);
    }
    return text.size;
}

// The words of a text, apart from where `end` stands.
static tb_code count_words(trainer *t, tb_text text, tb_text end, tb_error *err)
{
    tb_pretokenizer *pre;
    tb_presplit *split = NULL;
    tb_code rc = tb_pretokenizer_new(&pre, (tb_text){"gpt-2", 5}, err);
    if (!rc)
        rc = tb_presplit_new(&split, pre, err);
    while (!rc && text.size) {
        size_t size = find_end(text, end), whole = size < text.size ? size + end.size : size;
        rc = tb_presplit_run(split, (tb_text){text.data, size}, true, count_piece, t, err);
        text = (tb_text){text.data + whole, text.size - whole};
    }
    tb_presplit_free(split);
    tb_pretokenizer_free(pre);
    return rc;
}

// ---- pairs ----

static size_t pair_start(const trainer *t, int32_t left, int32_t right)
{
    return tb_mix64((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & (t->pair_slot_count - 1);
}

static tb_code grow_pair_slots(trainer *t, tb_error *err)
{
    size_t count = t->pair_slot_count ? 2 * t->pair_slot_count : 1024;
    int64_t *slots = tb_alloc_array(count, sizeof *slots);
    if (!slots)
        return tb_fail(err, TB_ENOMEM, "no memory to learn a vocabulary");
    memset(slots, 0xff, count * sizeof *slots);
    t->pair_slot_count = count;
    for (size_t i = 0; i < t->pair_count; i++) {
        size_t at = pair_start(t, t->pairs[i].left, t->pairs[i].right);
        while (slots[at] >= 0)
            at = (at + 1) & (count - 1);
        slots[at] = (int64_t)i;
    }
    tb_free(t->pair_slots);
    t->pair_slots = slots;
    return TB_OK;
}

static tb_code find_pair(size_t *out, trainer *t, int32_t left, int32_t right, tb_error *err)
{
    tb_code rc = 2 * t->pair_count >= t->pair_slot_count ? grow_pair_slots(t, err) : TB_OK;
    if (rc)
        return rc;
    size_t at = pair_start(t, left, right);
    for (; t->pair_slots[at] >= 0; at = (at + 1) & (t->pair_slot_count - 1)) {
        const pair *p = &t->pairs[t->pair_slots[at]];
        if (p->left == left && p->right == right) {
            *out = (size_t)t->pair_slots[at];
            return TB_OK;
        }
    }
    rc = reserve(&t->pairs, t->pair_count, &t->pair_room, sizeof *t->pairs, err);
    if (rc)
        return rc;
    t->pair_slots[at] = (int64_t)t->pair_count;
    *out = t->pair_count;
    t->pairs[t->pair_count++] = (pair){.left = left, .right = right};
    return TB_OK;
}

// Adds the pairs of a word to the counts, or takes them away. Those with token `fresh`, or all for −1, grow: they learn
// that the word holds them.
static tb_code count_pairs(trainer *t, size_t index, int sign, int32_t fresh, tb_error *err)
{
    const word *w = &t->words[index];
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i + 1 < w->size; i++) {
        size_t at;
        int32_t left = t->symbols[w->first + i], right = t->symbols[w->first + i + 1];
        rc = find_pair(&at, t, left, right, err);
        if (rc)
            return rc;
        pair *p = &t->pairs[at];
        p->count += sign * w->count;
        if (sign < 0 || (fresh >= 0 && left != fresh && right != fresh))
            continue;
        if (p->used == 0 || p->words[p->used - 1] != index) {
            rc = reserve(&p->words, p->used, &p->room, sizeof *p->words, err);
            if (!rc)
                p->words[p->used++] = (uint32_t)index;
        }
        if (!rc)
            rc = reserve(&t->touched, t->touched_count, &t->touched_room, sizeof *t->touched, err);
        if (!rc)
            t->touched[t->touched_count++] = at;
    }
    return rc;
}

// ---- the heap ----

static bool comes_before(const trainer *t, candidate a, candidate b)
{
    const pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static tb_code push(trainer *t, size_t at, tb_error *err)
{
    if (t->pairs[at].count < LEAST_COUNT)
        return TB_OK;
    tb_code rc = reserve(&t->heap, t->heap_size, &t->heap_room, sizeof *t->heap, err);
    if (rc)
        return rc;
    candidate c = {t->pairs[at].count, at};
    size_t i = t->heap_size++;
    for (; i > 0 && comes_before(t, c, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = c;
    return TB_OK;
}

static candidate pop(trainer *t)
{
    candidate top = t->heap[0], last = t->heap[--t->heap_size];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < t->heap_size && comes_before(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (child >= t->heap_size || !comes_before(t, t->heap[child], last))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = last;
    return top;
}

static tb_code push_touched(trainer *t, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < t->touched_count; i++)
        rc = push(t, t->touched[i], err);
    t->touched_count = 0;
    return rc;
}

// The pair that occurs most; false: none is worth a token.
static bool best_pair(size_t *out, trainer *t, tb_code *rc, tb_error *err)
{
    while (!*rc && t->heap_size) {
        candidate c = pop(t);
        *out = c.pair;
        if (t->pairs[c.pair].count == c.count)
            return true;
        *rc = push(t, c.pair, err);
    }
    return false;
}

// ---- merging ----

// Replaces the pair in a word from left to right; false: it does not hold the pair.
static bool merge_word(trainer *t, word *w, int32_t left, int32_t right, int32_t merged)
{
    int32_t *symbols = t->symbols + w->first;
    uint32_t size = 0;
    for (uint32_t i = 0; i < w->size; i++) {
        bool here = i + 1 < w->size && symbols[i] == left && symbols[i + 1] == right;
        symbols[size++] = here ? merged : symbols[i];
        i += here;
    }
    bool any = size != w->size;
    w->size = size;
    return any;
}

static bool holds(const trainer *t, const word *w, int32_t left, int32_t right)
{
    for (uint32_t i = 0; i + 1 < w->size; i++)
        if (t->symbols[w->first + i] == left && t->symbols[w->first + i + 1] == right)
            return true;
    return false;
}

static tb_code merge_pair(trainer *t, size_t at, int32_t merged, tb_error *err)
{
    tb_code rc = TB_OK;
    int32_t left = t->pairs[at].left, right = t->pairs[at].right;
    for (size_t i = 0; !rc && i < t->pairs[at].used; i++) {
        size_t index = t->pairs[at].words[i];
        if (!holds(t, &t->words[index], left, right))
            continue;
        rc = count_pairs(t, index, -1, merged, err);
        merge_word(t, &t->words[index], left, right, merged);
        if (!rc)
            rc = count_pairs(t, index, 1, merged, err);
    }
    return rc ? rc : push_touched(t, err);
}

// A text of a and b, with `gap` spaces between them.
static char *join(trainer *t, tb_text a, size_t gap, tb_text b)
{
    char *joined = tb_arena_alloc(&t->arena, a.size + gap + b.size + 1);
    if (joined) {
        memcpy(joined, a.data, a.size);
        memset(joined + a.size, ' ', gap);
        memcpy(joined + a.size + gap, b.data, b.size);
    }
    return joined;
}

static tb_code add_token(trainer *t, const pair *p, tb_error *err)
{
    tb_text a = t->tokens[p->left], b = t->tokens[p->right];
    tb_text token = {join(t, a, 0, b), a.size + b.size}, merge = {join(t, a, 1, b), a.size + 1 + b.size};
    if (!token.data || !merge.data)
        return tb_fail(err, TB_ENOMEM, "no memory to learn a vocabulary");
    t->tokens[t->token_count++] = token;
    t->merges[t->merge_count++] = merge;
    return TB_OK;
}

static tb_code learn_merges(trainer *t, size_t most_tokens, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < t->word_count; i++)
        rc = count_pairs(t, i, 1, -1, err);
    if (!rc)
        rc = push_touched(t, err);
    size_t at;
    while (!rc && t->token_count < most_tokens && best_pair(&at, t, &rc, err)) {
        rc = add_token(t, &t->pairs[at], err);
        if (!rc)
            rc = merge_pair(t, at, (int32_t)t->token_count - 1, err);
    }
    return rc;
}

// ---- tokenizer.json ----

static json_t *make_vocab(const trainer *t, tb_text end)
{
    json_t *vocab = json_object();
    for (size_t i = 0; i < t->token_count; i++)
        json_object_setn_new(vocab, t->tokens[i].data, t->tokens[i].size, json_integer((json_int_t)i));
    json_object_setn_new(vocab, end.data, end.size, json_integer((json_int_t)t->token_count));
    return vocab;
}

static json_t *make_merges(const trainer *t)
{
    json_t *merges = json_array();
    for (size_t i = 0; i < t->merge_count; i++)
        json_array_append_new(merges, json_stringn(t->merges[i].data, t->merges[i].size));
    return merges;
}

static json_t *make_byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     1);
}

// Puts `end` in front of every text.
static json_t *make_template(const char *end, json_int_t id)
{
    json_t *first = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", end, "type_id", 0);
    json_t *a = json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0);
    json_t *b = json_pack("{s:{s:s, s:i}}", "Sequence", "id", "B", "type_id", 1);
    return json_pack("{s:s, s:[O, O], s:[o, o, o], s:{s:{s:s, s:[I], s:[s]}}}", "type", "TemplateProcessing", "single",
                     first, a, "pair", first, a, b, "special_tokens", end, "id", end, "ids", id, "tokens", end);
}

static tb_code write_json(tb_str *out, const trainer *t, const char *end, bool bos, tb_error *err)
{
    tb_text end_text = {end, strlen(end)};
    json_int_t id = (json_int_t)t->token_count;
    json_t *added = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", end, "single_word", 0,
                              "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                              "vocab", make_vocab(t, end_text), "merges", make_merges(t));
    json_t *root =
        json_pack("{s:s, s:n, s:n, s:[o], s:n, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                  "added_tokens", added, "normalizer", "pre_tokenizer", make_byte_level(), "post_processor",
                  bos ? make_template(end, id) : make_byte_level(), "decoder", make_byte_level(), "model", model);
    json_t *read = json_object_get(json_object_get(root, "model"), "vocab");
    json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
    bool complete = json_object_size(read) == t->token_count + 1 && json_array_size(merges) == t->merge_count;
    tb_code rc =
        complete ? tb_json_append(out, root, 1, err) : tb_fail(err, TB_ENOMEM, "no memory to write a vocabulary");
    json_decref(root);
    return rc;
}

static tb_code begin(trainer *t, size_t size, tb_error *err)
{
    t->tokens = tb_alloc_array(size, sizeof *t->tokens);
    t->merges = tb_alloc_array(size, sizeof *t->merges);
    bool complete = t->tokens && t->merges;
    for (unsigned b = 0; complete && b < BYTES; b++) {
        char character[4];
        size_t bytes = tb_alphabet_of_byte(character, (unsigned char)b);
        t->tokens[b] = (tb_text){tb_arena_text(&t->arena, character, bytes), bytes};
        complete = t->tokens[b].data != NULL;
    }
    t->token_count = BYTES;
    return complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu", size);
}

tb_code tb_bpe_train(tb_str *json, size_t *count, tb_text text, size_t size, const char *end, bool bos, tb_error *err)
{
    trainer t = {0};
    tb_code rc = size > BYTES
                     ? TB_OK
                     : tb_fail(err, TB_EINVAL, "a vocabulary needs %d tokens at least, not %zu", BYTES + 1, size);
    if (!rc)
        rc = begin(&t, size, err);
    if (!rc && size > BYTES + 1)
        rc = count_words(&t, text, (tb_text){end, strlen(end)}, err);
    if (!rc)
        rc = learn_merges(&t, size - 1, err);
    if (!rc)
        rc = write_json(json, &t, end, bos, err);
    if (!rc)
        *count = t.token_count + 1;
    clear(&t);
    return rc;
}
