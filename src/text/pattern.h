// Regular expressions: PCRE2 behind the few calls that normalizers and pre-tokenizers need.
//
// Patterns of tokenizer.json are written for Oniguruma; those that PCRE2 would read otherwise are
// refused by tb_pattern_check. \w, \W, \b and \B mean what they mean there.
#ifndef TB_PATTERN_H
#define TB_PATTERN_H

#include "text/text.h"

// TB_EUNSUPPORTED for a pattern of Oniguruma's that means something else here: sets in sets, "&&", "(?m)", \h …
tb_code tb_pattern_check(tb_text pattern, tb_error *err);

// Compiled: immutable, shareable.
typedef struct tb_pattern tb_pattern;

// TB_EFORMAT for a pattern that does not compile.
tb_code tb_pattern_new(tb_pattern **out, tb_text pattern, tb_error *err);
// Matches just this text.
tb_code tb_pattern_new_literal(tb_pattern **out, tb_text text, tb_error *err);
void tb_pattern_free(tb_pattern *pattern);

// What matching needs beside the pattern; one thread at a time.
typedef struct tb_matcher tb_matcher;

tb_code tb_matcher_new(tb_matcher **out, tb_error *err);
void tb_matcher_free(tb_matcher *matcher);

// Allows each match the work that a text of `size` bytes may take.
void tb_matcher_set_limit(tb_matcher *matcher, size_t size);

// A walk over the matches of a pattern in a text of valid UTF-8, from left to right. Zero it before the first step.
// An empty match does not follow a match directly.
typedef struct tb_match {
    size_t begin, end;
    size_t from; // where the next search starts
    bool found;  // false: there is no further match, and begin = end = the end of the text
} tb_match;

tb_code tb_matcher_next(tb_match *match, tb_matcher *matcher, const tb_pattern *pattern, tb_text text, tb_error *err);

#endif
