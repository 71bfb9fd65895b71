#include "agent/saas_compare.h"

#include <string.h>

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the comparison");
}

static bool has_result(const tb_metrics *m, size_t task)
{
    for (size_t j = 0; j < m->results->runs; j++)
        if (tb_results_get(m->results, task, j)->agent || tb_results_get(m->results, task, j)->verify)
            return true;
    return false;
}

// `differences` is scratch for all tasks.
static tb_code pair_tasks(tb_pairing *p, const tb_saas_comparison *c, double *differences, tb_error *err)
{
    long double first = 0, second = 0;
    for (size_t i = 0; i < c->first->results->tasks->count; i++) {
        const tb_tally *a = &c->first->tallies[i], *b = &c->second->tallies[i];
        if (!c->paired[i] || (p->name && strcmp(a->task->domain, p->name) != 0))
            continue;
        first += a->mean;
        second += b->mean;
        p->better += b->mean > a->mean;
        p->worse += b->mean < a->mean;
        differences[p->tasks++] = b->mean - a->mean;
    }
    p->same = p->tasks - p->better - p->worse;
    if (p->tasks == 0)
        return TB_OK;
    p->first = (double)(first / (long double)p->tasks);
    p->second = (double)(second / (long double)p->tasks);
    p->p_value = tb_sign_test(p->better, p->worse);
    return tb_interval_of_mean(&p->difference, differences, p->tasks, err);
}

static tb_code pair_domains(tb_saas_comparison *c, double *differences, tb_error *err)
{
    const tb_metrics *m = c->first;
    tb_code rc = TB_OK;
    c->domains = tb_arena_array(&c->arena, m->domain_count, sizeof *c->domains);
    if (!c->domains)
        return fail_memory(err);
    for (size_t i = 0; i < m->domain_count && !rc; i++) {
        tb_pairing *p = &c->domains[c->domain_count];
        *p = (tb_pairing){.name = m->domains[i].name};
        rc = pair_tasks(p, c, differences, err);
        c->domain_count += p->tasks > 0;
    }
    return rc;
}

tb_code tb_saas_compare(tb_saas_comparison *out, const tb_metrics *first, const tb_metrics *second, tb_error *err)
{
    size_t n = first->results->tasks->count;
    *out = (tb_saas_comparison){.first = first, .second = second};
    double *differences = tb_alloc_array(n, sizeof *differences);
    out->paired = tb_arena_array(&out->arena, n, sizeof *out->paired);
    tb_code rc = differences && out->paired ? TB_OK : fail_memory(err);
    for (size_t i = 0; i < n && !rc; i++) {
        out->paired[i] = has_result(first, i) && has_result(second, i);
        out->unpaired += !out->paired[i];
    }
    if (!rc && out->unpaired == n)
        rc = tb_fail(err, TB_EINVAL, "the two have no task in common that has a result in both");
    if (!rc)
        rc = pair_tasks(&out->all, out, differences, err);
    if (!rc)
        rc = pair_domains(out, differences, err);
    tb_free(differences);
    if (rc)
        tb_saas_comparison_clear(out);
    return rc;
}

void tb_saas_comparison_clear(tb_saas_comparison *comparison)
{
    tb_arena_clear(&comparison->arena);
    *comparison = (tb_saas_comparison){0};
}
