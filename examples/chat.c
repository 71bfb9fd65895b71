// Asks a model one question by its chat template and prints the answer.
//
//     chat MODEL MESSAGES.json     a list like [{"role": "user", "content": "Who was Euler?"}]
#include <stdio.h>

#include "twobit/twobit.h"

enum { MOST_JSON = 1 << 16, MOST_TOKENS = 256 };

static tb_code answer(const tb_model *model, tb_seq *seq, tb_sampler *sampler, tb_stream *stream, tb_error *err)
{
    const char *text;
    size_t size;
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < MOST_TOKENS && tb_seq_length(seq) < tb_seq_context(seq); i++) {
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
    static char json[MOST_JSON];
    FILE *file = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: chat MODEL MESSAGES.json\n");
        return 2;
    }
    size_t json_size = fread(json, 1, sizeof json, file);
    fclose(file);

    tb_model *model = NULL;
    tb_seq *seq = NULL;
    tb_sampler *sampler = NULL;
    tb_stream *stream = NULL;
    int32_t *ids = NULL;
    size_t count;
    tb_sampler_options sober = {.temperature = 0};
    tb_error err;

    tb_code rc = tb_model_open(&model, argv[1], NULL, &err);
    if (!rc)
        rc = tb_model_tokenize_chat(model, json, json_size, true, &ids, &count, &err);
    if (!rc)
        rc = tb_seq_new(&seq, model, NULL, &err);
    if (!rc)
        rc = tb_sampler_new(&sampler, model, &sober, &err);
    if (!rc)
        rc = tb_stream_new(&stream, model, NULL, &err);
    if (!rc)
        rc = tb_seq_push(seq, ids, count, &err);
    if (!rc)
        rc = answer(model, seq, sampler, stream, &err);
    if (rc)
        fprintf(stderr, "chat: %s\n", err.message);

    tb_stream_free(stream);
    tb_sampler_free(sampler);
    tb_seq_free(seq);
    tb_free_ids(ids);
    tb_model_close(model);
    return rc ? 1 : 0;
}
