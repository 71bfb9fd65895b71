// A vocabulary under construction from tokenizer files.
#ifndef TB_VOCAB_FILE_H
#define TB_VOCAB_FILE_H

#include "text/text.h"

struct json_t; // jansson's

struct tb_vocab_file {
    tb_vocab vocab; // its arrays are set by tb_vocab_file_finish
    tb_arena arena;
    struct json_t *tokenizer, *config; // parsed files, whose texts are borrowed; NULL: none
    tb_text *tokens, *merges;          // in the arena, as are the arrays below
    float *scores;
    int32_t *kinds;
    uint8_t *flags;
};

tb_code tb_vocab_file_new(tb_vocab_file **out, tb_error *err);

// Reads tokenizer.json into file->tokenizer.
tb_code tb_vocab_file_read_tokenizer(tb_vocab_file *file, tb_text text, tb_error *err);

// Makes the arrays for `size` tokens, all of them unused and without text. `entries` is how many
// the files list: ids that leave most of the vocabulary empty are refused.
tb_code tb_vocab_file_reserve(tb_vocab_file *file, size_t size, size_t entries, tb_error *err);

// Sets a token; `text` is borrowed. Setting another text under a used id is refused.
tb_code tb_vocab_file_set(tb_vocab_file *file, size_t id, tb_text text, tb_token_kind kind, tb_error *err);

// Sets an added token from an object of tokenizer.json ("content", "special", "lstrip" …).
tb_code tb_vocab_file_set_added(tb_vocab_file *file, size_t id, const struct json_t *token, tb_error *err);

// The id of a token, −1: absent. A linear search, for the few special ones.
int32_t tb_vocab_file_find(const tb_vocab_file *file, tb_text token);

// Reads tokenizer_config.json into file->config; empty text: nothing.
tb_code tb_vocab_file_read_config(tb_vocab_file *file, tb_text text, tb_error *err);
// Special ids and add_bos_token, add_eos_token from the config, where it has them.
void tb_vocab_file_apply_config(tb_vocab_file *file);

// Names the unused tokens and sets the arrays of the vocabulary.
tb_code tb_vocab_file_finish(tb_vocab_file *file, tb_error *err);

#endif
