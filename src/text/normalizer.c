// What the library behind tokenizer.json does, character by character; utf8proc knows the characters.
#include "text/normalizer.h"

#include "text/characters.h"
#include "text/normalize.h"
#include "text/pattern.h"

#include <string.h>

#include <jansson.h>
#include <utf8proc.h>

enum {
    MAX_STEPS = 32,
    // How large a text may become: compatibility forms of one character take up to 33 bytes for 3, replacements of
    // spaces 3 for 1; a list of replacements that doubles a text each time stops here.
    MOST_GROWTH = 64,
    MOST_GROWTH_BASE = 1 << 16,
};

typedef struct step step;

// Appends the text as the step rewrites it.
typedef tb_code (*rewrite_fn)(tb_normalized *out, const step *s, tb_text text, tb_error *err);

struct step {
    rewrite_fn rewrite;
    tb_form form;
    bool left, right;    // Strip: at which ends
    tb_text content;     // Prepend, Replace
    tb_pattern *pattern; // Replace; owned
    tb_charsmap charsmap;
};

struct tb_normalizer {
    tb_arena arena; // owns texts and character maps
    step steps[MAX_STEPS];
    size_t count;
};

// ---- characters ----

// One character of a text, or one byte that belongs to none.
typedef struct character {
    uint32_t code;
    size_t size;
    bool valid;
} character;

static character character_at(tb_text text, size_t at)
{
    character c = {0};
    c.size = tb_utf8_decode(&c.code, text.data + at, text.size - at);
    c.valid = c.size > 0;
    if (!c.valid)
        c.size = 1;
    return c;
}

static utf8proc_category_t category_of(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code);
}

static tb_code append_code(tb_str *out, uint32_t code, tb_error *err)
{
    char bytes[4];
    return tb_str_append(out, bytes, tb_utf8_encode(bytes, code), err);
}

// What becomes of one character.
typedef tb_code (*map_fn)(tb_str *out, uint32_t code, tb_error *err);

static tb_code map_characters(tb_normalized *out, tb_text text, map_fn map, tb_error *err)
{
    tb_code rc = TB_OK;
    character c;
    for (size_t at = 0; at < text.size && !rc; at += c.size) {
        c = character_at(text, at);
        rc = c.valid ? map(&out->text, c.code, err) : tb_str_append(&out->text, text.data + at, 1, err);
        if (at == 0 && out->text.size == 0)
            out->keeps_start = false;
    }
    return rc;
}

// ---- the components ----

static tb_code rewrite_form(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    return tb_form_append(&out->text, text, s->form, err);
}

static tb_code map_lower(tb_str *out, uint32_t code, tb_error *err)
{
    if (code == 0x130) // the one letter whose small form is two characters
        return tb_str_append_text(out, "i\xCC\x87", err);
    return append_code(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code), err);
}

static tb_code rewrite_lower(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_lower, err);
}

static bool is_mark(uint32_t code)
{
    utf8proc_category_t category = category_of(code);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

static tb_code map_accent(tb_str *out, uint32_t code, tb_error *err)
{
    return is_mark(code) ? TB_OK : append_code(out, code, err);
}

static tb_code rewrite_accents(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_accent, err);
}

static tb_code rewrite_strip(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    character c;
    while (s->left && out->begins && text.size > 0 && (c = character_at(text, 0)).valid && tb_is_space(c.code)) {
        text = (tb_text){text.data + c.size, text.size - c.size};
        out->keeps_start = false;
    }
    size_t end = 0; // behind the last character that is not white space
    for (size_t at = 0; at < text.size; at += c.size) {
        c = character_at(text, at);
        if (!c.valid || !tb_is_space(c.code))
            end = at + c.size;
    }
    return tb_str_append(&out->text, text.data, s->right && out->ends ? end : text.size, err);
}

static tb_code rewrite_prepend(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    tb_code rc =
        text.size > 0 && out->begins ? tb_str_append(&out->text, s->content.data, s->content.size, err) : TB_OK;
    return rc ? rc : tb_str_append(&out->text, text.data, text.size, err);
}

// Replaces the matches in a stretch of valid UTF-8.
static tb_code replace_matches(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    tb_match match = {0};
    tb_matcher_set_limit(out->matcher, text.size);
    for (size_t done = 0;; done = match.end) {
        tb_code rc = tb_matcher_next(&match, out->matcher, s->pattern, text, err);
        if (!rc)
            rc = tb_str_append(&out->text, text.data + done, match.begin - done, err);
        if (!rc && match.found)
            rc = tb_str_append(&out->text, s->content.data, s->content.size, err);
        if (rc || !match.found)
            return rc;
        if (match.end > 0 && out->text.size == 0)
            out->keeps_start = false;
    }
}

static tb_code rewrite_replace(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    tb_code rc = out->matcher ? TB_OK : tb_matcher_new(&out->matcher, err);
    while (!rc && text.size > 0) {
        size_t n = tb_utf8_valid_prefix(text.data, text.size);
        if (n > 0)
            rc = replace_matches(out, s, (tb_text){text.data, n}, err);
        if (!rc && n < text.size)
            rc = tb_str_append(&out->text, text.data + n, 1, err);
        n += n < text.size;
        text = (tb_text){text.data + n, text.size - n};
    }
    return rc;
}

static tb_code rewrite_precompiled(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    tb_code rc = tb_charsmap_append_by_grapheme(&out->text, &s->charsmap, text, err);
    if (text.size > 0 && out->text.size == 0)
        out->keeps_start = false;
    return rc;
}

// The controls that a machine translation of old took out, and what it took for spaces.
static tb_code map_nmt(tb_str *out, uint32_t code, tb_error *err)
{
    static const uint32_t spaces[] = {0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD};
    bool control = (code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F ||
                   code == 0x8F || code == 0x9F;
    bool space = code >= 0x200B && code <= 0x200F;
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        space = space || code == spaces[i];
    return control ? TB_OK : append_code(out, space ? ' ' : code, err);
}

static tb_code rewrite_nmt(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_nmt, err);
}

// ---- BertNormalizer: up to four steps ----

static bool is_bert_control(uint32_t code)
{
    utf8proc_category_t category = category_of(code);
    return code == 0 || code == 0xFFFD ||
           (code != '\t' && code != '\n' && code != '\r' &&
            (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO));
}

static tb_code map_clean(tb_str *out, uint32_t code, tb_error *err)
{
    if (is_bert_control(code))
        return TB_OK;
    return append_code(out, tb_is_space(code) ? ' ' : code, err);
}

static tb_code rewrite_clean(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_clean, err);
}

static bool is_chinese(uint32_t code)
{
    static const uint32_t ranges[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                         {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                         {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}

static tb_code map_chinese(tb_str *out, uint32_t code, tb_error *err)
{
    tb_code rc = is_chinese(code) ? tb_str_append_text(out, " ", err) : TB_OK;
    if (!rc)
        rc = append_code(out, code, err);
    return !rc && is_chinese(code) ? tb_str_append_text(out, " ", err) : rc;
}

static tb_code rewrite_chinese(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_chinese, err);
}

static tb_code map_nonspacing(tb_str *out, uint32_t code, tb_error *err)
{
    return category_of(code) == UTF8PROC_CATEGORY_MN ? TB_OK : append_code(out, code, err);
}

static tb_code rewrite_nonspacing(tb_normalized *out, const step *s, tb_text text, tb_error *err)
{
    (void)s;
    return map_characters(out, text, map_nonspacing, err);
}

// ---- reading ----

static tb_code no_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for a normalizer");
}

// One more step; NULL (TB_EUNSUPPORTED) where there are too many.
static step *add_step(tb_normalizer *n, rewrite_fn rewrite, tb_error *err)
{
    if (n->count == MAX_STEPS) {
        tb_fail(err, TB_EUNSUPPORTED, "a normalizer of more than %d steps is not supported", MAX_STEPS);
        return NULL;
    }
    step *s = &n->steps[n->count++];
    *s = (step){.rewrite = rewrite};
    return s;
}

// A component without settings; of the four normalization forms, which.
static tb_code add_plain(tb_normalizer *n, rewrite_fn rewrite, tb_form form, tb_error *err)
{
    step *s = add_step(n, rewrite, err);
    if (!s)
        return TB_EUNSUPPORTED;
    s->form = form;
    return TB_OK;
}

static tb_code copy_text(tb_text *out, tb_normalizer *n, tb_text text, tb_error *err)
{
    *out = (tb_text){tb_arena_text(&n->arena, text.data, text.size), text.size};
    return out->data ? TB_OK : no_memory(err);
}

static tb_code read_strip(tb_normalizer *n, const json_t *component, tb_error *err)
{
    step *s = add_step(n, rewrite_strip, err);
    if (!s)
        return TB_EUNSUPPORTED;
    s->left = tb_json_bool_at(component, "strip_left", true);
    s->right = tb_json_bool_at(component, "strip_right", true);
    return TB_OK;
}

static tb_code read_prepend(tb_normalizer *n, const json_t *component, tb_error *err)
{
    step *s = add_step(n, rewrite_prepend, err);
    return s ? copy_text(&s->content, n, tb_json_text_at(component, "prepend"), err) : TB_EUNSUPPORTED;
}

static tb_code read_replace(tb_normalizer *n, const json_t *component, tb_error *err)
{
    const json_t *pattern = json_object_get(component, "pattern"), *regex = json_object_get(pattern, "Regex");
    step *s = add_step(n, rewrite_replace, err);
    if (!s)
        return TB_EUNSUPPORTED;
    tb_code rc = copy_text(&s->content, n, tb_json_text_at(component, "content"), err);
    if (!rc && json_is_string(regex))
        rc = tb_pattern_check(tb_json_text_at(pattern, "Regex"), err);
    if (rc)
        return rc;
    return json_is_string(regex) ? tb_pattern_new(&s->pattern, tb_json_text_at(pattern, "Regex"), err)
                                 : tb_pattern_new_literal(&s->pattern, tb_json_text_at(pattern, "String"), err);
}

static tb_code read_precompiled(tb_normalizer *n, const json_t *component, tb_error *err)
{
    tb_text base64 = tb_json_text_at(component, "precompiled_charsmap"), bytes;
    step *s = add_step(n, rewrite_precompiled, err);
    if (!s)
        return TB_EUNSUPPORTED;
    tb_code rc = tb_charsmap_decode(&bytes, &n->arena, base64, err);
    return rc ? rc : tb_charsmap_init(&s->charsmap, bytes, err);
}

static tb_code read_bert(tb_normalizer *n, const json_t *component, tb_error *err)
{
    bool lower = tb_json_bool_at(component, "lowercase", true),
         accents = tb_json_bool_at(component, "strip_accents", lower);
    tb_code rc = TB_OK;
    if (tb_json_bool_at(component, "clean_text", true))
        rc = add_plain(n, rewrite_clean, TB_NFC, err);
    if (!rc && tb_json_bool_at(component, "handle_chinese_chars", true))
        rc = add_plain(n, rewrite_chinese, TB_NFC, err);
    if (!rc && accents)
        rc = add_plain(n, rewrite_form, TB_NFD, err);
    if (!rc && accents)
        rc = add_plain(n, rewrite_nonspacing, TB_NFC, err);
    return !rc && lower ? add_plain(n, rewrite_lower, TB_NFC, err) : rc;
}

static tb_code read_component(tb_normalizer *n, const json_t *component, tb_error *err)
{
    static const struct {
        const char *type;
        tb_code (*read)(tb_normalizer *n, const json_t *component, tb_error *err);
        rewrite_fn rewrite; // of components without settings
        tb_form form;
    } kinds[] = {
        {"BertNormalizer", read_bert, NULL, TB_NFC}, {"Lowercase", NULL, rewrite_lower, TB_NFC},
        {"NFC", NULL, rewrite_form, TB_NFC},         {"NFD", NULL, rewrite_form, TB_NFD},
        {"NFKC", NULL, rewrite_form, TB_NFKC},       {"NFKD", NULL, rewrite_form, TB_NFKD},
        {"Nmt", NULL, rewrite_nmt, TB_NFC},          {"Precompiled", read_precompiled, NULL, TB_NFC},
        {"Prepend", read_prepend, NULL, TB_NFC},     {"Replace", read_replace, NULL, TB_NFC},
        {"Strip", read_strip, NULL, TB_NFC},         {"StripAccents", NULL, rewrite_accents, TB_NFC},
    };
    if (!component || json_is_null(component))
        return TB_OK;
    tb_text type = tb_json_text_at(component, "type");
    if (!tb_text_is(type, "Sequence")) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (tb_text_is(type, kinds[i].type))
                return kinds[i].read ? kinds[i].read(n, component, err)
                                     : add_plain(n, kinds[i].rewrite, kinds[i].form, err);
        return tb_fail(err, TB_EUNSUPPORTED, "normalizer '%.*s' is not supported",
                       (int)(type.size < 120 ? type.size : 120), type.data);
    }
    const json_t *list = json_object_get(component, "normalizers");
    tb_code rc = TB_OK;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = read_component(n, json_array_get(list, i), err);
    return rc;
}

tb_code tb_normalizer_new(tb_normalizer **out, const json_t *component, tb_error *err)
{
    *out = tb_new(tb_normalizer);
    tb_code rc = *out ? read_component(*out, component, err) : no_memory(err);
    if (rc) {
        tb_normalizer_free(*out);
        *out = NULL;
    }
    return rc;
}

void tb_normalizer_free(tb_normalizer *normalizer)
{
    if (!normalizer)
        return;
    for (size_t i = 0; i < normalizer->count; i++)
        tb_pattern_free(normalizer->steps[i].pattern);
    tb_arena_clear(&normalizer->arena);
    tb_free(normalizer);
}

// ---- running ----

void tb_normalized_clear(tb_normalized *normalized)
{
    tb_str_clear(&normalized->text);
    tb_str_clear(&normalized->scratch);
    tb_matcher_free(normalized->matcher);
    *normalized = (tb_normalized){0};
}

tb_code tb_normalizer_run(tb_normalized *out, const tb_normalizer *normalizer, tb_text text, bool begins, bool ends,
                          tb_error *err)
{
    size_t limit;
    if (!tb_mul_size(&limit, text.size, MOST_GROWTH) || !tb_add_size(&limit, limit, MOST_GROWTH_BASE))
        return tb_fail(err, TB_ELIMIT, "a text of %zu bytes is too long to be normalised", text.size);
    out->text.limit = out->scratch.limit = limit;
    out->keeps_start = true;
    out->begins = begins;
    out->ends = ends;
    tb_str_reset(&out->text);
    tb_code rc = tb_str_append(&out->text, text.data, text.size, err);
    for (size_t i = 0; i < normalizer->count && !rc; i++) {
        tb_str before = out->text;
        out->text = out->scratch;
        out->scratch = before;
        tb_str_reset(&out->text);
        rc = normalizer->steps[i].rewrite(out, &normalizer->steps[i], (tb_text){tb_str_get(&before), before.size}, err);
    }
    return rc;
}
