#include "cli/generate.h"

#include "cli/interrupt.h"
#include "model/model.h"

// Tokens of the prompt pushed between two reports.
enum { PROMPT_PIECE = 256 };

typedef struct generation {
    const tb_model *model;
    const tb_generate_options *options;
    tb_generate_stats *stats;
    int32_t *ids; // the prompt
    size_t id_count;
    tb_seq *seq;
    tb_sampler *sampler;
    tb_decoder decoder;
    tb_str text; // decoded and not yet handed on
    bool ended;
} generation;

static void end(generation *g, tb_generate_end why)
{
    g->stats->end = why;
    g->ended = true;
}

// A model must see something before it can continue: for an empty text its BOS.
static tb_code take_bos(generation *g, tb_error *err)
{
    int32_t bos = tb_tokenizer_bos(tb_model_tokenizer(g->model));
    if (bos < 0)
        return tb_fail(err, TB_EINVAL, "the prompt is empty, and the model has no token that begins a text");
    g->ids = tb_alloc_array(1, sizeof *g->ids);
    if (!g->ids)
        return tb_fail(err, TB_ENOMEM, "no memory for the prompt");
    g->ids[0] = bos;
    g->id_count = 1;
    return TB_OK;
}

static tb_code prepare(generation *g, const char *prompt, size_t size, tb_error *err)
{
    tb_code rc = tb_model_tokenize(g->model, prompt, size, g->options->tokenize, &g->ids, &g->id_count, err);
    if (!rc && g->id_count == 0) {
        tb_free_ids(g->ids);
        g->ids = NULL;
        rc = take_bos(g, err);
    }
    size_t context = tb_model_context_length(g->model);
    if (!rc && g->id_count >= context)
        rc = tb_fail(err, TB_ELIMIT, "the prompt has %zu tokens and leaves no room in the model's context of %zu",
                     g->id_count, context);
    if (rc)
        return rc;
    size_t room = context - g->id_count, more = g->options->most < room ? g->options->most : room;
    rc = tb_seq_new(&g->seq, g->model, &(tb_seq_options){.context = g->id_count + more}, err);
    if (!rc)
        rc = tb_sampler_new(&g->sampler, g->model, &g->options->sampler, err);
    g->decoder.started = size > 0; // the blank in front of a first word belongs to a continuation
    return rc;
}

static tb_code fail_stopped(tb_error *err)
{
    return tb_fail(err, TB_ECANCELLED, "stopped");
}

static tb_code push_prompt(generation *g, tb_error *err)
{
    tb_code rc = TB_OK;
    double start = tb_clock_seconds();
    for (size_t done = 0; !rc && done < g->id_count; done += PROMPT_PIECE) {
        size_t left = g->id_count - done, n = left < PROMPT_PIECE ? left : PROMPT_PIECE;
        rc = tb_seq_push(g->seq, g->ids + done, n, err);
        if (!rc && tb_report_progress(g->options->report, "prompt", (double)(done + n), (double)g->id_count, "tokens"))
            rc = fail_stopped(err);
    }
    g->stats->prompt_tokens = g->id_count;
    g->stats->prompt_seconds = tb_clock_seconds() - start;
    return rc;
}

static void hand_on(generation *g, const char *text, size_t size)
{
    if (size > 0 && !g->options->take(g->options->user, text, size))
        end(g, TB_GENERATE_TAKER);
}

// Hands on what is decoded.
static void hand_on_decoded(generation *g)
{
    hand_on(g, g->text.data, g->text.size);
    tb_str_reset(&g->text);
}

// Picks the next token and adds it to the text.
static tb_code add_token(generation *g, tb_error *err)
{
    int32_t id;
    tb_code rc = tb_sampler_pick(&id, g->sampler, g->seq, err);
    if (rc)
        return rc;
    if (tb_model_is_end(g->model, id)) {
        end(g, TB_GENERATE_TOKEN);
        return TB_OK;
    }
    rc = tb_decoder_push(&g->decoder, &g->text, tb_model_tokenizer(g->model), id, false, err);
    if (rc)
        return rc;
    hand_on_decoded(g);
    if (++g->stats->tokens == g->options->most)
        end(g, TB_GENERATE_COUNT);
    else if (tb_seq_length(g->seq) == tb_seq_context(g->seq))
        end(g, TB_GENERATE_CONTEXT);
    // The last token is not pushed: nothing follows it.
    return g->ended ? TB_OK : tb_seq_push(g->seq, &id, 1, err);
}

static tb_code continue_text(generation *g, tb_error *err)
{
    tb_code rc = TB_OK;
    double start = tb_clock_seconds();
    while (!rc && !g->ended) {
        rc = add_token(g, err);
        if (!rc && tb_interrupt_requested())
            rc = fail_stopped(err);
    }
    if (!rc)
        rc = tb_decoder_finish(&g->decoder, &g->text, err);
    if (!rc)
        hand_on_decoded(g);
    g->stats->seconds = tb_clock_seconds() - start;
    return rc;
}

tb_code tb_generate(tb_generate_stats *stats, const tb_model *model, const char *prompt, size_t prompt_size,
                    const tb_generate_options *options, tb_error *err)
{
    *stats = (tb_generate_stats){0};
    generation g = {.model = model, .options = options, .stats = stats, .ended = options->most == 0};
    tb_code rc = prepare(&g, prompt, prompt_size, err);
    if (!rc)
        rc = push_prompt(&g, err);
    if (!rc && options->echo)
        hand_on(&g, prompt, prompt_size);
    if (!rc)
        rc = continue_text(&g, err);
    tb_str_clear(&g.text);
    tb_sampler_free(g.sampler);
    tb_seq_free(g.seq);
    tb_free_ids(g.ids);
    return rc;
}
