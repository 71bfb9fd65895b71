#include "quant/heldout.h"

#include <math.h>

enum { CHUNK = 128 }; // tokens whose logits are held at once

double tb_surprise(const float *logits, size_t vocab, int32_t target)
{
    float most = logits[0];
    double sum = 0;
    for (size_t i = 1; i < vocab; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - (double)most);
    return (double)most + log(sum) - (double)logits[target];
}

// Adds the surprise of every token of the window but the first.
static tb_code measure_window(double *sum, tb_seq *seq, const int32_t *tokens, size_t length, float *logits,
                              size_t vocab, tb_error *err)
{
    tb_seq_truncate(seq, 0);
    tb_code rc = TB_OK;
    for (size_t at = 0; at + 1 < length && !rc; at += CHUNK) {
        size_t n = length - 1 - at < CHUNK ? length - 1 - at : CHUNK;
        rc = tb_seq_push_all(seq, tokens + at, n, logits, err);
        for (size_t i = 0; i < n && !rc; i++)
            *sum += tb_surprise(logits + i * vocab, vocab, tokens[at + i + 1]);
    }
    return rc;
}

tb_code tb_heldout_measure(double *perplexity, const tb_model *model, const tb_windows *windows, const char *stage,
                           const tb_report *report, tb_error *err)
{
    size_t vocab = tb_model_vocab_size(model), predictions = windows->count * (windows->length - 1);
    double sum = 0;
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, model, &(tb_seq_options){.context = windows->length, .batch = CHUNK}, err);
    if (rc)
        return rc;
    float *logits = tb_alloc_array(CHUNK * vocab, sizeof *logits);
    if (!logits)
        rc = tb_fail(err, TB_ENOMEM, "no memory for the logits of %d tokens", CHUNK);
    for (size_t w = 0; w < windows->count && !rc; w++) {
        rc = measure_window(&sum, seq, windows->ids.data + w * windows->length, windows->length, logits, vocab, err);
        if (!rc && tb_report_progress(report, stage, (double)(w + 1), (double)windows->count, "windows"))
            rc = tb_fail(err, TB_ECANCELLED, "measuring was stopped");
    }
    *perplexity = isfinite(sum) ? exp(sum / (double)predictions) : INFINITY;
    tb_free(logits);
    tb_seq_free(seq);
    return rc;
}
