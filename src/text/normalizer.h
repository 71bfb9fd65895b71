// The normalizer of a tokenizer.json: steps that rewrite a text, one behind the other.
#ifndef TB_NORMALIZER_H
#define TB_NORMALIZER_H

#include "text/text.h"

struct json_t; // jansson's

// Immutable, shareable.
typedef struct tb_normalizer tb_normalizer;

// None rewrites nothing. TB_EUNSUPPORTED names a component or a setting that is not known.
tb_code tb_normalizer_new(tb_normalizer **out, const struct json_t *component, tb_error *err);
void tb_normalizer_free(tb_normalizer *normalizer);

// What one call needs; one thread at a time. A zeroed one is valid and empty.
typedef struct tb_normalized {
    tb_str text;      // the result
    bool keeps_start; // the result starts with what the text started with
    bool begins, ends;
    tb_str scratch;
    struct tb_matcher *matcher;
} tb_normalized;

void tb_normalized_clear(tb_normalized *normalized);

// Bytes that are not UTF-8 stay as they are. TB_ELIMIT where steps blow the text up. Where a text is taken in parts,
// only the first `begins` and the last `ends`: the others have no prefix, and keep white space there.
tb_code tb_normalizer_run(tb_normalized *out, const tb_normalizer *normalizer, tb_text text, bool begins, bool ends,
                          tb_error *err);

#endif
