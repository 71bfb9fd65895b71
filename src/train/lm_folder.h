// Inside train: the folders of a training, FOLDER.partial while it is under way and FOLDER in the end.
#ifndef TB_TRAIN_LM_FOLDER_H
#define TB_TRAIN_LM_FOLDER_H

#include "train/lm_train.h"

typedef struct tb_lm_folder {
    const char *path; // of the finished model
    char *work;       // PATH.partial
    tb_output_lock lock;
} tb_lm_folder;

// Makes the work folder where it is missing, and takes it for this process. TB_EIO: `path` is there already, or someone
// has the work folder.
tb_code tb_lm_folder_open(tb_lm_folder *folder, const char *path, tb_error *err);
// Accepts a zeroed folder.
void tb_lm_folder_close(tb_lm_folder *folder);

// The state of a training after `step` steps: parameters, moments and log. `description` is all that decides the
// result.
tb_code tb_lm_folder_save(const tb_lm_folder *folder, tb_lm *lm, tb_params *log, const char *description, uint64_t step,
                          tb_error *err);
// *step: 0 where there is no state. TB_EINVAL: it belongs to another training.
tb_code tb_lm_folder_load(uint64_t *step, const tb_lm_folder *folder, tb_lm *lm, tb_params *log,
                          const char *description, tb_error *err);

// The best weights so far.
tb_code tb_lm_folder_save_best(const tb_lm_folder *folder, tb_lm *lm, tb_error *err);
tb_code tb_lm_folder_load_best(const tb_lm_folder *folder, tb_lm *lm, tb_error *err);

// Writes the model and gives the folder its name.
tb_code tb_lm_folder_finish(tb_lm_folder *folder, tb_lm *lm, const tb_lm_training *training, tb_error *err);

#endif
