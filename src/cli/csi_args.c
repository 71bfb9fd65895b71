#include "cli/csi_args.h"

#include <string.h>

tb_code tb_csi_link_from_args(tb_csi_link **out, tb_cli *cli, const tb_csi_link_args *args, tb_error *err)
{
    tb_csi_options options = {.n = (size_t)args->n,
                              .p = (size_t)args->p,
                              .b = (size_t)args->b,
                              .users = (size_t)args->users,
                              .spreading_seed = args->spreading_seed,
                              .full_front_end = args->full_front_end,
                              .seed = cli->common.seed};
    if (!tb_csi_channel_find(&options.channel, args->channel))
        return tb_fail_usage(cli, err,
                             "unknown channel '%s'; use rayleigh, sparse, cdl-a, cdl-b, cdl-c, cdl-d or digital",
                             args->channel);
    if (!tb_csi_modulation_find(&options.modulation, args->modulation))
        return tb_fail_usage(cli, err, "unknown modulation '%s'; use qpsk, 16qam or 64qam", args->modulation);
    if (!tb_csi_spreading_find(&options.spreading, args->spreading))
        return tb_fail_usage(cli, err, "unknown spreading '%s'; use walsh-first or walsh-random", args->spreading);
    return tb_csi_link_new(out, &options, err);
}
