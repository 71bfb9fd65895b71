// Both ways of writing become a list of keys and values, that a command line of quantize, and the option table of
// quantize takes it from there.
#include "lab/lab_recipe.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MOST_VALUE = 4096 };

static const tb_recipe_args defaults = TB_RECIPE_DEFAULTS;

typedef struct pair {
    const char *key, *value; // value NULL: a flag
} pair;

typedef struct reading {
    tb_arena *arena;
    pair pairs[TB_MOST_RECIPE_OPTIONS];
    size_t count;
} reading;

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for a recipe");
}

static tb_code add_pair(reading *r, const char *key, const char *value, tb_error *err)
{
    // Where the model, the file and the texts come from is not a matter of recipes.
    static const char *const foreign[] = {"output", "json", "calib", "no-measure"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (strcmp(key, foreign[i]) == 0)
            return tb_fail(err, TB_EINVAL, "'%s' does not belong into a recipe", key);
    if (key[0] == '\0')
        return tb_fail(err, TB_EINVAL, "a key is missing");
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->pairs[i].key, key) == 0)
            return tb_fail(err, TB_EINVAL, "'%s' is given twice", key);
    if (r->count == TB_MOST_RECIPE_OPTIONS)
        return tb_fail(err, TB_EINVAL, "more than %d keys", TB_MOST_RECIPE_OPTIONS);
    r->pairs[r->count++] = (pair){key, value};
    return TB_OK;
}

static const char *find_value(const reading *r, const char *key)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->pairs[i].key, key) == 0)
            return r->pairs[i].value;
    return NULL;
}

static bool is_list(const char *key)
{
    return strcmp(key, "widths") == 0 || strcmp(key, "block-bits") == 0;
}

static void replace(char *text, char from, char to)
{
    for (; *text; text++)
        if (*text == from)
            *text = to;
}

// ---- the short text ----

// Takes the next part of `*rest` up to `stop`; NULL at the end. The text is changed.
static char *take_part(char **rest, char stop)
{
    char *part = *rest;
    if (!part)
        return NULL;
    *rest = strchr(part, stop);
    if (*rest)
        *(*rest)++ = '\0';
    return part;
}

// "bpdq:2:64"
static tb_code read_method(reading *r, char *text, tb_error *err)
{
    static const char *const keys[] = {"method", "bits", "group"};
    char *rest = text;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *part = take_part(&rest, ':');
        tb_code rc = part ? add_pair(r, keys[i], part, err) : TB_OK;
        if (rc)
            return rc;
    }
    return rest ? tb_fail(err, TB_EINVAL, "'%s' is too much, a method is written method:bits:group", rest) : TB_OK;
}

// Options that recipes may write shorter.
static const struct {
    const char *brief, *option;
} briefs[] = {{"head", "head-bits"}, {"embedding", "embedding-bits"}};

static const char *lengthen(const char *key)
{
    for (size_t i = 0; i < sizeof briefs / sizeof briefs[0]; i++)
        if (strcmp(key, briefs[i].brief) == 0)
            return briefs[i].option;
    return key;
}

static const char *shorten(const char *key)
{
    for (size_t i = 0; i < sizeof briefs / sizeof briefs[0]; i++)
        if (strcmp(key, briefs[i].option) == 0)
            return briefs[i].brief;
    return key;
}

// "lieq=2.25", "head=6", "keep-head"
static tb_code read_extra(reading *r, char *text, tb_error *err)
{
    tb_allocation_rule rule;
    char *value = text;
    const char *key = take_part(&value, '=');
    if (tb_allocation_rule_find(&rule, key)) {
        tb_code rc = add_pair(r, "allocate", key, err);
        return rc || !value ? rc : add_pair(r, "avg-bits", value, err);
    }
    if (value && is_list(key))
        replace(value, '/', ',');
    return add_pair(r, lengthen(key), value, err);
}

static tb_code read_text(reading *r, char *text, tb_error *err)
{
    char *rest = text;
    tb_code rc = read_method(r, take_part(&rest, '+'), err);
    for (char *part; !rc && (part = take_part(&rest, '+')) != NULL;)
        rc = read_extra(r, part, err);
    return rc;
}

// ---- the object ----

// [2, 3, 4] as "2,3,4"
static tb_code append_array(tb_str *out, const json_t *array, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        rc = json_is_integer(item)
                 ? tb_str_printf(out, err, i ? ",%" PRId64 : "%" PRId64, (int64_t)json_integer_value(item))
                 : tb_fail(err, TB_EINVAL, "a list holds something else than whole numbers");
    }
    return rc;
}

static tb_code append_value(tb_str *out, const json_t *value, tb_error *err)
{
    if (json_is_string(value))
        return tb_str_append_text(out, json_string_value(value), err);
    if (json_is_integer(value))
        return tb_str_printf(out, err, "%" PRId64, (int64_t)json_integer_value(value));
    if (json_is_real(value))
        return tb_str_printf(out, err, "%.12g", json_real_value(value));
    if (json_is_array(value))
        return append_array(out, value, err);
    return tb_fail(err, TB_EINVAL, "the value is neither a number nor a text");
}

static tb_code read_member(reading *r, const char *key, const json_t *value, tb_error *err)
{
    const char *own_key = tb_arena_text(r->arena, key, strlen(key));
    if (!own_key)
        return fail_memory(err);
    if (json_is_true(value))
        return add_pair(r, own_key, NULL, err);
    if (json_is_false(value))
        return TB_OK;
    tb_str text = {.limit = MOST_VALUE};
    tb_code rc = append_value(&text, value, err);
    const char *own = rc ? NULL : tb_arena_text(r->arena, tb_str_get(&text), text.size);
    tb_str_clear(&text);
    if (rc)
        return tb_fail_context(err, rc, "key '%s'", key);
    return own ? add_pair(r, own_key, own, err) : fail_memory(err);
}

// Everything but the name, which is returned in *name.
static tb_code read_object(reading *r, const char **name, const json_t *object, tb_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        tb_code rc = TB_OK;
        if (strcmp(key, "name") != 0)
            rc = read_member(r, key, value, err);
        else if (!json_is_string(value) || !json_string_length(value))
            rc = tb_fail(err, TB_EINVAL, "its name is not a text");
        else if (!(*name = tb_arena_text(r->arena, json_string_value(value), json_string_length(value))))
            rc = fail_memory(err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

// ---- from keys to a recipe ----

// Options that every command has and that are a matter of recipes.
typedef struct shared_args {
    uint64_t seed;
} shared_args;

static const tb_option shared_options[] = {
    {"seed", 0, TB_OPTION_COUNT, offsetof(shared_args, seed), "N", 0, 0, "of the rule"},
    {0},
};

static const char *print_option(reading *r, const pair *p)
{
    size_t size = strlen(p->key) + (p->value ? strlen(p->value) : 0) + sizeof "--=";
    char *text = tb_arena_alloc(r->arena, size);
    if (text)
        snprintf(text, size, p->value ? "--%s=%s" : "--%s", p->key, p->value);
    return text;
}

static tb_code make_options(tb_lab_recipe *out, reading *r, tb_error *err)
{
    for (size_t i = 0; i < r->count; i++) {
        const char *option = print_option(r, &r->pairs[i]);
        if (!option)
            return fail_memory(err);
        out->options[out->option_count++] = option;
    }
    return TB_OK;
}

static tb_code parse_options(tb_lab_recipe *out, tb_error *err)
{
    shared_args shared = {0};
    out->args = defaults;
    const tb_option_set sets[] = {{tb_recipe_option_table, &out->args}, {shared_options, &shared}};
    const char *operands_storage[TB_MOST_RECIPE_OPTIONS];
    tb_operands operands = {operands_storage, 0};
    tb_code rc =
        tb_options_parse(&operands, sets, sizeof sets / sizeof sets[0], (int)out->option_count, out->options, err);
    out->seed = shared.seed;
    return rc;
}

// With a rule, the bits in front are those of the narrowest width, which the widths say already.
static tb_code drop_bits(reading *r, tb_error *err)
{
    const char *bits = find_value(r, "bits"), *widths = find_value(r, "widths");
    if (!bits || !(find_value(r, "allocate") || find_value(r, "avg-bits") || find_value(r, "size")))
        return TB_OK;
    if (!widths)
        widths = defaults.widths;
    size_t first = strcspn(widths, ",");
    if (strlen(bits) != first || memcmp(bits, widths, first) != 0)
        return tb_fail(err, TB_EINVAL, "bits %s are not the narrowest of the widths %s", bits, widths);
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->pairs[i].value != bits)
            r->pairs[kept++] = r->pairs[i];
    r->count = kept;
    return TB_OK;
}

// ---- its name ----

static tb_code append_head(tb_str *out, const tb_lab_recipe *recipe, const tb_pipeline_options *pipeline, tb_error *err)
{
    const tb_method_traits *t = tb_method_get(pipeline->method);
    tb_quant_options q;
    tb_code rc = tb_quant_options_resolve(&q, pipeline->method, &pipeline->quant, err);
    bool group = q.group != t->default_group;
    bool bits = group || (t->least_bits != t->most_bits && !tb_recipe_mixes_widths(&recipe->args));
    if (!rc)
        rc = tb_str_append_text(out, t->name, err);
    if (!rc && bits)
        rc = tb_str_printf(out, err, ":%u", q.bits);
    if (!rc && group)
        rc = tb_str_printf(out, err, ":%zu", q.group);
    return rc;
}

static tb_code append_extra(tb_str *out, const reading *r, const pair *p, tb_error *err)
{
    const char *average = find_value(r, "avg-bits");
    bool allocates = find_value(r, "allocate") != NULL;
    if (strcmp(p->key, "method") == 0 || strcmp(p->key, "bits") == 0 || strcmp(p->key, "group") == 0)
        return TB_OK;
    if (allocates && strcmp(p->key, "avg-bits") == 0)
        return TB_OK;
    if (strcmp(p->key, "allocate") == 0)
        return average ? tb_str_printf(out, err, "+%s=%s", p->value, average)
                       : tb_str_printf(out, err, "+%s", p->value);
    const char *key = shorten(p->key);
    return p->value ? tb_str_printf(out, err, "+%s=%s", key, p->value) : tb_str_printf(out, err, "+%s", key);
}

static tb_code make_name(tb_lab_recipe *out, const reading *r, const tb_pipeline_options *pipeline, tb_error *err)
{
    tb_str name = {0};
    tb_code rc = append_head(&name, out, pipeline, err);
    for (size_t i = 0; !rc && i < r->count; i++)
        rc = append_extra(&name, r, &r->pairs[i], err);
    char *own = rc ? NULL : tb_arena_text(r->arena, tb_str_get(&name), name.size);
    tb_str_clear(&name);
    if (!rc && !own)
        return fail_memory(err);
    if (own)
        replace(own, ',', '/');
    out->name = own;
    return rc;
}

// ---- entrances ----

tb_code tb_lab_recipe_resolve(tb_pipeline_options *pipeline, tb_widths_options *widths, const tb_lab_recipe *recipe,
                              uint64_t seed, tb_error *err)
{
    return tb_recipe_resolve(pipeline, widths, &recipe->args, recipe->seeded ? recipe->seed : seed, err);
}

static tb_code finish(tb_lab_recipe *out, reading *r, const char *name, tb_error *err)
{
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    tb_code rc = find_value(r, "method") ? drop_bits(r, err) : tb_fail(err, TB_EINVAL, "its method is missing");
    if (!rc)
        rc = make_options(out, r, err);
    if (!rc)
        rc = parse_options(out, err);
    out->seeded = find_value(r, "seed") != NULL;
    if (!rc)
        rc = tb_lab_recipe_resolve(&pipeline, &widths, out, 0, err);
    if (!rc)
        rc = make_name(out, r, &pipeline, err);
    if (!rc && name)
        out->name = name;
    return rc;
}

tb_code tb_lab_recipe_parse(tb_lab_recipe *out, tb_arena *arena, const char *text, tb_error *err)
{
    *out = (tb_lab_recipe){0};
    reading r = {.arena = arena};
    char *own = tb_arena_text(arena, text, strlen(text));
    tb_code rc = own ? read_text(&r, own, err) : fail_memory(err);
    if (!rc)
        rc = finish(out, &r, NULL, err);
    return rc ? tb_fail_context(err, rc, "recipe '%s'", text) : TB_OK;
}

tb_code tb_lab_recipe_read(tb_lab_recipe *out, tb_arena *arena, const json_t *json, tb_error *err)
{
    if (json_is_string(json))
        return tb_lab_recipe_parse(out, arena, json_string_value(json), err);
    if (!json_is_object(json))
        return tb_fail(err, TB_EINVAL, "a recipe is neither a text nor an object");
    *out = (tb_lab_recipe){0};
    reading r = {.arena = arena};
    const char *name = NULL;
    tb_code rc = read_object(&r, &name, json, err);
    if (!rc)
        rc = finish(out, &r, name, err);
    const char *method = find_value(&r, "method");
    return rc ? tb_fail_context(err, rc, "recipe '%s'", name ? name : method ? method : "") : TB_OK;
}
