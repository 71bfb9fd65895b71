// Packing a trained network, stage by stage in the order of the chain: the error of one stage moves
// what the next one sees, so each is calibrated, and if asked for trained on, behind the packed ones.
//
// Training on (quantization-aware): the weights stay in float as shadows; each step packs them,
// computes with what the packed ones mean, and moves the shadows by that gradient.
#include <math.h>
#include <string.h>

#include "csi/net_train.h"

enum {
    CALIBRATION_FRAMES = 400,
    NOTE_STEPS = 500,
    CALIBRATION_STEP = 1 << 30, // its frames are not those of training
};

// The rate falls linearly to 0. More steps of the hybrid bring 0.05 dB of NMSE at 0 to 3 dB, where its loss is largest,
// and cost 0.3 dB at 12 dB.
static const struct {
    double rate;
    uint64_t steps[TB_CSI_STAGES];
} finetuning[TB_CSI_NETS] = {
    [TB_CSI_PAPER] = {3e-4, {1500, 2500, 1500, 2500}},
    [TB_CSI_HYBRID] = {2e-3, {0, 3000, 0, 3000}},
};

// One matrix of the stage at work.
typedef struct work_matrix {
    tb_param *param;   // W[in][out]
    tb_packed *packed; // its place in the subnet
    double *moments;   // [in][in]
    float *turned;     // Wᵀ[out][in]
    float *shadow;     // W itself while the parameter holds the packed values
} work_matrix;

typedef struct quantization {
    const tb_csi_quantize_options *options;
    const tb_csi_training *training;
    tb_csi_pack_fn pack;
    void *user;
    tb_csi_link *link;
    tb_csi_net *net;
    tb_csi_batch batch;
    tb_csi_chain chain;
    tb_csi_stage stage;
    work_matrix matrices[2];
    tb_arena arena; // of the stage
} quantization;

// ---- matrices ----

static tb_code prepare_matrix(work_matrix *m, quantization *q, tb_param *param, tb_packed *packed, tb_error *err)
{
    size_t size = param->rows * param->cols;
    *m = (work_matrix){.param = param, .packed = packed};
    m->moments = tb_arena_array(&q->arena, param->rows, param->rows * sizeof(double));
    m->turned = tb_arena_array(&q->arena, size, sizeof(float));
    m->shadow = tb_arena_array(&q->arena, size, sizeof(float));
    return m->moments && m->turned && m->shadow ? TB_OK
                                                : tb_fail(err, TB_ENOMEM, "no memory to pack '%s'", param->name);
}

// moments = 2/rows·Σ x·xᵀ of what the matrix multiplies.
static void measure_moments(work_matrix *m, tb_node *input)
{
    size_t rows = tb_node_rows(input), n = tb_node_cols(input);
    const float *x = tb_node_values(input);
    memset(m->moments, 0, n * n * sizeof *m->moments);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            double scaled = 2 * (double)x[r * n + i] / (double)rows;
            for (size_t j = 0; j < n; j++)
                m->moments[i * n + j] += scaled * (double)x[r * n + j];
        }
}

static tb_code pack_matrix(tb_packed *out, const work_matrix *m, const quantization *q, tb_error *err)
{
    size_t in = m->param->rows, out_count = m->param->cols;
    const float *w = m->param->value;
    for (size_t i = 0; i < in; i++)
        for (size_t o = 0; o < out_count; o++)
            m->turned[o * in + i] = w[i * out_count + o];
    return q->pack(q->user, out, m->turned, out_count, in, m->moments, err);
}

// The parameter ← what its packed form means; the shadow keeps the weights.
static tb_code use_packed(const work_matrix *m, const quantization *q, tb_error *err)
{
    size_t in = m->param->rows, out_count = m->param->cols;
    float *w = m->param->value;
    tb_packed packed;
    tb_code rc = pack_matrix(&packed, m, q, err);
    if (rc)
        return rc;
    memcpy(m->shadow, w, in * out_count * sizeof *w);
    for (size_t o = 0; o < out_count; o++) {
        tb_matrix_decode_row(m->turned, &packed.view, o);
        for (size_t i = 0; i < in; i++)
            w[i * out_count + o] = m->turned[i];
    }
    tb_packed_clear(&packed);
    return TB_OK;
}

static void use_shadow(const work_matrix *m)
{
    memcpy(m->param->value, m->shadow, m->param->rows * m->param->cols * sizeof(float));
}

// ---- a stage ----

// Moments of what the stage's matrices multiply, on frames of its own, with everything before them as it is.
static tb_code calibrate(quantization *q, tb_error *err)
{
    tb_csi_freeze_others(q->net, TB_CSI_STAGES); // nothing learns: stored matrices pass no gradient
    tb_csi_chain_clear(&q->chain);
    tb_code rc = tb_csi_chain_init(&q->chain, q->net, q->link, CALIBRATION_FRAMES, TB_CSI_STAGES, 0, err);
    if (rc)
        return rc;
    tb_csi_draw_step(&q->batch, q->link, q->training->rho, q->training->snr_db, CALIBRATION_FRAMES, q->training->draws,
                     q->stage, CALIBRATION_STEP);
    tb_csi_chain_run(&q->chain, &q->batch, q->stage);
    tb_csi_chain_feed(&q->chain, &q->batch, q->stage);
    tb_graph_forward(q->chain.stages[q->stage].graph);
    measure_moments(&q->matrices[0], q->chain.stages[q->stage].in);
    measure_moments(&q->matrices[1], q->chain.stages[q->stage].hidden);
    return TB_OK;
}

static tb_code finetune_step(quantization *q, uint64_t step, uint64_t steps, double *loss, tb_error *err)
{
    const tb_schedule schedule = {TB_RATE_LINEAR, finetuning[q->net->options.kind].rate, 0, steps};
    const tb_csi_training *r = q->training;
    tb_csi_chain_stage *s = &q->chain.stages[q->stage];
    tb_csi_draw_step(&q->batch, q->link, r->rho, r->snr_db, r->batch, r->draws, q->stage, step);
    tb_csi_chain_run(&q->chain, &q->batch, q->stage);
    tb_csi_chain_feed(&q->chain, &q->batch, q->stage);
    tb_csi_chain_aim(&q->chain, &q->batch, q->stage);
    tb_code rc = use_packed(&q->matrices[0], q, err);
    if (rc)
        return rc;
    rc = use_packed(&q->matrices[1], q, err);
    if (!rc) {
        tb_graph_forward(s->graph);
        tb_graph_backward(s->graph, s->loss);
        *loss += tb_node_get(s->graph, s->fit, 0);
        use_shadow(&q->matrices[1]);
    }
    use_shadow(&q->matrices[0]);
    if (!rc)
        tb_adam_step(q->net->params, &(tb_adam){.threads = q->options->threads}, tb_schedule_rate(&schedule, step),
                     step);
    return rc;
}

static tb_code finetune(quantization *q, tb_error *err)
{
    const tb_report *report = q->options->report;
    double factor = q->options->steps_factor > 0 ? q->options->steps_factor : 1, loss = 0;
    uint64_t steps = (uint64_t)ceil(factor * (double)finetuning[q->net->options.kind].steps[q->stage]);
    const char *name = tb_csi_stage_names[q->stage];
    tb_csi_freeze_others(q->net, q->stage);
    tb_csi_chain_clear(&q->chain);
    tb_code rc = tb_csi_chain_init(&q->chain, q->net, q->link, q->training->batch, q->stage, q->training->penalty, err);
    if (!rc)
        tb_graph_set_threads(q->chain.stages[q->stage].graph, q->options->threads);
    for (uint64_t step = 1; !rc && step <= steps; step++) {
        rc = finetune_step(q, step, steps, &loss, err);
        if (!rc && step % NOTE_STEPS == 0) {
            tb_report_note(report, TB_NOTE_INFO, "%s: step %llu of %llu, loss %.4f", name, (unsigned long long)step,
                           (unsigned long long)steps, loss / NOTE_STEPS);
            loss = 0;
        }
        if (!rc && tb_report_progress(report, name, (double)step, (double)steps, "steps"))
            rc = tb_fail(err, TB_ECANCELLED, "the training was stopped");
    }
    return rc;
}

static tb_code pack_stage(quantization *q, tb_error *err)
{
    tb_csi_subnet *s = &q->net->subnets[q->stage];
    tb_code rc = prepare_matrix(&q->matrices[0], q, s->w1, &s->packed1, err);
    if (!rc)
        rc = prepare_matrix(&q->matrices[1], q, s->w2, &s->packed2, err);
    if (!rc)
        rc = calibrate(q, err);
    if (!rc && q->options->finetune)
        rc = finetune(q, err);
    if (!rc)
        rc = pack_matrix(q->matrices[0].packed, &q->matrices[0], q, err);
    // The second matrix sees what the packed first one gives; but weights that were trained on are stored with the
    // moments they were trained with, since others choose other planes.
    if (!rc && !q->options->finetune)
        rc = calibrate(q, err);
    if (!rc)
        rc = pack_matrix(q->matrices[1].packed, &q->matrices[1], q, err);
    tb_csi_chain_clear(&q->chain);
    tb_arena_clear(&q->arena);
    return rc;
}

static tb_code prepare(quantization *q, const char *net_path, tb_error *err)
{
    tb_code rc = tb_csi_net_open_trained(&q->net, net_path, true, err);
    if (rc)
        return rc;
    const tb_csi_net_options *o = &q->net->options;
    if (o->packed)
        return tb_fail(err, TB_EINVAL, "'%s' is packed already", net_path);
    q->training = &tb_csi_trainings[o->kind];
    rc = tb_csi_link_new(&q->link, &(tb_csi_options){.n = o->n, .p = o->p, .b = 64, .seed = q->options->seed}, err);
    if (!rc)
        rc = tb_csi_batch_init(&q->batch, q->link, CALIBRATION_FRAMES, err);
    return rc;
}

tb_code tb_csi_quantize(const char *path, const char *net_path, const tb_csi_quantize_options *options,
                        tb_csi_pack_fn pack, void *user, tb_error *err)
{
    quantization q = {.options = options, .pack = pack, .user = user};
    tb_code rc = prepare(&q, net_path, err);
    for (; !rc && q.stage < TB_CSI_STAGES; q.stage++)
        if (q.net->subnets[q.stage].exists)
            rc = pack_stage(&q, err);
    if (!rc)
        rc = tb_csi_packed_save(path, q.net, options->finetune ? "finetuned" : "post-training", err);
    tb_csi_batch_clear(&q.batch);
    tb_csi_net_free(q.net);
    tb_csi_link_free(q.link);
    return rc;
}
