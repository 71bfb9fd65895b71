// What the commands of `twobit csi` share: the link's options, lists of numbers, results.
#ifndef TB_CLI_CSI_ARGS_H
#define TB_CLI_CSI_ARGS_H

#include "cli/cli.h"
#include "csi/csi.h"

// The first member of each command's arguments, so that one piece of table describes it.
typedef struct tb_csi_link_args {
    uint64_t n, p, b, spreading_seed;
    const char *channel, *spreading, *modulation;
    bool full_front_end;
} tb_csi_link_args;

#define TB_CSI_LINK_DEFAULTS                                                                                           \
    {                                                                                                                  \
        .n = 64, .p = 512, .channel = "rayleigh", .spreading = "walsh-first", .modulation = "qpsk"                     \
    }

// Rows of an option table.
#define TB_CSI_LINK_OPTIONS                                                                                              \
    {"n", 0, TB_OPTION_COUNT, offsetof(tb_csi_link_args, n), "N", 1, 1 << 20, "base-station antennas"},                  \
        {"p", 0, TB_OPTION_COUNT, offsetof(tb_csi_link_args, p), "N", 1, 1 << 20, "data symbols per frame"},             \
        {"b", 0, TB_OPTION_COUNT, offsetof(tb_csi_link_args, b),                                                         \
         "N", 1, 1 << 20,         "antennas that the uplink combines (default: as --n)"},                                \
        {"channel",                                                                                                      \
         0,                                                                                                              \
         TB_OPTION_TEXT,                                                                                                 \
         offsetof(tb_csi_link_args, channel),                                                                            \
         "NAME",                                                                                                         \
         0,                                                                                                              \
         0,                                                                                                              \
         "rayleigh, sparse, cdl-a, cdl-b, cdl-c or cdl-d"},                                                              \
        {"modulation", 0, TB_OPTION_TEXT, offsetof(tb_csi_link_args, modulation), "NAME", 0, 0, "qpsk, 16qam or 64qam"}, \
        {"spreading",                                                                                                    \
         0,                                                                                                              \
         TB_OPTION_TEXT,                                                                                                 \
         offsetof(tb_csi_link_args, spreading),                                                                          \
         "NAME",                                                                                                         \
         0,                                                                                                              \
         0,                                                                                                              \
         "walsh-first or walsh-random"},                                                                                 \
        {"spreading-seed",                                                                                               \
         0,                                                                                                              \
         TB_OPTION_COUNT,                                                                                                \
         offsetof(tb_csi_link_args, spreading_seed),                                                                     \
         "N",                                                                                                            \
         0,                                                                                                              \
         0,                                                                                                              \
         "seed of the columns of walsh-random"},                                                                         \
    {                                                                                                                    \
        "full-front-end", 0, TB_OPTION_FLAG, offsetof(tb_csi_link_args, full_front_end), NULL, 0, 0,                     \
            "simulate every antenna of the uplink instead of what is left after combining"                               \
    }

// The link that the arguments and --seed describe; free with tb_csi_link_free.
tb_code tb_csi_link_from_args(tb_csi_link **out, tb_cli *cli, const tb_csi_link_args *args, tb_error *err);

enum { TB_CSI_MOST_VALUES = 64 };

// "0,5,10": up to TB_CSI_MOST_VALUES numbers; `option` names the list in messages.
tb_code tb_csi_parse_reals(double *values, size_t *count, tb_cli *cli, const char *option, const char *text,
                           tb_error *err);

#endif
