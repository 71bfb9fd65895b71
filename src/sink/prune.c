// Heads are silenced where they have read and before Wo: that is what taking their columns out of Wo does.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink/trial.h"

// A head, and what it is ordered by.
typedef struct ranked_head {
    double key;
    size_t head; // of all blocks
} ranked_head;

typedef struct pruning {
    const tb_model *model;
    const tb_config *config;
    tb_seq *seq;
    size_t count;                                              // of points
    const size_t *heads;                                       // [count]: how many are silenced at each
    ranked_head *orders[TB_PRUNE_ORDERS - 1 + TB_PRUNE_DRAWS]; // [all heads] each
    bool *silent;                                              // [all heads]: in the form under way
} pruning;

enum { WAYS = TB_PRUNE_ORDERS - 1 + TB_PRUNE_DRAWS };

const char *tb_prune_order_name(tb_prune_order order)
{
    static const char *const names[TB_PRUNE_ORDERS] = {"sink", "norm", "random"};
    return names[order];
}

// ---- orders ----

static int by_key(const void *a, const void *b)
{
    const ranked_head *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->head > y->head) - (x->head < y->head);
}

static void sort(ranked_head *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i].head = i;
    qsort(order, n, sizeof *order, by_key);
}

// Sums of squares of the heads' parts of a block's Wo.
static tb_code add_norms(ranked_head *order, const pruning *p, size_t block, tb_error *err)
{
    const tb_config *c = p->config;
    const tb_matrix *output = &tb_model_linear(p->model, block, TB_LINEAR_O)->matrix;
    float *row = tb_alloc_array(output->cols, sizeof *row);
    if (!row)
        return tb_fail(err, TB_ENOMEM, "no memory for a row of %zu weights", output->cols);
    for (size_t r = 0; r < output->rows; r++) {
        tb_matrix_decode_row(row, output, r);
        for (size_t i = 0; i < c->heads * c->value_size; i++)
            order[block * c->heads + i / c->value_size].key += (double)row[i] * (double)row[i];
    }
    tb_free(row);
    return TB_OK;
}

static tb_code find_orders(pruning *p, tb_prune_result *out, const tb_sink_options *options, tb_error *err)
{
    size_t all = out->heads;
    tb_sink_result r;
    tb_rng rng;
    tb_code rc = tb_sink_measure(&r, p->model, TB_SINK_WHAT_MAP, options, err);
    for (size_t i = 0; i < all && !rc; i++) {
        p->orders[TB_PRUNE_SINK][i].key = -r.map.heads[i].share;
        out->dormant += r.map.heads[i].share > TB_SINK_DORMANT;
    }
    tb_sink_result_clear(&r);
    for (size_t b = 0; b < p->config->blocks && !rc; b++)
        rc = add_norms(p->orders[TB_PRUNE_NORM], p, b, err);
    tb_rng_init(&rng, options->seed, 0);
    for (size_t k = TB_PRUNE_RANDOM; k < WAYS; k++)
        for (size_t i = 0; i < all; i++)
            p->orders[k][i].key = tb_rng_uniform(&rng);
    for (size_t k = 0; k < WAYS; k++)
        sort(p->orders[k], all);
    return rc;
}

// ---- forms ----

static void edit(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const pruning *p = user;
    size_t n = p->config->value_size;
    for (size_t h = 0; h < p->config->heads && stage == TB_EDIT_ATTENDED; h++)
        for (size_t t = 0; p->silent[at->block * p->config->heads + h] && t < rows->rows; t++)
            memset(rows->x + t * rows->stride + h * n, 0, n * sizeof *rows->x);
}

// Form 1 + way + WAYS·point.
static tb_code compute(void *user, size_t variant, const int32_t *tokens, size_t n, float *logits, tb_error *err)
{
    pruning *p = user;
    const tb_probe probe = {.edit = edit, .user = p};
    memset(p->silent, 0, p->config->blocks * p->config->heads * sizeof *p->silent);
    for (size_t i = 0; variant > 0 && i < p->heads[(variant - 1) / WAYS]; i++)
        p->silent[p->orders[(variant - 1) % WAYS][i].head] = true;
    tb_seq_set_probe(p->seq, &probe);
    tb_seq_truncate(p->seq, 0); // registers, too, lose these heads
    tb_code rc = tb_seq_push_all(p->seq, tokens, n, logits, err);
    tb_seq_set_probe(p->seq, NULL);
    return rc;
}

// ---- results ----

// The mean of the draws, and their deviation.
static tb_sink_trial join_draws(const tb_sink_trial *draws)
{
    tb_sink_trial mean = {0};
    double squares = 0, n = TB_PRUNE_DRAWS;
    for (size_t i = 0; i < TB_PRUNE_DRAWS; i++) {
        mean.broken += draws[i].broken;
        mean.nll += draws[i].nll / n;
        mean.kl += draws[i].kl / n;
        mean.entropy += draws[i].entropy / n;
        mean.more += draws[i].more / n;
    }
    for (size_t i = 0; i < TB_PRUNE_DRAWS; i++)
        squares += pow(draws[i].more - mean.more, 2);
    mean.more_error = sqrt(squares / (n - 1));
    return mean;
}

static void take(tb_prune_result *out, const pruning *p, const tb_sink_trial *trials)
{
    out->untouched = trials[0];
    for (size_t i = 0; i < p->count; i++) {
        const tb_sink_trial *of = trials + 1 + i * WAYS;
        tb_prune_point *point = &out->points[i];
        point->heads = p->heads[i];
        point->least = -p->orders[TB_PRUNE_SINK][p->heads[i] - 1].key;
        point->trials[TB_PRUNE_SINK] = of[TB_PRUNE_SINK];
        point->trials[TB_PRUNE_NORM] = of[TB_PRUNE_NORM];
        point->trials[TB_PRUNE_RANDOM] = join_draws(of + TB_PRUNE_RANDOM);
    }
}

static tb_code count_heads(size_t *heads, const double *shares, size_t count, size_t all, tb_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!(shares[i] > 0 && shares[i] < 1))
            return tb_fail(err, TB_EINVAL, "%g is no share of the heads; it is above 0 and below 1", shares[i]);
        size_t n = (size_t)(shares[i] * (double)all + 0.5);
        heads[i] = n > 0 ? n : 1;
    }
    return TB_OK;
}

tb_code tb_sink_prune(tb_prune_result *out, const tb_model *model, const double *shares, size_t count,
                      const tb_sink_options *options, tb_sink_score_fn *score, tb_error *err)
{
    pruning p = {.model = model, .config = tb_model_config(model), .count = count};
    size_t all = p.config->blocks * p.config->heads;
    *out = (tb_prune_result){.heads = all, .count = count};
    size_t *heads = tb_arena_array(&out->arena, count, sizeof *heads);
    tb_sink_trial *trials = tb_arena_array(&out->arena, 1 + count * WAYS, sizeof *trials);
    out->points = tb_arena_array(&out->arena, count, sizeof *out->points);
    p.silent = tb_arena_array(&out->arena, all, sizeof *p.silent);
    bool ok = heads && trials && out->points && p.silent;
    for (size_t k = 0; k < WAYS; k++)
        ok = (p.orders[k] = tb_arena_array(&out->arena, all, sizeof *p.orders[k])) && ok;
    p.heads = heads;
    tb_code rc = ok ? count_heads(heads, shares, count, all, err)
                    : tb_fail(err, TB_ENOMEM, "no memory for %zu ways to prune", count * WAYS);
    if (!rc)
        rc = find_orders(&p, out, options, err);
    size_t ctx = options->ctx ? options->ctx : TB_SINK_CTX;
    const tb_seq_options plain = {.context = ctx, .batch = p.config->registers + ctx, .kv_cache = TB_KV_CACHE_F32};
    if (!rc)
        rc = tb_seq_new(&p.seq, model, &plain, err);
    if (!rc)
        rc = tb_sink_try(trials, count * WAYS, model, options, score, compute, &p, &out->protocol, err);
    if (!rc)
        take(out, &p, trials);
    tb_seq_free(p.seq);
    return rc;
}

void tb_prune_result_clear(tb_prune_result *result)
{
    tb_arena_clear(&result->arena);
    *result = (tb_prune_result){0};
}
