// text: vocabularies and tokenizers. Knows no model and no file format:
// a vocabulary comes as arrays, from whoever holds them.
#ifndef TB_TEXT_H
#define TB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

// ---- vocabularies ----

typedef enum tb_token_kind { // GGUF's numbers (tokenizer.ggml.token_type)
    TB_TOKEN_NORMAL = 1,
    TB_TOKEN_UNKNOWN = 2,
    TB_TOKEN_CONTROL = 3,      // special: matched in text only when asked, not printed by decode
    TB_TOKEN_USER_DEFINED = 4, // added: always matched, printed
    TB_TOKEN_UNUSED = 5,
    TB_TOKEN_BYTE = 6, // byte fallback, "<0x41>"
} tb_token_kind;

// How an added token (control or user-defined) takes part in matching, as tokenizer.json says it.
typedef enum tb_token_flag {
    TB_TOKEN_LSTRIP = 1,      // swallows the white space before it
    TB_TOKEN_RSTRIP = 2,      // swallows the white space behind it
    TB_TOKEN_SINGLE_WORD = 4, // not inside a word
    TB_TOKEN_NORMALIZED = 8,  // looked for in the normalised text, behind all that are not
    TB_TOKEN_OF_MODEL =
        16, // a token of the model as well: text becomes it also where it is not looked for (tb_vocab.steps)
} tb_token_flag;

typedef enum tb_vocab_model {
    TB_VOCAB_SPM,     // SentencePiece BPE with scores ("llama")
    TB_VOCAB_UNIGRAM, // SentencePiece unigram ("t5")
    TB_VOCAB_BPE,     // byte-level BPE with merges ("gpt2")
} tb_vocab_model;

// Everything a tokenizer is made from; borrowed only during tb_tokenizer_new.
typedef struct tb_vocab {
    tb_vocab_model model;
    size_t size;
    const tb_text *tokens; // [size]; BPE: in the GPT-2 byte alphabet
    const float *scores;   // [size] or NULL
    const int32_t *kinds;  // [size] tb_token_kind, or NULL (all normal)
    const uint8_t *flags;  // [size] sets of tb_token_flag, or NULL (none)
    // [merge_count] "left right", by rank. For BPE; for SPM, where there are some, they decide instead
    // of the scores (files converted from SentencePiece have them, and break ties otherwise).
    const tb_text *merges;
    size_t merge_count;
    // Name of the pre-tokenizer as GGUF says it ("smollm", "gpt-2", "llama-bpe", "qwen2" …), or
    // "regex:" and patterns, one a line, each applied to the pieces that the one before it left.
    tb_text pre;
    // Where these settings cannot say all that a tokenizer.json does around its model: an object with "normalizer",
    // "pre_tokenizer" and, of a BPE model, "unk_token" and "fuse_unk", as the file has them. It then decides what text
    // becomes, and the settings are for readers that do not know it. Empty: none.
    tb_text steps;
    tb_text charsmap;                // SentencePiece's precompiled normalisation; empty: none
    int32_t bos, eos, unk, eot, pad; // −1: none
    const int32_t *ends;             // [end_count] more ids that end a turn
    size_t end_count;
    bool add_bos, add_eos;
    bool add_space_prefix;               // put a space in front of the text and of what follows an added token …
    bool space_prefix_once;              // … in front of the text only
    bool space_prefix_missing;           // … only where it does not start with one (always so for BPE)
    bool space_prefix_over_user_defined; // … user-defined tokens are part of the text, and none follows them
    bool remove_extra_whitespaces;       // SentencePiece: of a run of spaces one stays, at the ends none
    bool nfc;                            // normalise to NFC first
    bool byte_fallback;                  // SentencePiece: what has no token becomes byte tokens
    bool ignore_merges;                  // a whole pre-token in the vocabulary is taken as it stands (Llama 3)
} tb_vocab;

// Sets the settings and special ids that a GGUF file means when it does not say them.
// `model` and `pre` must be set already; arrays and `pre` stay as they are.
void tb_vocab_set_defaults(tb_vocab *vocab);

// A vocabulary that owns what it points to, read from tokenizer files of a Hugging Face folder.
typedef struct tb_vocab_file tb_vocab_file;

// `tokenizer_json` is a whole tokenizer.json; `config_json` a tokenizer_config.json or empty
// (special ids, add_bos_token). TB_EUNSUPPORTED names a component that is not known.
tb_code tb_vocab_file_from_json(tb_vocab_file **out, tb_text tokenizer_json, tb_text config_json, tb_error *err);
// `model` is a whole tokenizer.model (a SentencePiece protobuf).
tb_code tb_vocab_file_from_sentencepiece(tb_vocab_file **out, tb_text model, tb_text config_json, tb_error *err);
// `vocab_json` and `merges` are a whole vocab.json and merges.txt, which the class that the config names
// ("tokenizer_class", else that of "model_type") puts together. TB_EUNSUPPORTED names a class that is not known.
tb_code tb_vocab_file_from_merges(tb_vocab_file **out, tb_text vocab_json, tb_text merges, tb_text config_json,
                                  tb_error *err);
// Adds unused tokens until there are `size`; embeddings often have more rows than there are tokens.
tb_code tb_vocab_file_pad(tb_vocab_file *file, size_t size, tb_error *err);
const tb_vocab *tb_vocab_file_get(const tb_vocab_file *file);
void tb_vocab_file_free(tb_vocab_file *file);

// Learns a byte-level BPE of up to `size` tokens from a text: the 256 bytes, merges, and the token `end`, which in the
// text separates documents and is no part of them. Appends a whole tokenizer.json, which puts `end` in front of a text
// where `bos` says so. *count: how many tokens there are, fewer than `size` where the text repeats too little.
tb_code tb_bpe_train(tb_str *json, size_t *count, tb_text text, size_t size, const char *end, bool bos, tb_error *err);

// ---- tokenizers ----

// Immutable and shareable after creation.
typedef struct tb_tokenizer tb_tokenizer;

tb_code tb_tokenizer_new(tb_tokenizer **out, const tb_vocab *vocab, tb_error *err);
void tb_tokenizer_free(tb_tokenizer *tokenizer);

size_t tb_tokenizer_size(const tb_tokenizer *tokenizer);
int32_t tb_tokenizer_bos(const tb_tokenizer *tokenizer); // −1: none
int32_t tb_tokenizer_eos(const tb_tokenizer *tokenizer);
bool tb_tokenizer_adds_bos(const tb_tokenizer *tokenizer);
// True for tokens that end a turn: eos, eot and their kin ("<|im_end|>", "<end_of_turn>", …).
bool tb_tokenizer_ends_turn(const tb_tokenizer *tokenizer, int32_t id);
// The raw token text; borrowed. Empty for an id out of range.
tb_text tb_tokenizer_token(const tb_tokenizer *tokenizer, int32_t id);
int32_t tb_tokenizer_find(const tb_tokenizer *tokenizer, tb_text token); // −1: absent

typedef struct tb_ids {
    int32_t *data; // free with tb_ids_clear
    size_t size, capacity;
} tb_ids;
void tb_ids_clear(tb_ids *ids);

typedef enum tb_encode_flag {
    TB_ENCODE_BOS = 1,     // put the BOS in front where the tokenizer's own settings add one
    TB_ENCODE_SPECIAL = 2, // recognise control tokens written out in the text
} tb_encode_flag;

// Appends the ids of `text` (any bytes; what is not UTF-8 survives through byte tokens).
// Linear in the length of the text up to a logarithm.
tb_code tb_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, unsigned flags, tb_error *err);

// The same for a text of which only some stretches may hold control tokens: one is recognised where all of its bytes
// lie in one of the `count` stretches, which are in order and apart. Everything else about the text is as in
// tb_encode; TB_ENCODE_SPECIAL has no meaning here.
tb_code tb_encode_within(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, const tb_stretch *stretches,
                         size_t count, unsigned flags, tb_error *err);

// Appends the bytes of `n` tokens; control tokens print nothing unless `special`.
tb_code tb_decode(tb_str *text, const tb_tokenizer *tokenizer, const int32_t *ids, size_t n, bool special,
                  tb_error *err);

// Decoding piece by piece: what it appends is always whole UTF-8 characters where the tokens
// allow it; bytes of an unfinished character wait for the next token.
typedef struct tb_decoder {
    unsigned char pending[4];
    unsigned pending_size;
    bool started; // the leading space of SentencePiece has been dealt with
} tb_decoder;
tb_code tb_decoder_push(tb_decoder *decoder, tb_str *text, const tb_tokenizer *tokenizer, int32_t id, bool special,
                        tb_error *err);
// Appends what still waits (an unfinished character is printed as it is).
tb_code tb_decoder_finish(tb_decoder *decoder, tb_str *text, tb_error *err);

// ---- texts that twobit brings along ----

// One to calibrate on, and one to measure with that shares no document with it (share/text). Borrowed for ever.
typedef enum tb_builtin_text { TB_TEXT_CALIBRATION, TB_TEXT_HELDOUT } tb_builtin_text;
tb_text tb_builtin_text_get(tb_builtin_text which);

#endif
