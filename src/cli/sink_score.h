// Scores for the experiments of `twobit sink`, by eval.
#ifndef TB_CLI_SINK_SCORE_H
#define TB_CLI_SINK_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A tb_sink_score_fn.
bool tb_sink_score(double *nll, double *kl, const float *logits, const float *reference, size_t vocab, int32_t target);

#endif
