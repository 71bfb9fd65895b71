// Matrices that quantize holds out, as --hold-out says it.
#ifndef TB_CLI_HOLD_OUT_H
#define TB_CLI_HOLD_OUT_H

#include "model/model.h"

// "none"; "auto": the down matrices in which sink super finds super weights, the matrices of the experts that it finds
// in a mixture; or names of matrices with commas between them. linears[tb_model_linear_count] as tb_pipeline_options
// has it, to be freed with tb_free; NULL where none is held out. TB_EINVAL: a name that no matrix of a block has. Fails
// as sink super does.
tb_code tb_hold_out_choose(bool **linears, const tb_model *model, const char *text, const tb_report *report,
                           tb_error *err);

#endif
