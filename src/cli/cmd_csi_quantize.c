// twobit csi quantize: a neural receiver in planes of bits or trits, by twobit's quantizers.
#include <stdio.h>

#include "cli/csi_args.h"
#include "cli/number_text.h"
#include "cli/readable_output.h"
#include "quant/quant.h"

typedef struct quantize_args {
    const char *output, *method;
    uint64_t bits, group;
    bool finetune;
    double steps_factor;
} quantize_args;

// All of twobit's but awq.
#define METHODS "rtn, clip, hqq, gptq, bpdq or ptqtp"

static const quantize_args defaults = {.method = "ptqtp", .steps_factor = 1};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(quantize_args, output), "FILE", 0, 0, "network to write"},
    {"method", 'm', TB_OPTION_TEXT, offsetof(quantize_args, method), "NAME", 0, 0, METHODS},
    {"bits", 'b', TB_OPTION_COUNT, offsetof(quantize_args, bits), "N", 1, 4,
     "planes (default 2; ptqtp always two of trits)"},
    {"group", 'g', TB_OPTION_COUNT, offsetof(quantize_args, group), "N", 32, 1 << 16,
     "columns that share scales, a multiple of 32 (default: the method's)"},
    {"finetune", 0, TB_OPTION_FLAG, offsetof(quantize_args, finetune), NULL, 0, 0,
     "train on through the packed weights"},
    {"steps-factor", 0, TB_OPTION_REAL, offsetof(quantize_args, steps_factor), "F", 1e-6, 1e6,
     "times the steps of that"},
    {0},
};

static const char *const examples[] = {
    "twobit csi quantize hybrid.safetensors -o hybrid-2bit.safetensors --method bpdq",
    "two bit-planes, calibrated on simulated frames",
    "twobit csi quantize hybrid.safetensors -o hybrid-trits.safetensors --method ptqtp --finetune",
    "two trit-planes, trained on in minutes",
    "twobit csi evaluate --receivers hard,hybrid.safetensors,hybrid-2bit.safetensors",
    "what that costs",
    NULL,
};

// The quantizer chosen.
typedef struct packer {
    tb_method method;
    tb_quant_options options;
} packer;

static tb_code pack(void *user, tb_packed *out, const float *weights, size_t rows, size_t cols, const double *moments,
                    tb_error *err)
{
    const packer *p = user;
    tb_quant_problem problem = {.weights = weights, .rows = rows, .cols = cols, .moments = moments};
    tb_quant_report report;
    tb_curvature *curvature = NULL;
    tb_code rc = TB_OK;
    if (tb_method_get(p->method)->needs_curvature)
        rc = tb_curvature_new(&curvature, moments, cols, &p->options, err);
    problem.curvature = curvature;
    if (!rc)
        rc = tb_quantize_matrix(out, &report, p->method, &problem, &p->options, err);
    tb_curvature_free(curvature);
    return rc;
}

static tb_code print_result(const char *path, tb_error *err)
{
    tb_csi_net *net;
    char count[TB_NUMBER_TEXT];
    tb_code rc = tb_csi_net_open(&net, path, err);
    if (rc)
        return rc;
    printf("%s weights, %.2f bits per weight of the matrices (scales included)\n",
           tb_text_of_count(count, tb_csi_net_weights(net)), tb_csi_net_matrix_bits(net));
    tb_csi_net_free(net);
    return TB_OK;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const quantize_args *args = untyped;
    packer p = {.options = {.bits = (unsigned)args->bits, .group = (size_t)args->group}};
    if (!args->output)
        return tb_fail_usage(cli, err, "option '--output' is missing");
    if (!tb_method_find(&p.method, args->method))
        return tb_fail_usage(cli, err, "unknown method '%s'; use " METHODS, args->method);
    if (tb_method_get(p.method)->scales_inputs)
        return tb_fail_usage(cli, err, "method '%s' scales inputs, which a receiver cannot take in; use clip",
                             args->method);
    tb_code rc = tb_quant_options_resolve(&p.options, p.method, &p.options, err);
    if (!rc)
        rc = tb_cli_check_output(args->output, err);
    if (rc)
        return rc;
    p.options.threads = tb_cli_threads(cli);
    tb_csi_quantize_options quantize = {.finetune = args->finetune,
                                        .steps_factor = args->steps_factor,
                                        .seed = cli->common.seed,
                                        .threads = tb_cli_threads(cli),
                                        .report = &cli->report};
    tb_readable_output output;
    rc = tb_readable_output_init(&output, args->output, err);
    if (!rc)
        rc = tb_csi_quantize(output.path, cli->operands.items[0], &quantize, pack, &p, err);
    tb_progress_clear(&cli->progress);
    if (!rc && !output.is_stdout)
        rc = print_result(output.path, err);
    if (!rc)
        rc = tb_readable_output_finish(&output, err);
    tb_readable_output_clear(&output);
    return rc;
}

const tb_command tb_command_csi_quantize = {
    .name = "csi quantize",
    .summary = "write a neural receiver in fewer bits",
    .usage = "NET -o FILE [options]",
    .examples = examples,
    .notes = "Matrices become planes, run by the kernels that run language models; biases and what lies between the\n"
             "subnets stay in float.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
