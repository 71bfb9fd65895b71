// The picture of a training: the loss over steps, and what probes saw.
#ifndef TB_CLI_TRAIN_PLOT_H
#define TB_CLI_TRAIN_PLOT_H

#include "train/train.h"

tb_code tb_train_plot(const char *path, const tb_lm_log *log, const tb_lm_training *training, tb_error *err);

#endif
