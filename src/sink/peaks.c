// A token's activations against their median. Tokens are looked at side by side, each by itself; what they amount to is
// summed up one by one, so that the number of threads does not matter.
#include "sink/peaks.h"

#include <math.h>
#include <stdlib.h>

enum {
    ROW_GRAIN = 4,  // tokens a thread takes at a time
    MOST_PEAKS = 8, // of a token that are told by channel: models have two or three
    TOPS = sizeof((tb_sink_stage *)0)->top / sizeof(double),
};

// The two rules (sink.h).
#define STRICT_LEAST 100.0f
#define STRICT_RATIO 1000.0f
#define RELATIVE_RATIO 100.0f
#define RELATIVE_DEVIATIONS 6.0f
// "Stable": a stage changes the largest activation by at most this. Of what it is at most, it has this much when it has
// emerged, and from one stage to the next less than this is left when it dissipates.
#define STABLE_CHANGE 0.05
#define HALF 0.5

// One token at one stage.
struct tb_sink_row_peaks {
    const float *x;
    float value[MOST_PEAKS]; // the largest, by magnitude, with their signs
    size_t channel[MOST_PEAKS];
    float median, relative; // of the magnitudes; from where on the relative rule holds
};

tb_code tb_sink_peaks_init(tb_sink_peaks *p, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    size_t stages = config->blocks + 1, threads = tb_model_compute(model)->threads;
    *p = (tb_sink_peaks){.threads = threads, .blocks = config->blocks, .width = config->width, .ctx = ctx};
    p->magnitudes = tb_arena_array(arena, threads, p->width * sizeof *p->magnitudes);
    p->rows = tb_arena_array(arena, ctx, sizeof *p->rows);
    p->medians = tb_arena_array(arena, ctx, sizeof *p->medians);
    p->stages = tb_arena_array(arena, stages, sizeof *p->stages);
    bool ok = p->magnitudes && p->rows && p->medians && p->stages;
    for (size_t rule = 0; rule < 2; rule++) {
        tb_sink_found *f = &p->found[rule];
        f->channels = tb_arena_array(arena, 2 * p->width, sizeof *f->channels);
        f->counts = tb_arena_array(arena, stages, 2 * p->width * sizeof *f->counts);
        ok = ok && f->channels && f->counts;
    }
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the activations of %zu tokens", ctx);
}

// ---- one token ----

float tb_sink_select(float *x, size_t n, size_t k)
{
    // Hoare's quickselect with the middle as pivot.
    size_t left = 0, right = n - 1;
    while (left < right) {
        float pivot = x[left + (right - left) / 2];
        size_t i = left, j = right;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                float t = x[i];
                x[i++] = x[j];
                x[j] = t;
                if (j == 0)
                    break;
                j--;
            }
        }
        if (k <= j && j < right)
            right = j;
        else if (k >= i)
            left = i;
        else
            break;
    }
    return x[k];
}

static void insert_peak(tb_sink_row_peaks *r, float value, size_t channel)
{
    size_t at = MOST_PEAKS - 1;
    for (; at > 0 && fabsf(r->value[at - 1]) < fabsf(value); at--) {
        r->value[at] = r->value[at - 1];
        r->channel[at] = r->channel[at - 1];
    }
    r->value[at] = value;
    r->channel[at] = channel;
}

static void find_peaks(tb_sink_row_peaks *r, const float *x, size_t n)
{
    *r = (tb_sink_row_peaks){.x = x};
    for (size_t c = 0; c < n; c++)
        if (fabsf(x[c]) > fabsf(r->value[MOST_PEAKS - 1]))
            insert_peak(r, x[c], c);
}

// Distances of the magnitudes from `from`; their middle one.
static float middle_distance(float *scratch, const float *x, float from, size_t n)
{
    for (size_t c = 0; c < n; c++)
        scratch[c] = fabsf(fabsf(x[c]) - from);
    return tb_sink_select(scratch, n, n / 2);
}

typedef struct row_loop {
    tb_sink_peaks *peaks;
    const tb_probe_rows *rows;
} row_loop;

static void look_at_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const row_loop *loop = user;
    const tb_sink_peaks *p = loop->peaks;
    size_t n = p->width;
    float *scratch = p->magnitudes + worker * n;
    for (size_t t = begin; t < end; t++) {
        const float *x = loop->rows->x + t * loop->rows->stride;
        tb_sink_row_peaks *r = &p->rows[t];
        find_peaks(r, x, n);
        p->medians[t] = r->median = middle_distance(scratch, x, 0, n);
        r->relative = RELATIVE_RATIO * r->median;
        if (fabsf(r->value[0]) >= r->relative)
            r->relative =
                fmaxf(r->relative, r->median + RELATIVE_DEVIATIONS * middle_distance(scratch, x, r->median, n));
    }
}

static bool is_massive(const tb_sink_row_peaks *r, size_t peak, size_t rule)
{
    float size = fabsf(r->value[peak]);
    if (rule == 0)
        return size > STRICT_LEAST && size >= STRICT_RATIO * r->median;
    return size > 0 && size >= r->relative;
}

// ---- a stage ----

static void add_channel(tb_sink_peaks *p, size_t rule, size_t stage, size_t position, size_t peak, int32_t token)
{
    const tb_sink_row_peaks *r = &p->rows[position];
    size_t at = (position > 0) * p->width + r->channel[peak];
    tb_sink_channel *c = &p->found[rule].channels[at];
    double value = (double)r->value[peak];
    p->found[rule].counts[stage * 2 * p->width + at]++;
    if (c->end == 0)
        *c = (tb_sink_channel){.channel = r->channel[peak], .first = position == 0, .begin = stage, .end = stage + 1};
    c->begin = stage < c->begin ? stage : c->begin;
    c->end = stage + 1 > c->end ? stage + 1 : c->end;
    if (fabs(value) <= fabs(c->value))
        return;
    c->value = value;
    c->stage = stage;
    c->position = position;
    c->token = token;
}

static void add_massive(tb_sink_peaks *p, size_t stage, size_t position, int32_t token)
{
    tb_sink_stage *s = &p->stages[stage];
    const tb_sink_row_peaks *r = &p->rows[position];
    s->massive += is_massive(r, 0, 0);
    s->relative += is_massive(r, 0, 1);
    s->first_massive += position == 0 && is_massive(r, 0, 0);
    s->first_relative += position == 0 && is_massive(r, 0, 1);
    for (size_t rule = 0; rule < 2; rule++)
        for (size_t peak = 0; peak < MOST_PEAKS && is_massive(r, peak, rule); peak++)
            add_channel(p, rule, stage, position, peak, token);
}

static void insert_top(double *top, double size)
{
    for (size_t i = 0; i < TOPS; i++)
        if (size > top[i]) {
            double lower = top[i];
            top[i] = size;
            size = lower;
        }
}

void tb_sink_peaks_add(tb_sink_peaks *p, size_t stage, const tb_probe_rows *rows, const int32_t *tokens,
                       tb_sink_mark *marks)
{
    tb_sink_stage *s = &p->stages[stage];
    double top[TOPS] = {0}, rest = 0;
    tb_parallel(p->threads, rows->rows, ROW_GRAIN, look_at_rows, &(row_loop){p, rows});
    for (size_t t = 0; t < rows->rows; t++) {
        const tb_sink_row_peaks *r = &p->rows[t];
        for (size_t i = 0; i < TOPS; i++)
            insert_top(top, (double)fabsf(r->value[i]));
        if (t > 0)
            rest = fmax(rest, (double)fabsf(r->value[0]));
        add_massive(p, stage, t, tokens[t]);
        if (marks) {
            marks[t].massive |= is_massive(r, 0, 0);
            marks[t].relative |= is_massive(r, 0, 1);
        }
    }
    for (size_t i = 0; i < TOPS; i++)
        s->top[i] += top[i];
    s->first_top += (double)fabsf(p->rows[0].value[0]);
    s->first_median += (double)p->rows[0].median;
    s->rest_top += rest;
    s->median += (double)tb_sink_select(p->medians, rows->rows, rows->rows / 2);
    p->largest = fmax(p->largest, top[0]);
}

// ---- all sequences ----

static int by_magnitude(const void *a, const void *b)
{
    const tb_sink_channel *x = a, *y = b;
    double p = fabs(x->value), q = fabs(y->value);
    if (p != q)
        return p < q ? 1 : -1;
    return x->channel < y->channel ? -1 : x->channel > y->channel;
}

static size_t most_tokens(const tb_sink_peaks *p, size_t rule, size_t at)
{
    size_t most = 0;
    for (size_t stage = 0; stage <= p->blocks; stage++) {
        size_t count = p->found[rule].counts[stage * 2 * p->width + at];
        most = count > most ? count : most;
    }
    return most;
}

static tb_code collect_channels(tb_sink_massive *out, const tb_sink_peaks *p, size_t rule, tb_arena *arena,
                                tb_error *err)
{
    const tb_sink_channel *found = p->found[rule].channels;
    for (size_t i = 0; i < 2 * p->width; i++)
        out->channel_count += found[i].end > 0;
    out->channels = tb_arena_array(arena, out->channel_count, sizeof *out->channels);
    if (!out->channels)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu channels", out->channel_count);
    size_t n = 0;
    for (size_t i = 0; i < 2 * p->width; i++)
        if (found[i].end > 0) {
            out->channels[n] = found[i];
            out->channels[n++].tokens = most_tokens(p, rule, i);
        }
    qsort(out->channels, n, sizeof *out->channels, by_magnitude);
    return TB_OK;
}

static void average_stages(tb_sink_stage *stages, size_t count, size_t sequences)
{
    double n = (double)sequences;
    for (size_t i = 0; i < count; i++) {
        tb_sink_stage *s = &stages[i];
        for (size_t k = 0; k < TOPS; k++)
            s->top[k] /= n;
        s->first_top /= n, s->rest_top /= n, s->first_median /= n, s->median /= n;
    }
}

static void find_stable(tb_sink_massive *out, size_t stages)
{
    for (size_t begin = 1, end; begin < stages; begin = end) {
        for (end = begin + 1; end < stages; end++) {
            double before = out->stages[end - 1].top[0];
            if (fabs(out->stages[end].top[0] - before) > STABLE_CHANGE * before)
                break;
        }
        if (end - begin > out->stable_end - out->stable_begin) {
            out->stable_begin = begin;
            out->stable_end = end;
        }
    }
}

static bool has_massive(const tb_sink_massive *m, size_t stage)
{
    return (m->rule == TB_SINK_RULE_STRICT ? m->stages[stage].massive : m->stages[stage].relative) > 0;
}

static void find_lifecycle(tb_sink_massive *out, size_t stages)
{
    double most = 0;
    find_stable(out, stages);
    for (size_t s = 0; s < stages; s++)
        most = fmax(most, out->stages[s].top[0]);
    for (size_t s = stages; s-- > 1;) {
        if (has_massive(out, s))
            out->appearance = s;
        if (has_massive(out, s) && out->stages[s].top[0] >= HALF * most)
            out->emergence = s;
    }
    for (size_t s = out->emergence + 1; out->emergence && s < stages; s++)
        if (out->stages[s].top[0] < HALF * out->stages[s - 1].top[0])
            out->dissipation = s;
}

static tb_sink_rule choose_rule(const tb_sink_stage *stages, size_t count)
{
    tb_sink_rule rule = TB_SINK_RULE_NONE;
    for (size_t i = 0; i < count; i++) {
        if (stages[i].massive)
            return TB_SINK_RULE_STRICT;
        if (stages[i].relative)
            rule = TB_SINK_RULE_RELATIVE;
    }
    return rule;
}

tb_code tb_sink_peaks_finish(tb_sink_massive *out, tb_sink_peaks *p, size_t sequences, tb_arena *arena, tb_error *err)
{
    size_t stages = p->blocks + 1;
    *out = (tb_sink_massive){.stages = p->stages, .largest = p->largest, .rule = choose_rule(p->stages, stages)};
    average_stages(out->stages, stages, sequences);
    if (out->rule == TB_SINK_RULE_NONE)
        return TB_OK;
    find_lifecycle(out, stages);
    return collect_channels(out, p, out->rule == TB_SINK_RULE_RELATIVE, arena, err);
}
