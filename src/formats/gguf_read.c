// Reading GGUF, versions 2 and 3. The file is mapped; entries borrow from the mapping, and
// only tables are allocated, after their counts were compared with the bytes that are left.
#include "formats/checkpoint.h"

#include "formats/bytes.h"
#include "formats/gguf.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

// Fewest bytes of an entry in the file: what a count is compared with.
enum {
    LEAST_KV_BYTES = 8 + 1 + 4 + 1,             // key length, key, type, value
    LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, // name length, name, dim count, one dim, type, offset
    LEAST_TEXT_BYTES = 8,
};

// Far above any model known; bounds the search for files.
enum { MOST_PARTS = 1024 };

typedef struct reader {
    tb_cursor in;
    tb_checkpoint *out;
    uint64_t alignment;
} reader;

static const char *path_of(const reader *r)
{
    return r->out->path;
}

static tb_code ends_inside(const reader *r, const char *what, uint64_t index, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' ends inside %s %" PRIu64, path_of(r), what, index);
}

static bool take_text(tb_cursor *in, tb_text *text)
{
    tb_cursor start = *in;
    uint64_t size;
    const unsigned char *bytes;
    if (!tb_cursor_take_le(in, &size, 8) || !tb_cursor_take(in, &bytes, size)) {
        *in = start;
        return false;
    }
    *text = (tb_text){(const char *)bytes, (size_t)size};
    return true;
}

// ---- header ----

static tb_code check_magic(reader *r, tb_error *err)
{
    const unsigned char *magic;
    if (!tb_cursor_take(&r->in, &magic, 4))
        return tb_fail(err, TB_EFORMAT, "'%s' is not a model file: it has only %zu bytes", path_of(r), r->in.size);
    if (memcmp(magic, "lmgg", 4) == 0 || memcmp(magic, "fmgg", 4) == 0 || memcmp(magic, "tjgg", 4) == 0)
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' is a GGML file from before GGUF; convert it to GGUF", path_of(r));
    if (memcmp(magic, TB_GGUF_MAGIC, 4) != 0)
        return tb_fail(err, TB_EFORMAT, "'%s' is not a GGUF file: it does not start with 'GGUF'", path_of(r));
    return TB_OK;
}

static tb_code check_version(reader *r, tb_error *err)
{
    uint64_t version;
    if (!tb_cursor_take_le(&r->in, &version, 4))
        return tb_fail(err, TB_EFORMAT, "'%s' ends inside its header", path_of(r));
    if (version == 2 || version == TB_GGUF_VERSION)
        return TB_OK;
    if (version && (version & 0xFFFF) == 0) // the number lies in the upper half: other byte order
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' is a big-endian GGUF file; twobit reads little-endian ones",
                       path_of(r));
    return tb_fail(err, TB_EUNSUPPORTED, "'%s' is GGUF version %" PRIu64 "; twobit reads versions 2 and 3", path_of(r),
                   version);
}

// A count of entries of at least `least` bytes each.
static tb_code read_count(reader *r, size_t *count, size_t least, const char *what, tb_error *err)
{
    uint64_t value;
    if (!tb_cursor_take_le(&r->in, &value, 8))
        return tb_fail(err, TB_EFORMAT, "'%s' ends inside its header", path_of(r));
    if (value > tb_cursor_left(&r->in) / least)
        return tb_fail(err, TB_EFORMAT, "'%s' announces %" PRIu64 " %s, more than it has room for", path_of(r), value,
                       what);
    *count = (size_t)value;
    return TB_OK;
}

static tb_code read_header(reader *r, tb_error *err)
{
    tb_code rc = check_magic(r, err);
    if (!rc)
        rc = check_version(r, err);
    if (!rc)
        rc = read_count(r, &r->out->tensor_count, LEAST_TENSOR_BYTES, "tensors", err);
    if (!rc)
        rc = read_count(r, &r->out->kv_count, LEAST_KV_BYTES, "metadata entries", err);
    return rc;
}

// ---- metadata ----

static tb_code value_ends(const reader *r, const tb_kv *kv, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' ends inside the value of metadata key '%.*s'", path_of(r), TB_SHOWN(kv->key));
}

static tb_code check_bools(const reader *r, const tb_kv *kv, const unsigned char *bytes, size_t n, tb_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] > 1)
            return tb_fail(err, TB_EFORMAT, "metadata key '%.*s' of '%s' has a truth value of %u", TB_SHOWN(kv->key),
                           path_of(r), bytes[i]);
    return TB_OK;
}

static tb_code read_scalar(reader *r, tb_kv *kv, uint32_t type, tb_error *err)
{
    const unsigned char *bytes;
    if (!tb_cursor_take(&r->in, &bytes, tb_kv_type_bytes(type)))
        return value_ends(r, kv, err);
    tb_kv_set_scalar(kv, (tb_kv_type)type, bytes);
    return type == TB_KV_BOOL ? check_bools(r, kv, bytes, 1, err) : TB_OK;
}

static tb_code read_texts(reader *r, tb_kv *kv, tb_error *err)
{
    size_t count = kv->value.array.count;
    tb_text *texts = tb_arena_array(&r->out->arena, count, sizeof *texts);
    if (!texts)
        return tb_checkpoint_no_memory(r->out, err);
    kv->value.array.texts = texts;
    for (size_t i = 0; i < count; i++)
        if (!take_text(&r->in, &texts[i]))
            return value_ends(r, kv, err);
    return TB_OK;
}

static tb_code read_array(reader *r, tb_kv *kv, tb_error *err)
{
    uint64_t type, count;
    if (!tb_cursor_take_le(&r->in, &type, 4) || !tb_cursor_take_le(&r->in, &count, 8))
        return value_ends(r, kv, err);
    if (type == TB_KV_ARRAY)
        return tb_fail(err, TB_EUNSUPPORTED, "metadata key '%.*s' of '%s' is an array of arrays", TB_SHOWN(kv->key),
                       path_of(r));
    size_t least = type == TB_KV_TEXT ? LEAST_TEXT_BYTES : tb_kv_type_bytes((uint32_t)type);
    if (least == 0)
        return tb_fail(err, TB_EFORMAT, "metadata key '%.*s' of '%s' is an array of unknown type %" PRIu64,
                       TB_SHOWN(kv->key), path_of(r), type);
    if (count > tb_cursor_left(&r->in) / least)
        return tb_fail(err, TB_EFORMAT,
                       "metadata key '%.*s' announces %" PRIu64 " elements, more than '%s' has room for",
                       TB_SHOWN(kv->key), count, path_of(r));
    kv->type = TB_KV_ARRAY;
    kv->value.array.type = (tb_kv_type)type;
    kv->value.array.count = (size_t)count;
    if (type == TB_KV_TEXT)
        return read_texts(r, kv, err);
    const unsigned char *bytes;
    if (!tb_cursor_take(&r->in, &bytes, count * least))
        return value_ends(r, kv, err);
    kv->value.array.data = bytes;
    return type == TB_KV_BOOL ? check_bools(r, kv, bytes, (size_t)count, err) : TB_OK;
}

static tb_code read_value(reader *r, tb_kv *kv, tb_error *err)
{
    uint64_t type;
    if (!tb_cursor_take_le(&r->in, &type, 4))
        return value_ends(r, kv, err);
    if (type == TB_KV_ARRAY)
        return read_array(r, kv, err);
    if (type == TB_KV_TEXT) {
        kv->type = TB_KV_TEXT;
        return take_text(&r->in, &kv->value.text) ? TB_OK : value_ends(r, kv, err);
    }
    if (tb_kv_type_bytes((uint32_t)type) == 0)
        return tb_fail(err, TB_EFORMAT, "metadata key '%.*s' of '%s' has the unknown type %" PRIu64, TB_SHOWN(kv->key),
                       path_of(r), type);
    return read_scalar(r, kv, (uint32_t)type, err);
}

static tb_code read_kv(reader *r, size_t index, tb_error *err)
{
    tb_kv *kv = &r->out->kvs[index];
    if (!take_text(&r->in, &kv->key))
        return ends_inside(r, "metadata entry", index, err);
    if (kv->key.size > TB_GGUF_MAX_KEY || !tb_text_is_name(kv->key))
        return tb_fail(err, TB_EFORMAT, "the key of metadata entry %zu of '%s' is empty, too long or not UTF-8", index,
                       path_of(r));
    return read_value(r, kv, err);
}

static tb_code read_kvs(reader *r, tb_error *err)
{
    r->out->kvs = tb_arena_array(&r->out->arena, r->out->kv_count, sizeof r->out->kvs[0]);
    if (!r->out->kvs)
        return tb_checkpoint_no_memory(r->out, err);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < r->out->kv_count && !rc; i++)
        rc = read_kv(r, i, err);
    return rc;
}

// ---- tensors ----

static tb_code read_dims(reader *r, tb_tensor_info *tensor, tb_error *err)
{
    uint64_t count;
    if (!tb_cursor_take_le(&r->in, &count, 4))
        return tb_fail(err, TB_EFORMAT, "'%s' ends inside the entry of tensor '%s'", path_of(r), tensor->name.data);
    if (count < 1 || count > TB_MAX_DIMS)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has %" PRIu64 " dimensions; 1 to %d are possible",
                       tensor->name.data, path_of(r), count, TB_MAX_DIMS);
    tensor->dim_count = (unsigned)count;
    for (unsigned i = 0; i < TB_MAX_DIMS; i++) {
        tensor->dims[i] = 1;
        if (i < count && !tb_cursor_take_le(&r->in, &tensor->dims[i], 8))
            return tb_fail(err, TB_EFORMAT, "'%s' ends inside the entry of tensor '%s'", path_of(r), tensor->name.data);
        if (tensor->dims[i] == 0)
            return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has a dimension of 0", tensor->name.data, path_of(r));
    }
    return TB_OK;
}

// Sets type and bytes of a tensor from the number in the file.
static tb_code set_type(const reader *r, tb_tensor_info *tensor, uint32_t number, tb_error *err)
{
    const tb_type_traits *traits = tb_type_traits_get(number);
    if (!traits)
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%s' of '%s' has the unknown type %" PRIu32, tensor->name.data,
                       path_of(r), number);
    tensor->type = traits->type;
    if (tensor->dims[0] % traits->unit_size != 0)
        return tb_fail(err, TB_EFORMAT,
                       "the rows of tensor '%s' of '%s' have %" PRIu64
                       " values, not a multiple of the %zu in a unit of %s",
                       tensor->name.data, path_of(r), tensor->dims[0], traits->unit_size, traits->name);
    if (!tb_tensor_set_bytes(tensor))
        return tb_fail(err, TB_EFORMAT, "the dimensions of tensor '%s' of '%s' are too large", tensor->name.data,
                       path_of(r));
    return TB_OK;
}

static tb_code read_tensor_name(reader *r, tb_tensor_info *tensor, size_t index, tb_error *err)
{
    tb_text name;
    if (!take_text(&r->in, &name))
        return ends_inside(r, "tensor entry", index, err);
    if (name.size > TB_GGUF_MAX_NAME || !tb_text_is_name(name))
        return tb_fail(err, TB_EFORMAT, "the name of tensor %zu of '%s' is empty, too long or not UTF-8", index,
                       path_of(r));
    const char *copy = tb_arena_text(&r->out->arena, name.data, name.size);
    if (!copy)
        return tb_checkpoint_no_memory(r->out, err);
    tensor->name = (tb_text){copy, name.size};
    return TB_OK;
}

// Leaves the tensor's offset in *offset: where its bytes start is known after all entries.
static tb_code read_tensor(reader *r, size_t index, uint64_t *offset, tb_error *err)
{
    tb_tensor_info *tensor = &r->out->tensors[index];
    tb_code rc = read_tensor_name(r, tensor, index, err);
    if (!rc)
        rc = read_dims(r, tensor, err);
    if (rc)
        return rc;
    uint64_t type;
    if (!tb_cursor_take_le(&r->in, &type, 4) || !tb_cursor_take_le(&r->in, offset, 8))
        return tb_fail(err, TB_EFORMAT, "'%s' ends inside the entry of tensor '%s'", path_of(r), tensor->name.data);
    if (*offset % r->alignment != 0)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is not aligned: offset %" PRIu64 ", alignment %" PRIu64,
                       tensor->name.data, path_of(r), *offset, r->alignment);
    return set_type(r, tensor, (uint32_t)type, err);
}

// Points every tensor at its bytes, which must lie inside the file.
static tb_code place_tensors(reader *r, const uint64_t *offsets, tb_error *err)
{
    tb_checkpoint *out = r->out;
    size_t start;
    if (!tb_add_size(&start, r->in.position, (size_t)r->alignment - 1))
        start = SIZE_MAX;
    start = start / (size_t)r->alignment * (size_t)r->alignment;
    size_t room = start < r->in.size ? r->in.size - start : 0;
    for (size_t i = 0; i < out->tensor_count; i++) {
        tb_tensor_info *tensor = &out->tensors[i];
        if (offsets[i] > room || tensor->bytes > room - offsets[i])
            return tb_fail(err, TB_EFORMAT,
                           "tensor '%s' lies outside '%s': %zu bytes at offset %" PRIu64 " of %zu bytes of tensors",
                           tensor->name.data, out->path, tensor->bytes, offsets[i], room);
        tensor->data = r->in.data + start + offsets[i];
    }
    return TB_OK;
}

static tb_code read_tensors(reader *r, tb_error *err)
{
    tb_checkpoint *out = r->out;
    out->tensors = tb_arena_array(&out->arena, out->tensor_count, sizeof out->tensors[0]);
    uint64_t *offsets = tb_alloc_array(out->tensor_count, sizeof *offsets);
    tb_code rc = out->tensors && offsets ? TB_OK : tb_checkpoint_no_memory(out, err);
    for (size_t i = 0; i < out->tensor_count && !rc; i++)
        rc = read_tensor(r, i, &offsets[i], err);
    if (!rc)
        rc = place_tensors(r, offsets, err);
    tb_free(offsets);
    return rc;
}

// ---- settings that concern the container ----

static tb_code read_alignment(reader *r, tb_error *err)
{
    r->alignment = TB_GGUF_ALIGNMENT;
    tb_code rc = tb_checkpoint_get_u64(&r->alignment, r->out, "general.alignment", false, err);
    if (rc)
        return rc;
    bool power = r->alignment && (r->alignment & (r->alignment - 1)) == 0;
    if (!power || r->alignment < TB_GGUF_LEAST_ALIGNMENT || r->alignment > UINT32_MAX)
        return tb_fail(err, TB_EFORMAT, "general.alignment of '%s' is %" PRIu64 ", not a power of two from %d on",
                       path_of(r), r->alignment, TB_GGUF_LEAST_ALIGNMENT);
    return TB_OK;
}

// A whole file, into a checkpoint of which only path and arena are set.
static tb_code read_file(tb_checkpoint *checkpoint, tb_error *err)
{
    checkpoint->gguf = true;
    checkpoint->maps = tb_arena_array(&checkpoint->arena, 1, sizeof checkpoint->maps[0]);
    if (!checkpoint->maps)
        return tb_checkpoint_no_memory(checkpoint, err);
    tb_code rc = tb_map_open(&checkpoint->maps[0], checkpoint->path, err);
    if (rc)
        return rc;
    checkpoint->map_count = 1;
    reader r = {.in = {checkpoint->maps[0].data, checkpoint->maps[0].size, 0}, .out = checkpoint};
    rc = read_header(&r, err);
    if (!rc)
        rc = read_kvs(&r, err);
    if (!rc)
        rc = tb_checkpoint_index_kvs(checkpoint, err);
    if (!rc)
        rc = read_alignment(&r, err);
    return rc ? rc : read_tensors(&r, err);
}

// ---- models in parts ----

// A model may be cut into files PREFIX-00001-of-00003.gguf … . The first has the metadata; each has tensors of its own.
typedef struct split_place {
    size_t index, count, tensors; // of the file that was opened; tensors: of the whole model, 0: not said
    int prefix;                   // bytes of the path before the number
} split_place;

static tb_code read_split_key(size_t *out, const tb_checkpoint *file, const char *key, tb_error *err)
{
    uint64_t value = *out;
    tb_code rc = tb_checkpoint_get_u64(&value, file, key, false, err);
    *out = value < SIZE_MAX ? (size_t)value : SIZE_MAX;
    return rc;
}

// split.count 1: not in parts.
static tb_code read_split(split_place *out, const tb_checkpoint *file, tb_error *err)
{
    *out = (split_place){.count = 1};
    tb_code rc = read_split_key(&out->count, file, "split.count", err);
    if (!rc)
        rc = read_split_key(&out->index, file, "split.no", err);
    if (!rc)
        rc = read_split_key(&out->tensors, file, "split.tensors.count", err);
    if (!rc && out->count > MOST_PARTS)
        rc = tb_fail(err, TB_ELIMIT, "'%s' is one of %zu parts of a model, more than %d", file->path, out->count,
                     MOST_PARTS);
    return rc;
}

static tb_code part_path(tb_str *out, const char *path, const split_place *split, size_t index, tb_error *err)
{
    return tb_str_printf(out, err, "%.*s-%05zu-of-%05zu.gguf", split->prefix, path, index + 1, split->count);
}

// Sets split->prefix from the name of the file, which must be that of its place.
static tb_code find_prefix(split_place *split, const char *path, tb_error *err)
{
    tb_str ending = {0};
    split->prefix = 0;
    tb_code rc = part_path(&ending, "", split, split->index, err);
    size_t n = strlen(path);
    if (!rc && (n < ending.size || memcmp(path + n - ending.size, ending.data, ending.size) != 0))
        rc = tb_fail(err, TB_EFORMAT,
                     "'%s' is part %zu of %zu of a model, but its name does not end in '%s', by which the "
                     "others are found",
                     path, split->index + 1, split->count, ending.data);
    if (!rc)
        split->prefix = n - ending.size < INT_MAX ? (int)(n - ending.size) : 0;
    tb_str_clear(&ending);
    return rc;
}

static tb_code refuse_later_part(const tb_checkpoint *file, const split_place *split, tb_error *err)
{
    tb_str first = {0};
    tb_code rc = part_path(&first, file->path, split, 0, err);
    if (!rc)
        rc = tb_fail(err, TB_EINVAL, "'%s' is part %zu of %zu of a model; give the first, '%s'", file->path,
                     split->index + 1, split->count, first.data);
    tb_str_clear(&first);
    return rc;
}

// Reads one more part: its file and its tensors become those of the checkpoint, its metadata say only which part it is.
static tb_code add_part(tb_checkpoint *checkpoint, const split_place *expected, size_t index, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = part_path(&path, checkpoint->path, expected, index, err);
    if (rc)
        return rc;
    tb_checkpoint part = {.arena = checkpoint->arena, .path = path.data};
    split_place found;
    rc = read_file(&part, err);
    if (!rc)
        rc = read_split(&found, &part, err);
    if (!rc && (found.index != index || found.count != expected->count))
        rc = tb_fail(err, TB_EFORMAT, "'%s' says that it is part %zu of %zu", part.path, found.index + 1, found.count);
    size_t all = checkpoint->tensor_count + part.tensor_count;
    tb_tensor_info *tensors = rc ? NULL : tb_arena_array(&part.arena, all, sizeof *tensors);
    if (!rc && !tensors)
        rc = tb_checkpoint_no_memory(checkpoint, err);
    checkpoint->arena = part.arena;
    if (part.map_count)
        checkpoint->maps[checkpoint->map_count++] = part.maps[0];
    if (!rc) {
        memcpy(tensors, checkpoint->tensors, checkpoint->tensor_count * sizeof *tensors);
        memcpy(tensors + checkpoint->tensor_count, part.tensors, part.tensor_count * sizeof *tensors);
        checkpoint->tensors = tensors;
        checkpoint->tensor_count = all;
    }
    tb_str_clear(&path);
    return rc;
}

static tb_code add_parts(tb_checkpoint *checkpoint, const split_place *split, tb_error *err)
{
    tb_map *maps = tb_arena_array(&checkpoint->arena, split->count, sizeof *maps);
    if (!maps)
        return tb_checkpoint_no_memory(checkpoint, err);
    maps[0] = checkpoint->maps[0];
    checkpoint->maps = maps;
    tb_code rc = TB_OK;
    for (size_t i = 1; i < split->count && !rc; i++)
        rc = add_part(checkpoint, split, i, err);
    if (!rc && split->tensors && split->tensors != checkpoint->tensor_count)
        rc = tb_fail(err, TB_EFORMAT, "the parts of '%s' have %zu tensors, not the %zu that the first announces",
                     checkpoint->path, checkpoint->tensor_count, split->tensors);
    return rc;
}

tb_code tb_gguf_read(tb_checkpoint *checkpoint, tb_error *err)
{
    split_place split;
    tb_code rc = read_file(checkpoint, err);
    if (!rc)
        rc = read_split(&split, checkpoint, err);
    if (!rc && split.count > 1) {
        rc = find_prefix(&split, checkpoint->path, err);
        if (!rc)
            rc = split.index ? refuse_later_part(checkpoint, &split, err) : add_parts(checkpoint, &split, err);
    }
    if (!rc)
        rc = tb_checkpoint_part_fused(checkpoint, err);
    return rc ? rc : tb_checkpoint_index_tensors(checkpoint, err);
}
