#include "sink/experiment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A channel and the magnitude it has.
struct tb_sink_magnitude {
    float size;
    size_t channel;
};

tb_code tb_sink_experiment_init(tb_sink_experiment *e, tb_arena *arena, const tb_sink_knowledge *known,
                                const tb_sink_sequences *sequences, tb_error *err)
{
    const tb_config *c = known->config;
    size_t row = c->kv_heads * c->head_size;
    *e = (tb_sink_experiment){.known = known, .target = sequences->registers + sequences->length / 4};
    e->other.keys = tb_arena_array(arena, c->blocks, row * sizeof(float));
    e->other.values = tb_arena_array(arena, c->blocks, row * sizeof(float));
    e->order = tb_arena_array(arena, c->width, sizeof *e->order);
    if (!e->other.keys || !e->other.values || !e->order)
        return tb_fail(err, TB_ENOMEM, "no memory for the experiments");
    tb_code rc =
        tb_sink_removal_init(&e->removal, arena, known->super_count ? known->super_count : 1, sequences->rows, err);
    e->removal.weights = known->super.weights;
    return rc;
}

bool tb_sink_experiment_objects(size_t *out, const tb_sink_experiment *e)
{
    const tb_sink_knowledge *k = e->known;
    *out = 0;
    switch (e->kind) {
    case TB_ABLATE_MASSIVE_ZERO:
    case TB_ABLATE_MASSIVE_MEAN:
    case TB_ABLATE_MEDIAN_ZERO:
    case TB_ABLATE_MOVE:
        *out = k->massive_count;
        return *out > 0;
    case TB_ABLATE_FFN:
        return k->emergence > 0;
    case TB_ABLATE_SUPER:
        *out = k->super_count;
        return *out > 0;
    case TB_ABLATE_DORMANT:
    case TB_ABLATE_RANDOM_HEADS:
        *out = k->dormant_count;
        return *out > 0;
    default:
        return true;
    }
}

// ---- edits ----

// The row of a position; NULL where the call does not show it.
static float *row_at(const tb_edit_rows *rows, size_t position)
{
    for (size_t t = 0; t < rows->rows; t++)
        if ((size_t)rows->positions[t] == position)
            return rows->x + t * rows->stride;
    return NULL;
}

static void set_first(const tb_edit_rows *rows, const float *values)
{
    float *first = row_at(rows, 0);
    for (size_t i = 0; first && i < rows->cols; i++)
        first[i] = values ? values[i] : 0;
}

static int by_size(const void *a, const void *b)
{
    const struct tb_sink_magnitude *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return (x->channel > y->channel) - (x->channel < y->channel);
}

// As many as there are massive ones, around the median.
static void zero_medians(float *x, const tb_sink_experiment *e, size_t n)
{
    size_t count = e->known->massive_count < n ? e->known->massive_count : n;
    for (size_t c = 0; c < n; c++)
        e->order[c] = (struct tb_sink_magnitude){fabsf(x[c]), c};
    qsort(e->order, n, sizeof *e->order, by_size);
    for (size_t i = 0; i < count; i++)
        x[e->order[(n - count) / 2 + i].channel] = 0;
}

// The first token's stream at the stage of the emergence.
static void edit_massive(float *first, const tb_sink_experiment *e, size_t n)
{
    for (size_t c = 0; c < n; c++)
        if (e->known->massive[c])
            first[c] = e->kind == TB_ABLATE_MASSIVE_MEAN ? (float)e->known->means[c] : 0;
}

static void exchange(float *a, float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void silence_heads(const bool *silent, const tb_config *config, const tb_edit_rows *rows)
{
    size_t n = config->value_size;
    for (size_t h = 0; h < config->heads; h++)
        for (size_t t = 0; silent[h] && t < rows->rows; t++)
            memset(rows->x + t * rows->stride + h * n, 0, n * sizeof *rows->x);
}

static void edit_residual(const tb_sink_experiment *e, size_t stage, const tb_edit_rows *rows)
{
    float *first = row_at(rows, 0), *target = row_at(rows, e->target);
    if (stage != e->known->emergence || !first)
        return;
    if (e->kind == TB_ABLATE_MASSIVE_ZERO || e->kind == TB_ABLATE_MASSIVE_MEAN)
        edit_massive(first, e, rows->cols);
    if (e->kind == TB_ABLATE_MEDIAN_ZERO)
        zero_medians(first, e, rows->cols);
    if (e->kind == TB_ABLATE_MOVE && target)
        exchange(first, target, rows->cols);
}

static void edit_attended(const tb_sink_experiment *e, size_t block, const tb_edit_rows *rows)
{
    size_t heads = e->known->config->heads;
    if (e->kind == TB_ABLATE_DORMANT)
        silence_heads(e->known->dormant + block * heads, e->known->config, rows);
    if (e->kind == TB_ABLATE_RANDOM_HEADS)
        silence_heads(e->known->others + block * heads, e->known->config, rows);
}

void tb_sink_experiment_input(tb_sink_experiment *e, size_t block, const tb_probe_rows *down_input)
{
    e->removal.count = e->kind == TB_ABLATE_SUPER ? e->known->super_count : 0;
    tb_sink_removal_see(&e->removal, block, down_input);
}

void tb_sink_experiment_edit(const tb_sink_experiment *e, size_t block, tb_edit_stage stage, const tb_edit_rows *rows)
{
    bool embeddings = block == SIZE_MAX;
    switch (stage) {
    case TB_EDIT_KEY:
        if (e->kind == TB_ABLATE_OTHER_PROMPT)
            set_first(rows, e->other.keys + block * rows->cols);
        break;
    case TB_EDIT_VALUE:
        if (e->kind == TB_ABLATE_OTHER_PROMPT)
            set_first(rows, e->other.values + block * rows->cols);
        if (e->kind == TB_ABLATE_VALUE)
            set_first(rows, NULL);
        break;
    case TB_EDIT_ATTENDED:
        edit_attended(e, block, rows);
        break;
    case TB_EDIT_FFN:
        if (e->kind == TB_ABLATE_FFN && block + 1 == e->known->emergence)
            set_first(rows, NULL);
        tb_sink_removal_apply(&e->removal, block, rows);
        break;
    case TB_EDIT_RESIDUAL:
        edit_residual(e, embeddings ? 0 : block + 1, rows);
        break;
    case TB_EDIT_QUERY:
    case TB_EDIT_ATTENTION:
    case TB_EDIT_EXPERT:
        break;
    }
}
