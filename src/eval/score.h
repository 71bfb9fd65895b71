// Scoring single predictions, and the statistics of many.
#ifndef TB_EVAL_SCORE_H
#define TB_EVAL_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tb_prediction_score {
    bool finite, reference_finite; // false: a logit of that model is NaN or infinite; figures that need it are 0
    double nll;                    // −log q(target)
    double reference_nll;          // −log p(target)
    double kl;                     // KL(p‖q) ≥ 0
    bool agrees;                   // p and q prefer the same token (the first of equals)
} tb_prediction_score;

// Scores logits[vocab] of the measured model q against the token that came; `reference` are the
// logits of p, or NULL (the last three fields are then 0). All in double, in nats.
void tb_score_prediction(tb_prediction_score *score, const float *logits, const float *reference, size_t vocab,
                         int32_t target);

typedef struct tb_mean {
    double mean, error; // and its standard error
} tb_mean;

// Mean of values[windows · per_window]. The error comes from the means of the windows, because
// predictions of one window are not independent; with one window from the values themselves.
tb_mean tb_mean_of_windows(const double *values, size_t windows, size_t per_window);

// The value below which `share` of values[n] lie, n > 0, interpolated between neighbours of the
// sorted values (NumPy's "linear"). Sorts the values.
double tb_percentile(double *values, size_t n, double share);

#endif
