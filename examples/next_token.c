// Prints the tokens a model finds most likely after a text, with their probabilities.
//
//     next_token MODEL TEXT
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "twobit/twobit.h"

enum { SHOWN = 10 };

// log Σ exp(logits): subtracted from a logit it gives the log probability.
static double log_total(const float *logits, size_t n)
{
    double top = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - top);
    return top + log(sum);
}

// The ids of the largest logits, in descending order, into best[SHOWN]; returns how many.
static size_t find_best(int32_t *best, const float *logits, size_t n)
{
    size_t found = 0;
    for (size_t id = 0; id < n; id++) {
        size_t place = found < SHOWN ? found++ : SHOWN;
        for (; place > 0 && logits[best[place - 1]] < logits[id]; place--)
            if (place < SHOWN)
                best[place] = best[place - 1];
        if (place < SHOWN)
            best[place] = (int32_t)id;
    }
    return found;
}

static tb_code print_best(const tb_model *model, const tb_seq *seq, tb_error *err)
{
    const float *logits = tb_seq_logits(seq);
    size_t vocab = tb_model_vocab_size(model);
    int32_t best[SHOWN];
    size_t shown = find_best(best, logits, vocab);
    double total = log_total(logits, vocab);
    for (size_t i = 0; i < shown; i++) {
        char *text;
        size_t size;
        tb_code rc = tb_model_detokenize(model, &best[i], 1, true, &text, &size, err);
        if (rc)
            return rc;
        printf("%6.2f %%  %7d  '%s'\n", 100 * exp(logits[best[i]] - total), (int)best[i], text);
        tb_free_text(text);
    }
    return TB_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3 || !argv[2][0]) {
        fprintf(stderr, "usage: next_token MODEL TEXT\n");
        return 2;
    }
    tb_model *model = NULL;
    tb_seq *seq = NULL;
    int32_t *ids = NULL;
    size_t count;
    tb_error err;

    tb_code rc = tb_model_open(&model, argv[1], NULL, &err);
    if (!rc)
        rc = tb_model_tokenize(model, argv[2], strlen(argv[2]), TB_TOKENIZE_BOS, &ids, &count, &err);
    if (!rc)
        rc = tb_seq_new(&seq, model, NULL, &err);
    if (!rc)
        rc = tb_seq_push(seq, ids, count, &err);
    if (!rc)
        rc = print_best(model, seq, &err);
    if (rc)
        fprintf(stderr, "next_token: %s\n", err.message);

    tb_seq_free(seq);
    tb_free_ids(ids);
    tb_model_close(model);
    return rc ? 1 : 0;
}
