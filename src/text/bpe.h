// Byte-level BPE: the byte alphabet of GPT-2, the table of merges, and merging one piece.
#ifndef TB_BPE_H
#define TB_BPE_H

#include "text/merge.h"
#include "text/text_map.h"

// The byte that a character of the alphabet stands for, or −1.
int tb_byte_of_alphabet(uint32_t code_point);
// The character that stands for a byte, as UTF-8; returns its bytes (1 or 2).
size_t tb_alphabet_of_byte(char out[4], unsigned char byte);

// The byte of a token "<0x41>", or −1.
int tb_byte_of_token(tb_text token);

// Pairs of tokens that merge, with their ranks.
typedef struct tb_merges tb_merges;

// Reads "left right" texts; both sides and the result must be among the tokens of `map`.
tb_code tb_merges_new(tb_merges **out, const tb_text *merges, size_t count, const tb_text_map *map, tb_error *err);
void tb_merges_free(tb_merges *merges);

// The token that two tokens become and the rank of that; −1: they do not merge.
int32_t tb_merges_find(const tb_merges *merges, uint32_t *rank, int32_t left, int32_t right);

// Splits the text of a merge; false when it is not one.
bool tb_merge_parse(tb_text *left, tb_text *right, tb_text merge);

// What becomes of characters without a token.
typedef struct tb_unknown_rule {
    int32_t id; // their token; −1: they are left out, before anything merges, as Hugging Face's tokenizers do
    bool fused; // one token for a run of them
} tb_unknown_rule;

// Appends to `ids` the tokens of one piece. byte_ids[b] is the token of byte b, −1: none.
tb_code tb_bpe_encode(tb_ids *ids, const tb_merges *merges, const int32_t byte_ids[256], tb_unknown_rule unknown,
                      tb_text piece, tb_merger *merger, tb_error *err);

// Appends the tokens of the symbols that are left of a text.
tb_code tb_merger_append_ids(tb_ids *ids, const tb_merger *merger, tb_error *err);

// Appends one id.
tb_code tb_ids_push(tb_ids *ids, int32_t id, tb_error *err);

#endif
