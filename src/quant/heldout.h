// A short look at the finished model on text that calibration did not see.
#ifndef TB_QUANT_HELDOUT_H
#define TB_QUANT_HELDOUT_H

#include "quant/calibration.h"

// −log softmax(logits)[target], in nats.
double tb_surprise(const float *logits, size_t vocab, int32_t target);

// Perplexity over all predictions inside the windows; infinite when logits are not finite.
// `stage` names the work for the report.
tb_code tb_heldout_measure(double *perplexity, const tb_model *model, const tb_windows *windows, const char *stage,
                           const tb_report *report, tb_error *err);

#endif
