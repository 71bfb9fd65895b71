// Which heads read far, without training (after DuoAttention, arXiv 2410.10819). A head is worth a memory of its own
// where it fetches what was asked for, and where it looks at what a short memory would not have:
//
//     recall  the weights of the answer where it stands in the text, together; mean over the queries that write it
//     leak    the weights behind the first 64 tokens and in front of the last 256, together; mean over the last quarter
//             of the queries of plain texts
//     score   recall + leak/10; of a KV head the highest of its query heads
//
// Only the last queries of a text are watched; what lies in front of them is computed without a probe. Each has a place
// of its own for what it sees, so that sums do not depend on threads.
#include "sink/sink.h"

#include <math.h>

// What DuoAttention's streaming heads see.
enum { FIRST = 64, LAST = 256 };

static const double leak_weight = 0.1;

// A text under way.
typedef struct sight {
    size_t blocks, heads;
    size_t registers;    // positions in front of the text, which every head keeps
    size_t watched;      // the first query that is, in the text as the keys are
    size_t begin, count; // the keys whose weights are added; count 0: those that are far from the query
    float *mass;         // [queries][blocks][heads]
} sight;

static double sum_between(const tb_attention_piece *piece, size_t begin, size_t end)
{
    double sum = 0;
    for (size_t i = 0; i < piece->count; i++) {
        size_t key = tb_attention_piece_position(piece, i);
        sum += key >= begin && key < end ? (double)piece->weights[i] : 0;
    }
    return sum;
}

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    const sight *s = user;
    size_t begin = s->registers + (s->count ? s->begin : FIRST);
    size_t end = s->count ? begin + s->count : position < LAST ? 0 : position - LAST + 1;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += sum_between(&pieces[i], begin, end);
    s->mass[((position - s->registers - s->watched) * s->blocks + at->block) * s->heads + head] = (float)sum;
}

// Adds for each head the mean of what its queries from s->watched on see of a text to out[blocks][heads], times
// `scale`.
static tb_code add_text(double *out, tb_seq *seq, sight *s, const int32_t *tokens, size_t count, double scale,
                        tb_error *err)
{
    const size_t queries = count - s->watched, heads = s->blocks * s->heads;
    const tb_probe probe = {.attention_row = see_row, .user = s};
    tb_seq_truncate(seq, 0);
    tb_seq_set_probe(seq, NULL);
    tb_code rc = tb_seq_push(seq, tokens, s->watched, err);
    tb_seq_set_probe(seq, &probe);
    if (!rc)
        rc = tb_seq_push(seq, tokens + s->watched, queries, err);
    tb_seq_set_probe(seq, NULL);
    for (size_t i = 0; i < queries * heads && !rc; i++) {
        if (!isfinite(s->mass[i]))
            rc = tb_fail(err, TB_EINVAL, "the model is broken: its attention is not finite");
        else
            out[i % heads] += scale * (double)s->mass[i] / (double)queries;
    }
    return rc;
}

// Sums of the query heads.
typedef struct sums {
    double *recall, *leak; // [blocks][heads]
} sums;

static tb_code check_prompt(const tb_sink_prompt *p, tb_error *err)
{
    if (p->answer > 0 && p->answer < p->count && p->key < p->count - p->answer && p->key > 0)
        return TB_OK;
    return tb_fail(err, TB_EINVAL, "the answer of a prompt does not stand in front of it");
}

static tb_code tell_progress(const tb_sink_reach_options *o, size_t done, tb_error *err)
{
    double all = (double)(o->prompt_count + o->text_count);
    if (tb_report_progress(o->report, "measure", (double)done, all, "texts"))
        return tb_fail(err, TB_ECANCELLED, "stopped");
    return TB_OK;
}

static tb_code add_texts(const sums *sum, tb_seq *seq, float *mass, const tb_model *model,
                         const tb_sink_reach_options *o, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < o->prompt_count && !rc; i++) {
        const tb_sink_prompt *p = &o->prompts[i];
        size_t queries = p->count - 1; // the answer's last token is not asked for anything
        sight s = {c->blocks, c->heads, c->registers, queries - p->answer, p->key, p->answer, mass};
        rc = add_text(sum->recall, seq, &s, p->tokens, queries, 1 / (double)o->prompt_count, err);
        if (!rc)
            rc = tell_progress(o, i + 1, err);
    }
    for (size_t i = 0; i < o->text_count && !rc; i++) {
        sight s = {c->blocks, c->heads, c->registers, o->length - o->length / 4, 0, 0, mass};
        rc = add_text(sum->leak, seq, &s, o->texts + i * o->length, o->length, 1 / (double)o->text_count, err);
        if (!rc)
            rc = tell_progress(o, o->prompt_count + i + 1, err);
    }
    return rc;
}

// The best of the query heads that share a KV head.
static void finish(tb_sink_reach *out, const sums *sum, const tb_config *c)
{
    size_t group = c->heads / c->kv_heads;
    for (size_t i = 0; i < c->blocks * c->heads; i++) {
        tb_sink_reach own = {sum->recall[i], sum->leak[i], sum->recall[i] + leak_weight * sum->leak[i]};
        if (i % group == 0 || own.score > out[i / group].score)
            out[i / group] = own;
    }
}

tb_code tb_sink_measure_reach(tb_sink_reach *out, const tb_model *model, const tb_sink_reach_options *o, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    size_t longest = o->length, watched = o->length / 4;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < o->prompt_count && !rc; i++) {
        longest = tb_max_size(longest, o->prompts[i].count);
        watched = tb_max_size(watched, o->prompts[i].answer);
        rc = check_prompt(&o->prompts[i], err);
    }
    if (rc)
        return rc;
    tb_seq *seq = NULL;
    tb_arena arena = {0};
    sums sum = {tb_arena_array(&arena, c->blocks, c->heads * sizeof(double)),
                tb_arena_array(&arena, c->blocks, c->heads * sizeof(double))};
    float *mass = tb_arena_array(&arena, watched, c->blocks * c->heads * sizeof *mass);
    if (!sum.recall || !sum.leak || !mass)
        rc = tb_fail(err, TB_ENOMEM, "no memory for what %zu heads see", c->blocks * c->heads);
    if (!rc)
        rc = tb_seq_new(&seq, model, &(tb_seq_options){.context = longest, .kv_cache = TB_KV_CACHE_F32}, err);
    if (!rc)
        rc = add_texts(&sum, seq, mass, model, o, err);
    if (!rc)
        finish(out, &sum, c);
    tb_seq_free(seq);
    tb_arena_clear(&arena);
    return rc;
}
