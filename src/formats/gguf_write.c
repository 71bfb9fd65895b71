// Writing GGUF version 3. Entries are encoded as they are declared; the tensors' bytes stream
// through, so that memory holds the metadata only.
#include "formats/formats.h"

#include "formats/bytes.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "formats/matrix_parts.h"

#include <inttypes.h>
#include <string.h>

// Names declared so far, to find duplicates, and for tensors their bytes.
typedef struct declared {
    tb_name_entry *names; // position: order of declaration
    size_t *bytes;        // of tensors; unused for metadata
    size_t count, capacity;
} declared;

struct tb_gguf_writer {
    tb_outfile *file;
    tb_arena arena; // path and names
    const char *path;
    tb_str metadata, entries; // encoded
    declared keys, tensors;
    uint64_t offset; // of the next tensor, from the start of the tensors' bytes
    bool begun;
    size_t current; // tensor whose bytes come next
    size_t done;    // bytes of it already written
};

static tb_code no_memory(const tb_gguf_writer *w, tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to write '%s'", w->path ? w->path : "a GGUF file");
}

tb_code tb_gguf_writer_open(tb_gguf_writer **out, const char *path, tb_error *err)
{
    *out = NULL;
    const char *name = path ? path : "a file without a name";
    tb_gguf_writer *w = tb_new(tb_gguf_writer);
    if (!w)
        return tb_fail(err, TB_ENOMEM, "no memory to write '%s'", name);
    tb_code rc = TB_OK;
    w->path = tb_arena_text(&w->arena, name, strlen(name));
    if (!w->path)
        rc = no_memory(w, err);
    if (!rc && path)
        rc = tb_outfile_open(&w->file, path, err);
    if (rc) {
        tb_gguf_writer_close(w);
        return rc;
    }
    *out = w;
    return TB_OK;
}

static void clear_declared(declared *list)
{
    tb_free(list->names);
    tb_free(list->bytes);
}

void tb_gguf_writer_close(tb_gguf_writer *w)
{
    if (!w)
        return;
    tb_outfile_close(w->file);
    tb_str_clear(&w->metadata);
    tb_str_clear(&w->entries);
    clear_declared(&w->keys);
    clear_declared(&w->tensors);
    tb_arena_clear(&w->arena);
    tb_free(w);
}

// ---- declaring ----

static bool grow(declared *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    tb_name_entry *names = tb_realloc_array(list->names, list->count, capacity, sizeof *names);
    if (names)
        list->names = names;
    size_t *bytes = tb_realloc_array(list->bytes, list->count, capacity, sizeof *bytes);
    if (bytes)
        list->bytes = bytes;
    if (!names || !bytes)
        return false;
    list->capacity = capacity;
    return true;
}

static tb_code declare(tb_gguf_writer *w, declared *list, tb_text name, size_t most, size_t bytes, tb_error *err)
{
    if (w->begun)
        return tb_fail(err, TB_EINVAL, "'%.*s' is declared after the tensors of '%s' have begun", TB_SHOWN(name),
                       w->path);
    if (name.size > most || !tb_text_is_name(name))
        return tb_fail(err, TB_EINVAL, "'%.*s' cannot be a name in '%s': empty, too long or not UTF-8", TB_SHOWN(name),
                       w->path);
    char *copy = tb_arena_text(&w->arena, name.data, name.size);
    if (!copy || !grow(list))
        return no_memory(w, err);
    list->names[list->count] = (tb_name_entry){{copy, name.size}, list->count};
    list->bytes[list->count] = bytes;
    list->count++;
    return TB_OK;
}

static tb_code put_le(tb_str *out, uint64_t value, size_t n, tb_error *err)
{
    unsigned char bytes[8];
    tb_store_le(bytes, value, n);
    return tb_str_append(out, bytes, n, err);
}

static tb_code put_text(tb_str *out, tb_text text, tb_error *err)
{
    tb_code rc = put_le(out, text.size, 8, err);
    return rc ? rc : tb_str_append(out, text.data, text.size, err);
}

// ---- metadata ----

static tb_code begin_kv(tb_gguf_writer *w, tb_text key, tb_kv_type type, tb_error *err)
{
    tb_code rc = declare(w, &w->keys, key, TB_GGUF_MAX_KEY, 0, err);
    if (!rc)
        rc = put_text(&w->metadata, key, err);
    if (!rc)
        rc = put_le(&w->metadata, type, 4, err);
    return rc;
}

static tb_code put_scalar(tb_str *out, const tb_kv *kv, tb_error *err)
{
    uint64_t bits = kv->value.u;
    if (kv->type == TB_KV_F32)
        bits = tb_float_bits((float)kv->value.f);
    else if (kv->type == TB_KV_F64)
        memcpy(&bits, &kv->value.f, sizeof bits);
    return put_le(out, bits, tb_kv_type_bytes(kv->type), err);
}

static tb_code put_array(tb_str *out, const tb_kv *kv, tb_error *err)
{
    size_t count = kv->value.array.count;
    tb_code rc = put_le(out, kv->value.array.type, 4, err);
    if (!rc)
        rc = put_le(out, count, 8, err);
    if (!rc && kv->value.array.type != TB_KV_TEXT)
        return tb_str_append(out, kv->value.array.data, count * tb_kv_type_bytes(kv->value.array.type), err);
    for (size_t i = 0; i < count && !rc; i++)
        rc = put_text(out, kv->value.array.texts[i], err);
    return rc;
}

// Keys that tell of the container that they lie in, not of the model.
static bool tells_of_container(tb_text key)
{
    static const char *const keys[] = {"general.alignment", "split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (tb_text_is(key, keys[i]))
            return true;
    return false;
}

tb_code tb_gguf_writer_add_kv(tb_gguf_writer *w, const tb_kv *kv, tb_error *err)
{
    if (tells_of_container(kv->key))
        return TB_OK;
    tb_code rc = begin_kv(w, kv->key, kv->type, err);
    if (rc)
        return rc;
    if (kv->type == TB_KV_TEXT)
        return put_text(&w->metadata, kv->value.text, err);
    return kv->type == TB_KV_ARRAY ? put_array(&w->metadata, kv, err) : put_scalar(&w->metadata, kv, err);
}

static tb_text text_of(const char *text)
{
    return (tb_text){text, strlen(text)};
}

tb_code tb_gguf_writer_add_u32(tb_gguf_writer *w, const char *key, uint32_t value, tb_error *err)
{
    return tb_gguf_writer_add_kv(w, &(tb_kv){.key = text_of(key), .type = TB_KV_U32, .value.u = value}, err);
}

tb_code tb_gguf_writer_add_u64(tb_gguf_writer *w, const char *key, uint64_t value, tb_error *err)
{
    return tb_gguf_writer_add_kv(w, &(tb_kv){.key = text_of(key), .type = TB_KV_U64, .value.u = value}, err);
}

tb_code tb_gguf_writer_add_f32(tb_gguf_writer *w, const char *key, float value, tb_error *err)
{
    return tb_gguf_writer_add_kv(w, &(tb_kv){.key = text_of(key), .type = TB_KV_F32, .value.f = (double)value}, err);
}

tb_code tb_gguf_writer_add_bool(tb_gguf_writer *w, const char *key, bool value, tb_error *err)
{
    return tb_gguf_writer_add_kv(w, &(tb_kv){.key = text_of(key), .type = TB_KV_BOOL, .value.u = value}, err);
}

tb_code tb_gguf_writer_add_text(tb_gguf_writer *w, const char *key, tb_text value, tb_error *err)
{
    return tb_gguf_writer_add_kv(w, &(tb_kv){.key = text_of(key), .type = TB_KV_TEXT, .value.text = value}, err);
}

tb_code tb_gguf_writer_add_texts(tb_gguf_writer *w, const char *key, const tb_text *values, size_t n, tb_error *err)
{
    tb_kv kv = {.key = text_of(key), .type = TB_KV_ARRAY};
    kv.value.array.type = TB_KV_TEXT;
    kv.value.array.count = n;
    kv.value.array.texts = values;
    return tb_gguf_writer_add_kv(w, &kv, err);
}

// `data` as it lies in memory: machines are little-endian (checkpoint.c).
static tb_code add_numbers(tb_gguf_writer *w, const char *key, tb_kv_type type, const void *data, size_t n,
                           tb_error *err)
{
    tb_kv kv = {.key = text_of(key), .type = TB_KV_ARRAY};
    kv.value.array.type = type;
    kv.value.array.count = n;
    kv.value.array.data = data;
    return tb_gguf_writer_add_kv(w, &kv, err);
}

tb_code tb_gguf_writer_add_i32s(tb_gguf_writer *w, const char *key, const int32_t *values, size_t n, tb_error *err)
{
    return add_numbers(w, key, TB_KV_I32, values, n, err);
}

tb_code tb_gguf_writer_add_f32s(tb_gguf_writer *w, const char *key, const float *values, size_t n, tb_error *err)
{
    return add_numbers(w, key, TB_KV_F32, values, n, err);
}

// ---- tensors ----

// Type and dims as a tensor entry; TB_EINVAL when they do not make a tensor.
static tb_code describe(tb_tensor_info *tensor, const tb_gguf_writer *w, tb_text name, tb_type type, unsigned dim_count,
                        const uint64_t *dims, tb_error *err)
{
    bool valid = dim_count >= 1 && dim_count <= TB_MAX_DIMS && tb_type_traits_get(type);
    *tensor = (tb_tensor_info){.name = name, .type = type, .dim_count = dim_count};
    for (unsigned i = 0; i < TB_MAX_DIMS && valid; i++) {
        tensor->dims[i] = i < dim_count ? dims[i] : 1;
        valid = tensor->dims[i] > 0;
    }
    if (!valid || !tb_tensor_set_bytes(tensor))
        return tb_fail(err, TB_EINVAL, "tensor '%.*s' of '%s' has an impossible shape", TB_SHOWN(name), w->path);
    return TB_OK;
}

static tb_code put_tensor(tb_str *out, const tb_tensor_info *tensor, uint64_t offset, tb_error *err)
{
    tb_code rc = put_text(out, tensor->name, err);
    if (!rc)
        rc = put_le(out, tensor->dim_count, 4, err);
    for (unsigned i = 0; i < tensor->dim_count && !rc; i++)
        rc = put_le(out, tensor->dims[i], 8, err);
    if (!rc)
        rc = put_le(out, tensor->type, 4, err);
    if (!rc)
        rc = put_le(out, offset, 8, err);
    return rc;
}

tb_code tb_gguf_writer_add_tensor(tb_gguf_writer *w, const char *name, tb_type type, unsigned dim_count,
                                  const uint64_t *dims, tb_error *err)
{
    tb_tensor_info tensor;
    tb_code rc = describe(&tensor, w, text_of(name), type, dim_count, dims, err);
    if (!rc)
        rc = declare(w, &w->tensors, tensor.name, TB_GGUF_MAX_NAME, tensor.bytes, err);
    if (!rc)
        rc = put_tensor(&w->entries, &tensor, w->offset, err);
    if (!rc)
        w->offset += tb_round_up(tensor.bytes, TB_GGUF_ALIGNMENT);
    return rc;
}

static tb_code add_part(tb_gguf_writer *w, const char *name, const tb_matrix_part *part, tb_error *err)
{
    tb_str full = {0};
    tb_code rc = tb_str_printf(&full, err, "%s%s", name, part->suffix);
    if (!rc)
        rc = tb_gguf_writer_add_tensor(w, full.data, part->type, part->dim_count, part->dims, err);
    tb_str_clear(&full);
    return rc;
}

static tb_code add_matrix_key(tb_gguf_writer *w, const char *name, const tb_matrix *shape, tb_error *err)
{
    tb_str key = {0}, value = {0};
    tb_code rc = tb_str_printf(&key, err, TB_MATRIX_KEY "%s", name);
    if (!rc)
        rc = tb_str_printf(&value, err, "%s %zu %zu %u", tb_type_name(shape->type), shape->cols, shape->group,
                           shape->planes);
    if (!rc)
        rc = tb_gguf_writer_add_text(w, key.data, (tb_text){value.data, value.size}, err);
    tb_str_clear(&key);
    tb_str_clear(&value);
    return rc;
}

tb_code tb_gguf_writer_add_matrix(tb_gguf_writer *w, const char *name, const tb_matrix *shape, tb_error *err)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, shape);
    if (count == 0)
        return tb_fail(err, TB_EINVAL, "matrix '%s' of '%s' has an impossible shape", name, w->path);
    tb_code rc = tb_type_is_plane(shape->type) ? add_matrix_key(w, name, shape, err) : TB_OK;
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_part(w, name, &parts[i], err);
    return rc;
}

// ---- sizes ----

// The magic, the version and the two counts of write_head.
enum { HEAD_BYTES = 4 + 4 + 8 + 8 };

uint64_t tb_gguf_writer_bytes(const tb_gguf_writer *w)
{
    return tb_round_up(HEAD_BYTES + w->metadata.size + w->entries.size, TB_GGUF_ALIGNMENT) + w->offset;
}

uint64_t tb_gguf_matrix_bytes(const tb_matrix *shape)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, shape);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += tb_round_up(parts[i].bytes, TB_GGUF_ALIGNMENT);
    return bytes;
}

// ---- writing ----

static tb_code refuse_duplicates(const tb_gguf_writer *w, const declared *list, const char *what, tb_error *err)
{
    const tb_name_entry *duplicate;
    tb_name_index_sort(&(tb_name_index){list->names, list->count}, &duplicate);
    if (duplicate)
        return tb_fail(err, TB_EINVAL, "%s '%.*s' is declared twice for '%s'", what, TB_SHOWN(duplicate->name),
                       w->path);
    return TB_OK;
}

static tb_code pad(tb_gguf_writer *w, tb_error *err)
{
    size_t position = tb_outfile_position(w->file);
    return tb_outfile_write_zeros(w->file, tb_round_up(position, TB_GGUF_ALIGNMENT) - position, err);
}

static tb_code write_head(tb_gguf_writer *w, tb_error *err)
{
    tb_str head = {0};
    tb_code rc = tb_str_append_text(&head, TB_GGUF_MAGIC, err);
    if (!rc)
        rc = put_le(&head, TB_GGUF_VERSION, 4, err);
    if (!rc)
        rc = put_le(&head, w->tensors.count, 8, err);
    if (!rc)
        rc = put_le(&head, w->keys.count, 8, err);
    if (!rc)
        rc = tb_outfile_write(w->file, head.data, head.size, err);
    tb_str_clear(&head);
    return rc;
}

tb_code tb_gguf_writer_begin(tb_gguf_writer *w, tb_error *err)
{
    if (w->begun)
        return tb_fail(err, TB_EINVAL, "the tensors of '%s' have begun already", w->path);
    if (!w->file)
        return tb_fail(err, TB_EINVAL, "%s is declared only to learn its size", w->path);
    tb_code rc = refuse_duplicates(w, &w->keys, "metadata key", err);
    if (!rc)
        rc = refuse_duplicates(w, &w->tensors, "tensor", err);
    if (!rc)
        rc = write_head(w, err);
    if (!rc)
        rc = tb_outfile_write(w->file, tb_str_get(&w->metadata), w->metadata.size, err);
    if (!rc)
        rc = tb_outfile_write(w->file, tb_str_get(&w->entries), w->entries.size, err);
    if (!rc)
        rc = pad(w, err);
    w->begun = !rc;
    return rc;
}

tb_code tb_gguf_writer_data(tb_gguf_writer *w, const void *bytes, size_t n, tb_error *err)
{
    const unsigned char *from = bytes;
    if (!w->begun)
        return tb_fail(err, TB_EINVAL, "the tensors of '%s' have not begun", w->path);
    tb_code rc = TB_OK;
    while (n > 0 && !rc) {
        if (w->current == w->tensors.count)
            return tb_fail(err, TB_EINVAL, "'%s' gets more bytes than its tensors have", w->path);
        size_t left = w->tensors.bytes[w->current] - w->done;
        size_t part = n < left ? n : left;
        rc = tb_outfile_write(w->file, from, part, err);
        if (rc)
            return rc;
        from += part;
        n -= part;
        w->done += part;
        if (part == left) {
            w->current++;
            w->done = 0;
            rc = pad(w, err);
        }
    }
    return rc;
}

// Writes one whole tensor; a size other than the declared one would shift all that follow.
static tb_code write_part(tb_gguf_writer *w, const void *bytes, size_t n, tb_error *err)
{
    if (w->done != 0 || w->current == w->tensors.count || w->tensors.bytes[w->current] != n)
        return tb_fail(err, TB_EINVAL, "a matrix written to '%s' is not the one declared", w->path);
    return tb_gguf_writer_data(w, bytes, n, err);
}

tb_code tb_gguf_writer_matrix(tb_gguf_writer *w, const tb_matrix *m, tb_error *err)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, m);
    tb_code rc = count ? TB_OK : tb_fail(err, TB_EINVAL, "a matrix written to '%s' has an impossible shape", w->path);
    for (size_t i = 0; i < count && !rc; i++)
        rc = write_part(w, parts[i].data, parts[i].bytes, err);
    return rc;
}

tb_code tb_gguf_writer_commit(tb_gguf_writer *w, tb_error *err)
{
    if (!w->begun || w->current != w->tensors.count)
        return tb_fail(err, TB_EINVAL, "'%s' lacks the bytes of %zu of its tensors", w->path,
                       w->tensors.count - w->current);
    return tb_outfile_commit(w->file, err);
}
