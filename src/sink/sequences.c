// Sequences: pieces of a text, random tokens, or one token repeated.
#include "sink/sequences.h"

#include <string.h>

static bool is_ordinary(const tb_tokenizer *tokenizer, int32_t id)
{
    // Control tokens print nothing unless asked, unused ones have no text.
    tb_str text = {0};
    tb_error ignored;
    bool prints = !tb_decode(&text, tokenizer, &id, 1, false, &ignored) && text.size > 0;
    tb_str_clear(&text);
    return prints;
}

// Where there is no tokenizer every token will do.
static int32_t draw_token(tb_rng *rng, const tb_model *model)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    size_t vocab = tb_model_vocab_size(model);
    int32_t id = (int32_t)tb_rng_below(rng, vocab);
    // One vocabulary in a thousand is full of tokens without text; it gets what was drawn last.
    for (size_t tries = 0; tokenizer && tries < 1000 && !is_ordinary(tokenizer, id); tries++)
        id = (int32_t)tb_rng_below(rng, vocab);
    return id;
}

static void fill(tb_sink_sequences *s, const tb_model *model, const tb_sink_options *options)
{
    for (size_t i = 0; i < s->count; i++) {
        int32_t *tokens = tb_sink_text(s, i);
        tb_rng rng;
        for (size_t k = 0; k < s->registers; k++)
            s->tokens[i * s->rows + k] = -1 - (int32_t)k;
        if (options->input == TB_SINK_NATURAL) {
            memcpy(tokens, options->text + i * s->length, s->length * sizeof *tokens);
            continue;
        }
        tb_rng_init(&rng, options->seed, i);
        for (size_t t = 0; t < s->length; t++)
            tokens[t] = t > 0 && options->input == TB_SINK_REPEAT ? tokens[0] : draw_token(&rng, model);
    }
}

static tb_code find_bos(bool *out, const tb_tokenizer *tokenizer, tb_sink_bos policy, tb_error *err)
{
    bool has = tokenizer && tb_tokenizer_bos(tokenizer) >= 0;
    *out =
        policy == TB_SINK_BOS_ALWAYS || (policy == TB_SINK_BOS_AUTO && tokenizer && tb_tokenizer_adds_bos(tokenizer));
    return !*out || has ? TB_OK : tb_fail(err, TB_EINVAL, "the model's tokenizer has no BOS token");
}

static tb_code find_sizes(tb_sink_sequences *s, const tb_model *model, const tb_sink_options *options, tb_error *err)
{
    size_t context = tb_model_context_length(model);
    s->length = options->ctx ? options->ctx : TB_SINK_CTX;
    s->count = options->sequences ? options->sequences : TB_SINK_SEQUENCES;
    if (s->length < TB_SINK_LEAST_CTX)
        return tb_fail(err, TB_EINVAL, "sequences of %zu tokens are too short; %d is the least", s->length,
                       TB_SINK_LEAST_CTX);
    if (s->length > context)
        return tb_fail(err, TB_ELIMIT, "sequences of %zu tokens are longer than the model's context of %zu", s->length,
                       context);
    if (s->length > TB_SINK_MOST_CTX)
        return tb_fail(err, TB_ELIMIT, "sequences of %zu tokens are longer than %d", s->length, TB_SINK_MOST_CTX);
    if (options->input != TB_SINK_NATURAL)
        return TB_OK;
    size_t fills = options->text_count / s->length;
    if (fills == 0)
        return tb_fail(err, TB_EINVAL, "the text has %zu tokens and fills no sequence of %zu", options->text_count,
                       s->length);
    s->count = fills < s->count ? fills : s->count;
    return TB_OK;
}

tb_code tb_sink_sequences_init(tb_sink_sequences *s, const tb_model *model, const tb_sink_options *options,
                               tb_error *err)
{
    *s = (tb_sink_sequences){0};
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    tb_code rc = find_sizes(s, model, options, err);
    if (!rc)
        rc = find_bos(&s->bos, tokenizer, options->bos, err);
    if (rc)
        return rc;
    size_t n;
    s->registers = tb_model_config(model)->registers;
    s->rows = s->registers + s->length;
    s->tokens = tb_mul_size(&n, s->count, s->rows) ? tb_alloc_array(n, sizeof *s->tokens) : NULL;
    if (!s->tokens)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu sequences of %zu tokens", s->count, s->length);
    fill(s, model, options);
    for (size_t i = 0; s->bos && i < s->count; i++)
        *tb_sink_text(s, i) = tb_tokenizer_bos(tokenizer);
    return TB_OK;
}

void tb_sink_sequences_clear(tb_sink_sequences *s)
{
    tb_free(s->tokens);
    *s = (tb_sink_sequences){0};
}
