#include "formats/safetensors.h"

#include "formats/bytes.h"
#include "formats/checkpoint.h"
#include "formats/json_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    tb_arena *arena;
    const char *path;
    const unsigned char *data; // where offsets count from
    size_t data_size;
} reader;

static tb_code no_memory(const reader *r, tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", r->path);
}

// Bytes of one value; 0 for types not known. Not only weights are listed: files also carry
// buffers that are skipped later.
static size_t dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {
        {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},     {"I32", 4},     {"I16", 2},  {"I8", 1},
        {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, dtype) == 0)
            return types[i].bytes;
    return 0;
}

static bool copy_text(tb_text *out, tb_arena *arena, const char *text, size_t size)
{
    const char *copy = tb_arena_text(arena, text, size);
    *out = (tb_text){copy, size};
    return copy != NULL;
}

static tb_code malformed(const reader *r, const tb_safetensor *tensor, const char *what, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "tensor '%.*s' of '%s' has %s", TB_SHOWN(tensor->name), r->path, what);
}

// A JSON integer that is not negative.
static bool get_size(uint64_t *out, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static tb_code read_dtype(reader *r, tb_safetensor *tensor, const json_t *entry, tb_error *err)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    if (!json_is_string(dtype))
        return malformed(r, tensor, "no 'dtype'", err);
    if (!copy_text(&tensor->dtype, r->arena, json_string_value(dtype), json_string_length(dtype)))
        return no_memory(r, err);
    if (!dtype_bytes(tensor->dtype.data))
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%.*s' of '%s' has the unknown type '%.*s'",
                       TB_SHOWN(tensor->name), r->path, TB_SHOWN(tensor->dtype));
    return TB_OK;
}

static tb_code read_shape(const reader *r, tb_safetensor *tensor, const json_t *entry, tb_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return malformed(r, tensor, "no 'shape'", err);
    if (json_array_size(shape) > TB_MAX_DIMS)
        return malformed(r, tensor, "more than 4 dimensions", err);
    tensor->dim_count = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < TB_MAX_DIMS; i++) {
        tensor->dims[i] = 1;
        if (i < tensor->dim_count && !get_size(&tensor->dims[i], json_array_get(shape, i)))
            return malformed(r, tensor, "a dimension that is no number", err);
    }
    return TB_OK;
}

static tb_code read_offsets(const reader *r, tb_safetensor *tensor, const json_t *entry, tb_error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t begin, end;
    if (json_array_size(offsets) != 2 || !get_size(&begin, json_array_get(offsets, 0)) ||
        !get_size(&end, json_array_get(offsets, 1)) || begin > end)
        return malformed(r, tensor, "no valid 'data_offsets'", err);
    if (end > r->data_size)
        return tb_fail(err, TB_EFORMAT,
                       "tensor '%.*s' lies outside '%s': it ends at %" PRIu64 " of %zu bytes of tensors",
                       TB_SHOWN(tensor->name), r->path, end, r->data_size);
    tensor->data = r->data + begin;
    tensor->bytes = (size_t)(end - begin);
    return TB_OK;
}

static tb_code check_size(const reader *r, const tb_safetensor *tensor, tb_error *err)
{
    size_t bytes = dtype_bytes(tensor->dtype.data);
    bool fits = true;
    for (unsigned i = 0; i < TB_MAX_DIMS; i++)
        fits = fits && tensor->dims[i] <= SIZE_MAX && tb_mul_size(&bytes, bytes, (size_t)tensor->dims[i]);
    return fits && bytes == tensor->bytes ? TB_OK : malformed(r, tensor, "a size that its shape does not give", err);
}

static tb_code read_tensor(reader *r, tb_safetensor *tensor, const char *name, const json_t *entry, tb_error *err)
{
    if (!copy_text(&tensor->name, r->arena, name, strlen(name)))
        return no_memory(r, err);
    if (!json_is_object(entry))
        return malformed(r, tensor, "no description", err);
    tb_code rc = read_dtype(r, tensor, entry, err);
    if (!rc)
        rc = read_shape(r, tensor, entry, err);
    if (!rc)
        rc = read_offsets(r, tensor, entry, err);
    return rc ? rc : check_size(r, tensor, err);
}

// ---- no byte in two tensors, none in no tensor ----

static int compare_places(const void *a, const void *b)
{
    const tb_safetensor *x = *(const tb_safetensor *const *)a, *y = *(const tb_safetensor *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); // empty ones first
}

static tb_code check_cover(const reader *r, const tb_safetensor *tensors, size_t count, tb_error *err)
{
    const tb_safetensor **sorted = tb_alloc_array(count, sizeof(const tb_safetensor *));
    if (!sorted)
        return no_memory(r, err);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    if (count)
        qsort(sorted, count, sizeof(const tb_safetensor *), compare_places);
    const unsigned char *end = r->data;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < count && !rc; i++) {
        if (sorted[i]->data != end)
            rc = tb_fail(err, TB_EFORMAT, "tensor '%.*s' of '%s' overlaps another, or there is a gap before it",
                         TB_SHOWN(sorted[i]->name), r->path);
        end = sorted[i]->data + sorted[i]->bytes;
    }
    if (!rc && end != r->data + r->data_size)
        rc = tb_fail(err, TB_EFORMAT, "'%s' has %zu bytes behind its last tensor", r->path,
                     (size_t)(r->data + r->data_size - end));
    tb_free(sorted);
    return rc;
}

// ---- the file ----

static bool is_metadata(const char *name)
{
    return strcmp(name, "__metadata__") == 0;
}

static tb_code read_entries(tb_safetensor **out, size_t *count, reader *r, json_t *header, tb_error *err)
{
    *count = json_object_size(header) - (json_object_get(header, "__metadata__") != NULL);
    tb_safetensor *tensor = *out = tb_arena_array(r->arena, *count, sizeof **out);
    tb_code rc = *out ? TB_OK : no_memory(r, err);
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (!rc && !is_metadata(name))
            rc = read_tensor(r, tensor++, name, entry, err);
    }
    return rc ? rc : check_cover(r, *out, *count, err);
}

// Parses the JSON in front and finds where the tensors' bytes begin. Release with json_decref.
static tb_code parse_header(json_t **out, size_t *data_offset, tb_map map, const char *path, tb_error *err)
{
    tb_cursor in = {map.data, map.size, 0};
    uint64_t header_size;
    const unsigned char *text;
    if (!tb_cursor_take_le(&in, &header_size, 8))
        return tb_fail(err, TB_EFORMAT, "'%s' is not a safetensors file: it has only %zu bytes", path, map.size);
    if (!tb_cursor_take(&in, &text, header_size))
        return tb_fail(err, TB_EFORMAT,
                       "'%s' is cut off, or no safetensors file: its header would have %" PRIu64 " bytes", path,
                       header_size);
    *data_offset = in.position;
    tb_str what = {0};
    tb_code rc = tb_str_printf(&what, err, "the header of '%s'", path);
    if (!rc)
        rc = tb_json_parse(out, (tb_text){(const char *)text, (size_t)header_size}, what.data, err);
    tb_str_clear(&what);
    return rc;
}

tb_code tb_safetensors_read(tb_safetensor **out, size_t *count, tb_arena *arena, tb_map map, const char *path,
                            tb_error *err)
{
    *out = NULL;
    *count = 0;
    json_t *header;
    size_t offset = 0;
    tb_code rc = parse_header(&header, &offset, map, path, err);
    if (rc)
        return rc;
    reader r = {.arena = arena, .path = path, .data = map.data + offset, .data_size = map.size - offset};
    rc = read_entries(out, count, &r, header, err);
    json_decref(header);
    return rc;
}

// ---- metadata ----

static tb_code copy_metadata(tb_text **out, size_t *count, const reader *r, json_t *object, tb_error *err)
{
    tb_text *text = *out = tb_arena_array(r->arena, json_object_size(object), 2 * sizeof **out);
    if (!text)
        return no_memory(r, err);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return tb_fail(err, TB_EFORMAT, "metadata '%s' of '%s' is no text", key, r->path);
        if (!copy_text(text++, r->arena, key, strlen(key)) ||
            !copy_text(text++, r->arena, json_string_value(value), json_string_length(value)))
            return no_memory(r, err);
        ++*count;
    }
    return TB_OK;
}

tb_code tb_safetensors_read_metadata(tb_text **out, size_t *count, tb_arena *arena, tb_map map, const char *path,
                                     tb_error *err)
{
    *out = NULL;
    *count = 0;
    json_t *header;
    size_t offset = 0;
    tb_code rc = parse_header(&header, &offset, map, path, err);
    if (rc)
        return rc;
    json_t *object = json_object_get(header, "__metadata__");
    reader r = {.arena = arena, .path = path};
    if (object && !json_is_object(object))
        rc = tb_fail(err, TB_EFORMAT, "the metadata of '%s' is no object", path);
    else if (object)
        rc = copy_metadata(out, count, &r, object, err);
    json_decref(header);
    return rc;
}
