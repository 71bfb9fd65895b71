#include "cli/sink_score.h"

#include "eval/eval.h"

bool tb_sink_score(double *nll, double *kl, const float *logits, const float *reference, size_t vocab, int32_t target)
{
    tb_prediction_score s;
    tb_score_prediction(&s, logits, reference, vocab, target);
    *nll = s.nll;
    *kl = s.kl;
    return s.finite && s.reference_finite;
}
