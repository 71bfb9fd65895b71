// The stream has parts of 32 channels: the code of the token, the code of the one before, and that of the next one as
// the model believes; behind them a channel that is always 1. Codes are rows of a Hadamard matrix and their negatives.
//
// The previous-token head has the same query and key everywhere; turned by RoPE, their product is Σ cos((Δ − 1)θ) over
// the frequencies θ, which is largest for the distance Δ = 1. The induction head compares the query's own code with the
// codes of tokens before, in channels that RoPE hardly turns: the lower half of frequencies, from 10^−4 down.
#include "planted_model.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"

enum {
    CODE = 32, // channels of a code: half of the vocabulary
    OWN = 0,
    BEFORE = CODE,
    NEXT = 2 * CODE,
    ALWAYS = 3 * CODE,
    WIDTH = 4 * CODE,
    HEAD = 64,
    FFN = 32,
    CONTEXT = 2048,
};

static const double rope_base = 1e8;

// Where the matrices of a block differ from 0. All is written twice: declared, then filled.
typedef struct writing {
    tb_gguf_writer *w;
    bool declaring;
    tb_code rc;
    tb_error *err;
} writing;

static float code(size_t token, size_t channel)
{
    size_t both = token % CODE & channel;
    unsigned ones = 0;
    for (; both; both >>= 1)
        ones += both & 1;
    return (ones % 2) ^ (token >= CODE) ? -1.0f : 1.0f;
}

typedef float entry_fn(size_t block, size_t row, size_t col);

static float zero(size_t block, size_t row, size_t col)
{
    (void)block, (void)row, (void)col;
    return 0;
}

static float one(size_t block, size_t row, size_t col)
{
    (void)block, (void)row, (void)col;
    return 1;
}

static float embedding(size_t block, size_t row, size_t col)
{
    (void)block;
    return col < CODE ? code(row, col) : col == ALWAYS ? 1 : 0;
}

static float output(size_t block, size_t row, size_t col)
{
    (void)block;
    return col >= NEXT && col < NEXT + CODE ? code(row, col - NEXT) : 0;
}

// Products of the block 0 are so large that the next best distance has e^−20 of the weight, those of block 1 so that
// another token has.
static float query(size_t block, size_t row, size_t col)
{
    double theta = pow(rope_base, -(double)(row / 2 * 2) / HEAD);
    if (block == 0)
        return row < HEAD && col == ALWAYS ? (float)(8 * (row % 2 ? -sin(theta) : cos(theta))) : 0;
    return row >= HEAD / 2 && row < HEAD && col == OWN + row - HEAD / 2 ? 2 : 0;
}

static float key(size_t block, size_t row, size_t col)
{
    if (block == 0)
        return row < HEAD && col == ALWAYS && row % 2 == 0 ? 8 : 0;
    return row >= HEAD / 2 && row < HEAD && col == BEFORE + row - HEAD / 2 ? 2 : 0;
}

static float value(size_t block, size_t row, size_t col)
{
    (void)block;
    return row < CODE && col == OWN + row ? 1 : 0;
}

// Values come normed: 32 + 1 channels of 128 are ±1 in block 0, another 32 in block 1.
static float mix(size_t block, size_t row, size_t col)
{
    size_t to = block == 0 ? BEFORE : NEXT;
    double rms = sqrt((block == 0 ? CODE + 1.0 : 2 * CODE + 1.0) / WIDTH);
    return col < CODE && row == to + col ? (float)rms : 0;
}

static void put(writing *t, const char *name, size_t block, size_t rows, size_t cols, entry_fn *entry)
{
    uint64_t dims[2] = {cols, rows};
    if (t->declaring && !t->rc)
        t->rc = tb_gguf_writer_add_tensor(t->w, name, TB_TYPE_F32, rows == 1 ? 1 : 2, dims, t->err);
    for (size_t i = 0; i < rows * cols && !t->declaring && !t->rc; i++) {
        float x = entry(block, i / cols, i % cols);
        t->rc = tb_gguf_writer_data(t->w, &x, sizeof x, t->err);
    }
}

static void put_block(writing *t, size_t block)
{
    const struct {
        const char *stem;
        size_t rows, cols;
        entry_fn *entry;
    } tensors[] = {
        {"attn_norm", 1, WIDTH, one},
        {"attn_q", PLANTED_HEADS * HEAD, WIDTH, query},
        {"attn_k", PLANTED_HEADS * HEAD, WIDTH, key},
        {"attn_v", PLANTED_HEADS * HEAD, WIDTH, value},
        {"attn_output", WIDTH, PLANTED_HEADS * HEAD, mix},
        {"ffn_norm", 1, WIDTH, one},
        {"ffn_gate", FFN, WIDTH, zero},
        {"ffn_up", FFN, WIDTH, zero},
        {"ffn_down", WIDTH, FFN, zero},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", block, tensors[i].stem);
        put(t, name, block, tensors[i].rows, tensors[i].cols, tensors[i].entry);
    }
}

static void put_tensors(writing *t, bool declaring)
{
    t->declaring = declaring;
    put(t, "token_embd.weight", 0, PLANTED_VOCAB, WIDTH, embedding);
    for (size_t b = 0; b < PLANTED_BLOCKS; b++)
        put_block(t, b);
    put(t, "output_norm.weight", 0, 1, WIDTH, one);
    put(t, "output.weight", 0, PLANTED_VOCAB, WIDTH, output);
}

static void add_keys(writing *t)
{
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"llama.block_count", PLANTED_BLOCKS},
        {"llama.embedding_length", WIDTH},
        {"llama.feed_forward_length", FFN},
        {"llama.attention.head_count", PLANTED_HEADS},
        {"llama.attention.head_count_kv", PLANTED_HEADS},
        {"llama.context_length", CONTEXT},
        {"llama.rope.dimension_count", HEAD},
        {"llama.vocab_size", PLANTED_VOCAB},
    };
    t->rc = tb_gguf_writer_add_text(t->w, "general.architecture", (tb_text){"llama", 5}, t->err);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && !t->rc; i++)
        t->rc = tb_gguf_writer_add_u32(t->w, numbers[i].key, numbers[i].value, t->err);
    if (!t->rc)
        t->rc = tb_gguf_writer_add_f32(t->w, "llama.attention.layer_norm_rms_epsilon", 1e-9f, t->err);
    if (!t->rc)
        t->rc = tb_gguf_writer_add_f32(t->w, "llama.rope.freq_base", (float)rope_base, t->err);
}

tb_code planted_model_write(const char *path, tb_error *err)
{
    writing t = {.err = err};
    tb_code rc = tb_gguf_writer_open(&t.w, path, err);
    if (rc)
        return rc;
    add_keys(&t);
    put_tensors(&t, true);
    if (!t.rc)
        t.rc = tb_gguf_writer_begin(t.w, err);
    put_tensors(&t, false);
    if (!t.rc)
        t.rc = tb_gguf_writer_commit(t.w, err);
    tb_gguf_writer_close(t.w);
    return t.rc;
}
