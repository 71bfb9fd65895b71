// The attention part of a block: queries, keys and values from the normed stream, attention over what each
// sequence remembers, and the way back into the stream. A mixer of another kind (a delta-net, a scan) is another such
// part, on another kind of memory; an output gate multiplies `attended` before Wo.
#include "model/attention.h"
#include "model/forward.h"

#include <assert.h>

static const tb_rope_table *rope_of(const tb_pass *pass)
{
    return pass->runner->model->settings.near[pass->block] ? &pass->runner->near_rope : &pass->runner->rope;
}

// Norms and turns the heads of one row.
static void finish_heads(float *x, const tb_pass *pass, size_t heads, const float *norm, size_t row)
{
    const tb_model *model = pass->runner->model;
    const tb_settings *settings = &model->settings;
    size_t n = settings->config.head_size;
    for (size_t head = 0; head < heads; head++, x += n) {
        if (norm)
            tb_rms_norm(x, model, x, norm, n);
        if (settings->rotated[pass->block])
            tb_rope_apply(x, rope_of(pass), row);
    }
}

static void finish_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        finish_heads(r->query + t * r->query_stride, pass, config->heads, pass->weights->query_norm, t);
        finish_heads(r->key + t * r->key_stride, pass, config->kv_heads, pass->weights->key_norm, t);
    }
}

static void fill_angles(const tb_pass *pass)
{
    const tb_batch *batch = pass->batch;
    for (size_t i = 0; i < batch->span_count; i++) {
        const tb_span *span = &batch->spans[i];
        tb_rope_table_fill(rope_of(pass), span->first, batch->positions + span->first, span->count, span->length);
    }
}

// Keys and values of a span go into its memory, and its queries see them there.
static void attend(const tb_pass *pass, size_t index)
{
    const tb_runner *r = pass->runner;
    const tb_span *span = &pass->batch->spans[index];
    const tb_settings *settings = &r->model->settings;
    const int32_t *positions = pass->batch->positions + span->first;
    const float *keys = r->key + span->first * r->key_stride, *values = r->value + span->first * r->key_stride;
    tb_kv_block *kv = tb_memory_get_kv(span->memory, pass->block);
    assert(span->memory->capacity <= r->capacity);
    tb_kv_store(kv, &r->model->compute, &(tb_kv_rows){keys, values, r->key_stride, span->count, positions});
    tb_attention_run(&(tb_attention){
        .compute = &r->model->compute,
        .config = &settings->config,
        .kv = kv,
        .scale = (float)settings->query_scale,
        .cap = (float)settings->attention_cap,
        .growth = settings->query_growth,
        .query = r->query + span->first * r->query_stride,
        .out = r->attended + span->first * r->query_stride,
        .stride = r->query_stride,
        .rows = span->count,
        .positions = positions,
        .scratch = r->attention_scratch,
        .scratch_capacity = r->capacity,
        .block = pass->block,
        .span = index,
        .probe = pass->probe,
    });
}

void tb_forward_attention(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    const size_t queries = config->heads * config->head_size;
    tb_activations normed = tb_pass_input(pass, r->normed, r->width_stride, config->width);
    tb_activations attended = tb_pass_input(pass, r->attended, r->query_stride, queries);
    tb_pass_norm(pass, TB_INPUT_ATTENTION);
    tb_pass_multiply(r->query, r->query_stride, pass, TB_LINEAR_Q, &normed);
    tb_pass_multiply(r->key, r->key_stride, pass, TB_LINEAR_K, &normed);
    tb_pass_multiply(r->value, r->key_stride, pass, TB_LINEAR_V, &normed);
    fill_angles(pass);
    tb_pass_each_row(pass, finish_rows);
    for (size_t i = 0; i < pass->batch->span_count; i++)
        attend(pass, i);
    tb_pass_show_input(pass, TB_INPUT_OUTPUT, r->attended, r->query_stride, queries);
    tb_pass_multiply(r->delta, r->width_stride, pass, TB_LINEAR_O, &attended);
    tb_pass_add(pass, pass->weights->attention_post_norm);
}
