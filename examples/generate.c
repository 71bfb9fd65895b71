// Continues a text: opens a model, pushes the prompt, and picks token after token.
//
//     generate MODEL PROMPT [TOKENS]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twobit/twobit.h"

static tb_code generate(tb_seq *seq, tb_sampler *sampler, tb_stream *stream, const tb_model *model, size_t tokens,
                        tb_error *err)
{
    const char *text;
    size_t size;
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < tokens && tb_seq_length(seq) < tb_seq_context(seq); i++) {
        int32_t token;
        rc = tb_sampler_pick(&token, sampler, seq, err);
        if (!rc && tb_model_is_end(model, token))
            break;
        if (!rc)
            rc = tb_stream_push(stream, token, &text, &size, err);
        if (!rc) {
            fwrite(text, 1, size, stdout);
            fflush(stdout);
            rc = tb_seq_push(seq, &token, 1, err);
        }
    }
    if (!rc)
        rc = tb_stream_finish(stream, &text, &size, err);
    if (!rc)
        printf("%s\n", text);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: generate MODEL PROMPT [TOKENS]\n");
        return 2;
    }
    const char *prompt = argv[2];
    size_t tokens = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;

    tb_model *model = NULL;
    tb_seq *seq = NULL;
    tb_sampler *sampler = NULL;
    tb_stream *stream = NULL;
    int32_t *ids = NULL;
    size_t count;
    tb_sampler_options warm = {.temperature = 0.7, .top_p = 0.9, .seed = 1};
    tb_stream_options behind_prompt = {.in_text = true};
    tb_error err;

    tb_code rc = tb_model_open(&model, argv[1], NULL, &err);
    if (!rc)
        rc = tb_model_tokenize(model, prompt, strlen(prompt), TB_TOKENIZE_BOS, &ids, &count, &err);
    if (!rc)
        rc = tb_seq_new(&seq, model, NULL, &err);
    if (!rc)
        rc = tb_sampler_new(&sampler, model, &warm, &err);
    if (!rc)
        rc = tb_stream_new(&stream, model, &behind_prompt, &err);
    if (!rc)
        rc = tb_seq_push(seq, ids, count, &err);
    if (!rc) {
        printf("%s", prompt);
        rc = generate(seq, sampler, stream, model, tokens, &err);
    }
    if (rc)
        fprintf(stderr, "generate: %s\n", err.message);

    tb_stream_free(stream);
    tb_sampler_free(sampler);
    tb_seq_free(seq);
    tb_free_ids(ids);
    tb_model_close(model);
    return rc ? 1 : 0;
}
