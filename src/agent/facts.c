#include "agent/facts.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/above.h"
#include "agent/json_exact.h"

enum {
    MOST_BYTES = 16 << 20,
    VERSION = 1,
    MOST_COMPARED = 1000, // checks whose labels are compared with each other; tasks have some twenty
};

// ---- measuring ----

typedef struct measurement {
    tb_facts *facts;
    const tb_tasks *tasks;
    const tb_verify_options *options;
    tb_code *codes;   // [tasks] of each
    tb_error *errors; // [workers] the first of each
    atomic_size_t done;
    atomic_bool failed;
} measurement;

// Finds a label that two checks have.
static void find_repeated(char out[TB_FACT_LABEL], const tb_verdict *v)
{
    size_t n = tb_min_size(v->check_count, MOST_COMPARED);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            tb_text a = v->checks[i].label, b = v->checks[k].label;
            if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0)
                snprintf(out, TB_FACT_LABEL, "%.*s", (int)a.size, a.data);
        }
}

static void note_verdict(tb_fact *fact, const tb_verdict *v)
{
    fact->checks = v->check_count;
    for (size_t i = 0; i < v->check_count; i++)
        fact->points += v->checks[i].weight;
    fact->earned = v->earned;
    fact->score = v->score;
    fact->status = v->status;
    fact->complete = v->has_score;
    find_repeated(fact->repeated_label, v);
}

// One task. Progress is told by the first worker only: a report is spoken to from one thread.
static void measure(void *user, size_t begin, size_t end, size_t worker)
{
    measurement *m = user;
    for (size_t i = begin; i < end; i++) {
        tb_verification v;
        tb_verify_options options = *m->options;
        if (worker != 0)
            options.report = NULL;
        if (atomic_load(&m->failed))
            return;
        m->codes[i] = tb_task_verify(&v, &m->tasks->items[i], &options, &m->errors[worker]);
        if (m->codes[i]) {
            atomic_store(&m->failed, true);
            return;
        }
        note_verdict(&m->facts->items[i], &v.verdict);
        tb_verification_clear(&v);
        size_t done = atomic_fetch_add(&m->done, 1) + 1;
        if (worker == 0 &&
            tb_report_progress(m->options->report, "verify", (double)done, (double)m->tasks->count, "tasks")) {
            m->codes[i] = tb_fail(&m->errors[worker], TB_ECANCELLED, "stopped");
            atomic_store(&m->failed, true);
        }
    }
}

static bool port_is_free(unsigned port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 && errno == EADDRINUSE;
    if (fd >= 0)
        close(fd);
    return !taken;
}

static tb_code check_ports(const tb_verify_options *o, tb_error *err)
{
    for (size_t i = 0; i < o->apps->count; i++) {
        unsigned port = tb_slot_port(&o->slot, &o->apps->items[i]);
        if (!port_is_free(port))
            return tb_fail(err, TB_EIO,
                           "something listens on port %u, which is that of '%s' in this slot; choose another slot",
                           port, o->apps->items[i].key);
    }
    return TB_OK;
}

static tb_code run_all(measurement *m, size_t workers, tb_error *err)
{
    size_t n = m->tasks->count;
    m->codes = tb_alloc_array(n, sizeof *m->codes);
    m->errors = tb_alloc_array(workers, sizeof *m->errors);
    tb_code rc = m->codes && m->errors ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu verifiers", workers);
    if (!rc)
        tb_parallel(workers, n, 1, measure, m);
    for (size_t i = 0; i < n && !rc; i++)
        rc = m->codes[i];
    for (size_t i = 0; i < workers && rc && m->errors; i++)
        if (m->errors[i].code == rc)
            rc = tb_fail(err, rc, "%s", m->errors[i].message);
    tb_free(m->codes);
    tb_free(m->errors);
    return rc;
}

static tb_code make_items(tb_facts *facts, size_t count, tb_error *err)
{
    facts->items = tb_arena_array(&facts->arena, count, sizeof *facts->items);
    return facts->items ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the facts of %zu tasks", count);
}

static tb_code name_item(tb_facts *facts, const char *task_id, tb_error *err)
{
    tb_fact *fact = &facts->items[facts->count];
    fact->task_id = tb_arena_text(&facts->arena, task_id, strlen(task_id));
    if (!fact->task_id)
        return tb_fail(err, TB_ENOMEM, "no memory for the facts of '%s'", task_id);
    facts->count++;
    return TB_OK;
}

tb_code tb_facts_measure(tb_facts *out, const tb_tasks *tasks, const tb_verify_options *options, size_t workers,
                         tb_error *err)
{
    tb_verify_options nothing = *options;
    nothing.stand_in = nothing.without_judge = true;
    measurement m = {.facts = out, .tasks = tasks, .options = &nothing};
    *out = (tb_facts){0};
    tb_code rc = check_ports(options, err);
    if (!rc)
        rc = tb_python_check(options->python, err);
    if (!rc)
        rc = make_items(out, tasks->count, err);
    for (size_t i = 0; i < tasks->count && !rc; i++)
        rc = name_item(out, tasks->items[i].id, err);
    if (!rc)
        rc = run_all(&m, workers, err);
    if (rc)
        tb_facts_clear(out);
    return rc;
}

tb_facts_sum tb_facts_add_up(const tb_facts *facts)
{
    tb_facts_sum sum = {0};
    long double scores = 0;
    for (size_t i = 0; i < facts->count; i++) {
        sum.checks += facts->items[i].checks;
        sum.points += facts->items[i].points;
        scores += facts->items[i].score;
    }
    sum.mean_score = facts->count ? (double)(scores / (long double)facts->count) : 0;
    return sum;
}

// ---- the file ----

// A member that is a number of checks or points.
static tb_code get_count(uint64_t *out, const json_t *fact, const char *name, const char *task_id, const char *path,
                         tb_error *err)
{
    const json_t *value = json_object_get(fact, name);
    *out = (uint64_t)json_integer_value(value);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return tb_fail(err, TB_EFORMAT, "'%s': '%s' of '%s' is no number of them", path, name, task_id);
    return TB_OK;
}

static tb_code read_fact(tb_facts *facts, const char *task_id, const json_t *member, const char *path, tb_error *err)
{
    uint64_t checks = 0;
    tb_fact *fact = &facts->items[facts->count];
    tb_code rc = name_item(facts, task_id, err);
    if (!rc)
        rc = get_count(&checks, member, "checks", task_id, path, err);
    if (!rc)
        rc = get_count(&fact->points, member, "points", task_id, path, err);
    if (!rc)
        rc = get_count(&fact->earned, member, "earned", task_id, path, err);
    fact->checks = (size_t)checks;
    fact->complete = tb_json_bool_at(member, "complete", false);
    return rc;
}

static tb_code read_facts(tb_facts *facts, const json_t *file, const char *path, tb_error *err)
{
    json_t *tasks = json_object_get(file, "tasks"), *member;
    const char *task_id;
    if (json_integer_value(json_object_get(file, "version")) != VERSION || !json_is_object(tasks))
        return tb_fail(err, TB_EFORMAT, "'%s' holds no facts of tasks, as 'twobit saas facts -o' writes them", path);
    tb_code rc = make_items(facts, json_object_size(tasks), err);
    json_object_foreach(tasks, task_id, member)
    {
        if (!rc)
            rc = read_fact(facts, task_id, member, path, err);
    }
    return rc;
}

tb_code tb_facts_read(tb_facts *out, const char *path, tb_error *err)
{
    json_t *file;
    *out = (tb_facts){0};
    tb_code rc = tb_json_file(&file, path, MOST_BYTES, err);
    if (rc)
        return rc;
    rc = read_facts(out, file, path, err);
    json_decref(file);
    if (rc)
        tb_facts_clear(out);
    return rc;
}

tb_code tb_facts_write(const tb_facts *facts, const char *path, tb_error *err)
{
    json_t *tasks = json_object();
    for (size_t i = 0; i < facts->count; i++) {
        const tb_fact *f = &facts->items[i];
        json_object_set_new(tasks, f->task_id,
                            json_pack("{s:I, s:I, s:I, s:b}", "checks", (json_int_t)f->checks, "points",
                                      (json_int_t)f->points, "earned", (json_int_t)f->earned, "complete", f->complete));
    }
    return tb_json_file_write(json_pack("{s:i, s:o}", "version", VERSION, "tasks", tasks), path, err);
}

tb_code tb_facts_find_file(tb_str *path, const char *tasks_folder, tb_error *err)
{
    return tb_find_above(path, tasks_folder, "task-facts.json", err);
}

const tb_fact *tb_facts_get(const tb_facts *facts, const char *task_id)
{
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->items[i].task_id, task_id) == 0)
            return &facts->items[i];
    return NULL;
}

void tb_facts_clear(tb_facts *facts)
{
    tb_arena_clear(&facts->arena);
    *facts = (tb_facts){0};
}
