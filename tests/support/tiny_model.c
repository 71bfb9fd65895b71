#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"

const tiny_model tiny_model_default = {
    .blocks = 2, .width = 64, .ffn_width = 96, .heads = 4, .kv_heads = 2, .context = 256, .seed = 1};

enum { UNKNOWN = 0, BOS = 1, EOS = 2, SPECIALS = 3, BYTES = 256 };

// Pieces beyond the bytes; ▁ (U+2581) is SentencePiece's blank.
static const char *const words[] = {
    "▁",  "e",  "t",  "a",  "o",    "n",  "i",  "h",  "s",  "r",  "d",  "l",   "▁t", "he",  "▁the",
    "▁a", "in", "an", "nd", "▁and", "er", "on", "re", "▁s", "▁w", "ou", "▁of", "ed", "ing", "▁to",
};

enum { WORDS = sizeof words / sizeof words[0], VOCAB = SPECIALS + BYTES + WORDS };

size_t tiny_model_vocab_size(void)
{
    return VOCAB;
}

typedef struct vocabulary {
    tb_text tokens[VOCAB];
    float scores[VOCAB];
    int32_t kinds[VOCAB];
    char byte_names[BYTES][8];
} vocabulary;

static void set_token(vocabulary *v, size_t id, const char *text, float score, int32_t kind)
{
    v->tokens[id] = (tb_text){text, strlen(text)};
    v->scores[id] = score;
    v->kinds[id] = kind;
}

static void fill_vocabulary(vocabulary *v)
{
    enum { NORMAL_KIND = 1, UNKNOWN_KIND = 2, CONTROL_KIND = 3, BYTE_KIND = 6 }; // GGUF's token types
    set_token(v, UNKNOWN, "<unk>", 0, UNKNOWN_KIND);
    set_token(v, BOS, "<s>", 0, CONTROL_KIND);
    set_token(v, EOS, "</s>", 0, CONTROL_KIND);
    for (size_t i = 0; i < BYTES; i++) {
        snprintf(v->byte_names[i], sizeof v->byte_names[i], "<0x%02X>", (unsigned)i & 0xFF);
        set_token(v, SPECIALS + i, v->byte_names[i], 0, BYTE_KIND);
    }
    for (size_t i = 0; i < WORDS; i++)
        set_token(v, SPECIALS + BYTES + i, words[i], -(float)i, NORMAL_KIND);
}

// The state of one writing. Errors stick: after the first, nothing happens any more.
typedef struct writing {
    tb_gguf_writer *w;
    const tiny_model *model;
    tb_rng rng;
    bool declaring; // the first of two passes over the tensors
    tb_code rc;
    tb_error *err;
} writing;

static void add_u32(writing *t, const char *key, uint64_t value)
{
    if (!t->rc)
        t->rc = tb_gguf_writer_add_u32(t->w, key, (uint32_t)value, t->err);
}

static void add_f32(writing *t, const char *key, float value)
{
    if (!t->rc)
        t->rc = tb_gguf_writer_add_f32(t->w, key, value, t->err);
}

static void add_text(writing *t, const char *key, const char *value)
{
    if (!t->rc)
        t->rc = tb_gguf_writer_add_text(t->w, key, (tb_text){value, strlen(value)}, t->err);
}

static void add_hyper_parameters(writing *t)
{
    const tiny_model *m = t->model;
    add_text(t, "general.architecture", "llama");
    add_text(t, "general.name", "tiny");
    add_u32(t, "llama.block_count", m->blocks);
    add_u32(t, "llama.embedding_length", m->width);
    add_u32(t, "llama.feed_forward_length", m->ffn_width);
    add_u32(t, "llama.attention.head_count", m->heads);
    add_u32(t, "llama.attention.head_count_kv", m->kv_heads);
    add_u32(t, "llama.context_length", m->context);
    add_u32(t, "llama.rope.dimension_count", m->width / m->heads);
    add_u32(t, "llama.vocab_size", VOCAB);
    add_f32(t, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_f32(t, "llama.rope.freq_base", 10000);
}

static void add_vocabulary(writing *t)
{
    vocabulary v;
    fill_vocabulary(&v);
    add_text(t, "tokenizer.ggml.model", "llama");
    if (!t->rc)
        t->rc = tb_gguf_writer_add_texts(t->w, "tokenizer.ggml.tokens", v.tokens, VOCAB, t->err);
    if (!t->rc)
        t->rc = tb_gguf_writer_add_f32s(t->w, "tokenizer.ggml.scores", v.scores, VOCAB, t->err);
    if (!t->rc)
        t->rc = tb_gguf_writer_add_i32s(t->w, "tokenizer.ggml.token_type", v.kinds, VOCAB, t->err);
    add_u32(t, "tokenizer.ggml.bos_token_id", BOS);
    add_u32(t, "tokenizer.ggml.eos_token_id", EOS);
    add_u32(t, "tokenizer.ggml.unknown_token_id", UNKNOWN);
    if (!t->rc)
        t->rc = tb_gguf_writer_add_bool(t->w, "tokenizer.ggml.add_bos_token", true, t->err);
}

static const char chat_template[] =
    "{{ bos_token }}{% for m in messages %}\n"
    "{%- if m.role == 'tool' %}{{ raise_exception('this model knows no tools') }}{% endif %}\n"
    "{{- m.role }}: {{ m.content }}{{ eos_token }}\n"
    "{% endfor %}\n"
    "{%- if add_generation_prompt %}assistant: {% endif %}";

// Normal values of variance 1/cols; a vector (rows = 1) is all ones, as norms are, but for loud channels.
static void write_values(writing *t, size_t rows, size_t cols, bool nan)
{
    for (size_t i = 0; !t->rc && i < rows * cols; i++) {
        float norm = t->model->loud && i % 16 == 3 ? 8 : 1;
        float value = rows == 1 ? norm : (float)(tb_rng_normal(&t->rng) / sqrt((double)cols));
        if (nan && i == 0)
            value = NAN;
        t->rc = tb_gguf_writer_data(t->w, &value, sizeof value, t->err);
    }
}

static void put_tensor(writing *t, const char *name, size_t rows, size_t cols, bool nan)
{
    uint64_t dims[2] = {cols, rows};
    if (t->declaring && !t->rc)
        t->rc = tb_gguf_writer_add_tensor(t->w, name, TB_TYPE_F32, rows == 1 ? 1 : 2, dims, t->err);
    else
        write_values(t, rows, cols, nan);
}

static void put_block(writing *t, size_t block)
{
    const tiny_model *m = t->model;
    size_t width = m->width, ffn = m->ffn_width, kv_width = width / m->heads * m->kv_heads;
    const struct {
        const char *stem;
        size_t rows, cols;
    } tensors[] = {
        {"attn_norm", 1, width},     {"attn_q", width, width},      {"attn_k", kv_width, width},
        {"attn_v", kv_width, width}, {"attn_output", width, width}, {"ffn_norm", 1, width},
        {"ffn_gate", ffn, width},    {"ffn_up", ffn, width},        {"ffn_down", width, ffn},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", block, tensors[i].stem);
        bool nan = m->nan && block + 1 == m->blocks && strcmp(tensors[i].stem, "ffn_up") == 0;
        put_tensor(t, name, tensors[i].rows, tensors[i].cols, nan);
    }
}

static void put_tensors(writing *t, bool declaring)
{
    const tiny_model *m = t->model;
    t->declaring = declaring;
    if (m->without_weights)
        return;
    put_tensor(t, "token_embd.weight", VOCAB, m->width, false);
    for (size_t b = 0; b < m->blocks; b++)
        put_block(t, b);
    put_tensor(t, "output_norm.weight", 1, m->width, false);
    if (!m->tied)
        put_tensor(t, "output.weight", VOCAB, m->width, false);
}

tb_code tiny_model_write(const char *path, const tiny_model *model, tb_error *err)
{
    writing t = {.model = model, .err = err};
    tb_rng_init(&t.rng, model->seed, 0);
    t.rc = tb_gguf_writer_open(&t.w, path, err);
    add_hyper_parameters(&t);
    add_vocabulary(&t);
    if (model->chat_template)
        add_text(&t, "tokenizer.chat_template", chat_template);
    put_tensors(&t, true);
    if (!t.rc)
        t.rc = tb_gguf_writer_begin(t.w, err);
    put_tensors(&t, false);
    if (!t.rc)
        t.rc = tb_gguf_writer_commit(t.w, err);
    tb_gguf_writer_close(t.w);
    return t.rc;
}
