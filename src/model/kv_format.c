// How keys and values are kept, as a text says it: f16 | f32 | qB | kBvB, with :gN and :rN behind the last two.
#include <limits.h>
#include <string.h>

#include "model/model.h"

enum { DEFAULT_GROUP = 64, DEFAULT_RESIDUAL = 128, HALF_BITS = 16 };

// The digits at *text, which it passes.
static tb_code read_number(uint64_t *out, const char **text, tb_error *err)
{
    char digits[20] = {0};
    size_t n = strspn(*text, "0123456789");
    if (n >= sizeof digits)
        return tb_fail(err, TB_EINVAL, "'%s' is too large", *text);
    memcpy(digits, *text, n);
    *text += n;
    return tb_parse_count(out, digits, err);
}

// A number behind a letter, both passed. False in *found: the letter is not there.
static tb_code read_marked(bool *found, uint64_t *out, const char **text, char letter, tb_error *err)
{
    *found = **text == letter;
    if (!*found)
        return TB_OK;
    ++*text;
    return read_number(out, text, err);
}

static tb_code read_bits(bool *found, tb_kv_bits *bits, const char **text, tb_error *err)
{
    uint64_t keys = 0, values = 0;
    tb_code rc = read_marked(found, &keys, text, 'q', err);
    if (!rc && *found)
        values = keys;
    else if (!rc)
        rc = read_marked(found, &keys, text, 'k', err);
    if (!rc && *found && !values)
        rc = read_marked(found, &values, text, 'v', err);
    bits->keys = (unsigned)(keys < UINT_MAX ? keys : UINT_MAX);
    bits->values = (unsigned)(values < UINT_MAX ? values : UINT_MAX);
    return rc;
}

// ":gN" and ":rN", in this order, where they are there.
static tb_code read_sizes(tb_kv_bits *bits, const char **text, tb_error *err)
{
    size_t *const sizes[] = {&bits->group, &bits->residual};
    static const char letters[] = {'g', 'r'};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < 2; i++) {
        uint64_t n = 0;
        if ((*text)[0] != ':' || (*text)[1] != letters[i])
            continue;
        *text += 2;
        rc = read_number(&n, text, err);
        *sizes[i] = (size_t)n;
    }
    return rc;
}

tb_code tb_seq_options_set_kv(tb_seq_options *options, const char *text, tb_error *err)
{
    const char *at = text;
    tb_kv_bits bits = {.group = DEFAULT_GROUP, .residual = DEFAULT_RESIDUAL};
    bool found = false;
    options->kv_cache = strcmp(text, "f32") == 0 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16;
    options->kv_bits = (tb_kv_bits){0};
    if (strcmp(text, "f16") == 0 || strcmp(text, "f32") == 0)
        return TB_OK;
    tb_code rc = read_bits(&found, &bits, &at, err);
    if (!rc && found)
        rc = read_sizes(&bits, &at, err);
    if (rc || !found || *at || bits.values == 0)
        return tb_fail(err, TB_EINVAL, "'%s' is no form of a KV cache (f16, f32, q8, k4v4, k2v2:g64:r128 …)", text);
    if (bits.keys != HALF_BITS || bits.values != HALF_BITS) // all as halves is f16
        options->kv_bits = bits;
    return TB_OK;
}
