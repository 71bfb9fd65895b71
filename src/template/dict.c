// Equality, hashes and what they are for: dicts, which keep entries in order of insertion, and beyond a few of them
// have a table of open addressing.
#include <math.h>
#include <string.h>

#include "template/run.h"
#include "template/value.h"

enum { SMALL = 8 }; // entries up to which looking through all is faster than hashing

// ---- equality ----

static bool equal_lists(tb_render *run, const tb_list *a, const tb_list *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++)
        equal = tb_value_equal(run, a->items[i], b->items[i]);
    return equal;
}

static bool equal_dicts(tb_render *run, const tb_dict *a, const tb_dict *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++) {
        tb_value other = tb_dict_get(run, b, a->entries[i].key);
        equal = other.kind != TB_VALUE_MISSING && tb_value_equal(run, a->entries[i].value, other);
    }
    return equal;
}

static bool equal_ranges(const tb_range *a, const tb_range *b)
{
    return a->count == b->count && (a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step)));
}

static bool equal_containers(tb_render *run, tb_value a, tb_value b)
{
    if (!tb_render_enter(run))
        return false;
    bool equal =
        a.kind == TB_VALUE_DICT ? equal_dicts(run, a.as.dict, b.as.dict) : equal_lists(run, a.as.list, b.as.list);
    run->depth--;
    return equal && !run->rc;
}

bool tb_value_equal(tb_render *run, tb_value a, tb_value b)
{
    tb_render_work(run, 1);
    if (run->rc)
        return false;
    if (tb_value_is_number(a) && tb_value_is_number(b))
        return tb_number_order(a, b) == TB_SAME;
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case TB_VALUE_UNDEFINED:
        return true;
    case TB_VALUE_STRING:
        tb_render_work(run, tb_value_text(a).size / TB_BYTES_COPIED_PER_STEP);
        return !run->rc && tb_piece_equal(tb_value_text(a), tb_value_text(b));
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
    case TB_VALUE_DICT:
        return equal_containers(run, a, b);
    case TB_VALUE_RANGE:
        return equal_ranges(a.as.range, b.as.range);
    case TB_VALUE_VIEW:
        tb_render_fail(run, TB_EUNSUPPORTED, "comparing the keys, values or items of dicts is not supported");
        return false;
    default:
        return tb_value_same(a, b);
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

bool tb_value_is_hashable(tb_render *run, tb_value value)
{
    bool hashable = value.kind != TB_VALUE_LIST && value.kind != TB_VALUE_DICT && value.kind != TB_VALUE_VIEW;
    tb_render_work(run, 1);
    if (value.kind != TB_VALUE_TUPLE || !tb_render_enter(run))
        return hashable;
    for (size_t i = 0; i < value.as.list->count && hashable && !run->rc; i++)
        hashable = tb_value_is_hashable(run, value.as.list->items[i]);
    run->depth--;
    return hashable;
}

static uint64_t hash_value(tb_render *run, tb_value value)
{
    uint64_t hash = 0;
    tb_render_work(run, 1);
    if (tb_value_is_number(value))
        return hash_number(value);
    switch (value.kind) {
    case TB_VALUE_STRING:
        tb_render_work(run, tb_value_text(value).size / TB_BYTES_READ_PER_STEP);
        return run->rc ? 0 : hash_text(tb_value_text(value));
    case TB_VALUE_LIST:
    case TB_VALUE_DICT:
    case TB_VALUE_VIEW:
        tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be a key", tb_value_kind_name(value.kind));
        return 0;
    case TB_VALUE_TUPLE:
        if (!tb_render_enter(run))
            return 0;
        hash = mix(2, value.as.list->count);
        for (size_t i = 0; i < value.as.list->count && !run->rc; i++)
            hash = mix(hash, hash_value(run, value.as.list->items[i]));
        run->depth--;
        return hash;
    default: // few of these are ever keys; equality decides
        return mix(3, value.kind);
    }
}

// ---- the table ----

tb_value tb_dict_new(tb_render *run)
{
    tb_dict *dict = tb_render_alloc(run, sizeof *dict);
    return dict ? (tb_value){.kind = TB_VALUE_DICT, .as.dict = dict} : tb_missing();
}

static bool entry_matches(tb_render *run, const tb_dict_entry *entry, tb_value key, uint64_t hash)
{
    return entry->hash == hash && tb_value_equal(run, entry->key, key);
}

static size_t first_probe(const tb_dict *dict, uint64_t hash)
{
    return (size_t)hash & (dict->index_size - 1);
}

// The entry of a key, or NULL.
static tb_dict_entry *find_entry(tb_render *run, const tb_dict *dict, tb_value key, uint64_t hash)
{
    if (!dict->index) {
        for (size_t i = 0; i < dict->count && !run->rc; i++)
            if (entry_matches(run, &dict->entries[i], key, hash))
                return &dict->entries[i];
        return NULL;
    }
    for (size_t at = first_probe(dict, hash); dict->index[at] && !run->rc; at = (at + 1) & (dict->index_size - 1)) {
        tb_render_work(run, 1);
        if (entry_matches(run, &dict->entries[dict->index[at] - 1], key, hash))
            return &dict->entries[dict->index[at] - 1];
    }
    return NULL;
}

static void index_entry(tb_dict *dict, tb_render *run, size_t number)
{
    size_t at = first_probe(dict, dict->entries[number].hash);
    tb_render_work(run, 1);
    for (; dict->index[at] && !run->rc; at = (at + 1) & (dict->index_size - 1))
        tb_render_work(run, 1);
    dict->index[at] = (uint32_t)number + 1;
}

// Doubles the room for entries; the index has at least twice as many places.
static void grow(tb_dict *dict, tb_render *run)
{
    size_t capacity = dict->capacity ? 2 * dict->capacity : 4;
    tb_dict_entry *entries = tb_render_array(run, capacity, sizeof *entries);
    uint32_t *index = capacity > SMALL ? tb_render_array(run, 2 * capacity, sizeof *index) : NULL;
    if (run->rc)
        return;
    if (dict->count)
        memcpy(entries, dict->entries, dict->count * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    dict->index = index;
    dict->index_size = 2 * capacity;
    for (size_t i = 0; i < dict->count && index && !run->rc; i++)
        index_entry(dict, run, i);
}

void tb_dict_set(tb_render *run, tb_dict *dict, tb_value key, tb_value value)
{
    uint64_t hash = hash_value(run, key);
    tb_dict_entry *entry = run->rc ? NULL : find_entry(run, dict, key, hash);
    if (!run->rc && !entry && dict->count == dict->capacity)
        grow(dict, run);
    if (run->rc)
        return;
    if (entry) {
        entry->value = value;
        return;
    }
    dict->entries[dict->count++] = (tb_dict_entry){key, value, hash};
    if (dict->index)
        index_entry(dict, run, dict->count - 1);
}

tb_value tb_dict_get(tb_render *run, const tb_dict *dict, tb_value key)
{
    uint64_t hash = hash_value(run, key);
    const tb_dict_entry *entry = run->rc ? NULL : find_entry(run, dict, key, hash);
    return entry ? entry->value : tb_missing();
}

tb_value tb_dict_get_text(tb_render *run, const tb_dict *dict, tb_piece key)
{
    tb_string string = {.text = key};
    return tb_dict_get(run, dict, tb_string_value(&string));
}
