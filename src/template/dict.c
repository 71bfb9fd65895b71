// Equality, hashes and what they are for: dicts, which keep entries in order of insertion, and beyond a few of them
// have a table of open addressing.
#include <math.h>
#include <string.h>

#include "template/run.h"
#include "template/value.h"

enum { SMALL = 8 }; // entries up to which looking through all is faster than hashing

// ---- equality ----

static tb_code equal_lists(bool *out, tb_render *run, const tb_list *a, const tb_list *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++)
        rc = tb_value_equal(out, run, a->items[i], b->items[i]);
    return rc;
}

static tb_code equal_dicts(bool *out, tb_render *run, const tb_dict *a, const tb_dict *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++) {
        tb_value other;
        rc = tb_dict_get(&other, run, b, a->entries[i].key);
        if (!rc && other.kind == TB_VALUE_MISSING)
            *out = false;
        else if (!rc)
            rc = tb_value_equal(out, run, a->entries[i].value, other);
    }
    return rc;
}

static bool equal_ranges(const tb_range *a, const tb_range *b)
{
    return a->count == b->count && (a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step)));
}

static tb_code equal_containers(bool *out, tb_render *run, tb_value a, tb_value b)
{
    tb_code rc = tb_render_enter(run);
    if (rc)
        return rc;
    rc = a.kind == TB_VALUE_DICT ? equal_dicts(out, run, a.as.dict, b.as.dict)
                                 : equal_lists(out, run, a.as.list, b.as.list);
    run->depth--;
    return rc;
}

tb_code tb_value_equal(bool *out, tb_render *run, tb_value a, tb_value b)
{
    tb_code rc = tb_render_work(run, 1);
    if (rc)
        return rc;
    if (tb_value_is_number(a) && tb_value_is_number(b)) {
        *out = tb_number_order(a, b) == TB_SAME;
        return TB_OK;
    }
    *out = false;
    if (a.kind != b.kind)
        return TB_OK;
    switch (a.kind) {
    case TB_VALUE_UNDEFINED:
        *out = true;
        return TB_OK;
    case TB_VALUE_STRING:
        *out = tb_piece_equal(tb_value_text(a), tb_value_text(b));
        return tb_render_work(run, tb_value_text(a).size / TB_BYTES_COPIED_PER_STEP);
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
    case TB_VALUE_DICT:
        return equal_containers(out, run, a, b);
    case TB_VALUE_RANGE:
        *out = equal_ranges(a.as.range, b.as.range);
        return TB_OK;
    case TB_VALUE_VIEW:
        return tb_render_fail(run, TB_EUNSUPPORTED, "comparing the keys, values or items of dicts is not supported");
    default:
        *out = tb_value_same(a, b);
        return TB_OK;
    }
}

// ---- hashes: equal values have equal ones, whatever their type ----

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * 0x9E3779B97F4A7C15u; // 2^64 over the golden ratio
    return hash ^ hash >> 32;
}

static uint64_t hash_text(tb_piece text)
{
    uint64_t hash = 14695981039346656037u; // FNV-1a
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 1099511628211u;
    return mix(hash, text.size);
}

static uint64_t hash_number(tb_value value)
{
    if (value.kind != TB_VALUE_FLOAT)
        return mix(0, (uint64_t)tb_value_as_int(value));
    double real = value.as.real;
    if (real >= -0x1p63 && real < 0x1p63 && floor(real) == real)
        return mix(0, (uint64_t)(int64_t)real);
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    return mix(1, bits);
}

tb_code tb_value_is_hashable(bool *out, tb_render *run, tb_value value)
{
    *out = value.kind != TB_VALUE_LIST && value.kind != TB_VALUE_DICT && value.kind != TB_VALUE_VIEW;
    tb_code rc = tb_render_work(run, 1);
    if (rc || value.kind != TB_VALUE_TUPLE)
        return rc;
    rc = tb_render_enter(run);
    if (rc)
        return rc;
    for (size_t i = 0; i < value.as.list->count && *out && !rc; i++)
        rc = tb_value_is_hashable(out, run, value.as.list->items[i]);
    run->depth--;
    return rc;
}

static tb_code hash_value(uint64_t *out, tb_render *run, tb_value value)
{
    tb_code rc = tb_render_work(run, 1);
    if (rc)
        return rc;
    if (tb_value_is_number(value)) {
        *out = hash_number(value);
        return TB_OK;
    }
    switch (value.kind) {
    case TB_VALUE_STRING:
        rc = tb_render_work(run, value.as.string->text.size / TB_BYTES_READ_PER_STEP);
        *out = rc ? 0 : hash_text(tb_value_text(value));
        return rc;
    case TB_VALUE_LIST:
    case TB_VALUE_DICT:
    case TB_VALUE_VIEW:
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be a key", tb_value_kind_name(value.kind));
    case TB_VALUE_TUPLE:
        rc = tb_render_enter(run);
        if (rc)
            return rc;
        *out = mix(2, value.as.list->count);
        for (size_t i = 0; i < value.as.list->count && !rc; i++) {
            uint64_t item;
            rc = hash_value(&item, run, value.as.list->items[i]);
            if (!rc)
                *out = mix(*out, item);
        }
        run->depth--;
        return rc;
    default: // few of these are ever keys; equality decides
        *out = mix(3, value.kind);
        return TB_OK;
    }
}

// ---- the table ----

tb_code tb_dict_new(tb_value *out, tb_render *run)
{
    tb_dict *dict = tb_render_alloc(run, sizeof *dict);
    if (!dict)
        return run->err->code;
    *out = (tb_value){.kind = TB_VALUE_DICT, .as.dict = dict};
    return TB_OK;
}

static tb_code entry_matches(bool *out, tb_render *run, const tb_dict_entry *entry, tb_value key, uint64_t hash)
{
    *out = false;
    return entry->hash == hash ? tb_value_equal(out, run, entry->key, key) : TB_OK;
}

static size_t first_probe(const tb_dict *dict, uint64_t hash)
{
    return (size_t)hash & (dict->index_size - 1);
}

// *out is the entry's number, or SIZE_MAX.
static tb_code find_entry(size_t *out, tb_render *run, const tb_dict *dict, tb_value key, uint64_t hash)
{
    bool found = false;
    tb_code rc = TB_OK;
    *out = SIZE_MAX;
    if (!dict->index) {
        for (size_t i = 0; i < dict->count && !rc && !found; i++) {
            rc = entry_matches(&found, run, &dict->entries[i], key, hash);
            *out = found ? i : SIZE_MAX;
        }
        return rc;
    }
    size_t at = first_probe(dict, hash);
    for (; dict->index[at] && !rc && !found; at = (at + 1) & (dict->index_size - 1)) {
        rc = tb_render_work(run, 1);
        if (!rc)
            rc = entry_matches(&found, run, &dict->entries[dict->index[at] - 1], key, hash);
        *out = found ? dict->index[at] - 1 : SIZE_MAX;
    }
    return rc;
}

static tb_code index_entry(tb_dict *dict, tb_render *run, size_t number)
{
    size_t at = first_probe(dict, dict->entries[number].hash);
    tb_code rc = tb_render_work(run, 1);
    for (; dict->index[at] && !rc; at = (at + 1) & (dict->index_size - 1))
        rc = tb_render_work(run, 1);
    dict->index[at] = (uint32_t)number + 1;
    return rc;
}

// Doubles the room for entries; the index has at least twice as many places.
static tb_code grow(tb_dict *dict, tb_render *run)
{
    size_t capacity = dict->capacity ? 2 * dict->capacity : 4;
    tb_dict_entry *entries = tb_render_array(run, capacity, sizeof *entries);
    if (!entries)
        return run->err->code;
    if (dict->count)
        memcpy(entries, dict->entries, dict->count * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    if (capacity <= SMALL)
        return TB_OK;
    uint32_t *index = tb_render_array(run, 2 * capacity, sizeof *index);
    if (!index)
        return run->err->code;
    dict->index = index;
    dict->index_size = 2 * capacity;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < dict->count && !rc; i++)
        rc = index_entry(dict, run, i);
    return rc;
}

tb_code tb_dict_set(tb_dict *dict, tb_render *run, tb_value key, tb_value value)
{
    uint64_t hash = 0;
    size_t at = SIZE_MAX;
    tb_code rc = hash_value(&hash, run, key);
    if (!rc)
        rc = find_entry(&at, run, dict, key, hash);
    if (!rc && at == SIZE_MAX && dict->count == dict->capacity)
        rc = grow(dict, run);
    if (rc)
        return rc;
    if (at != SIZE_MAX) {
        dict->entries[at].value = value;
        return TB_OK;
    }
    dict->entries[dict->count++] = (tb_dict_entry){key, value, hash};
    return dict->index ? index_entry(dict, run, dict->count - 1) : TB_OK;
}

tb_code tb_dict_get(tb_value *out, tb_render *run, const tb_dict *dict, tb_value key)
{
    uint64_t hash = 0;
    size_t at = SIZE_MAX;
    *out = (tb_value){0};
    tb_code rc = hash_value(&hash, run, key);
    if (!rc)
        rc = find_entry(&at, run, dict, key, hash);
    if (!rc && at != SIZE_MAX)
        *out = dict->entries[at].value;
    return rc;
}

tb_code tb_dict_get_text(tb_value *out, tb_render *run, const tb_dict *dict, tb_piece key)
{
    tb_string string = {.text = key};
    return tb_dict_get(out, run, dict, tb_string_value(&string));
}
