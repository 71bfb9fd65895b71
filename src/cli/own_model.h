// The model that comes with twobit.
#ifndef TB_CLI_OWN_MODEL_H
#define TB_CLI_OWN_MODEL_H

#include "base/base.h"

// Its path, wherever the program is started from: beside the program in a build tree, in the folders that it was
// installed with, wherever these were moved to together, and last where installing would have put it. TB_EIO: it is in
// none.
tb_code tb_own_model_find(tb_str *path, tb_error *err);

#endif
