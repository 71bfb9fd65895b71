// The one place that knows files: model in, text in, folder of partial results, model out.
// Blocks are made in order. The hidden states in front of a block come from the finished blocks,
// always as they were stored, so a run that was interrupted computes what one that was not computes.
#include "quant/calibration.h"
#include "quant/ends.h"
#include "quant/heldout.h"
#include "quant/output.h"
#include "quant/recipe.h"

#include <math.h>
#include <string.h>

enum { CALIBRATION_TOKENS = 16384, HELDOUT_TOKENS = 2048 };

// A model is called broken when its perplexity on held-out text is this many times the
// original's, or no better than guessing. Measured on SmolLM2: models that still write sentences
// stay below 7, RTN and GPTQ at two bits lie above 200.
#define BROKEN_RATIO 10.0

// Share of a block's work that takes the states through the block before it.
#define ADVANCE_SHARE 0.3

typedef struct run {
    const tb_model *model;
    const tb_pipeline_options *options;
    tb_quant_options quant; // resolved
    tb_pipeline_result *result;
    bool calibrated;    // the method needs text
    tb_windows windows; // where calibrated
    tb_states states;   // inputs of block `states_at`
    size_t states_at;
    tb_str recipe;
    tb_run_identity identity;
    tb_partial *partial;
    uint64_t *checksums; // of all linears, block after block
    double error, energy;
    // Progress inside the current block.
    size_t block;
    double share_begin, share_size;
} run;

static size_t block_count(const run *r)
{
    return tb_model_config(r->model)->blocks;
}

static tb_end_bits end_bits(const run *r)
{
    const tb_pipeline_options *o = r->options;
    unsigned head = o->head_bits ? o->head_bits : TB_MOST_END_BITS;
    if (o->keep_head)
        return (tb_end_bits){0};
    return (tb_end_bits){.embedding = o->embedding_bits ? o->embedding_bits : head, .head = head};
}

// ---- before the first block ----

// What the method is told for a block.
static tb_quant_options options_of_block(const run *r, size_t block)
{
    tb_quant_options options = r->quant;
    if (r->options->block_bits)
        options.bits = r->options->block_bits[block];
    return options;
}

static tb_code check_end_bits(const run *r, tb_error *err)
{
    unsigned head = r->options->head_bits, embedding = r->options->embedding_bits;
    if (head && (head < TB_LEAST_HEAD_BITS || head > TB_MOST_END_BITS))
        return tb_fail(err, TB_EINVAL, "the head takes %d to %d bits, not %u", TB_LEAST_HEAD_BITS, TB_MOST_END_BITS,
                       head);
    if (embedding && (embedding < TB_LEAST_EMBEDDING_BITS || embedding > TB_MOST_END_BITS))
        return tb_fail(err, TB_EINVAL, "the embedding takes %d to %d bits, not %u", TB_LEAST_EMBEDDING_BITS,
                       TB_MOST_END_BITS, embedding);
    if (embedding && tb_model_head_is_tied(r->model))
        return tb_fail(err, TB_EINVAL, "the embedding of this model is its head as well and takes the head's bits");
    return TB_OK;
}

// Fills in defaults; every block's width must suit the method.
static tb_code resolve(run *r, tb_error *err)
{
    tb_quant_options ignored;
    tb_code rc = check_end_bits(r, err);
    if (!rc)
        rc = tb_quant_options_resolve(&r->quant, r->options->method, &r->options->quant, err);
    for (size_t b = 0; b < block_count(r) && r->options->block_bits && !rc; b++) {
        tb_quant_options options = options_of_block(r, b);
        rc = options.bits ? tb_quant_options_resolve(&ignored, r->options->method, &options, err)
                          : tb_fail(err, TB_EINVAL, "block %zu has no width", b);
    }
    return rc;
}

// Quantizing planes again would lose twice without a word.
static tb_code check_source(const run *r, tb_error *err)
{
    for (size_t b = 0; b < block_count(r); b++) {
        tb_linears linears = tb_model_linears(r->model, b);
        for (size_t i = 0; i < linears.count; i++)
            if (tb_type_is_plane(linears.at[i].matrix.type))
                return tb_fail(err, TB_EUNSUPPORTED, "'%s' has been quantized by twobit already; quantize the original",
                               tb_checkpoint_path(tb_model_checkpoint(r->model)));
    }
    return TB_OK;
}

static tb_code hash_tokens(run *r, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a fingerprint");
    tb_hash_update(hash, r->windows.ids.data, r->windows.count * r->windows.length * sizeof *r->windows.ids.data);
    tb_hash_hex(hash, r->identity.tokens);
    tb_hash_free(hash);
    return TB_OK;
}

static tb_code identify(run *r, tb_error *err)
{
    tb_code rc = TB_OK;
    tb_report_progress(r->options->report, "read model", 0, 1, "models");
    if (r->options->fingerprint)
        memcpy(r->identity.model, r->options->fingerprint, sizeof r->identity.model);
    else
        rc = tb_checkpoint_fingerprint(r->identity.model, tb_model_checkpoint(r->model), err);
    if (!rc && r->calibrated)
        rc = hash_tokens(r, err);
    if (!rc)
        rc = tb_recipe_append(&r->recipe, r->options->method, &r->quant, r->calibrated ? &r->windows : NULL,
                              r->options->block_bits, block_count(r), end_bits(r),
                              r->calibrated ? tb_states_level(r->model, r->windows.length) : NULL, err);
    r->identity.recipe = tb_str_get(&r->recipe);
    return rc;
}

static tb_code prepare(run *r, tb_error *err)
{
    const tb_pipeline_options *o = r->options;
    r->calibrated = tb_method_is_calibrated(o->method);
    tb_code rc = resolve(r, err);
    if (!rc)
        rc = check_source(r, err);
    if (!rc && r->calibrated)
        rc = tb_windows_read(&r->windows, r->model, o->calibration_path,
                             o->calibration_tokens ? o->calibration_tokens : CALIBRATION_TOKENS, o->window, o->report,
                             err);
    if (!rc)
        rc = identify(r, err);
    if (rc)
        return rc;
    size_t linears = tb_model_linear_count(r->model);
    r->checksums = tb_alloc_array(linears, sizeof *r->checksums);
    return r->checksums ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the checksums of %zu matrices", linears);
}

// Fewer tokens than a matrix has inputs do not determine the inputs' second moments: errors are then fed forward along
// directions that no text has shown.
static void warn_of_little_text(const run *r)
{
    size_t tokens = r->windows.count * r->windows.length, inputs = 0;
    if (!tb_method_get(r->options->method)->needs_curvature)
        return;
    for (size_t b = 0; b < block_count(r); b++) {
        tb_linears linears = tb_model_linears(r->model, b);
        for (size_t i = 0; i < linears.count; i++)
            inputs = linears.at[i].matrix.cols > inputs ? linears.at[i].matrix.cols : inputs;
    }
    if (tokens < inputs)
        tb_report_note(r->options->report, TB_NOTE_WARNING,
                       "%zu calibration tokens are fewer than the %zu inputs of the widest matrix; the result will be "
                       "better with more",
                       tokens, inputs);
}

// ---- blocks ----

static bool report_share(void *user, double done)
{
    run *r = user;
    return tb_report_progress(r->options->report, "quantize", (double)r->block + r->share_begin + r->share_size * done,
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
    tb_code rc = tb_partial_load(block, &found, r->partial, r->model, index, err);
    if (!rc && !found)
        rc = tb_fail(err, TB_EIO, "block %zu has vanished from the partial results", index);
    return rc;
}

// Brings the states to the input of block `index`.
static tb_code advance_states(run *r, size_t index, tb_error *err)
{
    tb_code rc = TB_OK;
    if (!r->states.x)
        rc = tb_states_init(&r->states, r->model, r->windows.ids.data, r->windows.count, r->windows.length, err);
    while (!rc && r->states_at < index) {
        tb_quant_block block;
        rc = load_block(&block, r, r->states_at, err);
        if (rc)
            break;
        rc = tb_quant_block_advance(&r->states, r->model, r->states_at, &block, share_of_block(r, 0, ADVANCE_SHARE),
                                    err);
        tb_quant_block_clear(&block);
        r->states_at++;
    }
    return rc;
}

static tb_code make_block(tb_quant_block *out, run *r, size_t index, tb_error *err)
{
    tb_code rc = r->calibrated ? advance_states(r, index, err) : TB_OK;
    if (rc)
        return rc;
    double begin = r->calibrated && index > 0 ? ADVANCE_SHARE : 0;
    tb_quant_options options = options_of_block(r, index);
    const tb_block_job job = {.model = r->model,
                              .index = index,
                              .states = r->calibrated ? &r->states : NULL,
                              .method = r->options->method,
                              .options = &options,
                              .progress = share_of_block(r, begin, 1 - begin)};
    rc = tb_quant_block_make(out, &job, err);
    if (rc)
        return rc;
    rc = tb_partial_store(r->partial, r->model, index, out, err);
    if (rc)
        tb_quant_block_clear(out);
    return rc;
}

static void note_linear(const run *r, size_t block, const char *name, const tb_quant_report *report)
{
    const tb_report *to = r->options->report;
    if (report->nonfinite_weights)
        tb_report_note(to, TB_NOTE_WARNING, "block %zu, %s: %zu weights are not finite and count as 0", block, name,
                       report->nonfinite_weights);
    if (report->clamped_coefs)
        tb_report_note(to, TB_NOTE_WARNING, "block %zu, %s: %zu coefficients are beyond the range of half", block, name,
                       report->clamped_coefs);
    if (report->damping_used > r->quant.damping)
        tb_report_note(to, TB_NOTE_INFO, "block %zu, %s: damping was raised to %.2f", block, name,
                       report->damping_used);
    tb_report_note(to, TB_NOTE_DETAIL, "block %zu, %s: relative error %.5f, %zu dead inputs", block, name,
                   report->energy > 0 ? report->error / report->energy : 0, report->dead_columns);
}

// How strongly inputs were scaled: α of q, k, v; of o; of gate, up; of down.
static void note_scales(const run *r, size_t block, const tb_fold *fold)
{
    if (tb_method_get(r->options->method)->scales_inputs)
        tb_report_note(r->options->report, TB_NOTE_DETAIL, "block %zu: inputs scaled with alpha %.2f %.2f %.2f %.2f",
                       block, fold->alphas[TB_INPUT_ATTENTION], fold->alphas[TB_INPUT_OUTPUT],
                       fold->alphas[TB_INPUT_FFN], fold->alphas[TB_INPUT_DOWN]);
}

static tb_code count_block(run *r, size_t index, const tb_quant_block *block, tb_error *err)
{
    tb_linears linears = tb_model_linears(r->model, index);
    note_scales(r, index, &block->fold);
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
        rc = tb_partial_load(&block, &found, r->partial, r->model, index, err);
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
        tb_report_note(r->options->report, TB_NOTE_INFO, "%zu of %zu blocks were taken over from an interrupted run",
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
    rc = tb_checkpoint_verify(written, tb_model_compute(r->model)->threads, r->options->report, err);
    tb_checkpoint_close(written);
    return rc;
}

static tb_output describe_output(const run *r)
{
    return (tb_output){.model = r->model,
                       .partial = r->partial,
                       .checksums = r->checksums,
                       .method = r->options->method,
                       .options = &r->quant,
                       .block_bits = r->options->block_bits,
                       .identity = &r->identity,
                       .end_bits = end_bits(r),
                       .report = r->options->report};
}

static tb_code write_file(run *r, tb_error *err)
{
    tb_output output = describe_output(r);
    tb_code rc = tb_output_write(&output, tb_partial_output_path(r->partial), err);
    if (!rc)
        rc = verify_file(r, tb_partial_output_path(r->partial), err);
    if (!rc)
        rc = tb_partial_publish(r->partial, err);
    if (rc)
        return rc;
    tb_error why;
    if (tb_partial_remove(r->partial, &why))
        tb_report_note(r->options->report, TB_NOTE_WARNING, "%s", why.message);
    if (output.nonfinite_weights)
        tb_report_note(r->options->report, TB_NOTE_WARNING,
                       "embedding or head: %zu weights are not finite and count as 0", output.nonfinite_weights);
    r->result->nonfinite_weights += output.nonfinite_weights;
    return TB_OK;
}

// ---- afterwards ----

static void judge(const run *r)
{
    tb_pipeline_result *result = r->result;
    double guessing = (double)tb_model_vocab_size(r->model);
    result->broken =
        !(result->perplexity < BROKEN_RATIO * result->reference_perplexity) || result->perplexity > guessing;
    if (result->broken && isfinite(result->reference_perplexity))
        tb_report_note(r->options->report, TB_NOTE_WARNING,
                       "the result is broken: perplexity %.4g on held-out text, the original has %.4g; use more bits, "
                       "smaller groups or method 'bpdq'",
                       result->perplexity, result->reference_perplexity);
    else if (result->broken)
        tb_report_note(r->options->report, TB_NOTE_WARNING, "the original model is broken: its logits are not finite");
}

static tb_code measure_both(run *r, const char *path, const tb_windows *windows, tb_error *err)
{
    tb_model *written;
    const tb_compute *compute = tb_model_compute(r->model);
    tb_model_options options = {.threads = compute->threads, .cpu = tb_cpu_name(compute->kernels.cpu)};
    tb_code rc = tb_model_open(&written, path, &options, err);
    if (rc)
        return rc;
    rc = tb_heldout_measure(&r->result->perplexity, written, windows, "measure result", r->options->report, err);
    tb_model_close(written);
    if (!rc)
        rc = tb_heldout_measure(&r->result->reference_perplexity, r->model, windows, "measure original",
                                r->options->report, err);
    if (!rc) {
        r->result->heldout_tokens = windows->count * windows->length;
        judge(r);
    }
    return rc;
}

static tb_code measure(run *r, const char *path, tb_error *err)
{
    tb_windows windows;
    if (!tb_model_tokenizer(r->model)) {
        tb_report_note(r->options->report, TB_NOTE_INFO, "the model has no tokenizer: the result is not measured");
        return TB_OK;
    }
    tb_code rc = tb_windows_init(&windows, r->model, tb_builtin_text_get(TB_TEXT_HELDOUT), HELDOUT_TOKENS, 0, err);
    if (!rc)
        rc = measure_both(r, path, &windows, err);
    tb_windows_clear(&windows);
    return rc;
}

// ---- entrances ----

static void clear_run(run *r)
{
    tb_partial_close(r->partial);
    tb_states_clear(&r->states);
    tb_windows_clear(&r->windows);
    tb_str_clear(&r->recipe);
    tb_free(r->checksums);
}

tb_code tb_pipeline_file_bytes(uint64_t *bytes, const tb_model *model, const tb_pipeline_options *options,
                               tb_error *err)
{
    run r = {.model = model, .options = options};
    tb_code rc = prepare(&r, err);
    if (!rc) {
        tb_output output = describe_output(&r);
        rc = tb_output_measure(bytes, &output, err);
    }
    clear_run(&r);
    return rc;
}

tb_code tb_pipeline_identify(tb_quant_identity *out, const tb_model *model, const tb_pipeline_options *options,
                             tb_error *err)
{
    *out = (tb_quant_identity){0};
    run r = {.model = model, .options = options};
    tb_code rc = prepare(&r, err);
    tb_output output = describe_output(&r);
    if (!rc)
        rc = tb_output_measure(&out->file_bytes, &output, err);
    if (!rc)
        rc = tb_str_append(&out->recipe, tb_str_get(&r.recipe), r.recipe.size, err);
    memcpy(out->model, r.identity.model, sizeof out->model);
    memcpy(out->tokens, r.identity.tokens, sizeof out->tokens);
    clear_run(&r);
    return rc;
}

void tb_quant_identity_clear(tb_quant_identity *identity)
{
    tb_str_clear(&identity->recipe);
}

tb_code tb_pipeline_run(tb_pipeline_result *result, const char *out_path, const tb_model *model,
                        const tb_pipeline_options *options, tb_error *err)
{
    double started = tb_clock_seconds();
    *result = (tb_pipeline_result){0};
    run r = {.model = model, .options = options, .result = result};
    tb_code rc = prepare(&r, err);
    if (!rc)
        warn_of_little_text(&r);
    if (!rc)
        rc = tb_partial_open(&r.partial, out_path, &r.identity, err);
    if (!rc)
        rc = quantize_blocks(&r, err);
    if (!rc)
        rc = write_file(&r, err);
    clear_run(&r);
    result->seconds = tb_clock_seconds() - started;
    return rc || options->unmeasured ? rc : measure(&r, out_path, err);
}
