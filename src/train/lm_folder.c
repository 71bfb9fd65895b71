#include "train/lm_folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/lm_parts.h"

#define STATE_FILE "state.safetensors"
#define LOG_FILE "log.safetensors"
#define BEST_FILE "best.safetensors"

static tb_code path_of(tb_str *out, const char *folder, const char *name, tb_error *err)
{
    tb_str_reset(out);
    return tb_str_printf(out, err, "%s/%s", folder, name);
}

// ---- the work folder ----

// What a process that was killed had begun to write (base/file.h).
static void remove_unfinished(const char *folder)
{
    DIR *dir = opendir(folder);
    tb_str path = {0};
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (strstr(entry->d_name, ".tmp-") && path_of(&path, folder, entry->d_name, NULL) == TB_OK)
            unlink(path.data);
    if (dir)
        closedir(dir);
    tb_str_clear(&path);
}

tb_code tb_lm_folder_open(tb_lm_folder *folder, const char *path, tb_error *err)
{
    *folder = (tb_lm_folder){.path = path};
    tb_str work = {0};
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (tb_path_exists(path))
        return tb_fail(err, TB_EIO, "'%s' is there already; remove it or choose another name", path);
    tb_code rc = tb_str_printf(&work, err, "%.*s.partial", (int)size, path);
    if (rc)
        return rc;
    folder->work = work.data;
    if (mkdir(folder->work, 0777) != 0 && errno != EEXIST)
        return tb_fail(err, TB_EIO, "cannot create '%s': %s", folder->work, strerror(errno));
    rc = tb_output_lock_take_folder(&folder->lock, folder->work, err);
    if (!rc)
        remove_unfinished(folder->work);
    return rc;
}

void tb_lm_folder_close(tb_lm_folder *folder)
{
    tb_output_lock_give(&folder->lock);
    tb_free(folder->work);
    folder->work = NULL;
}

// ---- states ----

// The log goes first: what it has beyond the state is written again by the steps that follow.
tb_code tb_lm_folder_save(const tb_lm_folder *folder, tb_lm *lm, tb_params *log, const char *description, uint64_t step,
                          tb_error *err)
{
    char number[24];
    tb_str path = {0};
    snprintf(number, sizeof number, "%" PRIu64, step);
    const char *const metadata[] = {"training", description, "step", number};
    tb_code rc = path_of(&path, folder->work, LOG_FILE, err);
    if (!rc)
        rc = tb_params_save(path.data, log, false, NULL, 0, err);
    if (!rc)
        rc = path_of(&path, folder->work, STATE_FILE, err);
    if (!rc)
        rc = tb_params_save(path.data, tb_lm_params(lm), true, metadata, 2, err);
    tb_str_clear(&path);
    return rc;
}

static tb_code load_file(const tb_lm_folder *folder, const char *name, tb_params *params, tb_error *err)
{
    tb_str path = {0};
    tb_safetensors *file = NULL;
    tb_code rc = path_of(&path, folder->work, name, err);
    if (!rc)
        rc = tb_safetensors_open(&file, path.data, err);
    if (!rc)
        rc = tb_params_load(params, false, file, path.data, err);
    tb_safetensors_close(file);
    tb_str_clear(&path);
    return rc;
}

static tb_code load_state(uint64_t *step, const char *path, tb_lm *lm, const char *description, tb_error *err)
{
    tb_safetensors *file;
    tb_code rc = tb_safetensors_open(&file, path, err);
    if (rc)
        return rc;
    const char *told = tb_safetensors_metadata(file, "training"), *made = tb_safetensors_metadata(file, "step");
    if (!told || !made || strcmp(told, description) != 0 || tb_parse_count(step, made, NULL) != TB_OK)
        rc = tb_fail(err, TB_EINVAL,
                     "'%s' belongs to a training with other options or another text; remove its folder to begin anew",
                     path);
    else
        rc = tb_params_load(tb_lm_params(lm), true, file, path, err);
    tb_safetensors_close(file);
    return rc;
}

tb_code tb_lm_folder_load(uint64_t *step, const tb_lm_folder *folder, tb_lm *lm, tb_params *log,
                          const char *description, tb_error *err)
{
    tb_str path = {0};
    *step = 0;
    tb_code rc = path_of(&path, folder->work, STATE_FILE, err);
    if (!rc && tb_path_exists(path.data)) {
        rc = load_state(step, path.data, lm, description, err);
        if (!rc)
            rc = load_file(folder, LOG_FILE, log, err);
    }
    tb_str_clear(&path);
    return rc;
}

tb_code tb_lm_folder_save_best(const tb_lm_folder *folder, tb_lm *lm, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = path_of(&path, folder->work, BEST_FILE, err);
    if (!rc)
        rc = tb_params_save(path.data, tb_lm_params(lm), false, NULL, 0, err);
    tb_str_clear(&path);
    return rc;
}

tb_code tb_lm_folder_load_best(const tb_lm_folder *folder, tb_lm *lm, tb_error *err)
{
    return load_file(folder, BEST_FILE, tb_lm_params(lm), err);
}

// ---- config.json ----

// What every program that knows Llama understands.
static bool is_llama(const tb_lm_shape *s)
{
    return s->normalizer == TB_LM_SOFTMAX && s->gate == TB_LM_GATE_NONE && s->kv_bias == TB_LM_KV_BIAS_NONE &&
           s->norm == TB_LM_NORM_RMS && s->ffn == TB_LM_SWIGLU && !s->registers && !s->reach && !s->biases;
}

static void put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void put_count(json_t *object, const char *key, size_t value)
{
    put(object, key, json_integer((json_int_t)value));
}

static void put_llama(json_t *config)
{
    put(config, "architectures", json_pack("[s]", "LlamaForCausalLM"));
    put(config, "hidden_act", json_string("silu"));
    put(config, "attention_bias", json_false());
    put(config, "mlp_bias", json_false());
}

static void put_variant(json_t *config, const tb_lm_shape *s)
{
    put(config, "normalizer", json_string(tb_lm_normalizer_names[s->normalizer]));
    if (s->normalizer == TB_LM_CLIP)
        put(config, "clip_alpha", json_real(s->clip_alpha));
    put(config, "gate", json_string(tb_lm_gate_names[s->gate]));
    put(config, "kv_bias", json_string(tb_lm_kv_bias_names[s->kv_bias]));
    put_count(config, "registers", s->registers);
    put(config, "norm", json_string(tb_lm_norm_names[s->norm]));
    put(config, "ffn", json_string(tb_lm_ffn_names[s->ffn]));
    if (s->reach)
        put_count(config, "sliding_window", s->reach);
}

static json_t *make_config(const tb_lm_training *t)
{
    const tb_lm_shape *s = &t->shape;
    json_t *config = json_object();
    put(config, "model_type", json_string(is_llama(s) ? "llama" : "twobit"));
    put_count(config, "hidden_size", s->width);
    put_count(config, "intermediate_size", s->ffn_width);
    put_count(config, "num_hidden_layers", s->blocks);
    put_count(config, "num_attention_heads", s->heads);
    put_count(config, "num_key_value_heads", s->kv_heads);
    put_count(config, "head_dim", s->head_size);
    put_count(config, "max_position_embeddings", s->context);
    put_count(config, "vocab_size", s->vocab);
    put(config, "rms_norm_eps", json_real(s->norm_epsilon));
    put(config, "rope_theta", json_real(s->rope_base));
    put(config, "tie_word_embeddings", json_boolean(s->tied));
    put(config, "torch_dtype", json_string(t->half ? "float16" : "float32"));
    put(config, "bos_token_id", json_integer(t->bos));
    put(config, "eos_token_id", json_integer(t->eos));
    if (is_llama(s))
        put_llama(config);
    else
        put_variant(config, s);
    return config;
}

static tb_code write_config(const char *path, const tb_lm_training *t, tb_error *err)
{
    json_t *config = make_config(t);
    tb_str text = {0};
    tb_code rc = json_object_size(config) >= 15 ? tb_json_append(&text, config, 2, err)
                                                : tb_fail(err, TB_ENOMEM, "no memory to write '%s'", path);
    if (!rc)
        rc = tb_str_append_text(&text, "\n", err);
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    json_decref(config);
    tb_str_clear(&text);
    return rc;
}

// ---- model.safetensors ----

// What products see of a parameter: three-valued matrices are written as they are used.
static const void *used_values(const tb_lm *lm, const tb_param *param)
{
    for (size_t i = 0; i < lm->shape.blocks; i++) {
        const tb_lm_linear *linears[TB_LM_MATRICES];
        tb_lm_block_matrices(linears, &lm->blocks[i]);
        for (size_t j = 0; j < TB_LM_MATRICES; j++)
            if (linears[j]->weight == param)
                return linears[j]->used;
    }
    return param->value;
}

// The values in half the bits; NULL when memory ran out.
static const void *halve(tb_arena *arena, const float *values, size_t n)
{
    uint16_t *halves = tb_arena_array(arena, n, sizeof *halves);
    for (size_t i = 0; halves && i < n; i++)
        halves[i] = tb_half_from_float(values[i]);
    return halves;
}

static tb_code describe(tb_safetensor *out, tb_arena *arena, const tb_lm *lm, const tb_param *param, bool half,
                        tb_error *err)
{
    char name[TB_LLAMA_NAME_SIZE];
    size_t n = param->rows * param->cols;
    if (!is_llama(&lm->shape) || !tb_llama_name(name, param->name))
        snprintf(name, sizeof name, "%s", param->name);
    char *copy = tb_arena_text(arena, name, strlen(name));
    *out = (tb_safetensor){.name = {copy, strlen(name)}, .dtype = {half ? "F16" : "F32", 3}, .dims = {1, 1, 1, 1}};
    out->dim_count = param->vector ? 1 : 2;
    out->dims[0] = param->vector ? param->cols : param->rows;
    out->dims[1] = param->vector ? 1 : param->cols;
    out->data = half ? halve(arena, used_values(lm, param), n) : used_values(lm, param);
    out->bytes = n * (half ? sizeof(uint16_t) : sizeof(float));
    return copy && out->data ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to write a model");
}

static tb_code write_model(const char *path, tb_lm *lm, bool half, tb_error *err)
{
    tb_params *params = tb_lm_params(lm);
    size_t count = tb_params_count(params);
    tb_arena arena = {0};
    tb_safetensor *tensors = tb_arena_array(&arena, count, sizeof *tensors);
    const char *const metadata[] = {"format", "pt"}; // without which transformers does not read it
    tb_lm_passes_f32.quantize(lm, 1);
    tb_code rc = tensors ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to write a model");
    for (size_t i = 0; !rc && i < count; i++)
        rc = describe(&tensors[i], &arena, lm, tb_params_at(params, i), half, err);
    if (!rc)
        rc = tb_safetensors_write(path, tensors, count, metadata, 1, err);
    tb_arena_clear(&arena);
    return rc;
}

// ---- the end ----

static void remove_work_files(const char *folder)
{
    const char *const names[] = {STATE_FILE, LOG_FILE, BEST_FILE};
    tb_str path = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (path_of(&path, folder, names[i], NULL) == TB_OK)
            unlink(path.data);
    tb_str_clear(&path);
}

tb_code tb_lm_folder_finish(tb_lm_folder *folder, tb_lm *lm, const tb_lm_training *training, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < training->file_count; i++) {
        const tb_lm_file *file = &training->files[i];
        rc = path_of(&path, folder->work, file->name, err);
        if (!rc)
            rc = tb_file_write(path.data, file->content.data, file->content.size, err);
    }
    if (!rc)
        rc = path_of(&path, folder->work, "config.json", err);
    if (!rc)
        rc = write_config(path.data, training, err);
    if (!rc)
        rc = path_of(&path, folder->work, "model.safetensors", err);
    if (!rc)
        rc = write_model(path.data, lm, training->half, err);
    tb_str_clear(&path);
    if (rc)
        return rc;
    tb_output_lock_give(&folder->lock);
    if (rename(folder->work, folder->path) != 0)
        return tb_fail(err, TB_EIO, "cannot give '%s' its name '%s': %s", folder->work, folder->path, strerror(errno));
    remove_work_files(folder->path);
    return TB_OK;
}
