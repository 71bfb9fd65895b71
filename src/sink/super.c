// Super weights, one at a time: the first block with a spike on both sides of its down matrix names the weight between.
#include <math.h>

#include "sink/remove.h"

// The largest magnitude of a matrix of activations.
typedef struct peak {
    double value;
    size_t row, channel;
} peak;

// A pass under way.
typedef struct search {
    const tb_model *model;
    const int32_t *tokens;
    tb_super_result *result;
    tb_sink_removal removal;
    bool *exhausted; // [blocks]: what spikes there no single weight explains
    peak input;      // of the block under way
    bool first_pass, found;
    tb_super_weight candidate;
} search;

static peak find_peak(const float *x, size_t stride, size_t rows, size_t cols)
{
    peak p = {0};
    for (size_t t = 0; t < rows; t++)
        for (size_t c = 0; c < cols; c++)
            if (fabs((double)x[t * stride + c]) > fabs(p.value))
                p = (peak){(double)x[t * stride + c], t, c};
    return p;
}

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    search *s = user;
    if (input != TB_INPUT_DOWN)
        return;
    tb_sink_removal_see(&s->removal, at->block, rows);
    s->input = find_peak(rows->x, rows->stride, rows->rows, rows->cols);
}

// Of a register: −1 and below.
static int32_t token_at(const search *s, int32_t position)
{
    int32_t registers = (int32_t)tb_model_config(s->model)->registers;
    return position < registers ? -1 - position : s->tokens[position - registers];
}

static void consider(search *s, size_t block, const peak *output, int32_t position)
{
    double spike = s->result->spike;
    if (s->found || s->exhausted[block] || fabs(s->input.value) <= spike || fabs(output->value) <= spike ||
        s->input.row != output->row)
        return;
    s->found = true;
    s->candidate = (tb_super_weight){
        .block = block,
        .row = output->channel,
        .col = s->input.channel,
        .input = s->input.value,
        .output = output->value,
        .position = (size_t)position,
        .token = token_at(s, position),
    };
}

static void see_output(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    search *s = user;
    if (stage != TB_EDIT_FFN)
        return;
    tb_sink_removal_apply(&s->removal, at->block, rows);
    peak output = find_peak(rows->x, rows->stride, rows->rows, rows->cols);
    if (s->first_pass)
        s->result->blocks[at->block] = (tb_super_spike){fabs(s->input.value), fabs(output.value)};
    consider(s, at->block, &output, rows->positions[output.row]);
}

static bool is_known(const tb_super_result *r, const tb_super_weight *w)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->weights[i].block == w->block && r->weights[i].row == w->row && r->weights[i].col == w->col)
            return true;
    return false;
}

// The candidate becomes one of the weights, unless its removal did not help before.
static tb_code take_candidate(search *s, tb_error *err)
{
    tb_super_result *r = s->result;
    if (is_known(r, &s->candidate)) {
        s->exhausted[s->candidate.block] = true;
        return TB_OK;
    }
    const tb_matrix *down = &tb_model_linear(s->model, s->candidate.block, TB_LINEAR_DOWN)->matrix;
    float *row = tb_alloc_array(down->cols, sizeof *row);
    if (!row)
        return tb_fail(err, TB_ENOMEM, "no memory for a row of %zu weights", down->cols);
    tb_matrix_decode_row(row, down, s->candidate.row);
    s->candidate.weight = (double)row[s->candidate.col];
    tb_free(row);
    r->weights[r->count++] = s->candidate;
    s->removal.count = r->count;
    return TB_OK;
}

static tb_code run_passes(search *s, tb_seq *seq, size_t count, size_t most, const tb_report *report, tb_error *err)
{
    tb_super_result *r = s->result;
    for (s->first_pass = true;; s->first_pass = false) {
        if (tb_report_progress(report, "super weights", (double)r->count, (double)most, "weights"))
            return tb_fail(err, TB_ECANCELLED, "the search was stopped");
        s->found = false;
        tb_seq_truncate(seq, 0);
        tb_code rc = tb_seq_push(seq, s->tokens, count, err);
        if (rc)
            return rc;
        r->complete = !s->found;
        if (!s->found || r->count == most)
            return TB_OK;
        rc = take_candidate(s, err);
        if (rc)
            return rc;
    }
}

static tb_code prepare(search *s, size_t most, size_t rows, tb_error *err)
{
    tb_super_result *r = s->result;
    r->blocks = tb_arena_array(&r->arena, r->block_count, sizeof *r->blocks);
    r->weights = tb_arena_array(&r->arena, most, sizeof *r->weights);
    s->exhausted = tb_arena_array(&r->arena, r->block_count, sizeof *s->exhausted);
    if (!r->blocks || !r->weights || !s->exhausted)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu weights", most);
    tb_code rc = tb_sink_removal_init(&s->removal, &r->arena, most, rows, err);
    s->removal.weights = r->weights;
    return rc;
}

tb_code tb_sink_find_super(tb_super_result *out, const tb_model *model, const int32_t *tokens, size_t count,
                           const tb_super_options *options, tb_error *err)
{
    size_t most = options->most ? options->most : TB_SUPER_MOST;
    search s = {.model = model, .tokens = tokens, .result = out};
    tb_probe probe = {.linear_input = see_input, .edit = see_output, .user = &s};
    tb_seq *seq = NULL;
    *out = (tb_super_result){.spike = options->spike > 0 ? options->spike : TB_SUPER_SPIKE,
                             .block_count = tb_model_config(model)->blocks};
    if (tb_model_config(model)->experts)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "the model is a mixture of experts, which super weights are not looked for in");
    if (count == 0)
        return tb_fail(err, TB_EINVAL, "the prompt is empty");
    size_t rows = tb_model_config(model)->registers + count;
    tb_code rc = prepare(&s, most, rows, err);
    if (!rc)
        rc = tb_seq_new(&seq, model, &(tb_seq_options){.context = count, .batch = rows, .kv_cache = TB_KV_CACHE_F32},
                        err);
    if (!rc) {
        tb_seq_set_probe(seq, &probe);
        rc = run_passes(&s, seq, count, most, options->report, err);
    }
    tb_seq_free(seq);
    return rc;
}

void tb_super_result_clear(tb_super_result *result)
{
    tb_arena_clear(&result->arena);
    *result = (tb_super_result){0};
}
