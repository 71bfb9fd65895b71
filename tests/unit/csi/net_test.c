// Networks: trained, interrupted, saved, refused, measured.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/csi_net.h"
#include "sample.h"

static const tb_csi_options small = {.n = 8, .p = 64, .b = 64, .seed = 7};

static char folder[] = "/tmp/twobit-net-XXXXXX";
static char whole_path[64], other_path[64], partial_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(whole_path, sizeof whole_path, "%s/whole", folder);
    snprintf(other_path, sizeof other_path, "%s/other", folder);
    snprintf(partial_path, sizeof partial_path, "%s/other.partial", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(whole_path);
    remove(other_path);
    remove(partial_path);
    return rmdir(folder);
}

// ---- training ----

static void expect_trained(const char *path, const tb_csi_train_options *options)
{
    tb_csi_link *link = sample_link(small);
    tb_error err;
    if (tb_csi_train(path, link, options, &err))
        fail_msg("%s", err.message);
    tb_csi_link_free(link);
}

static void expect_same_files(void)
{
    char *a, *b;
    size_t a_size, b_size;
    tb_error err;
    assert_int_equal(tb_file_read(&a, &a_size, whole_path, 1 << 24, &err), TB_OK);
    assert_int_equal(tb_file_read(&b, &b_size, other_path, 1 << 24, &err), TB_OK);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    tb_free(a);
    tb_free(b);
}

// Stops when a stage has come this far.
typedef struct stopper {
    const char *stage;
    double step;
} stopper;

static bool stop_there(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)total, (void)unit;
    const stopper *s = user;
    return strcmp(stage, s->stage) == 0 && done == s->step;
}

static void training__goes_on_to_the_same_bits_with_any_threads(void **state)
{
    (void)state;
    static const stopper stops[] = {{"det1", 3}, {"det2", 5}};
    const tb_csi_net_kind kinds[] = {TB_CSI_HYBRID, TB_CSI_PAPER};
    for (int k = 0; k < 2; k++) {
        tb_csi_train_options options = {
            .net = {.kind = kinds[k], .n = 8, .p = 64, .hidden = 4}, .batch = 16, .steps_factor = 0.001};
        expect_trained(whole_path, &options);
        tb_csi_link *link = sample_link(small);
        tb_error err;
        options.threads = 3;
        for (int i = 0; i < 2; i++) {
            tb_report report = {.progress = stop_there, .user = (void *)(uintptr_t)&stops[i]};
            options.report = &report;
            assert_int_equal(tb_csi_train(other_path, link, &options, &err), TB_ECANCELLED);
            assert_true(tb_path_exists(partial_path));
            assert_false(tb_path_exists(other_path));
        }
        options.report = NULL;
        expect_trained(other_path, &options);
        assert_false(tb_path_exists(partial_path));
        expect_same_files();
        remove(other_path);
        tb_csi_link_free(link);
    }
}

static void training__refuses_the_state_of_another(void **state)
{
    (void)state;
    tb_csi_train_options options = {
        .net = {.kind = TB_CSI_HYBRID, .n = 8, .p = 64}, .batch = 16, .steps_factor = 0.001};
    tb_csi_link *link = sample_link(small);
    tb_report report = {.progress = stop_there, .user = (void *)(uintptr_t) & (stopper){"det1", 3}};
    tb_error err;
    options.report = &report;
    assert_int_equal(tb_csi_train(other_path, link, &options, &err), TB_ECANCELLED);
    options.rate = 0.1;
    assert_int_equal(tb_csi_train(other_path, link, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "other options; remove it"));
    remove(partial_path);
    tb_csi_link_free(link);
}

// 32 fixed frames, no penalty: the first subnet can learn them by heart.
static void csi_net__learns_few_frames_by_heart(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_net *net;
    tb_csi_batch batch;
    tb_csi_chain chain;
    tb_error err;
    assert_int_equal(tb_csi_net_make(&net, &(tb_csi_net_options){.n = 8, .p = 64}, TB_SINGLE, true, &err), TB_OK);
    tb_rng rng;
    tb_rng_init(&rng, 1, 1);
    for (size_t i = 0; i < tb_params_count(net->params); i++) {
        tb_param *p = tb_params_at(net->params, i);
        for (size_t j = 0; p->rows > 1 && j < p->rows * p->cols; j++)
            tb_param_set(net->params, p, j, tb_rng_normal(&rng) / sqrt((double)p->rows));
    }
    assert_int_equal(tb_csi_batch_init(&batch, link, 32, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 5}, 0, 32);
    assert_int_equal(tb_csi_chain_init(&chain, net, link, 32, TB_CSI_CSI1, 0, &err), TB_OK);
    tb_csi_chain_run(&chain, &batch, TB_CSI_CSI1);
    tb_csi_chain_feed(&chain, &batch, TB_CSI_CSI1);
    tb_csi_chain_aim(&chain, &batch, TB_CSI_CSI1);
    tb_csi_chain_stage *s = &chain.stages[TB_CSI_CSI1];
    for (uint64_t step = 1; step <= 600; step++) {
        tb_graph_forward(s->graph);
        tb_graph_backward(s->graph, s->loss);
        tb_adam_step(net->params, &(tb_adam){0}, 3e-3, step);
    }
    tb_graph_forward(s->graph);
    assert_true(tb_node_get(s->graph, s->fit, 0) < 1e-3);
    tb_csi_chain_clear(&chain);
    tb_csi_batch_clear(&batch);
    tb_csi_net_free(net);
    tb_csi_link_free(link);
}

// Nothing but the linear estimate is to be had from independent h: the block sums are nearly Gaussian.
static void csi_net__converges_to_the_linear_estimate(void **state)
{
    (void)state;
    enum { BATCH = 200, STEPS = 1200, TEST = 4000 };
    tb_csi_link *link = sample_link(small);
    tb_csi_net *net;
    tb_csi_batch batch;
    tb_csi_chain chain;
    const tb_csi_point point = {0.2, 5};
    tb_error err;
    assert_int_equal(tb_csi_net_make(&net, &(tb_csi_net_options){.n = 8, .p = 64}, TB_SINGLE, true, &err), TB_OK);
    tb_rng rng;
    tb_rng_init(&rng, 2, 1);
    const tb_csi_subnet *s = &net->subnets[TB_CSI_CSI1];
    for (size_t j = 0; j < 16 * 128; j++) {
        tb_param_set(net->params, s->w1, j, 0.1 * tb_rng_normal(&rng));
        tb_param_set(net->params, s->w2, j, 0.1 * tb_rng_normal(&rng));
    }
    assert_int_equal(tb_csi_batch_init(&batch, link, TEST, &err), TB_OK);
    assert_int_equal(tb_csi_chain_init(&chain, net, link, TEST, TB_CSI_CSI1, 0, &err), TB_OK);
    tb_csi_chain_stage *stage = &chain.stages[TB_CSI_CSI1];
    for (uint64_t step = 1; step <= STEPS + 1; step++) {
        batch.count = 0;
        tb_csi_batch_draw(&batch, link, &point, step * TEST, step > STEPS ? TEST : BATCH);
        tb_csi_chain_run(&chain, &batch, TB_CSI_CSI1);
        tb_csi_chain_feed(&chain, &batch, TB_CSI_CSI1);
        tb_csi_chain_aim(&chain, &batch, TB_CSI_CSI1);
        tb_graph_forward(stage->graph);
        if (step > STEPS)
            break;
        tb_graph_backward(stage->graph, stage->loss);
        tb_adam_step(net->params, &(tb_adam){0}, 2e-3 * (1 - (double)step / STEPS), step);
    }
    const double best = tb_csi_theory_at(&point, 8, 64).nmse_mmse, deviation = best * sqrt(1.0 / (8 * TEST));
    assert_near(tb_node_get(stage->graph, stage->fit, 0), best,
                3 * deviation); // a mean of 8·TEST squares of complex errors
    tb_csi_chain_clear(&chain);
    tb_csi_batch_clear(&batch);
    tb_csi_net_free(net);
    tb_csi_link_free(link);
}

// The same weights with and without: nothing changes where they were trained, the floor at high SNR goes.
static void gain__follows_the_operating_point(void **state)
{
    (void)state;
    tb_csi_train_options options = {
        .net = {.n = 8, .p = 64, .hidden = 8}, .batch = 50, .rate = 2e-3, .steps_factor = 0.01};
    const char *const names[] = {whole_path, other_path};
    const tb_csi_point points[] = {{0.2, 5}, {0.2, 20}};
    expect_trained(whole_path, &options);
    options.net.gain = true;
    expect_trained(other_path, &options);
    tb_csi_link *link = sample_link(small);
    tb_csi_panel *panel;
    tb_csi_tally tallies[4];
    tb_csi_score s[4];
    tb_csi_measure_options measure = {.frames = 2000, .threads = 1};
    tb_error err;
    assert_int_equal(tb_csi_panel_new(&panel, names, 2, link, &(tb_csi_panel_options){0}, &err), TB_OK);
    assert_int_equal(tb_csi_measure(tallies, link, points, 2, tb_csi_panel_receive, panel, 2, &measure, &err), TB_OK);
    for (int i = 0; i < 4; i++)
        s[i] = tb_csi_tally_score(&tallies[i]);
    assert_near(s[1].nmse, s[0].nmse, 0.03 * s[0].nmse); // so briefly trained it is worse than γ assumes
    assert_true(s[3].nmse + s[3].nmse_ci < 0.8 * s[2].nmse);
    tb_csi_panel_free(panel);
    tb_csi_link_free(link);
}

static void gain__wants_its_numbers_in_the_file(void **state)
{
    (void)state;
    tb_csi_net *net;
    tb_error err;
    char *bytes;
    size_t size;
    assert_int_equal(tb_file_read(&bytes, &size, other_path, 1 << 24, &err), TB_OK);
    char *place = strstr(bytes + 8, "\"kt2\":\"0"); // what is behind its length is text up to the tensors
    assert_non_null(place);
    place[7] = '7';
    assert_int_equal(tb_file_write(other_path, bytes, size, &err), TB_OK);
    assert_int_equal(tb_csi_net_open(&net, other_path, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "does not say 'kt2', a number up to 1"));
    tb_free(bytes);
}

// ---- files ----

static tb_csi_panel *panel_of(const char *name, const tb_csi_link *link, tb_code expected, tb_error *err)
{
    tb_csi_panel *panel;
    assert_int_equal(tb_csi_panel_new(&panel, &name, 1, link, &(tb_csi_panel_options){.workers = 2}, err), expected);
    return panel;
}

static void nets__refuse_links_they_were_not_made_for(void **state)
{
    (void)state;
    tb_csi_train_options options = {.net = {.kind = TB_CSI_HYBRID, .n = 8, .p = 64}, .batch = 8, .steps_factor = 1e-6};
    tb_error err;
    expect_trained(whole_path, &options);
    options.net.kind = TB_CSI_PAPER;
    expect_trained(other_path, &options);
    static const struct {
        tb_csi_options link;
        const char *hybrid, *paper; // NULL: fits
    } cases[] = {
        {{.n = 8, .p = 64}, NULL, NULL},
        {{.n = 64, .p = 512}, NULL, "the network is for 8 antennas and 64 symbols, not 64 and 512"},
        {{.n = 16, .p = 64},
         "the network is for 8 symbols per antenna, not 4",
         "the network is for 8 antennas and 64 symbols, not 16 and 64"},
        {{.n = 8, .p = 64, .spreading = TB_CSI_WALSH_RANDOM},
         "the hybrid network needs the spreading walsh-first",
         NULL},
        {{.n = 8, .p = 64, .channel = TB_CSI_DIGITAL},
         "networks do not decide a digital CSI",
         "networks do not decide a digital CSI"},
        {{.n = 8, .p = 64, .modulation = TB_CSI_QAM16},
         "networks detect qpsk, not 16qam",
         "networks detect qpsk, not 16qam"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_csi_link *link = sample_link(cases[i].link);
        const char *const paths[] = {whole_path, other_path}, *const refusals[] = {cases[i].hybrid, cases[i].paper};
        for (int k = 0; k < 2; k++) {
            tb_csi_panel *panel;
            tb_code rc = tb_csi_panel_new(&panel, &paths[k], 1, link, &(tb_csi_panel_options){0}, &err);
            assert_true((rc != TB_OK) == (refusals[k] != NULL));
            if (rc)
                assert_non_null(strstr(err.message, refusals[k]));
            tb_csi_panel_free(panel);
        }
        tb_csi_link_free(link);
    }
}

static void net_file__is_refused_when_something_is_wrong(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_error err;
    char *bytes;
    size_t size;
    assert_null(panel_of("nothing", link, TB_EINVAL, &err));
    assert_null(panel_of("nowhere.safetensors", link, TB_EIO, &err));
    assert_int_equal(tb_file_read(&bytes, &size, whole_path, 1 << 24, &err), TB_OK);
    assert_int_equal(tb_file_write(other_path, bytes, size - 1, &err), TB_OK);
    assert_null(panel_of(other_path, link, TB_EFORMAT, &err));
    assert_int_equal(tb_file_write(other_path, bytes, size + 1, &err), TB_OK); // the NUL behind what was read
    assert_null(panel_of(other_path, link, TB_EFORMAT, &err));
    memset(bytes + size - 4, 0xFF, 4); // a NaN
    assert_int_equal(tb_file_write(other_path, bytes, size, &err), TB_OK);
    assert_null(panel_of(other_path, link, TB_EFORMAT, &err));
    assert_non_null(strstr(err.message, "not finite"));
    char *hidden = strstr(bytes + 8, "\"hidden\":\"64\""); // in the header, behind its length
    assert_non_null(hidden);
    memcpy(hidden, "\"hidden\":\"63\"", 13);
    assert_int_equal(tb_file_write(other_path, bytes, size, &err), TB_OK);
    assert_null(panel_of(other_path, link, TB_EFORMAT, &err));
    assert_non_null(strstr(err.message, "is not 10 × 63"));
    tb_free(bytes);
    tb_csi_link_free(link);
}

static tb_code train_and_receive(void)
{
    tb_csi_train_options options = {
        .net = {.kind = TB_CSI_HYBRID, .n = 8, .p = 64, .hidden = 4}, .batch = 8, .steps_factor = 1e-6};
    tb_csi_link *link;
    tb_csi_panel *panel;
    tb_error err;
    const char *path = other_path;
    tb_code rc = tb_csi_link_new(&link, &small, &err);
    if (rc)
        return rc;
    rc = tb_csi_train(path, link, &options, &err);
    if (!rc) {
        rc = tb_csi_panel_new(&panel, &path, 1, link, &(tb_csi_panel_options){0}, &err);
        tb_csi_panel_free(panel);
    }
    tb_csi_link_free(link);
    return rc;
}

static void nets__survive_every_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n++) {
        tb_mem_fail_after(n);
        rc = train_and_receive();
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
        remove(partial_path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training__goes_on_to_the_same_bits_with_any_threads),
        cmocka_unit_test(training__refuses_the_state_of_another),
        cmocka_unit_test(csi_net__learns_few_frames_by_heart),
        cmocka_unit_test(csi_net__converges_to_the_linear_estimate),
        cmocka_unit_test(gain__follows_the_operating_point),
        cmocka_unit_test(gain__wants_its_numbers_in_the_file),
        cmocka_unit_test(nets__refuse_links_they_were_not_made_for),
        cmocka_unit_test(net_file__is_refused_when_something_is_wrong),
        cmocka_unit_test(nets__survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
