// A GGUF file as a model: it is refused, or a few tokens go through it. Whatever the weights,
// the numbers must come out of defined operations; that they are finite is not asked.
#include <stdint.h>

#include "model/model.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void push_tokens(const tb_model *model)
{
    tb_seq *seq;
    tb_sampler *sampler;
    tb_error err;
    int32_t token = 0;
    tb_seq_options options = {.context = 6};
    tb_sampler_options chain = {.temperature = 1, .top_p = 0.9, .repeat_penalty = 1.1};
    tb_code rc = tb_seq_new(&seq, model, &options, &err);
    if (!rc && !tb_sampler_new(&sampler, model, &chain, &err)) {
        rc = tb_seq_push(seq, (const int32_t[]){0, 0, 0, 0, 0}, 5, &err);
        if (!rc)
            rc = tb_sampler_pick(&token, sampler, seq, &err);
        if (!rc)
            tb_seq_push(seq, &token, 1, &err);
        tb_sampler_free(sampler);
    }
    tb_seq_free(seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_model *model;
    tb_error err;
    tb_model_options options = {.threads = 1};
    if (tb_model_open(&model, scratch_write("model.gguf", data, size), &options, &err) == TB_OK)
        push_tokens(model);
    tb_model_close(model);
    return 0;
}
