// Log-probabilities of next tokens.
#include "generate/generate.h"

#include <math.h>

// log Σ exp(logits): subtracted from a logit it gives the log of the probability.
static double log_total(const float *logits, size_t n)
{
    double top = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - top);
    return top + log(sum);
}

double tb_seq_log_probability(const tb_seq *seq, int32_t token)
{
    const float *logits = tb_seq_logits(seq);
    size_t vocab = tb_model_vocab_size(tb_seq_model(seq));
    if (!logits || token < 0 || (size_t)token >= vocab)
        return NAN;
    return logits[token] - log_total(logits, vocab);
}

size_t tb_seq_best(tb_choice *best, size_t most, const tb_seq *seq)
{
    const float *logits = tb_seq_logits(seq);
    size_t vocab = tb_model_vocab_size(tb_seq_model(seq)), found = 0;
    if (!logits || most == 0)
        return 0;
    double total = log_total(logits, vocab);
    for (size_t id = 0; id < vocab; id++) {
        tb_choice choice = {(int32_t)id, logits[id] - total};
        if (found == most && !(choice.log_probability > best[most - 1].log_probability))
            continue;
        size_t place = found < most ? found++ : most - 1;
        for (; place > 0 && best[place - 1].log_probability < choice.log_probability; place--)
            best[place] = best[place - 1];
        best[place] = choice;
    }
    return found;
}
