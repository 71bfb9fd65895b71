// How surprised a model is by each line of its standard input: prints the perplexity of the
// line's tokens, given those before them in the line, and the line.
//
//     line_perplexity MODEL < TEXT
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "twobit/twobit.h"

// Perplexity of ids[1 …]; the first token is given. NaN for fewer than two.
static tb_code measure(double *perplexity, tb_seq *seq, const int32_t *ids, size_t count, tb_error *err)
{
    double total = 0;
    tb_seq_truncate(seq, 0);
    for (size_t i = 0; i + 1 < count; i++) {
        tb_code rc = tb_seq_push(seq, &ids[i], 1, err);
        if (rc)
            return rc;
        total -= tb_seq_log_probability(seq, ids[i + 1]);
    }
    *perplexity = count > 1 ? exp(total / (double)(count - 1)) : NAN;
    return TB_OK;
}

static tb_code measure_line(const tb_model *model, tb_seq *seq, const char *line, tb_error *err)
{
    int32_t *ids;
    size_t count;
    tb_code rc = tb_model_tokenize(model, line, strlen(line), TB_TOKENIZE_BOS, &ids, &count, err);
    if (rc)
        return rc;
    double perplexity;
    rc = measure(&perplexity, seq, ids, count, err);
    if (!rc)
        printf("%10.2f  %s\n", perplexity, line);
    tb_free_ids(ids);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: line_perplexity MODEL < TEXT\n");
        return 2;
    }
    tb_model *model = NULL;
    tb_seq *seq = NULL;
    tb_error err;
    char line[4096];

    tb_code rc = tb_model_open(&model, argv[1], NULL, &err);
    if (!rc)
        rc = tb_seq_new(&seq, model, NULL, &err);
    while (!rc && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        rc = measure_line(model, seq, line, &err);
    }
    if (rc)
        fprintf(stderr, "line_perplexity: %s\n", err.message);

    tb_seq_free(seq);
    tb_model_close(model);
    return rc ? 1 : 0;
}
