// Viterbi's algorithm over the bytes of the text: O(n · longest token).
#include "text/unigram.h"

#include "text/unknown.h"

#include <math.h>
#include <string.h>

// How much worse than the worst token a character without one is; SentencePiece's constant.
static const double unknown_penalty = 10.0;

typedef struct tb_lattice_node {
    double score; // of the best way here; −∞: none
    uint32_t from;
    int32_t id; // the token that arrives here, −1: a character without one
} node;

void tb_lattice_clear(tb_lattice *lattice)
{
    tb_free(lattice->nodes);
    *lattice = (tb_lattice){0};
}

static tb_code reset(tb_lattice *lattice, size_t places, tb_error *err)
{
    if (places > UINT32_MAX)
        return tb_fail(err, TB_ELIMIT, "a stretch of %zu bytes is too long to be tokenized", places);
    if (places > lattice->capacity) {
        size_t capacity = places + places / 2, bytes;
        node *nodes = tb_mul_size(&bytes, capacity, sizeof *nodes) ? tb_alloc(bytes) : NULL;
        if (!nodes)
            return tb_fail(err, TB_ENOMEM, "no memory to tokenize %zu bytes", places);
        tb_free(lattice->nodes);
        lattice->nodes = nodes;
        lattice->capacity = capacity;
    }
    for (size_t i = 0; i < places; i++)
        lattice->nodes[i].score = -INFINITY;
    return TB_OK;
}

static void arrive(node *nodes, size_t from, size_t to, double score, int32_t id)
{
    if (score > nodes[to].score)
        nodes[to] = (node){score, (uint32_t)from, id};
}

// Enters all tokens that start at `at`, and the character there if none of them is just it.
static void leave(node *nodes, const tb_tokenizer *t, tb_text text, size_t at)
{
    uint32_t c;
    size_t character = tb_utf8_decode(&c, text.data + at, text.size - at);
    character = character ? character : 1;
    bool known = false;
    tb_prefix_walk walk = {0};
    for (size_t end = at;
         end < text.size && tb_prefix_step(&walk, &t->lattice_tokens, (unsigned char)text.data[end]);) {
        end++;
        int32_t id = tb_prefix_here(&walk, &t->lattice_tokens);
        if (id < 0)
            continue;
        arrive(nodes, at, end, nodes[at].score + (double)t->scores[id], id);
        known = known || end - at == character;
    }
    if (!known)
        arrive(nodes, at, at + character, nodes[at].score + t->worst_score - unknown_penalty, -1);
}

// Turns the links of the best way around: each node on it then knows where the way goes next.
static void turn_around(node *nodes, size_t end)
{
    for (size_t at = end, next = end; at > 0;) {
        size_t from = nodes[at].from;
        nodes[at].from = (uint32_t)next;
        next = at;
        at = from;
        if (at == 0)
            nodes[0].from = (uint32_t)next;
    }
}

// Characters without a token that follow one another are unknown together, and so is the unknown token written out.
static bool is_unknown(const tb_tokenizer *tokenizer, int32_t id)
{
    return id < 0 || id == tokenizer->unk;
}

// Among a tokenizer.json's steps the name of the unknown token is that token; elsewhere it is text like any other.
static tb_code push_unknown(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_error *err)
{
    tb_text name = tb_tokenizer_token(tokenizer, tokenizer->unk);
    bool is_name = tokenizer->normalizer && name.size == text.size && memcmp(name.data, text.data, text.size) == 0;
    return is_name ? tb_ids_push(ids, tokenizer->unk, err) : tb_unknown_push(ids, tokenizer, text, err);
}

tb_code tb_unigram_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_lattice *lattice, tb_error *err)
{
    tb_code rc = reset(lattice, text.size + 1, err);
    if (rc || text.size == 0)
        return rc;
    node *nodes = lattice->nodes;
    nodes[0].score = 0;
    for (size_t at = 0; at < text.size; at++)
        if (nodes[at].score > -INFINITY)
            leave(nodes, tokenizer, text, at);
    turn_around(nodes, text.size);
    for (size_t at = 0; at < text.size && !rc;) {
        size_t begin = at;
        while (at < text.size && is_unknown(tokenizer, nodes[nodes[at].from].id))
            at = nodes[at].from;
        if (at > begin)
            rc = push_unknown(ids, tokenizer, (tb_text){text.data + begin, at - begin}, err);
        if (rc || at == text.size)
            break;
        at = nodes[at].from;
        rc = tb_ids_push(ids, nodes[at].id, err);
    }
    return rc;
}
