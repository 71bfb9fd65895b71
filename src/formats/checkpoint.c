// The open checkpoint: look-ups by name, typed metadata. Readers stand on it; checkpoint_open.c stands on them.
#include "formats/checkpoint.h"

#include "formats/bytes.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are used as they lie in the file: a little-endian machine is needed"
#endif

tb_code tb_checkpoint_no_memory(const tb_checkpoint *checkpoint, tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", checkpoint->path);
}

void tb_checkpoint_close(tb_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; i < checkpoint->map_count; i++)
        tb_map_close(&checkpoint->maps[i]);
    for (size_t i = 0; i < TB_HF_FILES; i++)
        tb_map_close(&checkpoint->hf_maps[i]);
    tb_arena_clear(&checkpoint->arena);
    tb_free(checkpoint);
}

const char *tb_checkpoint_path(const tb_checkpoint *checkpoint)
{
    return checkpoint->path;
}

const char *tb_checkpoint_note(const tb_checkpoint *checkpoint, size_t index)
{
    return checkpoint->notes[index];
}

tb_code tb_checkpoint_add_note(tb_checkpoint *checkpoint, tb_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t i = 0;
    while (checkpoint->notes[i])
        i++;
    assert(i < TB_CHECKPOINT_NOTES);
    checkpoint->notes[i] = tb_arena_text(&checkpoint->arena, text, strlen(text));
    return checkpoint->notes[i] ? TB_OK : tb_checkpoint_no_memory(checkpoint, err);
}

bool tb_checkpoint_is_gguf(const tb_checkpoint *checkpoint)
{
    return checkpoint->gguf;
}

size_t tb_checkpoint_file_bytes(const tb_checkpoint *checkpoint)
{
    size_t bytes = 0;
    for (size_t i = 0; i < checkpoint->map_count; i++)
        bytes += checkpoint->maps[i].size;
    return bytes;
}

tb_text tb_checkpoint_hf_file(const tb_checkpoint *checkpoint, tb_hf_file which)
{
    if (which == TB_HF_TOKENIZER_CONFIG)
        return checkpoint->tokenizer_settings;
    const tb_map *map = &checkpoint->hf_maps[which];
    return (tb_text){(const char *)map->data, map->size};
}

// ---- look-ups ----

static tb_code index_names(tb_name_index *index, tb_checkpoint *checkpoint, size_t count, const char *what,
                           tb_text (*name_at)(const tb_checkpoint *, size_t), tb_error *err)
{
    index->entries = tb_arena_array(&checkpoint->arena, count, sizeof index->entries[0]);
    if (!index->entries)
        return tb_checkpoint_no_memory(checkpoint, err);
    index->count = count;
    for (size_t i = 0; i < count; i++)
        index->entries[i] = (tb_name_entry){name_at(checkpoint, i), i};
    const tb_name_entry *duplicate;
    tb_name_index_sort(index, &duplicate);
    if (duplicate)
        return tb_fail(err, TB_EFORMAT, "'%s' has two %s named '%.*s'", checkpoint->path, what,
                       TB_SHOWN(duplicate->name));
    return TB_OK;
}

static tb_text key_at(const tb_checkpoint *checkpoint, size_t index)
{
    return checkpoint->kvs[index].key;
}

static tb_text tensor_name_at(const tb_checkpoint *checkpoint, size_t index)
{
    return checkpoint->tensors[index].name;
}

static int compare_places(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const tb_tensor_info *const *)a)->data;
    uintptr_t y = (uintptr_t)(*(const tb_tensor_info *const *)b)->data;
    return (x > y) - (x < y);
}

static tb_code refuse_overlaps(const tb_checkpoint *checkpoint, tb_error *err)
{
    size_t count = checkpoint->tensor_count;
    const tb_tensor_info **sorted = tb_alloc_array(count, sizeof(const tb_tensor_info *));
    if (!sorted)
        return tb_checkpoint_no_memory(checkpoint, err);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &checkpoint->tensors[i];
    if (count)
        qsort(sorted, count, sizeof(const tb_tensor_info *), compare_places);
    tb_code rc = TB_OK;
    for (size_t i = 1; i < count && !rc; i++) {
        const tb_tensor_info *below = sorted[i - 1];
        if ((uintptr_t)below->data + below->bytes > (uintptr_t)sorted[i]->data)
            rc = tb_fail(err, TB_EFORMAT, "tensors '%s' and '%s' of '%s' overlap", below->name.data,
                         sorted[i]->name.data, checkpoint->path);
    }
    tb_free(sorted);
    return rc;
}

tb_code tb_checkpoint_index_kvs(tb_checkpoint *checkpoint, tb_error *err)
{
    return index_names(&checkpoint->kv_index, checkpoint, checkpoint->kv_count, "metadata keys", key_at, err);
}

tb_code tb_checkpoint_index_tensors(tb_checkpoint *checkpoint, tb_error *err)
{
    tb_code rc =
        index_names(&checkpoint->tensor_index, checkpoint, checkpoint->tensor_count, "tensors", tensor_name_at, err);
    return rc ? rc : refuse_overlaps(checkpoint, err);
}

bool tb_tensor_set_bytes(tb_tensor_info *tensor)
{
    const tb_type_traits *traits = tb_type_traits_get(tensor->type);
    if (tensor->dims[0] % traits->unit_size != 0)
        return false;
    size_t bytes = traits->unit_bytes;
    bool fits = tensor->dims[0] <= SIZE_MAX && tb_mul_size(&bytes, bytes, (size_t)tensor->dims[0] / traits->unit_size);
    for (unsigned i = 1; i < TB_MAX_DIMS && fits; i++)
        fits = tensor->dims[i] <= SIZE_MAX && tb_mul_size(&bytes, bytes, (size_t)tensor->dims[i]);
    tensor->bytes = bytes;
    return fits;
}

size_t tb_checkpoint_kv_count(const tb_checkpoint *checkpoint)
{
    return checkpoint->kv_count;
}

const tb_kv *tb_checkpoint_kv_at(const tb_checkpoint *checkpoint, size_t index)
{
    return &checkpoint->kvs[index];
}

const tb_kv *tb_checkpoint_find(const tb_checkpoint *checkpoint, const char *key)
{
    const tb_name_entry *entry = tb_name_index_find(&checkpoint->kv_index, (tb_text){key, strlen(key)});
    return entry ? &checkpoint->kvs[entry->position] : NULL;
}

size_t tb_checkpoint_tensor_count(const tb_checkpoint *checkpoint)
{
    return checkpoint->tensor_count;
}

const tb_tensor_info *tb_checkpoint_tensor_at(const tb_checkpoint *checkpoint, size_t index)
{
    return &checkpoint->tensors[index];
}

const tb_tensor_info *tb_checkpoint_tensor(const tb_checkpoint *checkpoint, const char *name)
{
    const tb_name_entry *entry = tb_name_index_find(&checkpoint->tensor_index, (tb_text){name, strlen(name)});
    return entry ? &checkpoint->tensors[entry->position] : NULL;
}

// ---- metadata values ----

size_t tb_kv_type_bytes(uint32_t type)
{
    switch (type) {
    case TB_KV_U8:
    case TB_KV_I8:
    case TB_KV_BOOL:
        return 1;
    case TB_KV_U16:
    case TB_KV_I16:
        return 2;
    case TB_KV_U32:
    case TB_KV_I32:
    case TB_KV_F32:
        return 4;
    case TB_KV_U64:
    case TB_KV_I64:
    case TB_KV_F64:
        return 8;
    default:
        return 0;
    }
}

static bool is_signed(tb_kv_type type)
{
    return type == TB_KV_I8 || type == TB_KV_I16 || type == TB_KV_I32 || type == TB_KV_I64;
}

static bool is_float(tb_kv_type type)
{
    return type == TB_KV_F32 || type == TB_KV_F64;
}

static bool is_unsigned(tb_kv_type type)
{
    return type == TB_KV_U8 || type == TB_KV_U16 || type == TB_KV_U32 || type == TB_KV_U64;
}

// Two's complement of `bytes` bytes.
static int64_t sign_extend(uint64_t value, size_t bytes)
{
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    return (int64_t)((value ^ sign) - sign);
}

static double float_of_bits(uint64_t bits, tb_kv_type type)
{
    if (type == TB_KV_F32)
        return (double)tb_float_from_bits((uint32_t)bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void tb_kv_set_scalar(tb_kv *kv, tb_kv_type type, const unsigned char *bytes)
{
    size_t size = tb_kv_type_bytes(type);
    uint64_t bits = tb_load_le(bytes, size);
    kv->type = type;
    if (is_float(type))
        kv->value.f = float_of_bits(bits, type);
    else if (is_signed(type))
        kv->value.i = sign_extend(bits, size);
    else
        kv->value.u = bits;
}

// Element `index` of a numeric array as an entry of its own.
static tb_kv array_element(const tb_kv *array, size_t index)
{
    tb_kv element = {.key = array->key};
    tb_kv_type type = array->value.array.type;
    const unsigned char *data = array->value.array.data;
    tb_kv_set_scalar(&element, type, data + index * tb_kv_type_bytes(type));
    return element;
}

double tb_kv_array_f64(const tb_kv *kv, size_t index)
{
    tb_kv element = array_element(kv, index);
    if (is_float(element.type))
        return element.value.f;
    return is_signed(element.type) ? (double)element.value.i : (double)element.value.u;
}

int64_t tb_kv_array_i64(const tb_kv *kv, size_t index)
{
    tb_kv element = array_element(kv, index);
    if (is_signed(element.type))
        return element.value.i;
    if (!is_float(element.type))
        return element.value.u > INT64_MAX ? INT64_MAX : (int64_t)element.value.u;
    if (isnan(element.value.f))
        return 0;
    if (element.value.f >= 0x1p63)
        return INT64_MAX;
    return element.value.f <= -0x1p63 ? INT64_MIN : (int64_t)element.value.f;
}

// The entry of that key, or NULL with *rc = TB_OK, or an error when it is required.
static const tb_kv *look_up(const tb_checkpoint *checkpoint, const char *key, bool required, tb_code *rc, tb_error *err)
{
    const tb_kv *kv = tb_checkpoint_find(checkpoint, key);
    *rc = kv || !required ? TB_OK : tb_fail(err, TB_EFORMAT, "'%s' lacks the metadata key '%s'", checkpoint->path, key);
    return kv;
}

static tb_code wrong_type(const tb_checkpoint *checkpoint, const char *key, const char *wanted, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "metadata key '%s' of '%s' is not %s", key, checkpoint->path, wanted);
}

tb_code tb_checkpoint_get_u64(uint64_t *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                              tb_error *err)
{
    tb_code rc;
    const tb_kv *kv = look_up(checkpoint, key, required, &rc, err);
    if (!kv)
        return rc;
    if (is_signed(kv->type) && kv->value.i >= 0)
        *out = (uint64_t)kv->value.i;
    else if (is_unsigned(kv->type))
        *out = kv->value.u;
    else
        return wrong_type(checkpoint, key, "a non-negative integer", err);
    return TB_OK;
}

tb_code tb_checkpoint_get_f64(double *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                              tb_error *err)
{
    tb_code rc;
    const tb_kv *kv = look_up(checkpoint, key, required, &rc, err);
    if (!kv)
        return rc;
    if (is_signed(kv->type))
        *out = (double)kv->value.i;
    else if (is_unsigned(kv->type))
        *out = (double)kv->value.u;
    else if (is_float(kv->type) && isfinite(kv->value.f))
        *out = kv->value.f;
    else
        return wrong_type(checkpoint, key, "a finite number", err);
    return TB_OK;
}

tb_code tb_checkpoint_get_bool(bool *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                               tb_error *err)
{
    tb_code rc;
    const tb_kv *kv = look_up(checkpoint, key, required, &rc, err);
    if (!kv)
        return rc;
    if (kv->type != TB_KV_BOOL)
        return wrong_type(checkpoint, key, "true or false", err);
    *out = kv->value.u != 0;
    return TB_OK;
}

tb_code tb_checkpoint_get_text(tb_text *out, const tb_checkpoint *checkpoint, const char *key, bool required,
                               tb_error *err)
{
    tb_code rc;
    const tb_kv *kv = look_up(checkpoint, key, required, &rc, err);
    if (!kv)
        return rc;
    if (kv->type != TB_KV_TEXT)
        return wrong_type(checkpoint, key, "a text", err);
    *out = kv->value.text;
    return TB_OK;
}
