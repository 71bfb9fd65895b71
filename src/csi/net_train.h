// Inside csi: training, and what quantization takes from it.
#ifndef TB_CSI_NET_TRAIN_H
#define TB_CSI_NET_TRAIN_H

#include "csi/csi_net.h"

// What each kind of network is trained with unless told otherwise: the published training, and for
// the hybrid what this project found to work.
typedef struct tb_csi_training {
    double rho[2], snr_db[2], rate, penalty;
    double deviations[2]; // of initial W1 and W2
    size_t batch, draws;  // frames per step, at so many operating points
    uint64_t steps[TB_CSI_STAGES];
    tb_schedule_kind schedule;
} tb_csi_training;

extern const tb_csi_training tb_csi_trainings[TB_CSI_NETS];

enum { TB_CSI_MOST_DRAWS = 64 };

// The frames of step `step` of a stage: operating points drawn evenly between those given.
// Steps have frames of their own, far from those that are measured.
void tb_csi_draw_step(tb_csi_batch *batch, const tb_csi_link *link, const double rho[2], const double snr_db[2],
                      size_t frames, size_t draws, tb_csi_stage stage, uint64_t step);

// Nothing but the subnet of this stage learns.
void tb_csi_freeze_others(tb_csi_net *net, tb_csi_stage stage);

#endif
