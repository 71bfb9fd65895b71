// The folder OUT.partial: what an interrupted run leaves for the next one. It holds a
// manifest, which says what the run depends on, and a file per finished block. Each file
// appears complete or not at all; one that was damaged afterwards counts as absent.
#ifndef TB_QUANT_PARTIAL_H
#define TB_QUANT_PARTIAL_H

#include "quant/identity.h"
#include "quant/quant_block.h"

typedef struct tb_partial tb_partial;

// Opens or creates the folder for a run that writes `out_path`. TB_EINVAL when it belongs to
// another run: the sentence says what differs and what to do. TB_EIO when `out_path` is no file. TB_EIO when another
// process has it.
tb_code tb_partial_open(tb_partial **out, const char *out_path, const tb_quant_identity *identity, tb_error *err);

// Closes the handle. A folder without a finished block is removed, any other stays.
void tb_partial_close(tb_partial *partial);

// A path inside the folder for the model file until it may appear. Borrowed.
const char *tb_partial_output_path(const tb_partial *partial);

// Moves that file to `out_path`.
tb_code tb_partial_publish(tb_partial *partial, tb_error *err);

// Removes everything of ours in the folder, and the folder. The handle must still be closed.
tb_code tb_partial_remove(tb_partial *partial, tb_error *err);

tb_code tb_partial_store(tb_partial *partial, const tb_model *model, size_t index, const tb_quant_block *block,
                         tb_error *err);

// Loads a block; *found is false when it is absent, damaged, or not of the shapes of the
// model's block.
tb_code tb_partial_load(tb_quant_block *out, bool *found, const tb_partial *partial, const tb_model *model,
                        size_t index, tb_error *err);

#endif
