#include "agent/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FLAWS_OF_A_TASK = 64 };

typedef struct linter {
    tb_lint *out;
    size_t task, of_task;
    tb_error *err;
    tb_code rc;
} linter;

static void find(linter *l, tb_flaw_level level, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// The first failure is kept, so that rules read as a list.
static void find(linter *l, tb_flaw_level level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (l->rc || l->of_task++ >= MOST_FLAWS_OF_A_TASK)
        return;
    const char *copy = tb_arena_text(&l->out->arena, text, strlen(text));
    if (!copy) {
        l->rc = tb_fail(l->err, TB_ENOMEM, "no memory for what is wrong with the tasks");
        return;
    }
    l->out->items[l->out->count++] = (tb_flaw){l->task, level, copy};
    l->out->errors += level == TB_FLAW_ERROR;
}

static bool is_name(const char *name)
{
    return name[0] && !strpbrk(name, "/\n\r\t");
}

static void look_at_texts(linter *l, const tb_task *t)
{
    const char *slash = strrchr(t->folder, '/');
    const char *name = slash ? slash + 1 : t->folder;
    if (strcmp(name, t->id) != 0)
        find(l, TB_FLAW_WARNING, "its folder is called '%s'", name);
    if (!is_name(t->domain))
        find(l, TB_FLAW_ERROR, "its category_id is no name");
    if (t->description.size == 0)
        find(l, TB_FLAW_ERROR, "its description is empty");
    size_t steps = tb_task_count_steps(t);
    if (steps == 0)
        find(l, TB_FLAW_WARNING, "no steps are found in its description; the agent begins without a plan");
    else if (steps == 1)
        find(l, TB_FLAW_WARNING, "it has one step only");
}

static void look_at_apps(linter *l, const tb_task *t, const tb_apps *apps)
{
    if (t->site_count == 0)
        find(l, TB_FLAW_ERROR, "it uses no application");
    for (size_t i = 0; i < t->site_count; i++) {
        const tb_app *app = tb_apps_get(apps, t->sites[i]);
        if (!app)
            find(l, TB_FLAW_ERROR, "the registry does not know its application '%s'", t->sites[i]);
        for (size_t k = 0; k < i; k++) {
            const tb_app *other = tb_apps_get(apps, t->sites[k]);
            if (strcmp(t->sites[i], t->sites[k]) == 0)
                find(l, TB_FLAW_WARNING, "it names the application '%s' twice", t->sites[i]);
            else if (app && other &&
                     ((app->extra_offset && app->index + app->extra_offset == other->index) ||
                      (other->extra_offset && other->index + other->extra_offset == app->index)))
                find(l, TB_FLAW_ERROR, "its applications '%s' and '%s' want the same port", t->sites[k], t->sites[i]);
        }
    }
}

static void look_at_inputs(linter *l, const tb_task *t)
{
    for (size_t i = 0; i < t->input_count; i++)
        if (!t->inputs[i].path)
            find(l, TB_FLAW_ERROR, "its input '%s' is missing", t->inputs[i].file);
        else if (!t->inputs[i].type[0])
            find(l, TB_FLAW_WARNING, "its input '%s' has no type", t->inputs[i].file);
}

// What its verifier says where nothing was done.
static void look_at_null_run(linter *l, const tb_fact *f)
{
    if (f->status == TB_VERDICT_ERROR) {
        find(l, TB_FLAW_ERROR, "its verifier gives no verdict where no application runs");
        return;
    }
    if (f->status == TB_VERDICT_PASS)
        find(l, TB_FLAW_ERROR, "doing nothing passes it");
    if (f->earned > 0)
        find(l, TB_FLAW_ERROR, "doing nothing earns %llu of its %llu points", (unsigned long long)f->earned,
             (unsigned long long)f->points);
    if (!f->complete)
        find(l, TB_FLAW_ERROR, "its verifier gives up early: it ends without a SCORE line");
    if (f->points == 0)
        find(l, TB_FLAW_ERROR, "its checks have no points");
    if (f->repeated_label[0])
        find(l, TB_FLAW_ERROR, "two of its checks have one label, '%s': over several runs they count as one",
             f->repeated_label);
    if (f->checks == 1)
        find(l, TB_FLAW_WARNING, "it has one check only: all or nothing");
}

static void look_at_task(linter *l, const tb_task *t, const tb_apps *apps, const tb_fact *fact)
{
    look_at_texts(l, t);
    look_at_apps(l, t, apps);
    look_at_inputs(l, t);
    if (!t->verifier)
        find(l, TB_FLAW_ERROR, "it has no verifier");
    else if (fact)
        look_at_null_run(l, fact);
}

tb_code tb_lint_tasks(tb_lint *out, const tb_tasks *tasks, const tb_apps *apps, const tb_facts *facts, tb_error *err)
{
    *out = (tb_lint){0};
    linter l = {.out = out, .err = err};
    size_t most;
    bool fits = tb_mul_size(&most, tasks->count, MOST_FLAWS_OF_A_TASK);
    out->items = fits ? tb_arena_array(&out->arena, most, sizeof *out->items) : NULL;
    if (!out->items)
        return tb_fail(err, TB_ENOMEM, "no memory for what is wrong with the tasks");
    for (size_t i = 0; i < tasks->count && !l.rc; i++) {
        l.task = i;
        l.of_task = 0;
        look_at_task(&l, &tasks->items[i], apps, facts ? &facts->items[i] : NULL);
    }
    if (l.rc)
        tb_lint_clear(out);
    return l.rc;
}

void tb_lint_clear(tb_lint *lint)
{
    tb_arena_clear(&lint->arena);
    *lint = (tb_lint){0};
}
