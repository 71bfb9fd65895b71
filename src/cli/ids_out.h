// Token ids on standard output, as tokenize and template print them.
#ifndef TB_CLI_IDS_OUT_H
#define TB_CLI_IDS_OUT_H

#include "model/model.h"

// The tokenizer of a model; its weights are not needed: a file with nothing but a vocabulary suffices.
tb_code tb_cli_load_tokenizer(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err);

// One line, separated by blanks; or an object with `count` and `ids`.
tb_code tb_cli_print_ids(const tb_ids *ids, bool json, tb_error *err);

#endif
