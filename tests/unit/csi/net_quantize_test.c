// Packed networks: made, written, read, refused, and how far they are from what they were made of.
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

#include "csi/csi.h"
#include "quant/quant.h"
#include "sample.h"

static const tb_csi_options small = {.n = 8, .p = 64, .b = 64, .seed = 7};

static char folder[] = "/tmp/twobit-pack-XXXXXX";
static char net_path[64], packed_path[64];

// A hybrid network that has learned something.
static int make_net(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(net_path, sizeof net_path, "%s/net", folder);
    snprintf(packed_path, sizeof packed_path, "%s/packed", folder);
    tb_csi_link *link;
    tb_csi_train_options options = {
        .net = {.kind = TB_CSI_HYBRID, .n = 8, .p = 64, .hidden = 16}, .batch = 40, .steps_factor = 0.01};
    int failed = tb_csi_link_new(&link, &small, NULL) || tb_csi_train(net_path, link, &options, NULL);
    tb_csi_link_free(link);
    return failed;
}

static int remove_net(void **state)
{
    (void)state;
    remove(net_path);
    remove(packed_path);
    return rmdir(folder);
}

typedef struct packer {
    tb_method method;
    tb_quant_options options;
} packer;

static tb_code pack(void *user, tb_packed *out, const float *weights, size_t rows, size_t cols, const double *moments,
                    tb_error *err)
{
    packer *p = user;
    tb_quant_report report;
    tb_curvature *curvature = NULL;
    tb_code rc = TB_OK;
    if (tb_method_get(p->method)->needs_curvature)
        rc = tb_curvature_new(&curvature, moments, cols, &p->options, err);
    tb_quant_problem problem = {
        .weights = weights, .rows = rows, .cols = cols, .moments = moments, .curvature = curvature};
    if (!rc)
        rc = tb_quantize_matrix(out, &report, p->method, &problem, &p->options, err);
    tb_curvature_free(curvature);
    return rc;
}

static tb_code quantize(tb_method method, unsigned bits, bool finetune, tb_error *err)
{
    packer p = {.method = method, .options = {.bits = bits}};
    tb_csi_quantize_options options = {.finetune = finetune, .steps_factor = 0.02, .threads = 1};
    tb_code rc = tb_quant_options_resolve(&p.options, method, &p.options, err);
    return rc ? rc : tb_csi_quantize(packed_path, net_path, &options, pack, &p, err);
}

// NMSE of the float and the packed network on the same frames.
static void measure(double nmse[2])
{
    const char *const names[] = {net_path, packed_path};
    tb_csi_link *link = sample_link(small);
    tb_csi_panel *panel;
    tb_csi_tally tallies[2];
    tb_csi_measure_options options = {.frames = 2000, .threads = 1};
    tb_error err;
    if (tb_csi_panel_new(&panel, names, 2, link, &(tb_csi_panel_options){0}, &err))
        fail_msg("%s", err.message);
    assert_int_equal(
        tb_csi_measure(tallies, link, &(tb_csi_point){0.2, 8}, 1, tb_csi_panel_receive, panel, 2, &options, &err),
        TB_OK);
    for (int i = 0; i < 2; i++)
        nmse[i] = tb_csi_tally_score(&tallies[i]).nmse;
    tb_csi_panel_free(panel);
    tb_csi_link_free(link);
}

static void packed_net__comes_close_with_four_bits(void **state)
{
    (void)state;
    static const struct {
        tb_method method;
        double closeness;
    } cases[] = {{TB_METHOD_RTN, 0.05}, {TB_METHOD_GPTQ, 0.05}, {TB_METHOD_BPDQ, 0.02}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double nmse[2];
        tb_error err;
        if (quantize(cases[i].method, 4, false, &err))
            fail_msg("%s", err.message);
        measure(nmse);
        if (fabs(nmse[1] / nmse[0] - 1) > cases[i].closeness)
            fail_msg("method %d: NMSE %g became %g", cases[i].method, nmse[0], nmse[1]);
    }
}

static void packed_net__keeps_its_shape_and_says_its_bits(void **state)
{
    (void)state;
    tb_csi_net *net, *packed;
    tb_error err;
    assert_int_equal(quantize(TB_METHOD_PTQTP, 0, false, &err), TB_OK);
    assert_int_equal(tb_csi_net_open(&net, net_path, &err), TB_OK);
    assert_int_equal(tb_csi_net_open(&packed, packed_path, &err), TB_OK);
    assert_int_equal(tb_csi_net_weights(packed), tb_csi_net_weights(net));
    assert_int_equal(tb_csi_net_weights(net), 2 * (11 * 16 + 17 * 8));
    assert_true(tb_csi_net_matrix_bits(net) == 32);
    // rows of 10 and 16: 2 and 4 bytes in each of two planes, two halves of scales
    assert_near(tb_csi_net_matrix_bits(packed), (16 * (2 * 2 + 4) + 8 * (2 * 4 + 4)) * 8 / (10.0 * 16 + 16 * 8), 0);
    tb_csi_net_free(net);
    tb_csi_net_free(packed);
}

static void finetuning__brings_back_what_packing_cost(void **state)
{
    (void)state;
    const tb_method methods[] = {TB_METHOD_RTN, TB_METHOD_GPTQ}; // the latter goes by moments
    for (size_t i = 0; i < 2; i++) {
        double before[2], after[2];
        tb_error err;
        assert_int_equal(quantize(methods[i], 2, false, &err), TB_OK);
        measure(before);
        assert_int_equal(quantize(methods[i], 2, true, &err), TB_OK);
        measure(after);
        assert_true(before[1] > 1.05 * before[0]);
        assert_true(after[1] - after[0] < (before[1] - before[0]) / 2);
    }
}

static void packed_file__is_refused_when_something_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *sentence;
    } cases[] = {
        {"\"tritplanes 16 10 2 ", "\"tritplanes 16 11 2 ", "has no packed matrix 'det1.w1' of 16 × 10"},
        {"\"tritplanes 16 10 2 ", "\"tritplanks 16 10 2 ", "has no packed matrix 'det1.w1' of 16 × 10"},
        {"\"tritplanes 16 10 2 ", "\"tritplanes 16 10 3 ", "no tritplanes matrix has"},
        {"\"det1.w1.coefs\"", "\"det1.w1.koefs\"", "has no tensor 'det1.w1.coefs' of"},
    };
    char *bytes;
    size_t size;
    tb_csi_net *net;
    tb_error err;
    assert_int_equal(quantize(TB_METHOD_PTQTP, 0, false, &err), TB_OK);
    assert_int_equal(tb_csi_quantize(net_path, packed_path, &(tb_csi_quantize_options){0}, pack, NULL, &err),
                     TB_EINVAL);
    assert_non_null(strstr(err.message, "is packed already"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(quantize(TB_METHOD_PTQTP, 0, false, &err), TB_OK);
        assert_int_equal(tb_file_read(&bytes, &size, packed_path, 1 << 20, &err), TB_OK);
        char *place = strstr(bytes + 8, cases[i].from); // the header ends in the first NUL behind it
        assert_non_null(place);
        memcpy(place, cases[i].to, strlen(cases[i].to));
        assert_int_equal(tb_file_write(packed_path, bytes, size, &err), TB_OK);
        assert_true(tb_csi_net_open(&net, packed_path, &err) != TB_OK);
        if (!strstr(err.message, cases[i].sentence))
            fail_msg("%s", err.message);
        tb_free(bytes);
    }
}

static void packed_file__with_a_nan_is_refused(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    tb_csi_net *net;
    tb_safetensors *file;
    tb_error err;
    assert_int_equal(quantize(TB_METHOD_PTQTP, 0, false, &err), TB_OK);
    assert_int_equal(tb_safetensors_open(&file, packed_path, &err), TB_OK);
    const tb_safetensor *coefs = tb_safetensors_find(file, "det2.w1.coefs");
    const unsigned char *end = NULL; // of the last tensor, which ends with the file
    for (size_t i = 0; i < tb_safetensors_count(file); i++) {
        const tb_safetensor *t = tb_safetensors_at(file, i);
        end = !end || t->data + t->bytes > end ? t->data + t->bytes : end;
    }
    size_t from_end = (size_t)(end - coefs->data);
    tb_safetensors_close(file);
    assert_int_equal(tb_file_read(&bytes, &size, packed_path, 1 << 20, &err), TB_OK);
    memset(bytes + size - from_end, 0xFF, 2);
    assert_int_equal(tb_file_write(packed_path, bytes, size, &err), TB_OK);
    assert_int_equal(tb_csi_net_open(&net, packed_path, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "matrix 'det2.w1' of"));
    assert_non_null(strstr(err.message, "not finite"));
    tb_free(bytes);
}

static tb_code pack_and_open(void)
{
    tb_csi_net *net;
    tb_error err;
    tb_code rc = quantize(TB_METHOD_PTQTP, 0, false, &err);
    if (!rc)
        rc = tb_csi_net_open(&net, packed_path, &err);
    if (!rc)
        tb_csi_net_free(net);
    return rc;
}

static void packed_nets__survive_every_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n += 3) {
        tb_mem_fail_after(n);
        rc = pack_and_open();
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_net__comes_close_with_four_bits),
        cmocka_unit_test(packed_net__keeps_its_shape_and_says_its_bits),
        cmocka_unit_test(finetuning__brings_back_what_packing_cost),
        cmocka_unit_test(packed_file__is_refused_when_something_is_wrong),
        cmocka_unit_test(packed_file__with_a_nan_is_refused),
        cmocka_unit_test(packed_nets__survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_net, remove_net);
}
