// A safetensors file by itself: opened for reading, or written at once.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"

struct tb_safetensors {
    tb_map map;
    tb_arena arena;
    tb_safetensor *tensors;
    size_t count;
    tb_text *metadata; // keys and values in turn
    size_t pairs;
};

tb_code tb_safetensors_open(tb_safetensors **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_safetensors *file = tb_new(tb_safetensors);
    if (!file)
        return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    tb_code rc = tb_map_open(&file->map, path, err);
    if (!rc)
        rc = tb_safetensors_read(&file->tensors, &file->count, &file->arena, file->map, path, err);
    if (!rc)
        rc = tb_safetensors_read_metadata(&file->metadata, &file->pairs, &file->arena, file->map, path, err);
    if (rc) {
        tb_safetensors_close(file);
        return rc;
    }
    *out = file;
    return TB_OK;
}

void tb_safetensors_close(tb_safetensors *file)
{
    if (!file)
        return;
    tb_arena_clear(&file->arena);
    tb_map_close(&file->map);
    tb_free(file);
}

size_t tb_safetensors_count(const tb_safetensors *file)
{
    return file->count;
}

const tb_safetensor *tb_safetensors_at(const tb_safetensors *file, size_t index)
{
    return &file->tensors[index];
}

const tb_safetensor *tb_safetensors_find(const tb_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name.data, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *tb_safetensors_metadata(const tb_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->pairs; i++)
        if (strcmp(file->metadata[2 * i].data, key) == 0)
            return file->metadata[2 * i + 1].data;
    return NULL;
}

// ---- writing ----

static json_t *describe(const tb_safetensor *tensor, size_t begin)
{
    json_t *shape = json_array();
    for (unsigned i = 0; shape && i < tensor->dim_count; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->dims[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype.data, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + tensor->bytes));
}

static bool fill_header(json_t *header, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                        size_t pairs)
{
    json_t *object = json_object();
    bool complete = json_object_set_new(header, "__metadata__", object) == 0;
    for (size_t i = 0; complete && i < pairs; i++)
        complete = json_object_set_new(object, metadata[2 * i], json_string(metadata[2 * i + 1])) == 0;
    size_t begin = 0;
    for (size_t i = 0; complete && i < count; begin += tensors[i++].bytes)
        complete = json_object_set_new(header, tensors[i].name.data, describe(&tensors[i], begin)) == 0;
    return complete;
}

// The header as text, filled up with blanks so that the tensors begin at a multiple of 64.
static tb_code make_text(tb_str *text, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                         size_t pairs, tb_error *err)
{
    json_t *header = json_object();
    char *json = NULL;
    if (header && fill_header(header, tensors, count, metadata, pairs))
        json = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    tb_code rc = json ? tb_str_append_text(text, json, err)
                      : tb_fail(err, TB_ENOMEM, "no memory for the header of a safetensors file");
    free(json);
    while (!rc && (text->size + 8) % 64)
        rc = tb_str_append_text(text, " ", err);
    return rc;
}

tb_code tb_safetensors_header(tb_str *out, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                              size_t pairs, tb_error *err)
{
    tb_str text = {0};
    unsigned char length[8];
    tb_code rc = make_text(&text, tensors, count, metadata, pairs, err);
    for (size_t i = 0; i < sizeof length; i++)
        length[i] = (unsigned char)((uint64_t)text.size >> 8 * i);
    if (!rc)
        rc = tb_str_append(out, length, sizeof length, err);
    if (!rc)
        rc = tb_str_append(out, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}

tb_code tb_safetensors_write(const char *path, const tb_safetensor *tensors, size_t count, const char *const *metadata,
                             size_t pairs, tb_error *err)
{
    tb_str header = {0};
    tb_outfile *file = NULL;
    tb_code rc = tb_safetensors_header(&header, tensors, count, metadata, pairs, err);
    if (!rc)
        rc = tb_outfile_open(&file, path, err);
    if (!rc)
        rc = tb_outfile_write(file, header.data, header.size, err);
    for (size_t i = 0; !rc && i < count; i++)
        rc = tb_outfile_write(file, tensors[i].data, tensors[i].bytes, err);
    if (!rc)
        rc = tb_outfile_commit(file, err);
    tb_outfile_close(file);
    tb_str_clear(&header);
    return rc;
}
