// A model and changed forms of it on the same sequences. Private to sink.
#ifndef TB_SINK_TRIAL_H
#define TB_SINK_TRIAL_H

#include "sink/sink.h"

// Form `variant` of the model computes a sequence: logits [n][vocab] after each token.
typedef tb_code tb_sink_form_fn(void *user, size_t variant, const int32_t *tokens, size_t n, float *logits,
                                tb_error *err);

// The untouched model is form 0, the others are 1 … count; out[count + 1] is of each. Predictions at positions 1 … T −
// 2 are scored. Fails as tb_sink_measure does, and with what `compute` fails with.
tb_code tb_sink_try(tb_sink_trial *out, size_t count, const tb_model *model, const tb_sink_options *options,
                    tb_sink_score_fn *score, tb_sink_form_fn *compute, void *user, tb_sink_protocol *protocol,
                    tb_error *err);

#endif
