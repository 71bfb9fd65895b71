// The one place that knows files: model in, text in, folder of partial results, model out.
// Blocks are made in order. The hidden states in front of a block come from the finished blocks,
// always as they were stored, so a run that was interrupted computes what one that was not computes.
#include "quant/pipeline_state.h"

// Share of a block's work that takes the states through the block before it.
#define ADVANCE_SHARE 0.3

typedef struct run {
    const tb_pipeline *p;
    tb_pipeline_result *result;
    tb_states states; // inputs of block `states_at`
    size_t states_at;
    tb_partial *partial;
    uint64_t *checksums; // of all linears, block after block
    double error, energy;
    // Progress inside the current block.
    size_t block;
    double share_begin, share_size;
} run;

static size_t block_count(const run *r)
{
    return tb_model_config(r->p->model)->blocks;
}

static const tb_report *report_of(const run *r)
{
    return r->p->options.report;
}

// Fewer tokens than a matrix has inputs do not determine the inputs' second moments: errors are then fed forward along
// directions that no text has shown.
static void warn_of_little_text(const run *r)
{
    size_t tokens = r->p->windows.count * r->p->windows.length, inputs = 0;
    if (!tb_method_get(r->p->options.method)->needs_curvature)
        return;
    for (size_t b = 0; b < block_count(r); b++) {
        tb_linears linears = tb_model_linears(r->p->model, b);
        for (size_t i = 0; i < linears.count; i++)
            inputs = linears.at[i].matrix.cols > inputs ? linears.at[i].matrix.cols : inputs;
    }
    if (tokens < inputs)
        tb_report_note(report_of(r), TB_NOTE_WARNING,
                       "%zu calibration tokens are fewer than the %zu inputs of the widest matrix; the result will be "
                       "better with more",
                       tokens, inputs);
}

// ---- blocks ----

// What the method is told for a block.
static tb_quant_options options_of_block(const run *r, size_t block)
{
    tb_quant_options options = r->p->quant;
    if (r->p->block_bits)
        options.bits = r->p->block_bits[block];
    return options;
}

static const bool *held_out_of_block(const run *r, size_t block)
{
    const bool *all = r->p->options.held_out;
    return all ? all + tb_model_linears(r->p->model, block).first : NULL;
}

static bool report_share(void *user, double done)
{
    run *r = user;
    return tb_report_progress(report_of(r), "quantize", (double)r->block + r->share_begin + r->share_size * done,
                              (double)block_count(r), "blocks");
}

static tb_block_progress share_of_block(run *r, double begin, double size)
{
    r->share_begin = begin;
    r->share_size = size;
    return (tb_block_progress){report_share, r};
}

static tb_code load_block(tb_quant_block *block, run *r, size_t index, tb_error *err)
{
    bool found;
    tb_code rc = tb_partial_load(block, &found, r->partial, r->p->model, index, err);
    if (!rc && !found)
        rc = tb_fail(err, TB_EIO, "block %zu has vanished from the partial results", index);
    return rc;
}

// Brings the states to the input of block `index`.
static tb_code advance_states(run *r, size_t index, tb_error *err)
{
    tb_code rc = TB_OK;
    if (!r->states.x)
        rc = tb_states_init(&r->states, r->p->model, r->p->windows.ids.data, r->p->windows.count, r->p->windows.length,
                            err);
    while (!rc && r->states_at < index) {
        tb_quant_block block;
        rc = load_block(&block, r, r->states_at, err);
        if (rc)
            break;
        rc = tb_quant_block_advance(&r->states, r->p->model, r->states_at, &block, share_of_block(r, 0, ADVANCE_SHARE),
                                    err);
        tb_quant_block_clear(&block);
        r->states_at++;
    }
    return rc;
}

static tb_code make_block(tb_quant_block *out, run *r, size_t index, tb_error *err)
{
    tb_code rc = r->p->calibrated ? advance_states(r, index, err) : TB_OK;
    if (rc)
        return rc;
    double begin = r->p->calibrated && index > 0 ? ADVANCE_SHARE : 0;
    tb_quant_options options = options_of_block(r, index);
    const tb_block_job job = {.model = r->p->model,
                              .index = index,
                              .states = r->p->calibrated ? &r->states : NULL,
                              .method = r->p->options.method,
                              .options = &options,
                              .progress = share_of_block(r, begin, 1 - begin),
                              .held_out = held_out_of_block(r, index)};
    rc = tb_quant_block_make(out, &job, err);
    if (rc)
        return rc;
    rc = tb_partial_store(r->partial, r->p->model, index, out, err);
    if (rc)
        tb_quant_block_clear(out);
    return rc;
}

static void note_linear(const run *r, size_t block, const char *name, const tb_quant_report *report)
{
    const tb_report *to = report_of(r);
    if (report->nonfinite_weights)
        tb_report_note(to, TB_NOTE_WARNING, "block %zu, %s: %zu weights are not finite and count as 0", block, name,
                       report->nonfinite_weights);
    if (report->clamped_coefs)
        tb_report_note(to, TB_NOTE_WARNING, "block %zu, %s: %zu coefficients are beyond the range of half", block, name,
                       report->clamped_coefs);
    if (report->damping_used > r->p->quant.damping)
        tb_report_note(to, TB_NOTE_INFO, "block %zu, %s: damping was raised to %.2f", block, name,
                       report->damping_used);
    tb_report_note(to, TB_NOTE_DETAIL, "block %zu, %s: relative error %.5f, %zu dead inputs", block, name,
                   report->energy > 0 ? report->error / report->energy : 0, report->dead_columns);
}

// How strongly inputs were scaled: α of q, k, v; of o; of gate, up; of down.
static void note_scales(const run *r, size_t block, const tb_fold *fold)
{
    if (tb_method_get(r->p->options.method)->scales_inputs)
        tb_report_note(report_of(r), TB_NOTE_DETAIL, "block %zu: inputs scaled with alpha %.2f %.2f %.2f %.2f", block,
                       fold->alphas[TB_INPUT_ATTENTION], fold->alphas[TB_INPUT_OUTPUT], fold->alphas[TB_INPUT_FFN],
                       fold->alphas[TB_INPUT_DOWN]);
}

// How many tokens the experts of a mixture saw: the second moments of one that few went through say little of its
// inputs.
static void note_experts(const run *r, size_t block, const tb_quant_block *quantized)
{
    const tb_linears linears = tb_model_linears(r->p->model, block);
    size_t experts = tb_model_config(r->p->model)->experts, least = SIZE_MAX, most = 0, none = 0, found = 0;
    for (size_t i = 0; i < linears.count; i++) {
        if (linears.at[i].kind != TB_LINEAR_UP || linears.at[i].expert >= experts)
            continue;
        size_t tokens = quantized->linears[i].report.tokens;
        least = tokens < least ? tokens : least;
        most = tokens > most ? tokens : most;
        none += tokens == 0;
        found++;
    }
    if (found < 2 || !r->p->calibrated)
        return;
    tb_report_note(report_of(r), none ? TB_NOTE_WARNING : TB_NOTE_DETAIL,
                   "block %zu: its experts saw %zu to %zu of %zu tokens, %zu of %zu none", block, least, most,
                   r->p->windows.count * r->p->windows.length, none, found);
}

static tb_code count_block(run *r, size_t index, const tb_quant_block *block, tb_error *err)
{
    tb_linears linears = tb_model_linears(r->p->model, index);
    note_scales(r, index, &block->fold);
    note_experts(r, index, block);
    for (size_t i = 0; i < linears.count; i++) {
        const tb_quant_report *report = &block->linears[i].report;
        const tb_matrix *m = &block->linears[i].packed.view;
        float *row = tb_alloc_array(m->cols, sizeof *row);
        if (!row)
            return tb_fail(err, TB_ENOMEM, "no memory for a row of %zu values", m->cols);
        r->checksums[linears.first + i] = tb_matrix_checksum(m, row);
        tb_free(row);
        r->result->matrices++;
        r->result->dead_columns += report->dead_columns;
        r->result->nonfinite_weights += report->nonfinite_weights;
        r->error += report->error;
        r->energy += report->energy;
        note_linear(r, index, linears.at[i].stem, report);
    }
    return TB_OK;
}

static tb_code quantize_blocks(run *r, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t index = 0; index < block_count(r) && !rc; index++) {
        tb_quant_block block;
        bool found;
        r->block = index;
        rc = tb_partial_load(&block, &found, r->partial, r->p->model, index, err);
        if (!rc && found)
            r->result->blocks_reused++;
        else if (!rc)
            rc = make_block(&block, r, index, err);
        if (!rc) {
            rc = count_block(r, index, &block, err);
            tb_quant_block_clear(&block);
        }
    }
    r->result->relative_error = r->energy > 0 ? r->error / r->energy : 0;
    tb_states_clear(&r->states);
    if (!rc && r->result->blocks_reused)
        tb_report_note(report_of(r), TB_NOTE_INFO, "%zu of %zu blocks were taken over from an interrupted run",
                       r->result->blocks_reused, block_count(r));
    return rc;
}

// ---- the file ----

// Every matrix must decode, from the file, to the values that were quantized.
static tb_code verify_file(const run *r, const char *path, tb_error *err)
{
    tb_checkpoint *written;
    tb_code rc = tb_checkpoint_open(&written, path, err);
    if (rc)
        return rc;
    rc = tb_checkpoint_verify(written, tb_model_compute(r->p->model)->threads, report_of(r), err);
    tb_checkpoint_close(written);
    return rc;
}

static tb_code write_file(run *r, tb_error *err)
{
    tb_output output = tb_pipeline_output(r->p);
    output.partial = r->partial;
    output.checksums = r->checksums;
    tb_code rc = tb_output_write(&output, tb_partial_output_path(r->partial), err);
    if (!rc)
        rc = verify_file(r, tb_partial_output_path(r->partial), err);
    if (!rc)
        rc = tb_partial_publish(r->partial, err);
    if (rc)
        return rc;
    tb_error why;
    if (tb_partial_remove(r->partial, &why))
        tb_report_note(report_of(r), TB_NOTE_WARNING, "%s", why.message);
    if (output.nonfinite_weights)
        tb_report_note(report_of(r), TB_NOTE_WARNING, "embedding or head: %zu weights are not finite and count as 0",
                       output.nonfinite_weights);
    r->result->nonfinite_weights += output.nonfinite_weights;
    return TB_OK;
}

// ---- entrance ----

static tb_code begin(run *r, tb_pipeline *p, const char *out_path, tb_error *err)
{
    const tb_quant_identity *identity;
    size_t linears = tb_model_linear_count(p->model);
    tb_code rc = tb_pipeline_identify(&identity, p, err);
    if (rc)
        return rc;
    r->checksums = tb_alloc_array(linears, sizeof *r->checksums);
    if (!r->checksums)
        return tb_fail(err, TB_ENOMEM, "no memory for the checksums of %zu matrices", linears);
    warn_of_little_text(r);
    return tb_partial_open(&r->partial, out_path, identity, err);
}

tb_code tb_pipeline_run(tb_pipeline_result *result, tb_pipeline *p, const char *out_path, tb_error *err)
{
    double started = tb_clock_seconds();
    *result = (tb_pipeline_result){0};
    run r = {.p = p, .result = result};
    tb_code rc = begin(&r, p, out_path, err);
    if (!rc)
        rc = quantize_blocks(&r, err);
    if (!rc)
        rc = write_file(&r, err);
    tb_partial_close(r.partial);
    tb_states_clear(&r.states);
    tb_free(r.checksums);
    result->seconds = tb_clock_seconds() - started;
    return rc;
}
