// twobit csi train: a neural receiver, subnet by subnet.
#include <inttypes.h>
#include <string.h>

#include "cli/csi_args.h"

typedef struct train_args {
    tb_csi_link_args link;
    const char *output, *net, *activation, *rho, *snr_db;
    uint64_t hidden, batch;
    double rate, steps_factor;
} train_args;

static const train_args defaults = {
    .link = TB_CSI_LINK_DEFAULTS, .net = "hybrid", .activation = "swish", .steps_factor = 1};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(train_args, output), "FILE", 0, 0, "network to write (safetensors)"},
    {"net", 0, TB_OPTION_TEXT, offsetof(train_args, net), "KIND", 0, 0, "paper, paper+gain or hybrid"},
    {"activation", 0, TB_OPTION_TEXT, offsetof(train_args, activation), "NAME", 0, 0,
     "swish, tanh, leaky_relu or relu"},
    {"hidden", 0, TB_OPTION_COUNT, offsetof(train_args, hidden), "N", 1, 1 << 20,
     "hidden units: per antenna or symbol (paper, default 16), per block (hybrid, default 64)"},
    {"rho", 0, TB_OPTION_TEXT, offsetof(train_args, rho), "A[,B]", 0, 0,
     "share of power of the CSI, drawn between A and B (default: paper 0.2, hybrid 0.05,0.3)"},
    {"snr-db", 0, TB_OPTION_TEXT, offsetof(train_args, snr_db), "A[,B]", 0, 0,
     "SNR per symbol, drawn between A and B (default: paper 5, hybrid 0,18)"},
    {"batch", 0, TB_OPTION_COUNT, offsetof(train_args, batch), "N", 1, 1 << 16, "frames per step (default 200)"},
    {"rate", 0, TB_OPTION_REAL, offsetof(train_args, rate), "R", 0, 1,
     "learning rate (default: paper 0.0001, hybrid 0.004 falling to 0)"},
    {"steps-factor", 0, TB_OPTION_REAL, offsetof(train_args, steps_factor), "F", 1e-6, 1e6,
     "times the published steps"},
    TB_CSI_LINK_OPTIONS,
    {0},
};

static const char *const examples[] = {
    "twobit csi train --net hybrid --n 8 --p 64 --b 64 -o hybrid.safetensors",
    "a small network for every link with 8 symbols per antenna, in minutes",
    "twobit csi train --net paper --n 8 --p 64 --b 64 -o paper.safetensors",
    "the published network at an eighth of its width",
    "twobit csi evaluate --receivers mmse,hard,hybrid.safetensors",
    "then measure it",
    NULL,
};

// "A" or "A,B" into a range.
static tb_code parse_range(double range[2], tb_cli *cli, const char *option, const char *text, tb_error *err)
{
    double values[TB_CLI_MOST_VALUES];
    size_t count;
    tb_code rc = tb_cli_parse_reals(values, &count, cli, option, text, err);
    if (rc)
        return rc;
    if (count > 2)
        return tb_fail_usage(cli, err, "option '--%s' takes one value or two", option);
    range[0] = values[0];
    range[1] = values[count - 1];
    return TB_OK;
}

static tb_code parse(tb_csi_train_options *o, tb_cli *cli, const train_args *args, tb_error *err)
{
    if (!args->output)
        return tb_fail_usage(cli, err, "option '--output' is missing");
    if (!tb_csi_net_kind_find(&o->net, args->net))
        return tb_fail_usage(cli, err, "unknown network '%s'; use paper, paper+gain or hybrid", args->net);
    if (!tb_csi_activation_find(&o->net.activation, args->activation))
        return tb_fail_usage(cli, err, "unknown activation '%s'; use swish, tanh, leaky_relu or relu",
                             args->activation);
    tb_code rc = args->rho ? parse_range(o->rho, cli, "rho", args->rho, err) : TB_OK;
    if (!rc && args->snr_db)
        rc = parse_range(o->snr_db, cli, "snr-db", args->snr_db, err);
    o->snr_given = args->snr_db != NULL;
    o->net.hidden = (size_t)args->hidden;
    o->batch = (size_t)args->batch;
    o->rate = args->rate;
    o->steps_factor = args->steps_factor;
    o->threads = tb_cli_threads(cli);
    o->report = &cli->report;
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const train_args *args = untyped;
    tb_csi_train_options train = {0};
    tb_code rc = parse(&train, cli, args, err);
    if (!rc)
        rc = tb_cli_check_output(args->output, err);
    if (rc)
        return rc;
    tb_csi_link *link;
    rc = tb_csi_link_from_args(&link, cli, &args->link, err);
    if (rc)
        return rc;
    train.net.n = tb_csi_link_options(link)->n;
    train.net.p = tb_csi_link_options(link)->p;
    tb_report_note(&cli->report, TB_NOTE_INFO, "training the %s network, seed %" PRIu64, args->net, cli->common.seed);
    rc = tb_csi_train(args->output, link, &train, err);
    tb_csi_link_free(link);
    return rc;
}

const tb_command tb_command_csi_train = {
    .name = "csi train",
    .summary = "train a neural receiver",
    .usage = "-o FILE [options]",
    .examples = examples,
    .notes =
        "Interrupted training goes on with the same command, from FILE.partial, to the identical result. The hybrid\n"
        "network depends on --p divided by --n only: train it small, use it large.\n",
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
