// Inside csi: how far a measurement has come, kept in a file.
#ifndef TB_CSI_MEASURE_STATE_H
#define TB_CSI_MEASURE_STATE_H

#include "csi/csi.h"

// The tallies of all points before `point` are final; those of `point` hold its first `units` units.
typedef struct tb_csi_measure_state {
    size_t point, units;
    tb_csi_tally *tallies; // [count]
    size_t count;
} tb_csi_measure_state;

// `description` says all that decides the result.
tb_code tb_csi_measure_state_save(const char *path, const tb_csi_measure_state *state, const char *description,
                                  tb_error *err);

// TB_EINVAL when the file belongs to another description; TB_EFORMAT when it is none of ours.
tb_code tb_csi_measure_state_load(tb_csi_measure_state *state, const char *path, const char *description,
                                  tb_error *err);

#endif
