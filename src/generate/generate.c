#include "generate/generate.h"

#include <math.h>

#include "generate/sink_watch.h"

// Tokens of the prompt pushed between two reports: a large model on a small machine computes a few dozen
// a second, and whoever asks to stop should not wait for longer than that.
enum { PROMPT_PIECE = 64 };

static tb_code fail_stopped(tb_error *err)
{
    return tb_fail(err, TB_ECANCELLED, "stopped");
}

// ---- tokens ----

// Pushes, and says so when the first tokens fall out of a stream.
static tb_code push(tb_generate_stats *stats, tb_seq *seq, const int32_t *ids, size_t n, const tb_report *report,
                    tb_error *err)
{
    size_t before = tb_seq_dropped(seq);
    tb_code rc = tb_seq_push(seq, ids, n, err);
    stats->kv_bytes = tb_seq_kv_bytes(seq);
    stats->length = tb_seq_length(seq);
    stats->dropped = tb_seq_dropped(seq);
    stats->skipped = tb_seq_skipped(seq);
    if (before == 0 && stats->dropped > 0)
        tb_report_note(report, TB_NOTE_INFO,
                       "the stream is full: from here on tokens are dropped behind the first ones");
    return rc;
}

// ---- the prompt ----

tb_code tb_generate_push(tb_generate_stats *stats, tb_seq *seq, const int32_t *ids, size_t count,
                         const tb_report *report, tb_error *err)
{
    tb_code rc = TB_OK;
    double start = tb_clock_seconds();
    tb_seq_set_prompt(seq, tb_seq_length(seq) + count);
    for (size_t done = 0; !rc && done < count; done += PROMPT_PIECE) {
        size_t left = count - done, n = left < PROMPT_PIECE ? left : PROMPT_PIECE;
        rc = push(stats, seq, ids + done, n, report, err);
        if (!rc && tb_report_progress(report, "prompt", (double)(done + n), (double)count, "tokens"))
            rc = fail_stopped(err);
    }
    stats->prompt_tokens = count;
    stats->prompt_seconds = tb_clock_seconds() - start;
    return rc;
}

// ---- the continuation ----

typedef struct continuation {
    const tb_generate_options *options;
    tb_generate_stats *stats;
    tb_seq *seq;
    tb_sampler *sampler;
    tb_stream *stream;
    tb_sink_watch *watch; // or NULL
    bool ended;
} continuation;

static void end(continuation *c, tb_generate_end why)
{
    c->stats->end = why;
    c->ended = true;
}

static void hand_on(continuation *c, const char *text, size_t size)
{
    if (size > 0 && !c->options->take(c->options->user, text, size))
        end(c, TB_GENERATE_TAKER);
}

// Shows what was seen when the token was chosen, and aims at the next one.
static tb_code show_sight(const continuation *c, int32_t id, tb_error *err)
{
    tb_sink_sight sight;
    if (!c->watch)
        return TB_OK;
    tb_sink_watch_get(&sight, c->watch);
    sight.position = tb_seq_length(c->seq);
    sight.token = id;
    sight.probability = exp(tb_seq_log_probability(c->seq, id));
    tb_sink_watch_aim(c->watch, sight.position + 1);
    return c->options->watch(c->options->user, &sight, err);
}

// Picks the next token and adds it to the text.
static tb_code add_token(continuation *c, tb_error *err)
{
    const tb_model *model = tb_seq_model(c->seq);
    int32_t id;
    tb_code rc = tb_sampler_pick(&id, c->sampler, c->seq, err);
    if (!rc)
        rc = show_sight(c, id, err);
    if (rc)
        return rc;
    if (tb_model_is_end(model, id)) {
        end(c, TB_GENERATE_TOKEN);
        return TB_OK;
    }
    const char *text;
    size_t size;
    rc = tb_stream_push(c->stream, id, &text, &size, err);
    if (rc)
        return rc;
    hand_on(c, text, size);
    if (tb_stream_is_over(c->stream))
        end(c, TB_GENERATE_STOP);
    c->stats->tokens++;
    if (c->ended)
        return TB_OK;
    if (c->stats->tokens == c->options->most)
        end(c, TB_GENERATE_COUNT);
    else if (tb_seq_length(c->seq) == tb_seq_context(c->seq))
        end(c, TB_GENERATE_CONTEXT);
    else if (tb_report_stopped(c->options->report))
        end(c, TB_GENERATE_INTERRUPT);
    return c->ended ? TB_OK : push(c->stats, c->seq, &id, 1, c->options->report, err);
}

// Hands on what waited for the rest of a character or of a stop string.
static tb_code finish_text(continuation *c, tb_error *err)
{
    const char *text;
    size_t size;
    tb_generate_end why = c->stats->end;
    tb_code rc = tb_stream_finish(c->stream, &text, &size, err);
    if (!rc)
        hand_on(c, text, size);
    c->stats->end = why;
    return rc;
}

static tb_code continue_text(tb_generate_stats *stats, tb_seq *seq, tb_sampler *sampler, tb_sink_watch *watch,
                             bool in_text, const tb_generate_options *options, tb_error *err)
{
    continuation c = {.options = options, .stats = stats, .seq = seq, .sampler = sampler, .watch = watch};
    const tb_stream_options stream = {.in_text = in_text, .stops = options->stops, .stop_count = options->stop_count};
    double start = tb_clock_seconds();
    tb_code rc = tb_stream_new(&c.stream, tb_seq_model(seq), &stream, err);
    if (options->most == 0)
        end(&c, TB_GENERATE_COUNT);
    while (!rc && !c.ended)
        rc = add_token(&c, err);
    if (!rc)
        rc = finish_text(&c, err);
    stats->seconds = tb_clock_seconds() - start;
    tb_stream_free(c.stream);
    return rc;
}

tb_code tb_generate_continue(tb_generate_stats *stats, tb_seq *seq, tb_sampler *sampler, bool in_text,
                             const tb_generate_options *options, tb_error *err)
{
    return continue_text(stats, seq, sampler, NULL, in_text, options, err);
}

// ---- both ----

// A model must see something before it can continue: for an empty text its BOS.
static tb_code take_bos(int32_t **ids, size_t *count, const tb_model *model, tb_error *err)
{
    int32_t bos = tb_tokenizer_bos(tb_model_tokenizer(model));
    if (bos < 0)
        return tb_fail(err, TB_EINVAL, "the prompt is empty, and the model has no token that begins a text");
    *ids = tb_alloc_array(1, sizeof **ids);
    if (!*ids)
        return tb_fail(err, TB_ENOMEM, "no memory for the prompt");
    (*ids)[0] = bos;
    *count = 1;
    return TB_OK;
}

static tb_code tokenize_prompt(int32_t **ids, size_t *count, const tb_model *model, const char *prompt, size_t size,
                               const tb_generate_options *options, tb_error *err)
{
    tb_code rc = tb_model_tokenize(model, prompt, size, options->tokenize, ids, count, err);
    if (!rc && *count == 0) {
        tb_free_ids(*ids);
        *ids = NULL;
        rc = take_bos(ids, count, model, err);
    }
    size_t context = tb_model_context_length(model);
    if (!rc && !options->memory.window && *count >= context)
        rc = tb_fail(err, TB_ELIMIT, "the prompt has %zu tokens and leaves no room in the model's context of %zu",
                     *count, context);
    return rc;
}

static tb_code new_sequence(tb_seq **seq, const tb_model *model, size_t prompt_tokens,
                            const tb_generate_options *options, tb_error *err)
{
    tb_seq_options memory = options->memory;
    size_t room = tb_model_context_length(model) - prompt_tokens;
    if (!memory.window)
        memory.context = prompt_tokens + (options->most < room ? options->most : room);
    return tb_seq_new(seq, model, &memory, err);
}

tb_code tb_generate(tb_generate_stats *stats, const tb_model *model, const char *prompt, size_t prompt_size,
                    const tb_generate_options *options, tb_error *err)
{
    *stats = (tb_generate_stats){0};
    int32_t *ids = NULL;
    size_t count;
    tb_seq *seq = NULL;
    tb_sampler *sampler = NULL;
    tb_sink_watch *watch = NULL;
    tb_code rc = tokenize_prompt(&ids, &count, model, prompt, prompt_size, options, err);
    if (!rc)
        rc = new_sequence(&seq, model, count, options, err);
    if (!rc)
        rc = tb_sampler_new(&sampler, model, &options->sampler, err);
    if (!rc && options->watch)
        rc = tb_sink_watch_new(&watch, seq, &options->memory, err);
    if (!rc && watch)
        tb_sink_watch_aim(watch, count);
    if (!rc)
        rc = tb_generate_push(stats, seq, ids, count, options->report, err);
    bool wanted = true;
    if (!rc && options->echo && prompt_size > 0)
        wanted = options->take(options->user, prompt, prompt_size);
    if (!wanted)
        stats->end = TB_GENERATE_TAKER;
    else if (!rc)
        rc = continue_text(stats, seq, sampler, watch, prompt_size > 0, options, err);
    if (!rc && stats->end == TB_GENERATE_INTERRUPT)
        rc = fail_stopped(err);
    tb_sink_watch_free(watch);
    tb_sampler_free(sampler);
    tb_seq_free(seq);
    tb_free_ids(ids);
    return rc;
}
