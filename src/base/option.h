// Option tables: one table per command (or recipe of a quantization) says what can be given, and both parsing and help
// are made from it.
//
// A table describes the fields of a structure that holds the command's arguments. Whoever owns
// the structure fills it with defaults; parsing overwrites what was given, help prints the
// defaults it finds there.
#ifndef TB_BASE_OPTION_H
#define TB_BASE_OPTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

typedef enum tb_option_kind {
    TB_OPTION_FLAG,  // bool; takes no value
    TB_OPTION_TEXT,  // const char *, borrowed from argv
    TB_OPTION_COUNT, // uint64_t, written in decimal digits
    TB_OPTION_REAL,  // double, finite
    TB_OPTION_TEXTS, // tb_option_texts; may be given several times
} tb_option_kind;

// The values of an option that may be given several times, borrowed from argv.
enum { TB_MOST_OPTION_TEXTS = 256 };
typedef struct tb_option_texts {
    const char *items[TB_MOST_OPTION_TEXTS];
    size_t count;
} tb_option_texts;

typedef struct tb_option {
    const char *name; // long form without its dashes; NULL ends a table
    char letter;      // short form, or 0
    tb_option_kind kind;
    size_t offset;      // of the field
    const char *value;  // what the help calls the value: "N", "FILE"
    double least, most; // range of a number; most = 0: no upper limit
    const char *help;
} tb_option;

// A table and the structure it describes.
typedef struct tb_option_set {
    const tb_option *options;
    void *fields;
} tb_option_set;

// What is left of the command line: borrowed from argv.
typedef struct tb_operands {
    const char **items; // [argc] at most; storage of the caller
    size_t count;
} tb_operands;

// Parses argv[0 … argc−1] (without program and command). Long options are --name=value or
// --name value, short ones -n value or -nvalue, flags of one letter may be joined (-qv), "--"
// ends the options, "-" is an operand. TB_EINVAL says what is wrong and what may be meant.
tb_code tb_options_parse(tb_operands *operands, const tb_option_set *sets, size_t set_count, int argc,
                         const char *const *argv, tb_error *err);

// Appends one line or more per option, aligned, with the default where it is not zero.
tb_code tb_options_describe(tb_str *text, const tb_option *options, const void *defaults, tb_error *err);

// Strict numbers: digits only, nothing behind them; TB_EINVAL otherwise, saying why.
tb_code tb_parse_count(uint64_t *out, const char *text, tb_error *err);
tb_code tb_parse_real(double *out, const char *text, tb_error *err);

// The candidate most like `word`, or NULL when none is close enough to be what was meant.
const char *tb_suggest(const char *word, const char *const *candidates, size_t count);

#endif
