#include "sink/spots.h"

#include <stdlib.h>
#include <string.h>

tb_code tb_sink_spots_init(tb_sink_spots *s, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    *s = (tb_sink_spots){.vocab = tb_model_vocab_size(model), .ctx = ctx};
    s->places = s->vocab + tb_model_config(model)->registers;
    s->marks = tb_arena_array(arena, ctx, sizeof *s->marks);
    s->by_token = tb_arena_array(arena, s->places, sizeof *s->by_token);
    s->sinks = tb_arena_array(arena, ctx, sizeof *s->sinks);
    s->massive = tb_arena_array(arena, ctx, sizeof *s->massive);
    s->relative = tb_arena_array(arena, ctx, sizeof *s->relative);
    bool ok = s->marks && s->by_token && s->sinks && s->massive && s->relative;
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the positions of %zu tokens", ctx);
}

static tb_sink_spot *spot_of(const tb_sink_spots *s, int32_t token)
{
    return &s->by_token[token >= 0 ? (size_t)token : s->vocab + (size_t)(-1 - token)];
}

void tb_sink_spots_take(tb_sink_spots *s, const int32_t *tokens)
{
    for (size_t k = 0; k < s->ctx; k++) {
        const tb_sink_mark *mark = &s->marks[k];
        tb_sink_spot *spot = k ? spot_of(s, tokens[k]) : &s->first;
        size_t heads = 0;
        for (size_t band = 0; band < TB_SINK_BANDS; band++) {
            spot->heads[band] += mark->heads[band];
            heads += mark->heads[band];
        }
        spot->token = tokens[k];
        spot->seen++;
        spot->massive += mark->massive;
        spot->relative += mark->relative;
        spot->sinks += heads > 0;
        spot->position += heads > 0 ? (double)k : 0;
        s->sinks[k] += heads > 0;
        s->massive[k] += mark->massive;
        s->relative[k] += mark->relative;
    }
    memset(s->marks, 0, s->ctx * sizeof *s->marks);
}

static size_t all_heads(const tb_sink_spot *spot)
{
    size_t sum = 0;
    for (size_t band = 0; band < TB_SINK_BANDS; band++)
        sum += spot->heads[band];
    return sum;
}

static int by_heads(const void *a, const void *b)
{
    const tb_sink_spot *x = a, *y = b;
    size_t p = all_heads(x), q = all_heads(y);
    if (p != q)
        return p < q ? 1 : -1;
    if (x->massive != y->massive)
        return x->massive < y->massive ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

static void finish_spot(tb_sink_spot *spot, tb_sink_rule rule)
{
    if (rule == TB_SINK_RULE_RELATIVE)
        spot->massive = spot->relative;
    spot->position /= spot->sinks ? (double)spot->sinks : 1;
}

tb_code tb_sink_spots_finish(tb_sink_positions *out, tb_sink_spots *s, tb_sink_rule rule, tb_arena *arena,
                             tb_error *err)
{
    *out = (tb_sink_positions){
        .first = s->first, .sinks = s->sinks, .massive = rule == TB_SINK_RULE_RELATIVE ? s->relative : s->massive};
    finish_spot(&out->first, rule);
    size_t n = 0;
    for (size_t i = 0; i < s->places; i++) {
        finish_spot(&s->by_token[i], rule);
        n += s->by_token[i].sinks || s->by_token[i].massive;
    }
    out->tokens = tb_arena_array(arena, n, sizeof *out->tokens);
    if (!out->tokens)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu tokens", n);
    for (size_t i = 0; i < s->places; i++)
        if (s->by_token[i].sinks || s->by_token[i].massive)
            out->tokens[out->token_count++] = s->by_token[i];
    qsort(out->tokens, out->token_count, sizeof *out->tokens, by_heads);
    for (size_t i = 0; i < out->token_count; i++)
        out->others += out->tokens[i].sinks;
    return TB_OK;
}
