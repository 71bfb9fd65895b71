// What a tb_pipeline has in it. Shared by the files that make one ready, choose its widths, and run it.
#ifndef TB_QUANT_PIPELINE_STATE_H
#define TB_QUANT_PIPELINE_STATE_H

#include "quant/calibration.h"
#include "quant/output.h"
#include "quant/pipeline.h"

struct tb_pipeline {
    const tb_model *model;
    tb_pipeline_options options;
    tb_quant_options quant; // resolved
    bool calibrated;        // the method needs text
    tb_windows windows;     // where calibrated
    uint8_t *block_bits;    // [blocks], or NULL
    tb_quant_identity identity;
};

// The file that a pipeline writes, without what only finished blocks know.
tb_output tb_pipeline_output(const tb_pipeline *pipeline);

#endif
