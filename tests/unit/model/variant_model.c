#include "variant_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "temp_folder.h"

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

const tb_lm_shape variant_plain = {
    .vocab = 40,
    .width = 32,
    .blocks = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_size = 8,
    .ffn_width = 48,
    .context = 64,
    .clip_alpha = 4,
    .rope_base = 10000,
    .norm_epsilon = 1e-5,
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

// Numbers that make every part count: norms around 1, logits of sinks around 0, matrices of variance 1/cols.
static double draw(tb_rng *rng, const tb_param *p)
{
    double x = tb_rng_normal(rng);
    if (strstr(p->name, "norm") && !ends_with(p->name, ".bias"))
        return 1 + 0.25 * x;
    if (strstr(p->name, "attn_tau"))
        return -0.5 + 0.1 * x;
    return strcmp(p->name, "token_embd.weight") == 0 || p->rows == 1 ? x : 1.5 * x / sqrt((double)p->cols);
}

tb_lm *variant_new(const tb_lm_shape *shape, uint64_t seed)
{
    tb_lm *lm;
    tb_rng rng;
    OK(tb_lm_new(&lm, shape, TB_DOUBLE, seed, &err));
    tb_rng_init(&rng, seed, 1);
    tb_params *params = tb_lm_params(lm);
    for (size_t i = 0; i < tb_params_count(params); i++) {
        tb_param *p = tb_params_at(params, i);
        for (size_t k = 0; k < p->rows * p->cols; k++)
            tb_param_set(params, p, k, (double)(float)draw(&rng, p));
    }
    return lm;
}

// ---- GGUF ----

static void add_text(tb_gguf_writer *w, const char *key, const char *value)
{
    OK(tb_gguf_writer_add_text(w, key, (tb_text){value, strlen(value)}, &err));
}

static void add_keys(tb_gguf_writer *w, const tb_lm_shape *s)
{
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"twobit.block_count", s->blocks},
        {"twobit.context_length", s->context},
        {"twobit.embedding_length", s->width},
        {"twobit.feed_forward_length", s->ffn_width},
        {"twobit.vocab_size", s->vocab},
        {"twobit.attention.head_count", s->heads},
        {"twobit.attention.head_count_kv", s->kv_heads},
        {"twobit.attention.key_length", s->head_size},
        {"twobit.attention.value_length", s->head_size},
        {"twobit.registers", s->registers},
        {"twobit.attention.sliding_window", s->reach},
    };
    add_text(w, "general.architecture", "twobit");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        OK(tb_gguf_writer_add_u32(w, sizes[i].key, (uint32_t)sizes[i].value, &err));
    add_text(w, "twobit.attention.normalizer", tb_lm_normalizer_names[s->normalizer]);
    add_text(w, "twobit.attention.gate", tb_lm_gate_names[s->gate]);
    add_text(w, "twobit.attention.kv_bias", tb_lm_kv_bias_names[s->kv_bias]);
    add_text(w, "twobit.norm", tb_lm_norm_names[s->norm]);
    add_text(w, "twobit.ffn", tb_lm_ffn_names[s->ffn]);
    OK(tb_gguf_writer_add_f32(w, "twobit.rope.freq_base", (float)s->rope_base, &err));
    OK(tb_gguf_writer_add_f32(w, "twobit.attention.layer_norm_rms_epsilon", (float)s->norm_epsilon, &err));
    if (s->normalizer == TB_LM_CLIP)
        OK(tb_gguf_writer_add_f32(w, "twobit.attention.clip_alpha", (float)s->clip_alpha, &err));
}

void variant_write_gguf(const char *path, tb_lm *lm)
{
    tb_gguf_writer *w;
    tb_params *params = tb_lm_params(lm);
    OK(tb_gguf_writer_open(&w, path, &err));
    add_keys(w, tb_lm_get_shape(lm));
    for (size_t i = 0; i < tb_params_count(params); i++) {
        const tb_param *p = tb_params_at(params, i);
        OK(tb_gguf_writer_add_tensor(w, p->name, TB_TYPE_F32, p->vector ? 1 : 2, (uint64_t[]){p->cols, p->rows}, &err));
    }
    OK(tb_gguf_writer_begin(w, &err));
    for (size_t i = 0; i < tb_params_count(params); i++) {
        const tb_param *p = tb_params_at(params, i);
        for (size_t k = 0; k < p->rows * p->cols; k++) {
            float x = (float)tb_param_get(params, p, k);
            OK(tb_gguf_writer_data(w, &x, sizeof x, &err));
        }
    }
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
}

// ---- folders ----

static void write_weights(const char *path, tb_lm *lm)
{
    tb_params *params = tb_lm_params(lm);
    size_t count = tb_params_count(params);
    tb_safetensor *tensors = tb_alloc_array(count, sizeof *tensors);
    for (size_t i = 0; i < count; i++) {
        const tb_param *p = tb_params_at(params, i);
        float *values = tb_alloc_array(p->rows * p->cols, sizeof *values);
        for (size_t k = 0; k < p->rows * p->cols; k++)
            values[k] = (float)tb_param_get(params, p, k);
        tensors[i] = (tb_safetensor){
            .name = {p->name, strlen(p->name)},
            .dtype = {"F32", 3},
            .dim_count = p->vector ? 1 : 2,
            .dims = {p->vector ? p->cols : p->rows, p->vector ? 1 : p->cols, 1, 1},
            .data = (const unsigned char *)values,
            .bytes = p->rows * p->cols * sizeof *values,
        };
    }
    OK(tb_safetensors_write(path, tensors, count, NULL, 0, &err));
    for (size_t i = 0; i < count; i++)
        tb_free((void *)(uintptr_t)tensors[i].data);
    tb_free(tensors);
}

void variant_write_folder(const char *name, tb_lm *lm)
{
    const tb_lm_shape *s = tb_lm_get_shape(lm);
    char config[2048], file[128], alpha[64] = "";
    if (s->normalizer == TB_LM_CLIP)
        snprintf(alpha, sizeof alpha, ", \"clip_alpha\": %g", s->clip_alpha);
    int size = snprintf(
        config, sizeof config,
        "{\"model_type\": \"twobit\", \"num_hidden_layers\": %zu, \"max_position_embeddings\": %zu, \"hidden_size\": "
        "%zu, "
        "\"intermediate_size\": %zu, \"vocab_size\": %zu, \"num_attention_heads\": %zu, \"num_key_value_heads\": %zu, "
        "\"head_dim\": %zu, \"registers\": %zu, \"normalizer\": \"%s\", \"gate\": \"%s\", \"kv_bias\": \"%s\", "
        "\"norm\": \"%s\", \"ffn\": \"%s\", \"rope_theta\": %g, \"rms_norm_eps\": %g, \"tie_word_embeddings\": %s, "
        "\"sliding_window\": %s, \"training\": {\"steps\": 3}%s}\n",
        s->blocks, s->context, s->width, s->ffn_width, s->vocab, s->heads, s->kv_heads, s->head_size, s->registers,
        tb_lm_normalizer_names[s->normalizer], tb_lm_gate_names[s->gate], tb_lm_kv_bias_names[s->kv_bias],
        tb_lm_norm_names[s->norm], tb_lm_ffn_names[s->ffn], s->rope_base, s->norm_epsilon, s->tied ? "true" : "false",
        s->reach ? "7" : "null", alpha);
    assert_true(s->reach == 0 || s->reach == 7);
    snprintf(file, sizeof file, "%s/config.json", name);
    temp_write(file, config, (size_t)size);
    snprintf(file, sizeof file, "%s/model.safetensors", name);
    write_weights(temp_path(file), lm);
}

const char *variant_text(const tb_lm_shape *s)
{
    static char text[256];
    snprintf(text, sizeof text, "%s, gate %s, kv bias %s, norm %s, %s, %zu registers, reach %zu",
             tb_lm_normalizer_names[s->normalizer], tb_lm_gate_names[s->gate], tb_lm_kv_bias_names[s->kv_bias],
             tb_lm_norm_names[s->norm], tb_lm_ffn_names[s->ffn], s->registers, s->reach);
    return text;
}
