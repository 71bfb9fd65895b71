// The steps of a tokenizer.json around its model: what they amount to for the settings of a tb_vocab.
#ifndef TB_VOCAB_JSON_H
#define TB_VOCAB_JSON_H

#include "text/text.h"

struct json_t; // jansson's

enum { TB_JSON_MAX_PATTERNS = 16 };

typedef struct tb_json_steps {
    bool exact;       // the settings below say all that normalizer and pre_tokenizer do
    bool byte_level;  // bytes are written as characters: byte-level BPE
    bool marks;       // spaces become marks: SentencePiece …
    bool early_marks; // … by the normalizer, so that normalised added tokens see them
    bool nfc;
    tb_text charsmap;     // in base64, as the file has it
    bool prefix;          // a space is put in front …
    bool early_prefix;    // … by the normalizer
    bool prefix_once;     // … of the text only
    bool prefix_missing;  // … where there is none
    bool squeeze;         // runs of spaces become one, and those at the ends none
    bool splits_at_marks; // each word is tokenized apart
    tb_text patterns[TB_JSON_MAX_PATTERNS];
    size_t pattern_count;
    bool needs_known_name; // the patterns mean this under a known name only
    int32_t front, back;   // special tokens that are put in front and behind; −1: none
} tb_json_steps;

// Reads normalizer, pre_tokenizer, post_processor and decoder of the file's root. Texts are
// borrowed from it or put into the arena. TB_EUNSUPPORTED names a component or a setting of the last two that
// is not known; of the first two, those leave `exact` false.
tb_code tb_json_steps_read(tb_json_steps *steps, const struct json_t *root, tb_arena *arena, tb_error *err);

// Fills a vocabulary from file->tokenizer, the root of a tokenizer.json, and file->config.
tb_code tb_vocab_file_read_root(struct tb_vocab_file *file, tb_error *err);

#endif
