// Super experts: what the experts of a mixture put out at most, and which of them stand out.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink/sink.h"

// The rule of the paper: above this share of all, above this part of the largest, in this share of the blocks.
#define QUANTILE 0.995
#define PART_OF_LARGEST 0.1
#define SHARE_OF_BLOCKS 0.75

typedef struct watch {
    const int32_t *tokens;
    int32_t registers; // in front of them
    tb_super_experts *result;
} watch;

// Of a register: −1 and below.
static int32_t token_at(const watch *w, int32_t position)
{
    return position < w->registers ? -1 - position : w->tokens[position - w->registers];
}

static void see_expert(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const watch *w = user;
    const tb_super_experts *r = w->result;
    if (stage != TB_EDIT_EXPERT)
        return;
    tb_super_expert *e = &r->all[at->block * r->experts + at->expert];
    e->rows += rows->rows;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols; c++) {
            double x = (double)rows->x[t * rows->stride + c];
            if (fabs(x) <= fabs(e->output))
                continue;
            e->output = x;
            e->channel = c;
            e->position = (size_t)rows->positions[t];
            e->token = token_at(w, rows->positions[t]);
        }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Between the two nearest, as NumPy has it.
static double quantile(const double *sorted, size_t n, double share)
{
    double at = share * (double)(n - 1), below = floor(at);
    size_t i = (size_t)below;
    return i + 1 < n ? sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

static int largest_first(const void *a, const void *b)
{
    const tb_super_expert *x = a, *y = b;
    double p = fabs(x->output), q = fabs(y->output);
    return p < q ? 1 : p > q ? -1 : x->block != y->block ? (x->block > y->block) - (x->block < y->block) : 0;
}

static tb_code choose(tb_super_experts *r, tb_error *err)
{
    size_t n = r->block_count * r->experts;
    double *outputs = tb_arena_array(&r->arena, n, sizeof *outputs);
    r->found = tb_arena_array(&r->arena, n, sizeof *r->found);
    if (!outputs || !r->found)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu experts", n);
    for (size_t i = 0; i < n; i++)
        outputs[i] = fabs(r->all[i].output);
    qsort(outputs, n, sizeof *outputs, ascending);
    r->largest = outputs[n - 1];
    r->threshold = fmax(quantile(outputs, n, QUANTILE), PART_OF_LARGEST * r->largest);
    for (size_t i = 0; i < n; i++)
        if (fabs(r->all[i].output) > r->threshold &&
            (double)(r->all[i].block + 1) <= SHARE_OF_BLOCKS * (double)r->block_count)
            r->found[r->count++] = r->all[i];
    qsort(r->found, r->count, sizeof *r->found, largest_first);
    return TB_OK;
}

static tb_code prepare(tb_super_experts *r, const tb_model *model, tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    r->block_count = config->blocks;
    r->experts = config->experts + (config->shared_width > 0);
    r->all = tb_arena_array(&r->arena, r->block_count * r->experts, sizeof *r->all);
    if (!r->all)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu experts", r->block_count * r->experts);
    for (size_t i = 0; i < r->block_count * r->experts; i++)
        r->all[i] = (tb_super_expert){.block = i / r->experts, .expert = i % r->experts};
    return TB_OK;
}

tb_code tb_sink_find_super_experts(tb_super_experts *out, const tb_model *model, const int32_t *tokens, size_t count,
                                   tb_error *err)
{
    const watch w = {.tokens = tokens, .registers = (int32_t)tb_model_config(model)->registers, .result = out};
    const tb_probe probe = {.edit = see_expert, .user = (void *)(uintptr_t)&w};
    tb_seq *seq = NULL;
    *out = (tb_super_experts){0};
    if (tb_model_config(model)->experts == 0)
        return tb_fail(err, TB_EUNSUPPORTED, "the model is no mixture of experts");
    if (count == 0)
        return tb_fail(err, TB_EINVAL, "the prompt is empty");
    tb_code rc = prepare(out, model, err);
    if (!rc)
        rc = tb_seq_new(&seq, model, &(tb_seq_options){.context = count, .kv_cache = TB_KV_CACHE_F32}, err);
    if (!rc) {
        tb_seq_set_probe(seq, &probe);
        rc = tb_seq_push(seq, tokens, count, err);
    }
    if (!rc)
        rc = choose(out, err);
    tb_seq_free(seq);
    return rc;
}

void tb_super_experts_clear(tb_super_experts *result)
{
    tb_arena_clear(&result->arena);
    *result = (tb_super_experts){0};
}
