// twobit csi simulate: frames of the link as a file.
#include "cli/csi_args.h"

typedef struct simulate_args {
    tb_csi_link_args link;
    const char *output;
    double rho, snr_db;
    uint64_t frames;
} simulate_args;

static const simulate_args defaults = {.link = TB_CSI_LINK_DEFAULTS, .rho = 0.2, .snr_db = 5, .frames = 1000};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(simulate_args, output), "FILE", 0, 0, "safetensors file to write"},
    {"rho", 0, TB_OPTION_REAL, offsetof(simulate_args, rho), "R", -1e9, 1e9, "share of power that the CSI has"},
    {"snr-db", 0, TB_OPTION_REAL, offsetof(simulate_args, snr_db), "DB", -1e9, 1e9, "SNR per symbol after combining"},
    {"frames", 0, TB_OPTION_COUNT, offsetof(simulate_args, frames), "N", 1, 1 << 24, "frames to write"},
    TB_CSI_LINK_OPTIONS,
    {0},
};

static const char *const examples[] = {
    "twobit csi simulate -o frames.safetensors --frames 1000 --seed 1",
    "a thousand frames of the published link",
    NULL,
};

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const simulate_args *args = untyped;
    if (!args->output)
        return tb_fail_usage(cli, err, "option '--output' is missing");
    tb_csi_link *link;
    tb_code rc = tb_csi_link_from_args(&link, cli, &args->link, err);
    if (rc)
        return rc;
    tb_csi_point point = {args->rho, args->snr_db};
    if (tb_ranks_is_first(cli->ranks)) // drawing a frame costs no more than sending it: the others would not help
        rc = tb_csi_write_frames(args->output, link, &point, (size_t)args->frames, tb_cli_threads(cli), &cli->report,
                                 err);
    tb_csi_link_free(link);
    return rc;
}

const tb_command tb_command_csi_simulate = {
    .name = "csi simulate",
    .summary = "write frames of the link to a file",
    .usage = "-o FILE [options]",
    .examples = examples,
    .notes = "Tensors: h [frames][2N], d and r [frames][2P] (all real parts, then all imaginary ones), s2, bits.\n"
             "A run that was interrupted goes on with the same command, from FILE.partial, to the same file.\n",
    .takes_ranks = true,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
