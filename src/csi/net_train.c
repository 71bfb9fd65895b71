// Training, subnet by subnet: each is trained on what the finished ones before it give, which stay
// as they are. Frames and operating points of a step follow from the seed and the step's number
// only, so that training that was interrupted goes on to the same bits.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/net_train.h"
#include "csi/streams.h"

// Frames of training are numbered from here, far from those that are measured.
#define FIRST_FRAME ((uint64_t)1 << 48)

enum {
    NOTE_STEPS = 500,       // between two lines about the loss
    CHECKPOINT_STEPS = 500, // between two saved states
    SHRINKAGE_FRAMES = 4000,
};

// Of a net that has learned nothing; its gain is then finite.
#define LEAST_SHRINKAGE 1e-3

const tb_csi_training tb_csi_trainings[TB_CSI_NETS] = {
    [TB_CSI_PAPER] = {.rho = {0.2, 0.2},
                      .snr_db = {5, 5},
                      .rate = 1e-4,
                      .penalty = 2e-5,
                      .deviations = {0.01, 0.01},
                      .batch = 200,
                      .draws = 1,
                      .steps = {12000, 16000, 12000, 16000},
                      .schedule = TB_RATE_CONSTANT},
    [TB_CSI_HYBRID] = {.rho = {0.05, 0.3},
                       .snr_db = {0, 18},
                       .rate = 4e-3,
                       .deviations = {0.5, 0.1},
                       .batch = 200,
                       .draws = 8,
                       .steps = {0, 20000, 0, 16000},
                       .schedule = TB_RATE_LINEAR},
};

typedef struct training {
    tb_csi_train_options options; // defaults filled in
    const tb_csi_training *training;
    const tb_csi_link *link;
    tb_csi_net *net;
    tb_csi_batch batch;
    tb_csi_chain chain; // of the stage in training
    tb_csi_stage stage;
    uint64_t step;       // done of this stage
    double loss;         // mean of the steps since the last note
    uint64_t loss_steps; // how many those are
    const char *path;    // of the finished network
    tb_str partial_path; // of the state; none where the output streams
    tb_output_lock lock; // nobody else trains into the same file
    tb_str description;  // all that decides the result
} training;

// ---- options ----

static void choose(double out[2], const double given[2], const double otherwise[2])
{
    bool chosen = given[0] != 0 || given[1] != 0;
    out[0] = chosen ? given[0] : otherwise[0];
    out[1] = chosen ? given[1] : otherwise[1];
}

static tb_code complete_options(training *t, const tb_csi_train_options *given, tb_error *err)
{
    t->options = *given;
    tb_csi_train_options *o = &t->options;
    const tb_csi_training *r = t->training = &tb_csi_trainings[given->net.kind];
    choose(o->rho, given->rho, r->rho);
    if (!given->snr_given)
        memcpy(o->snr_db, r->snr_db, sizeof o->snr_db);
    o->batch = o->batch ? o->batch : r->batch;
    o->rate = o->rate > 0 ? o->rate : r->rate;
    o->threads = o->threads ? o->threads : 1;
    if (o->steps_factor <= 0)
        o->steps_factor = 1;
    for (int i = 0; i < 2; i++) {
        tb_csi_point point = {o->rho[i], o->snr_db[i]};
        tb_code rc = tb_csi_point_check(&point, err);
        if (rc)
            return rc;
    }
    if (o->batch % r->draws != 0)
        return tb_fail(err, TB_EINVAL, "a batch of %zu frames does not divide into %zu operating points", o->batch,
                       r->draws);
    return TB_OK;
}

static uint64_t stage_steps(const training *t, tb_csi_stage stage)
{
    return (uint64_t)ceil((double)t->training->steps[stage] * t->options.steps_factor);
}

static tb_code describe(training *t, tb_error *err)
{
    const tb_csi_train_options *o = &t->options;
    const tb_csi_net_options *net = tb_csi_net_get_options(t->net);
    tb_code rc = tb_csi_link_describe(&t->description, t->link, err);
    if (!rc)
        rc = tb_str_printf(&t->description, err, " net=%s act=%s hidden=%zu", tb_csi_net_kind_name(net),
                           tb_csi_activation_name(net->activation), net->hidden);
    if (!rc)
        rc = tb_str_printf(&t->description, err, " rho=%.17g..%.17g snr_db=%.17g..%.17g batch=%zu rate=%.17g",
                           o->rho[0], o->rho[1], o->snr_db[0], o->snr_db[1], o->batch, o->rate);
    for (int stage = 0; !rc && stage < TB_CSI_STAGES; stage++)
        rc = tb_str_printf(&t->description, err, " %s=%" PRIu64, tb_csi_stage_names[stage],
                           stage_steps(t, (tb_csi_stage)stage));
    return rc;
}

// ---- initial weights ----

static void draw_tensor(tb_params *params, tb_param *p, uint64_t seed, uint64_t tensor, double deviation)
{
    tb_csi_stream stream = {seed, tensor, TB_CSI_FOR_WEIGHTS};
    size_t size = p->rows * p->cols;
    for (size_t i = 0; i < size; i += 4) {
        double values[4];
        tb_csi_real_normals(values, &stream, i, 4, deviation);
        for (size_t j = i; j < size && j < i + 4; j++)
            tb_param_set(params, p, j, values[j - i]);
    }
}

static void draw_weights(training *t)
{
    uint64_t seed = tb_csi_link_options(t->link)->seed;
    for (uint64_t stage = 0; stage < TB_CSI_STAGES; stage++) {
        tb_csi_subnet *s = &t->net->subnets[stage];
        if (!s->exists)
            continue;
        draw_tensor(t->net->params, s->w1, seed, 4 * stage, t->training->deviations[0]);
        draw_tensor(t->net->params, s->w2, seed, 4 * stage + 2, t->training->deviations[1]);
    }
}

// ---- state ----

static tb_code save_state(const training *t, tb_error *err)
{
    if (!t->partial_path.data)
        return TB_OK;
    char stage[24], step[24];
    snprintf(stage, sizeof stage, "%d", (int)t->stage);
    snprintf(step, sizeof step, "%" PRIu64, t->step);
    const char *const metadata[] = {"stage", stage, "step", step, "training", tb_str_get(&t->description)};
    return tb_csi_net_save(t->partial_path.data, t->net, metadata, 3, true, err);
}

static tb_code load_state(training *t, tb_error *err)
{
    const char *path = t->partial_path.data;
    tb_safetensors *file;
    tb_code rc = tb_safetensors_open(&file, path, err);
    if (rc)
        return rc;
    const char *description = tb_safetensors_metadata(file, "training");
    const char *stage = tb_safetensors_metadata(file, "stage"), *step = tb_safetensors_metadata(file, "step");
    if (!description || !stage || !step || strcmp(description, tb_str_get(&t->description)) != 0) {
        rc = tb_fail(err, TB_EINVAL, "'%s' belongs to a training with other options; remove it to begin anew", path);
    } else {
        t->stage = (tb_csi_stage)(strtoul(stage, NULL, 10) % TB_CSI_STAGES);
        t->step = strtoull(step, NULL, 10);
        rc = tb_params_load(t->net->params, true, file, path, err);
    }
    tb_safetensors_close(file);
    return rc;
}

// ---- steps ----

void tb_csi_draw_step(tb_csi_batch *batch, const tb_csi_link *link, const double rho[2], const double snr_db[2],
                      size_t frames, size_t draws, tb_csi_stage stage, uint64_t step)
{
    size_t share = frames / draws;
    double uniforms[2 * TB_CSI_MOST_DRAWS];
    tb_csi_stream stream = {tb_csi_link_options(link)->seed, (uint64_t)stage << 40 | step, TB_CSI_FOR_BATCHES};
    tb_csi_uniforms(uniforms, &stream, 2 * draws);
    batch->count = 0;
    for (size_t i = 0; i < draws; i++) {
        tb_csi_point point = {rho[0] + uniforms[2 * i] * (rho[1] - rho[0]),
                              snr_db[0] + uniforms[2 * i + 1] * (snr_db[1] - snr_db[0])};
        uint64_t first = FIRST_FRAME + ((uint64_t)stage << 44) + step * frames + i * share;
        tb_csi_batch_draw(batch, link, &point, first, share);
    }
}

static void run_step(training *t)
{
    tb_csi_chain_stage *s = &t->chain.stages[t->stage];
    const tb_schedule schedule = {t->training->schedule, t->options.rate, 0, stage_steps(t, t->stage)};
    const tb_csi_train_options *o = &t->options;
    tb_csi_draw_step(&t->batch, t->link, o->rho, o->snr_db, o->batch, t->training->draws, t->stage, t->step);
    tb_csi_chain_run(&t->chain, &t->batch, t->stage);
    tb_csi_chain_feed(&t->chain, &t->batch, t->stage);
    tb_csi_chain_aim(&t->chain, &t->batch, t->stage);
    tb_graph_forward(s->graph);
    tb_graph_backward(s->graph, s->loss);
    t->step++;
    tb_adam_step(t->net->params, &(tb_adam){.threads = t->options.threads}, tb_schedule_rate(&schedule, t->step),
                 t->step);
    t->loss += tb_node_get(s->graph, s->fit, 0);
    t->loss_steps++;
}

void tb_csi_freeze_others(tb_csi_net *net, tb_csi_stage stage)
{
    for (int i = 0; i < TB_CSI_STAGES; i++) {
        const tb_csi_subnet *s = &net->subnets[i];
        if (s->exists)
            s->w1->frozen = s->b1->frozen = s->w2->frozen = s->b2->frozen = i != (int)stage;
    }
}

static tb_code begin_stage(training *t, tb_error *err)
{
    tb_csi_freeze_others(t->net, t->stage);
    t->loss = 0;
    t->loss_steps = 0;
    tb_code rc = tb_csi_chain_init(&t->chain, t->net, t->link, t->options.batch, t->stage, t->training->penalty, err);
    for (int stage = 0; !rc && stage < TB_CSI_STAGES; stage++)
        if (t->chain.stages[stage].graph)
            tb_graph_set_threads(t->chain.stages[stage].graph, t->options.threads);
    return rc;
}

static void note_loss(training *t, uint64_t steps)
{
    if (t->step % NOTE_STEPS != 0 && t->step != steps)
        return;
    tb_report_note(t->options.report, TB_NOTE_INFO, "%s: step %" PRIu64 " of %" PRIu64 ", loss %.4f",
                   tb_csi_stage_names[t->stage], t->step, steps, t->loss / (double)t->loss_steps);
    t->loss = 0;
    t->loss_steps = 0;
}

static tb_code train_stage(training *t, tb_error *err)
{
    uint64_t steps = stage_steps(t, t->stage);
    tb_code rc = begin_stage(t, err);
    while (!rc && t->step < steps) {
        run_step(t);
        note_loss(t, steps);
        bool stop = tb_report_progress(t->options.report, tb_csi_stage_names[t->stage], (double)t->step, (double)steps,
                                       "steps");
        if (stop || t->step % CHECKPOINT_STEPS == 0)
            rc = save_state(t, err);
        if (!rc && stop)
            rc = tb_fail(err, TB_ECANCELLED, "training was stopped%s",
                         t->partial_path.data ? "; the same command goes on with it" : "");
    }
    tb_csi_chain_clear(&t->chain);
    return rc;
}

static tb_code train_stages(training *t, tb_error *err)
{
    tb_code rc = TB_OK;
    for (; !rc && t->stage < TB_CSI_STAGES; t->stage++, t->step = 0)
        if (t->net->subnets[t->stage].exists) {
            rc = train_stage(t, err);
            if (rc)
                break;
        }
    return rc;
}

// A training whose network goes to a file is kept beside it until that is there.
static tb_code claim_output(training *t, tb_error *err)
{
    tb_target target;
    tb_code rc = tb_target_find(&target, t->path, err);
    if (!rc)
        rc = tb_output_lock_take(&t->lock, &target, err);
    if (!rc && !target.streams)
        rc = tb_target_work_path(&t->partial_path, &target, ".partial", err);
    tb_target_clear(&target);
    return rc;
}

static tb_code prepare(training *t, const tb_csi_train_options *options, tb_error *err)
{
    tb_code rc = complete_options(t, options, err);
    if (!rc)
        rc = claim_output(t, err);
    if (!rc)
        rc = tb_csi_net_make(&t->net, &t->options.net, TB_SINGLE, true, err);
    if (!rc)
        rc = describe(t, err);
    if (!rc)
        rc = tb_csi_net_check(t->net, t->link, err);
    if (!rc)
        rc = tb_csi_batch_init(&t->batch, t->link, t->options.batch, err);
    if (rc)
        return rc;
    draw_weights(t);
    return t->partial_path.data && tb_path_exists(t->partial_path.data) ? load_state(t, err) : TB_OK;
}

// NMSE of what the chain holds, over the frames that were run.
static void add_error(double *error, double *power, const tb_csi_chain *chain, const tb_csi_batch *batch)
{
    size_t values = 2 * tb_csi_link_options(chain->link)->n;
    for (size_t f = 0; f < batch->count; f++)
        for (size_t i = 0; i < values; i++) {
            double h = batch->frames[f].h[i], miss = chain->h[f * values + i] - h;
            *error += miss * miss;
            *power += h * h;
        }
}

// How much each CSI stage shrinks, on frames of its own at the operating point of training.
static tb_code measure_shrinkage(training *t, tb_error *err)
{
    const tb_csi_train_options *o = &t->options;
    double error[2] = {0}, power[2] = {0};
    tb_code rc = tb_csi_chain_init(&t->chain, t->net, t->link, o->batch, TB_CSI_STAGES, 0, err);
    for (uint64_t step = 0; !rc && step * o->batch < SHRINKAGE_FRAMES; step++) {
        tb_csi_draw_step(&t->batch, t->link, o->rho, o->snr_db, o->batch, t->training->draws, TB_CSI_STAGES, step);
        for (int i = 0; i < 2; i++) {
            tb_csi_chain_run(&t->chain, &t->batch, i ? TB_CSI_DET2 : TB_CSI_DET1);
            add_error(&error[i], &power[i], &t->chain, &t->batch);
        }
    }
    tb_csi_chain_clear(&t->chain);
    for (int i = 0; !rc && i < 2; i++)
        t->net->shrinkage[i] = sqrt(fmax(1 - error[i] / power[i], LEAST_SHRINKAGE));
    return rc;
}

static tb_code finish(training *t, tb_error *err)
{
    if (t->options.net.gain) {
        tb_code rc = measure_shrinkage(t, err);
        if (rc)
            return rc;
    }
    const char *const metadata[] = {"training", tb_str_get(&t->description)};
    tb_code rc = tb_csi_net_save(t->path, t->net, metadata, 1, false, err);
    if (!rc && t->partial_path.data)
        remove(t->partial_path.data);
    return rc;
}

tb_code tb_csi_train(const char *path, const tb_csi_link *link, const tb_csi_train_options *options, tb_error *err)
{
    training t = {.path = path, .link = link};
    tb_code rc = prepare(&t, options, err);
    if (!rc && (t.stage || t.step))
        tb_report_note(options->report, TB_NOTE_INFO, "going on from '%s': %s, step %" PRIu64, t.partial_path.data,
                       tb_csi_stage_names[t.stage], t.step);
    if (!rc)
        rc = train_stages(&t, err);
    if (!rc)
        rc = finish(&t, err);
    tb_csi_net_free(t.net);
    tb_csi_batch_clear(&t.batch);
    tb_output_lock_give(&t.lock);
    tb_str_clear(&t.partial_path);
    tb_str_clear(&t.description);
    return rc;
}
