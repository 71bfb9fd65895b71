// The attention part of a block: queries, keys and values from the normed stream, attention over what each
// sequence remembers, norm and gate of what the heads have read, and the way back into the stream. A mixer of another
// kind (a delta-net, a scan) is another such part, on another kind of memory.
#include "model/attention.h"
#include "model/forward.h"
#include "model/prefix.h"
#include "model/redistribution.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const tb_rope_table *rope_of(const tb_pass *pass)
{
    return pass->runner->model->settings.near[pass->block] ? &pass->runner->near_rope : &pass->runner->rope;
}

// Sinks are seen by queries that are turned at a position of their own. (Where no query is turned it is the same one.)
static bool pins_queries(const tb_pass *pass)
{
    const tb_settings *settings = &pass->runner->model->settings;
    return pass->runner->pinned_query && settings->rotated[pass->block] && !settings->near[pass->block];
}

static void norm_heads(float *x, const tb_pass *pass, size_t heads, const float *norm)
{
    const tb_model *model = pass->runner->model;
    size_t n = model->settings.config.head_size;
    for (size_t head = 0; norm && head < heads; head++)
        tb_rms_norm(x + head * n, model, x + head * n, norm, n);
}

static void turn_heads(float *x, const tb_pass *pass, size_t heads, const tb_rope_table *rope, size_t row)
{
    const tb_settings *settings = &pass->runner->model->settings;
    for (size_t head = 0; settings->rotated[pass->block] && head < heads; head++)
        tb_rope_apply(x + head * settings->config.head_size, rope, row);
}

// Takes a row of the query matrix apart whose gate lies behind the queries of each head, or of the heads of each group.
static void split_query(const tb_pass *pass, size_t row)
{
    const tb_runner *r = pass->runner;
    const tb_settings *settings = &r->model->settings;
    const tb_config *config = &settings->config;
    size_t pieces = settings->arch->gate_source == TB_GATE_OF_GROUPS ? config->kv_heads : config->heads;
    size_t n = config->heads / pieces * config->head_size;
    size_t gate = tb_gate_length(settings->arch->gate, config) / pieces;
    const float *raw = r->raw_query + row * r->raw_stride;
    float *query = r->query + row * r->query_stride, *gates = r->gates + row * r->gate_stride;
    for (size_t i = 0; i < pieces; i++, raw += n + gate) {
        memcpy(query + i * n, raw, n * sizeof *query);
        memcpy(gates + i * gate, raw + n, gate * sizeof *gates);
    }
}

static void gate_values(const tb_pass *pass, size_t row)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    float *value = r->value + row * r->key_stride;
    const float *gate = r->gates + row * r->gate_stride;
    for (size_t i = 0; i < config->kv_heads * config->head_size; i++)
        value[i] *= tb_sigmoid(gate[i]);
}

// Makes heads [in][size_in] of a row [out][size_out], in place: each stands for out/in of them, and what is missing at
// its end is 0. From the last one on, so that none is overwritten before it is read.
static void spread_heads(float *x, size_t out, size_t size_out, size_t in, size_t size_in, float scale)
{
    for (size_t head = out; head-- > 0;) {
        float *to = x + head * size_out;
        memmove(to, x + head * in / out * size_in, size_in * sizeof *x);
        memset(to + size_in, 0, (size_out - size_in) * sizeof *x);
    }
    for (size_t i = 0; scale != 1 && i < out * size_out; i++)
        x[i] *= scale;
}

// Keys and values as the memory has them: the same heads in every block, and values as long as keys.
static void spread_keys(const tb_pass *pass, float *key, float *value)
{
    const tb_settings *settings = &pass->runner->model->settings;
    const tb_config *config = &settings->config;
    size_t heads = settings->kv_heads[pass->block];
    spread_heads(key, config->kv_heads, config->head_size, heads, config->head_size, 1);
    spread_heads(value, config->kv_heads, config->head_size, heads, config->value_size, (float)settings->value_scale);
}

// Whether the largest magnitude is at least `ratio` times the median.
static bool stands_out(const float *x, size_t n, double ratio)
{
    float top = 0;
    size_t below = 0;
    for (size_t i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    for (size_t i = 0; i < n; i++)
        below += ratio * (double)fabsf(x[i]) <= (double)top;
    return top > 0 && 2 * below >= n;
}

// Norms and turns the heads of rows.
static void finish_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *query = r->query + t * r->query_stride, *key = r->key + t * r->key_stride;
        if (r->apart)
            r->apart[t] = stands_out(pass->x + t * r->width_stride, config->width, r->apart_ratio);
        if (r->raw_query)
            split_query(pass, t);
        if (r->model->settings.arch->values_differ)
            spread_keys(pass, key, r->value + t * r->key_stride);
        if (r->model->settings.arch->gate == TB_GATE_VALUE)
            gate_values(pass, t);
        norm_heads(query, pass, config->heads, pass->weights->query_norm);
        norm_heads(key, pass, config->kv_heads, pass->weights->key_norm);
        if (pins_queries(pass)) {
            float *pinned = r->pinned_query + t * r->query_stride;
            memcpy(pinned, query, config->heads * config->head_size * sizeof *query);
            turn_heads(pinned, pass, config->heads, &r->pinned_rope, t);
        }
        turn_heads(query, pass, config->heads, rope_of(pass), t);
        turn_heads(key, pass, config->kv_heads, rope_of(pass), t);
    }
}

static void fill_pinned_angles(const tb_pass *pass, const tb_span *span)
{
    const tb_runner *r = pass->runner;
    const int32_t *positions = pass->batch->positions + span->first;
    int32_t *pinned = r->pinned_positions + span->first;
    size_t pin = tb_kv_plan_pin(&span->memory->plan);
    for (size_t i = 0; i < span->count; i++)
        pinned[i] = (size_t)positions[i] < pin ? positions[i] : (int32_t)pin;
    tb_rope_table_fill(&r->pinned_rope, span->first, pinned, span->count, span->length);
}

static void fill_angles(const tb_pass *pass)
{
    const tb_batch *batch = pass->batch;
    for (size_t i = 0; i < batch->span_count; i++) {
        const tb_span *span = &batch->spans[i];
        tb_rope_table_fill(rope_of(pass), span->first, batch->positions + span->first, span->count, span->length);
        if (pins_queries(pass))
            fill_pinned_angles(pass, span);
    }
}

// Keys and values of the model's prefix take the place of those that were computed.
static void put_prefixes(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    for (size_t i = 0; i < pass->batch->span_count; i++) {
        const tb_span *span = &pass->batch->spans[i];
        size_t row = span->first * r->key_stride;
        tb_prefix_put(r->key + row, r->value + row, r->key_stride, &r->model->prefix, &r->model->settings.config,
                      pass->block, pass->batch->positions + span->first, span->count, span->prefixed);
    }
}

// Keys and values of `count` rows of a span, from `first` on, go into its memory, and their queries see them there.
static void attend_rows(const tb_pass *pass, size_t index, size_t first, size_t count)
{
    const tb_runner *r = pass->runner;
    const tb_span *span = &pass->batch->spans[index];
    const tb_settings *settings = &r->model->settings;
    const size_t row = span->first + first, query = row * r->query_stride, key = row * r->key_stride;
    const int32_t *positions = pass->batch->positions + row;
    const tb_memory *memory = span->memory;
    const size_t first_head = (pass->block - memory->first_block) * settings->config.heads;
    const bool redistributes = tb_redistribution_changes(&memory->plan.redistribution, settings, pass->block);
    tb_kv_block *kv = tb_memory_get_kv(memory, pass->block);
    const tb_kv_rows rows = {r->key + key, r->value + key, r->key_stride,
                             count,        positions,      r->apart ? r->apart + row : NULL};
    tb_kv_store(kv, &r->model->compute, &rows);
    const tb_attention attention = {
        .compute = &r->model->compute,
        .config = &settings->config,
        .kv = kv,
        .scale = (float)settings->query_scale,
        .cap = (float)settings->attention_cap,
        .growth = settings->query_growth,
        .sink_logits = pass->weights->sink_logits,
        .weighing = settings->arch->weighing,
        .weighing_numbers = pass->weights->weighing,
        .slot_keys = pass->weights->sink_keys,
        .slot_values = pass->weights->sink_values,
        .slots = settings->config.sink_keys,
        .first_bias = memory->first_bias ? memory->first_bias + first_head : NULL,
        .redistribution = redistributes ? &memory->plan.redistribution : NULL,
        .given = redistributes ? memory->columns + first_head * memory->plan.capacity : NULL,
        .given_stride = memory->plan.capacity,
        .skip = memory->plan.skip,
        .query = r->query + query,
        .pinned_query = pins_queries(pass) ? r->pinned_query + query : NULL,
        .out = r->attended + query,
        .stride = r->query_stride,
        .rows = count,
        .positions = positions,
        .scratch = r->attention_scratch,
        .scratch_capacity = r->keys,
        .block = pass->block,
        .span = index,
        .probe = pass->probe,
    };
    tb_attention_run(&attention);
    tb_attention_observe(&attention);
}

// All rows of a span: as many at a time as its memory takes in without forgetting what one of them is to see.
static void attend(const tb_pass *pass, size_t index)
{
    const tb_span *span = &pass->batch->spans[index];
    const tb_kv_block *kv = tb_memory_get_kv(span->memory, pass->block);
    assert(tb_kv_plan_rows(&span->memory->plan, &pass->runner->model->settings) <= pass->runner->capacity);
    for (size_t done = 0, count; done < span->count; done += count) {
        count = tb_kv_at_once(kv, (size_t)pass->batch->positions[span->first + done], span->count - done);
        attend_rows(pass, index, done, count);
    }
}

// Multiplies what a head has read by its part of the gate.
static void gate_head(float *x, const tb_pass *pass, const float *gate, size_t head)
{
    const tb_settings *settings = &pass->runner->model->settings;
    size_t n = settings->config.head_size;
    bool single = settings->arch->gate == TB_GATE_HEAD, own = settings->arch->gate == TB_GATE_ELEMENT;
    const float *part = single ? gate + head : own ? gate + head * n : gate;
    for (size_t i = 0; i < n; i++)
        x[i] *= tb_sigmoid(part[single ? 0 : i]);
}

// Values are shorter than keys: what the heads have read moves together, and the rest of the row becomes padding.
static void pack_heads(float *row, const tb_config *config, size_t stride)
{
    size_t n = config->value_size;
    for (size_t head = 1; head < config->heads; head++)
        memmove(row + head * n, row + head * config->head_size, n * sizeof *row);
    memset(row + config->heads * n, 0, (stride - config->heads * n) * sizeof *row);
}

// Norms and gates what the heads of rows have read.
static void finish_mixes(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    const tb_runner *r = pass->runner;
    const tb_model *model = r->model;
    tb_gate gate = model->settings.arch->gate;
    const float *norm = pass->weights->mix_norm, *free_gate = pass->weights->free_gate;
    size_t n = model->settings.config.head_size;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *row = r->attended + t * r->query_stride;
        for (size_t head = 0; head < model->settings.config.heads; head++) {
            float *x = row + head * n;
            if (norm)
                tb_rms_norm(x, model, x, norm + head * n, n);
            if (gate != TB_GATE_NONE && gate != TB_GATE_VALUE)
                gate_head(x, pass, free_gate ? free_gate : r->gates + t * r->gate_stride, head);
        }
        if (model->settings.arch->values_differ)
            pack_heads(row, &model->settings.config, r->query_stride);
    }
}

// Queries, keys, values and gates.
static void project(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    tb_activations normed = tb_pass_input(pass, r->normed, r->width_stride, r->model->settings.config.width);
    if (r->raw_query)
        tb_pass_multiply(r->raw_query, r->raw_stride, pass, TB_LINEAR_Q, &normed);
    else
        tb_pass_multiply(r->query, r->query_stride, pass, TB_LINEAR_Q, &normed);
    tb_pass_multiply(r->key, r->key_stride, pass, TB_LINEAR_K, &normed);
    tb_pass_multiply(r->value, r->key_stride, pass, TB_LINEAR_V, &normed);
    if (r->gates && !r->raw_query)
        tb_pass_multiply(r->gates, r->gate_stride, pass, TB_LINEAR_ATTENTION_GATE, &normed);
}

void tb_forward_attention(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    const size_t queries = config->heads * config->head_size, mixes = config->heads * config->value_size;
    tb_activations attended = tb_pass_input(pass, r->attended, r->query_stride, mixes);
    tb_pass_norm(pass, TB_INPUT_ATTENTION);
    tb_pass_show_input(pass, TB_INPUT_ATTENTION, r->normed, r->width_stride, config->width);
    project(pass);
    fill_angles(pass);
    tb_pass_each_row(pass, finish_rows);
    put_prefixes(pass);
    tb_pass_edit(pass, TB_EDIT_KEY, r->key, r->key_stride, config->kv_heads * config->head_size);
    tb_pass_edit(pass, TB_EDIT_VALUE, r->value, r->key_stride, config->kv_heads * config->head_size);
    tb_pass_edit(pass, TB_EDIT_QUERY, r->query, r->query_stride, queries);
    for (size_t i = 0; i < pass->batch->span_count; i++)
        attend(pass, i);
    if (pass->weights->mix_norm || r->model->settings.arch->gate || r->model->settings.arch->values_differ)
        tb_pass_each_row(pass, finish_mixes);
    tb_pass_edit(pass, TB_EDIT_ATTENDED, r->attended, r->query_stride, mixes);
    tb_pass_show_input(pass, TB_INPUT_OUTPUT, r->attended, r->query_stride, mixes);
    tb_pass_multiply(r->delta, r->width_stride, pass, TB_LINEAR_O, &attended);
    tb_pass_edit(pass, TB_EDIT_ATTENTION, r->delta, r->width_stride, config->width);
    tb_pass_add(pass, pass->weights->attention_post_norm);
}
