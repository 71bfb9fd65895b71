// Prints the tokens a model finds most likely after a text, with their probabilities.
//
//     next_token MODEL TEXT
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "twobit/twobit.h"

enum { SHOWN = 10 };

static tb_code print_best(const tb_model *model, const tb_seq *seq, tb_error *err)
{
    tb_choice best[SHOWN];
    size_t shown = tb_seq_best(best, SHOWN, seq);
    for (size_t i = 0; i < shown; i++) {
        char *text;
        size_t size;
        tb_code rc = tb_model_detokenize(model, &best[i].token, 1, true, &text, &size, err);
        if (rc)
            return rc;
        printf("%6.2f %%  %7d  '%s'\n", 100 * exp(best[i].log_probability), (int)best[i].token, text);
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
