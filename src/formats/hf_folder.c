// A Hugging Face folder as a checkpoint: config.json, safetensors files, tokenizer files.
#include "formats/hf.h"

#include "formats/json_file.h"
#include "formats/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

// Far above any model known; bounds the search for a file's name in the list.
#define MOST_SHARDS 1024

// One safetensors file of the folder.
typedef struct shard {
    const char *name; // in the folder
    const char *path;
    tb_safetensor *tensors;
    size_t count;
} shard;

typedef struct reader {
    tb_checkpoint *out;
    tb_hf_model model;
    bool left_out; // there is a vision tower
    shard *shards;
    size_t shard_count; // as many mappings are in out->maps once they are open
} reader;

// FOLDER/name in the arena, or NULL.
static const char *join_path(tb_checkpoint *checkpoint, const char *name)
{
    tb_str path = {0};
    const char *copy = NULL;
    if (!tb_str_printf(&path, NULL, "%s/%s", checkpoint->path, name))
        copy = tb_arena_text(&checkpoint->arena, path.data, path.size);
    tb_str_clear(&path);
    return copy;
}

static tb_code read_config(reader *r, const char *path, tb_error *err)
{
    json_t *config;
    tb_code rc = tb_json_file_read(&config, path, err);
    if (rc)
        return rc;
    rc = tb_hf_config_read(&r->model, r->out, config, err);
    if (!rc)
        rc = tb_hf_token_ids_read(r->out, config, err);
    json_decref(config);
    return rc;
}

// ---- which files ----

// The index may name files of this folder only.
static bool is_file_name(const char *name)
{
    return name && name[0] && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, "..") != 0 &&
           strcmp(name, ".") != 0;
}

// Adds a file unless it is listed already.
static tb_code add_shard(reader *r, const char *name, tb_error *err)
{
    for (size_t i = 0; i < r->shard_count; i++)
        if (strcmp(r->shards[i].name, name) == 0)
            return TB_OK;
    if (r->shard_count == MOST_SHARDS)
        return tb_fail(err, TB_ELIMIT, "'%s' has more than %d safetensors files", r->out->path, MOST_SHARDS);
    shard *s = &r->shards[r->shard_count];
    s->name = tb_arena_text(&r->out->arena, name, strlen(name));
    s->path = join_path(r->out, name);
    if (!s->name || !s->path)
        return tb_checkpoint_no_memory(r->out, err);
    r->shard_count++;
    return TB_OK;
}

static tb_code list_shards(reader *r, json_t *weight_map, tb_error *err)
{
    const char *tensor;
    json_t *value;
    tb_code rc = TB_OK;
    json_object_foreach(weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!rc && !is_file_name(name))
            rc = tb_fail(err, TB_EFORMAT,
                         "the index of '%s' puts tensor '%.96s' in '%.96s', which is no file of the folder",
                         r->out->path, tensor, name ? name : "");
        if (!rc)
            rc = add_shard(r, name, err);
    }
    return rc;
}

static tb_code open_shards(reader *r, tb_error *err)
{
    tb_checkpoint *out = r->out;
    out->maps = tb_arena_array(&out->arena, r->shard_count, sizeof out->maps[0]);
    if (!out->maps)
        return tb_checkpoint_no_memory(out, err);
    for (size_t i = 0; i < r->shard_count; i++) {
        shard *s = &r->shards[i];
        tb_code rc = tb_map_open(&out->maps[i], s->path, err);
        if (rc)
            return rc;
        out->map_count++;
        rc = tb_safetensors_read(&s->tensors, &s->count, &out->arena, out->maps[i], s->path, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

// Index and files must tell of the same tensors.
static tb_code compare_with_index(const reader *r, const json_t *weight_map, tb_error *err)
{
    size_t found = 0;
    for (size_t i = 0; i < r->shard_count; i++) {
        const shard *s = &r->shards[i];
        for (size_t k = 0; k < s->count; k++, found++) {
            const char *name = json_string_value(json_object_get(weight_map, s->tensors[k].name.data));
            if (!name || strcmp(name, s->name) != 0)
                return tb_fail(err, TB_EFORMAT, "the index of '%s' does not put tensor '%.96s' in '%s'", r->out->path,
                               s->tensors[k].name.data, s->name);
        }
    }
    if (found != json_object_size(weight_map))
        return tb_fail(err, TB_EFORMAT, "the index of '%s' has %zu tensors, its files have %zu", r->out->path,
                       json_object_size(weight_map), found);
    return TB_OK;
}

static tb_code open_indexed(reader *r, const char *index_path, tb_error *err)
{
    json_t *index;
    tb_code rc = tb_json_file_read(&index, index_path, err);
    if (rc)
        return rc;
    json_t *weight_map = json_object_get(index, "weight_map");
    if (!json_is_object(weight_map))
        rc = tb_fail(err, TB_EFORMAT, "'%s' has no 'weight_map'", index_path);
    if (!rc)
        rc = list_shards(r, weight_map, err);
    if (!rc)
        rc = open_shards(r, err);
    if (!rc)
        rc = compare_with_index(r, weight_map, err);
    json_decref(index);
    return rc;
}

static tb_code fail_no_weights(tb_checkpoint *checkpoint, tb_error *err)
{
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                         "consolidated.safetensors"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const char *path = join_path(checkpoint, others[i]);
        if (!path)
            return tb_checkpoint_no_memory(checkpoint, err);
        if (tb_path_exists(path))
            return tb_fail(err, TB_EUNSUPPORTED, "folder '%s' has '%s' but no 'model.safetensors', which twobit reads",
                           checkpoint->path, others[i]);
    }
    return tb_fail(err, TB_EUNSUPPORTED, "folder '%s' has no 'model.safetensors'", checkpoint->path);
}

static tb_code open_files(reader *r, tb_error *err)
{
    static const char single[] = "model.safetensors";
    const char *path = join_path(r->out, single), *index_path = join_path(r->out, "model.safetensors.index.json");
    r->shards = tb_arena_array(&r->out->arena, MOST_SHARDS, sizeof r->shards[0]);
    if (!path || !index_path || !r->shards)
        return tb_checkpoint_no_memory(r->out, err);
    if (tb_path_exists(path)) {
        tb_code rc = add_shard(r, single, err);
        return rc ? rc : open_shards(r, err);
    }
    if (tb_path_exists(index_path))
        return open_indexed(r, index_path, err);
    return fail_no_weights(r->out, err);
}

// ---- tensors ----

static bool get_type(tb_type *type, const char *dtype)
{
    static const struct {
        const char *dtype;
        tb_type type;
    } types[] = {{"F32", TB_TYPE_F32}, {"F16", TB_TYPE_F16}, {"BF16", TB_TYPE_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].dtype, dtype) == 0) {
            *type = types[i].type;
            return true;
        }
    return false;
}

// Kernels read values, not bytes: a tensor that old writers put at an odd place is copied.
static const void *align_data(tb_checkpoint *out, const tb_safetensor *from)
{
    if ((uintptr_t)from->data % sizeof(float) == 0)
        return from->data;
    void *copy = tb_arena_alloc(&out->arena, from->bytes);
    return copy ? memcpy(copy, from->data, from->bytes) : NULL;
}

// Gemma stores norm weights w of a factor 1 + w; GGUF stores the factor.
static tb_code add_one(tb_tensor_info *tensor, tb_checkpoint *out, tb_error *err)
{
    size_t count = (size_t)tensor->dims[0];
    float *factors = tb_arena_array(&out->arena, count, sizeof *factors);
    if (!factors)
        return tb_checkpoint_no_memory(out, err);
    for (size_t i = 0; i < count; i++) {
        const void *data = tensor->data;
        float w = tensor->type == TB_TYPE_F32   ? ((const float *)data)[i]
                  : tensor->type == TB_TYPE_F16 ? tb_half_to_float(((const uint16_t *)data)[i])
                                                : tb_bfloat_to_float(((const uint16_t *)data)[i]);
        factors[i] = w + 1;
    }
    tensor->type = TB_TYPE_F32;
    tensor->data = factors;
    tensor->bytes = count * sizeof *factors;
    return TB_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static tb_code add_tensor(reader *r, const tb_safetensor *from, const char *name, tb_error *err)
{
    tb_checkpoint *out = r->out;
    tb_tensor_info *tensor = &out->tensors[out->tensor_count];
    if (!get_type(&tensor->type, from->dtype.data))
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%.96s' of '%s' has type %s; twobit reads F32, F16 and BF16",
                       from->name.data, out->path, from->dtype.data);
    if (from->dim_count == 0 || from->bytes == 0)
        return tb_fail(err, TB_EFORMAT, "tensor '%.96s' of '%s' has no values", from->name.data, out->path);
    tensor->dim_count = from->dim_count;
    for (unsigned i = 0; i < TB_MAX_DIMS; i++)
        tensor->dims[i] = i < from->dim_count ? from->dims[from->dim_count - 1 - i] : 1;
    tensor->name = (tb_text){tb_arena_text(&out->arena, name, strlen(name)), strlen(name)};
    tensor->data = align_data(out, from);
    tensor->bytes = from->bytes;
    if (!tensor->name.data || !tensor->data)
        return tb_checkpoint_no_memory(out, err);
    out->tensor_count++;
    return r->model.family->reduced_norms && tensor->dim_count == 1 && ends_with(name, "norm.weight")
               ? add_one(tensor, out, err)
               : TB_OK;
}

// The tensor whose name is that of `from` with another ending; NULL where there is none.
static const tb_safetensor *find_twin(const reader *r, const tb_safetensor *from, const char *ending, const char *other)
{
    char name[256];
    size_t stem = from->name.size - strlen(ending);
    if (!ends_with(from->name.data, ending) || stem + strlen(other) >= sizeof name)
        return NULL;
    snprintf(name, sizeof name, "%.*s%s", (int)stem, from->name.data, other);
    for (size_t i = 0; i < r->shard_count; i++)
        for (size_t k = 0; k < r->shards[i].count; k++)
            if (strcmp(r->shards[i].tensors[k].name.data, name) == 0)
                return &r->shards[i].tensors[k];
    return NULL;
}

static tb_code translate_tensor(reader *r, const tb_safetensor *from, tb_error *err)
{
    char name[TB_HF_NAME_SIZE];
    const tb_safetensor *scales = NULL;
    if (r->model.family->expert_columns && find_twin(r, from, "_scales", "_blocks"))
        return TB_OK; // goes with its twin
    if (r->model.family->expert_columns)
        scales = find_twin(r, from, "_blocks", "_scales");
    switch (tb_hf_translate_name(name, from->name.data, &r->model)) {
    case TB_HF_NAME_UNKNOWN:
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%.96s' of '%s' is not one of a %s model", from->name.data,
                       r->out->path, r->model.family->model_type);
    case TB_HF_NAME_SKIPPED:
        return TB_OK;
    case TB_HF_NAME_LEFT_OUT:
        r->left_out = true;
        return TB_OK;
    case TB_HF_NAME_KNOWN:
        break;
    }
    if (r->model.family->expert_columns && strstr(name, "_exps."))
        return tb_hf_add_experts(r->out, name, from, scales, err);
    return add_tensor(r, from, name, err);
}

// Factors that a config.json has and GGUF keeps as a tensor.
static tb_code add_rope_factors(tb_checkpoint *out, const char *name, const float *factors, size_t count, tb_error *err)
{
    if (!factors)
        return TB_OK;
    tb_tensor_info *tensor = &out->tensors[out->tensor_count++];
    *tensor = (tb_tensor_info){
        .name = {name, strlen(name)}, .type = TB_TYPE_F32, .dim_count = 1, .dims = {count, 1, 1, 1}, .data = factors};
    return tb_tensor_set_bytes(tensor) ? TB_OK : tb_checkpoint_no_memory(out, err);
}

static tb_code translate_tensors(reader *r, tb_error *err)
{
    const tb_hf_rope_factors *factors = &r->model.rope_factors;
    size_t most = 2; // the factors
    for (size_t i = 0; i < r->shard_count; i++)
        most += 2 * r->shards[i].count; // gate and up in one
    r->out->tensors = tb_arena_array(&r->out->arena, most, sizeof r->out->tensors[0]);
    tb_code rc = r->out->tensors ? TB_OK : tb_checkpoint_no_memory(r->out, err);
    for (size_t i = 0; i < r->shard_count; i++)
        for (size_t k = 0; k < r->shards[i].count && !rc; k++)
            rc = translate_tensor(r, &r->shards[i].tensors[k], err);
    if (!rc)
        rc = add_rope_factors(r->out, "rope_factors_short.weight", factors->of_short, factors->count, err);
    if (!rc)
        rc = add_rope_factors(r->out, "rope_factors_long.weight", factors->of_long, factors->count, err);
    return rc;
}

// Whether two tensors of floats of any size hold the same values.
static bool same_values(const tb_tensor_info *a, const tb_tensor_info *b)
{
    enum { PIECE = 1024 }; // values decoded at a time
    const tb_type_traits *traits_a = tb_type_traits_get(a->type), *traits_b = tb_type_traits_get(b->type);
    const char *data_a = a->data, *data_b = b->data;
    size_t count = a->bytes / traits_a->unit_bytes;
    if (memcmp(a->dims, b->dims, sizeof a->dims) != 0)
        return false;
    for (size_t done = 0; done < count; done += PIECE) {
        float x[PIECE], y[PIECE];
        size_t n = count - done < PIECE ? count - done : PIECE;
        traits_a->decode(x, data_a + done * traits_a->unit_bytes, n);
        traits_b->decode(y, data_b + done * traits_b->unit_bytes, n);
        if (memcmp(x, y, n * sizeof x[0]) != 0)
            return false;
    }
    return true;
}

// Where the config ties the head to the embedding, a head that is there all the same is dropped when it is equal. One
// that differs was trained: transformers uses it, and so do we.
static tb_code drop_equal_head(reader *r, tb_error *err)
{
    tb_checkpoint *out = r->out;
    const tb_tensor_info *embedding = NULL;
    tb_tensor_info *head = NULL;
    for (size_t i = 0; i < out->tensor_count; i++) {
        if (strcmp(out->tensors[i].name.data, "token_embd.weight") == 0)
            embedding = &out->tensors[i];
        if (strcmp(out->tensors[i].name.data, "output.weight") == 0)
            head = &out->tensors[i];
    }
    if (!r->model.tied || !head)
        return TB_OK;
    if (!embedding || !same_values(embedding, head))
        return !r->model.tied_said
                   ? TB_OK
                   : tb_checkpoint_add_note(
                         out, err,
                         "config.json of '%s' ties the head to the embedding, but its 'lm_head.weight' is "
                         "another matrix, which is used",
                         out->path);
    size_t behind = (size_t)(out->tensors + out->tensor_count - head) - 1;
    memmove(head, head + 1, behind * sizeof *head);
    out->tensor_count--;
    return TB_OK;
}

// Without a head the embedding would take its place: only where the config says so.
static tb_code check_head(const reader *r, tb_error *err)
{
    if (!r->model.tied && !tb_checkpoint_tensor(r->out, "output.weight"))
        return tb_fail(err, TB_EFORMAT,
                       "'%s' has no 'lm_head.weight', but its config.json does not tie the head to the embedding",
                       r->out->path);
    return TB_OK;
}

static tb_code read_weights(reader *r, const char *config_path, tb_error *err)
{
    tb_code rc = read_config(r, config_path, err);
    if (!rc)
        rc = open_files(r, err);
    if (!rc)
        rc = translate_tensors(r, err);
    if (!rc && r->left_out)
        rc = tb_checkpoint_add_note(r->out, err, "the vision tower of '%s' is left out: the model reads text only",
                                    r->out->path);
    return rc ? rc : drop_equal_head(r, err);
}

static tb_code index_all(tb_checkpoint *checkpoint, tb_error *err)
{
    tb_code rc = tb_checkpoint_index_kvs(checkpoint, err);
    if (!rc)
        rc = tb_checkpoint_part_fused(checkpoint, err);
    return rc ? rc : tb_checkpoint_index_tensors(checkpoint, err);
}

static bool has_tokenizer(const tb_checkpoint *checkpoint)
{
    static const tb_hf_file files[] = {TB_HF_TOKENIZER_JSON, TB_HF_TOKENIZER_MODEL, TB_HF_VOCAB_JSON};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (tb_checkpoint_hf_file(checkpoint, files[i]).size)
            return true;
    return false;
}

// Without a config.json a folder may still hold a tokenizer.
tb_code tb_hf_read(tb_checkpoint *checkpoint, tb_error *err)
{
    reader r = {.out = checkpoint};
    const char *config_path = join_path(checkpoint, "config.json");
    if (!config_path)
        return tb_checkpoint_no_memory(checkpoint, err);
    tb_code rc = tb_hf_tokenizer_read(checkpoint, err);
    if (rc)
        return rc;
    bool weights = tb_path_exists(config_path);
    if (!weights && !has_tokenizer(checkpoint))
        return tb_fail(err, TB_EFORMAT, "folder '%s' is not a model: it has no config.json", checkpoint->path);
    if (weights)
        rc = read_weights(&r, config_path, err);
    if (!rc)
        rc = index_all(checkpoint, err);
    return rc || !weights ? rc : check_head(&r, err);
}

static tb_code read_token_ids(tb_checkpoint *checkpoint, const char *config_path, tb_error *err)
{
    json_t *config = NULL;
    tb_code rc = tb_path_exists(config_path) ? tb_json_file_read(&config, config_path, err) : TB_OK;
    if (!rc)
        rc = tb_hf_token_ids_read(checkpoint, config, err);
    json_decref(config);
    return rc;
}

tb_code tb_hf_read_texts(tb_checkpoint *checkpoint, tb_error *err)
{
    const char *config_path = join_path(checkpoint, "config.json");
    tb_code rc = config_path ? tb_hf_tokenizer_read(checkpoint, err) : tb_checkpoint_no_memory(checkpoint, err);
    if (!rc)
        rc = read_token_ids(checkpoint, config_path, err);
    if (!rc)
        rc = index_all(checkpoint, err);
    if (rc)
        return rc;
    if (!has_tokenizer(checkpoint) && !tb_checkpoint_find(checkpoint, "tokenizer.chat_template"))
        return tb_fail(err, TB_EFORMAT, "folder '%s' has neither a tokenizer nor a chat template", checkpoint->path);
    return TB_OK;
}

bool tb_hf_is_part(const char *path)
{
    static const char *const ends[] = {".safetensors", ".safetensors.index.json", "/config.json"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(path, ends[i]))
            return true;
    return strcmp(path, "config.json") == 0;
}

bool tb_hf_is_tokenizer_file(tb_hf_file *which, const char *path)
{
    *which = ends_with(path, ".json") ? TB_HF_TOKENIZER_JSON : TB_HF_TOKENIZER_MODEL;
    return *which == TB_HF_TOKENIZER_JSON || ends_with(path, ".model");
}

tb_code tb_hf_read_tokenizer_file(tb_checkpoint *checkpoint, tb_hf_file which, tb_error *err)
{
    tb_code rc = tb_map_open(&checkpoint->hf_maps[which], checkpoint->path, err);
    return rc ? rc : index_all(checkpoint, err);
}
