// The library behind tokenizer.json strings small components together; models use them in a few
// combinations, for which GGUF has settings. Other normalizers and pre-tokenizers are not `exact`: they run as the
// library runs them (normalizer.h, pretokenize.h), and the settings say as much of them as they can.
#include "text/vocab_json.h"

#include "text/pattern.h"
#include "text/pretokenize.h"

#include <string.h>

#include <jansson.h>

#define SPACE_MARK "▁"
typedef struct reader {
    tb_json_steps *steps;
    tb_arena *arena;
    bool after_bytes; // a ByteLevel has been read: what follows sees bytes as characters
    bool strict;      // what is not known is refused
} reader;

typedef tb_code (*component_fn)(reader *r, const json_t *component, tb_error *err);

// A kind of component and what reads it.
typedef struct component_kind {
    const char *type;
    component_fn read;
} component_kind;

// ---- access ----

static tb_text text_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? (tb_text){json_string_value(value), json_string_length(value)} : (tb_text){NULL, 0};
}

static int shown(tb_text text)
{
    return (int)(text.size < 120 ? text.size : 120);
}

static tb_code unsupported(tb_error *err, const char *what, tb_text setting)
{
    return tb_fail(err, TB_EUNSUPPORTED, "%s '%.*s' is not supported", what, shown(setting),
                   setting.data ? setting.data : "");
}

static tb_code inexact(reader *r)
{
    r->steps->exact = false;
    return TB_OK;
}

// Reads a component by its type; null is none. `members`: the key of a Sequence's list.
static tb_code read_component(reader *r, const json_t *component, const char *what, const char *members,
                              const component_kind *kinds, tb_error *err)
{
    if (!component || json_is_null(component))
        return TB_OK;
    tb_text type = text_at(component, "type");
    if (!type.data)
        return tb_fail(err, TB_EFORMAT, "a %s has no type", what);
    if (tb_text_is(type, "Sequence")) {
        const json_t *list = json_object_get(component, members);
        tb_code rc = TB_OK;
        for (size_t i = 0; i < json_array_size(list) && !rc; i++)
            rc = read_component(r, json_array_get(list, i), what, members, kinds, err);
        return rc;
    }
    for (; kinds->type; kinds++)
        if (tb_text_is(type, kinds->type))
            return kinds->read ? kinds->read(r, component, err) : TB_OK;
    return r->strict ? unsupported(err, what, type) : inexact(r);
}

// ---- normalizer ----

static tb_code read_nfc(reader *r, const json_t *component, tb_error *err)
{
    (void)component, (void)err;
    r->steps->nfc = true;
    return TB_OK;
}

static tb_code read_prepend(reader *r, const json_t *component, tb_error *err)
{
    (void)err;
    if (!tb_text_is(text_at(component, "prepend"), SPACE_MARK) || r->steps->prefix)
        return inexact(r);
    r->steps->prefix = r->steps->early_prefix = true;
    return TB_OK;
}

static tb_code read_replace(reader *r, const json_t *component, tb_error *err)
{
    (void)err;
    const json_t *pattern = json_object_get(component, "pattern");
    tb_text regex = text_at(pattern, "Regex"), content = text_at(component, "content");
    if (tb_text_is(text_at(pattern, "String"), " ") && tb_text_is(content, SPACE_MARK)) {
        r->steps->marks = r->steps->early_marks = true;
        return TB_OK;
    }
    if (tb_text_is(regex, " {2,}") && (tb_text_is(content, " ") || tb_text_is(content, SPACE_MARK)))
        r->steps->squeeze = true;
    return inexact(r);
}

static tb_code read_precompiled(reader *r, const json_t *component, tb_error *err)
{
    (void)err;
    r->steps->charsmap = text_at(component, "precompiled_charsmap");
    return inexact(r);
}

static const component_kind normalizers[] = {
    {"NFC", read_nfc}, {"Prepend", read_prepend}, {"Replace", read_replace}, {"Precompiled", read_precompiled},
    {NULL, NULL},
};

// ---- pre_tokenizer ----

// Patterns behind ByteLevel stand behind the empty one, as in pretokenize.c's lists.
static tb_code add_pattern(reader *r, tb_text pattern, tb_error *err)
{
    (void)err;
    tb_json_steps *steps = r->steps;
    if (steps->pattern_count + 2 > TB_JSON_MAX_PATTERNS)
        return inexact(r);
    if (r->after_bytes && !steps->needs_known_name)
        steps->patterns[steps->pattern_count++] = (tb_text){"", 0};
    steps->patterns[steps->pattern_count++] = pattern;
    steps->needs_known_name = steps->needs_known_name || r->after_bytes;
    return TB_OK;
}

static tb_code add_text_pattern(reader *r, const char *pattern, tb_error *err)
{
    return add_pattern(r, (tb_text){pattern, strlen(pattern)}, err);
}

// Adds before + pattern + after.
static tb_code add_wrapped_pattern(reader *r, const char *before, tb_text pattern, const char *after, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = tb_str_append_text(&text, before, err);
    if (!rc)
        rc = tb_str_append(&text, pattern.data, pattern.size, err);
    if (!rc)
        rc = tb_str_append_text(&text, after, err);
    char *copy = rc ? NULL : tb_arena_text(r->arena, text.data, text.size);
    tb_text wrapped = {copy, text.size};
    tb_str_clear(&text);
    if (!rc && !copy)
        rc = tb_fail(err, TB_ENOMEM, "no memory for a pre_tokenizer pattern");
    return rc ? rc : add_pattern(r, wrapped, err);
}

static tb_code read_byte_level(reader *r, const json_t *component, tb_error *err)
{
    r->steps->exact = r->steps->exact && !r->steps->byte_level;
    r->steps->byte_level = true;
    if (tb_json_bool_at(component, "add_prefix_space", true)) {
        if (r->steps->pattern_count > 0) // each piece would get a space
            r->steps->exact = false;
        r->steps->prefix = true;
    }
    tb_code rc = tb_json_bool_at(component, "use_regex", true) ? add_text_pattern(r, TB_PATTERN_GPT2, err) : TB_OK;
    r->after_bytes = true;
    return rc;
}

static tb_code read_digits(reader *r, const json_t *component, tb_error *err)
{
    return add_text_pattern(
        r, tb_json_bool_at(component, "individual_digits", false) ? TB_PATTERN_DIGIT : TB_PATTERN_DIGITS, err);
}

static tb_code read_punctuation(reader *r, const json_t *component, tb_error *err)
{
    tb_text behavior = text_at(component, "behavior");
    if (!behavior.data || tb_text_is(behavior, "Isolated"))
        return add_text_pattern(r, TB_PATTERN_PUNCTUATION, err);
    if (tb_text_is(behavior, "Contiguous"))
        return add_text_pattern(r, TB_PATTERN_PUNCTUATIONS, err);
    return inexact(r);
}

static tb_code read_split_pattern(reader *r, tb_text pattern, const json_t *component, tb_error *err)
{
    tb_code rc = tb_pattern_check(pattern, err);
    if (rc)
        return rc;
    tb_text behavior = text_at(component, "behavior");
    bool invert = tb_json_bool_at(component, "invert", false);
    if (tb_text_is(behavior, "Isolated"))
        return add_pattern(r, pattern, err);
    if (tb_text_is(behavior, "Contiguous") && !invert)
        return add_wrapped_pattern(r, "(?:", pattern, ")+", err);
    if (tb_text_is(behavior, "Removed") && invert) { // drops what does not match: nothing, where the pattern covers all
        r->steps->needs_known_name = true;
        return add_pattern(r, pattern, err);
    }
    return inexact(r);
}

static tb_code read_split(reader *r, const json_t *component, tb_error *err)
{
    const json_t *pattern = json_object_get(component, "pattern");
    tb_text text = text_at(pattern, "String"), regex = text_at(pattern, "Regex");
    if (tb_text_is(text, " ") && r->steps->early_marks)
        return TB_OK; // there are no spaces left to split at
    if (regex.data)
        return read_split_pattern(r, regex, component, err);
    // A backslash could end the quotation.
    if (!text.data || memchr(text.data, '\\', text.size) || !tb_text_is(text_at(component, "behavior"), "Isolated"))
        return inexact(r);
    return add_wrapped_pattern(r, "\\Q", text, "\\E", err);
}

static tb_code read_metaspace(reader *r, const json_t *component, tb_error *err)
{
    (void)err;
    tb_json_steps *steps = r->steps;
    tb_text mark = text_at(component, "replacement"), scheme = text_at(component, "prepend_scheme");
    if (mark.data && !tb_text_is(mark, SPACE_MARK))
        return inexact(r);
    steps->exact = steps->exact && !steps->prefix && !steps->splits_at_marks;
    steps->prefix = scheme.data ? !tb_text_is(scheme, "never") : tb_json_bool_at(component, "add_prefix_space", true);
    steps->prefix_once = tb_text_is(scheme, "first");
    steps->prefix_missing = steps->marks = true;
    steps->splits_at_marks = tb_json_bool_at(component, "split", true);
    return TB_OK;
}

// In front of Metaspace, which marks where words begin: of white space one mark stays.
static tb_code read_whitespace_split(reader *r, const json_t *component, tb_error *err)
{
    (void)component, (void)err;
    r->steps->squeeze = true;
    return inexact(r);
}

static const component_kind pre_tokenizers[] = {
    {"ByteLevel", read_byte_level},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Split", read_split},
    {"Metaspace", read_metaspace},
    {"WhitespaceSplit", read_whitespace_split},
    {NULL, NULL},
};

// ---- post_processor ----

static tb_code special_id(int32_t *id, const json_t *component, const json_t *special, tb_error *err)
{
    tb_text name = text_at(special, "id");
    const json_t *entry =
        name.data ? json_object_getn(json_object_get(component, "special_tokens"), name.data, name.size) : NULL;
    const json_t *ids = json_object_get(entry, "ids"), *value = json_array_get(ids, 0);
    if (!json_is_integer(value) || json_array_size(ids) != 1 || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT32_MAX)
        return tb_fail(err, TB_EUNSUPPORTED, "special token '%.*s' of the post_processor is not one token", shown(name),
                       name.data ? name.data : "");
    if (*id >= 0)
        return tb_fail(err, TB_EUNSUPPORTED, "a post_processor that adds '%.*s' beside another token is not supported",
                       shown(name), name.data);
    *id = (int32_t)json_integer_value(value);
    return TB_OK;
}

static tb_code read_template(reader *r, const json_t *component, tb_error *err)
{
    const json_t *single = json_object_get(component, "single");
    bool behind = false;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < json_array_size(single) && !rc; i++) {
        const json_t *part = json_array_get(single, i), *special = json_object_get(part, "SpecialToken");
        if (special)
            rc = special_id(behind ? &r->steps->back : &r->steps->front, component, special, err);
        else
            behind = true;
    }
    return rc;
}

static const component_kind post_processors[] = {
    {"ByteLevel", NULL}, // changes offsets only
    {"TemplateProcessing", read_template},
    {NULL, NULL},
};

// ---- decoder ----

// Decoders undo what the other steps did; they only must be ones that do just that.
static tb_code check_decoder_replace(reader *r, const json_t *component, tb_error *err)
{
    (void)r;
    tb_text text = text_at(json_object_get(component, "pattern"), "String");
    if (tb_text_is(text, SPACE_MARK) && tb_text_is(text_at(component, "content"), " "))
        return TB_OK;
    return unsupported(err, "decoder Replace of", text);
}

static const component_kind decoders[] = {
    {"ByteLevel", NULL}, {"Metaspace", NULL}, {"ByteFallback", NULL},
    {"Fuse", NULL},      {"Strip", NULL},     {"Replace", check_decoder_replace},
    {NULL, NULL},
};

// ---- all together ----

static bool is_known_combination(const tb_json_steps *steps)
{
    return steps->byte_level != steps->marks && !(steps->marks && steps->pattern_count > 0) &&
           (!steps->early_prefix || steps->early_marks);
}

tb_code tb_json_steps_read(tb_json_steps *steps, const json_t *root, tb_arena *arena, tb_error *err)
{
    *steps = (tb_json_steps){.exact = true, .front = -1, .back = -1};
    reader r = {.steps = steps, .arena = arena};
    tb_code rc = read_component(&r, json_object_get(root, "normalizer"), "normalizer", "normalizers", normalizers, err);
    if (!rc)
        rc = read_component(&r, json_object_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers",
                            pre_tokenizers, err);
    steps->exact = steps->exact && is_known_combination(steps);
    r.strict = true;
    if (!rc)
        rc = read_component(&r, json_object_get(root, "post_processor"), "post_processor", "processors",
                            post_processors, err);
    if (!rc)
        rc = read_component(&r, json_object_get(root, "decoder"), "decoder", "decoders", decoders, err);
    return rc;
}
