// What the commands of `twobit csi` share: the link's options, results.
#ifndef TB_CLI_CSI_ARGS_H
#define TB_CLI_CSI_ARGS_H

#include "cli/cli.h"
#include "csi/csi.h"

// The first member of each command's arguments, so that one piece of table describes it.
typedef struct tb_csi_link_args {
    uint64_t n, p, b, users, spreading_seed;
    const char *channel, *spreading, *modulation;
    bool full_front_end;
} tb_csi_link_args;

#define TB_CSI_LINK_DEFAULTS                                                                                           \
    {                                                                                                                  \
        .n = 64, .p = 512, .users = 1, .channel = "rayleigh", .spreading = "walsh-first", .modulation = "qpsk"         \
    }

// Rows of an option table.
// clang-format off
#define TB_CSI_LINK_OPTION(name, type, member, value, least, most, help) \
    {name, 0, TB_OPTION_##type, offsetof(tb_csi_link_args, member), value, least, most, help}

#define TB_CSI_LINK_OPTIONS \
    TB_CSI_LINK_OPTION("n", COUNT, n, "N", 1, 1 << 16, "base-station antennas"), \
    TB_CSI_LINK_OPTION("p", COUNT, p, "N", 1, 1 << 16, "data symbols per frame"), \
    TB_CSI_LINK_OPTION("b", COUNT, b, "N", 1, 1 << 16, "antennas that the uplink combines (default: as --n)"), \
    TB_CSI_LINK_OPTION("users", COUNT, users, "K", 1, 64, "users at the same time, taken apart by zero forcing"), \
    TB_CSI_LINK_OPTION("channel", TEXT, channel, "NAME", 0, 0, "rayleigh, sparse, cdl-a, cdl-b, cdl-c, cdl-d or digital"), \
    TB_CSI_LINK_OPTION("modulation", TEXT, modulation, "NAME", 0, 0, "qpsk, 16qam or 64qam"), \
    TB_CSI_LINK_OPTION("spreading", TEXT, spreading, "NAME", 0, 0, "walsh-first or walsh-random"), \
    TB_CSI_LINK_OPTION("spreading-seed", COUNT, spreading_seed, "N", 0, 0, "seed of the columns of walsh-random"), \
    TB_CSI_LINK_OPTION("full-front-end", FLAG, full_front_end, NULL, 0, 0, \
                       "simulate every antenna of the uplink instead of what is left after combining")
// clang-format on

// The link that the arguments and --seed describe; free with tb_csi_link_free.
tb_code tb_csi_link_from_args(tb_csi_link **out, tb_cli *cli, const tb_csi_link_args *args, tb_error *err);

#endif
