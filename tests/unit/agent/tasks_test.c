// agent: task folders: which are found, in which order, and what their texts say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tasks.h"

static char folder[] = "/tmp/twobit-tasks-XXXXXX";
static tb_error err;

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void write_file(const char *path, const char *text)
{
    if (tb_file_write(path, text, strlen(text), &err))
        fail_msg("%s", err.message);
}

static void write_task(const char *path, const char *meta, const char *description)
{
    char command[512], name[512];
    snprintf(command, sizeof command, "mkdir -p %s", path);
    assert_int_equal(system(command), 0);
    snprintf(name, sizeof name, "%s/meta.json", path);
    write_file(name, meta);
    snprintf(name, sizeof name, "%s/description.md", path);
    if (description)
        write_file(name, description);
}

// Notes that were made, counted.
static void count_note(void *user, tb_note_level level, const char *text)
{
    (void)text;
    *(size_t *)user += level == TB_NOTE_WARNING;
}

static tb_code read_tasks(tb_tasks *out, const char *path, size_t *notes)
{
    const tb_report report = {.note = count_note, .user = notes};
    *notes = 0;
    return tb_tasks_read(out, &(tb_task_choice){.folder = path, .report = &report}, &err);
}

static void tasks__stand_in_the_order_of_their_names(void **state)
{
    (void)state;
    tb_tasks tasks;
    size_t notes;
    write_task("order/a-b/x", "{\"task_id\":\"third\"}", "x");
    write_task("order/a/x", "{\"task_id\":\"second\"}", "x");
    write_task("order/a/b/c", "{}", "x");
    write_task("order/\xC3\xA4", "{\"task_id\":\"fourth\",\"category_id\":\"D\"}", "\xEF\xBB\xBFx");
    assert_int_equal(read_tasks(&tasks, "order", &notes), TB_OK);
    assert_int_equal(tasks.count, 4);
    assert_string_equal(tasks.items[0].id, "c");
    assert_string_equal(tasks.items[0].domain, "b");
    assert_string_equal(tasks.items[1].id, "second");
    assert_string_equal(tasks.items[1].domain, "a");
    assert_string_equal(tasks.items[2].id, "third");
    assert_string_equal(tasks.items[3].domain, "D");
    assert_int_equal(tasks.items[3].description.size, 1);
    assert_null(tasks.items[0].verifier);
    tb_tasks_clear(&tasks);
}

static void tasks__that_are_damaged_are_passed_over_with_a_note(void **state)
{
    (void)state;
    tb_tasks tasks;
    size_t notes;
    write_task("damaged/a", "{\"task_id\":\"a\"", "x");
    write_task("damaged/b", "[]", "x");
    write_task("damaged/c", "{\"task_id\":3}", "x");
    write_task("damaged/d", "{}", NULL);
    write_task("damaged/e", "{}", "\xFF");
    write_task("damaged/f", "{\"meta_data\":{\"sites\":[3]}}", "x");
    write_task("damaged/g", "{\"meta_data\":[]}", "x");
    write_task("damaged/h", "{\"multimodal_input\":[3]}", "x");
    write_task("damaged/ok", "{\"more\":1,\"meta_data\":{\"sites\":[\"x\",\"y\"],\"require_login\":true}}", "x");
    assert_int_equal(read_tasks(&tasks, "damaged", &notes), TB_OK);
    assert_int_equal(tasks.count, 1);
    assert_string_equal(tasks.items[0].sites[1], "y");
    assert_int_equal(notes, 8);
    tb_tasks_clear(&tasks);
}

static void tasks__whose_ids_cannot_be_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a/b", "a b", "../x", "a\\n", "\xC3\xA4"};
    char meta[256];
    tb_tasks tasks;
    size_t notes;
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        if (i < sizeof bad / sizeof bad[0])
            snprintf(meta, sizeof meta, "{\"task_id\":\"%s\"}", bad[i]);
        else
            snprintf(meta, sizeof meta, "{\"task_id\":\"%0101d\"}", 0);
        write_task("names/x", meta, "x");
        if (read_tasks(&tasks, "names", &notes) != TB_EINVAL)
            fail_msg("this is a name: %s", meta);
    }
    write_task("names/x", "{\"task_id\":\"A-z_0.9\"}", "x");
    assert_int_equal(read_tasks(&tasks, "names", &notes), TB_OK);
    tb_tasks_clear(&tasks);
}

static void tasks__of_one_id_are_refused_or_renamed(void **state)
{
    (void)state;
    tb_tasks tasks;
    size_t notes;
    write_task("twice/a", "{\"task_id\":\"x\"}", "x");
    write_task("twice/b", "{\"task_id\":\"x\"}", "x");
    write_task("twice/c", "{\"task_id\":\"x\"}", "x");
    assert_int_equal(read_tasks(&tasks, "twice", &notes), TB_EINVAL);
    const tb_task_choice choice = {.folder = "twice", .allow_duplicates = true};
    assert_int_equal(tb_tasks_read(&tasks, &choice, &err), TB_OK);
    assert_string_equal(tasks.items[1].id, "x@2");
    assert_string_equal(tasks.items[2].id, "x@3");
    tb_tasks_clear(&tasks);
}

static void tasks__can_be_chosen(void **state)
{
    (void)state;
    static const char *const ids[] = {"b", "c"}, *const missing[] = {"b", "d"};
    tb_tasks tasks;
    write_task("choice/X/a", "{}", "x");
    write_task("choice/X/b", "{}", "x");
    write_task("choice/Y/c", "{}", "x");
    assert_int_equal(tb_tasks_read(&tasks, &(tb_task_choice){.folder = "choice", .ids = ids, .id_count = 2}, &err),
                     TB_OK);
    assert_int_equal(tasks.count, 2);
    assert_string_equal(tasks.items[1].id, "c");
    tb_tasks_clear(&tasks);
    assert_int_equal(tb_tasks_read(&tasks, &(tb_task_choice){.folder = "choice", .domain = "Y"}, &err), TB_OK);
    assert_int_equal(tasks.count, 1);
    tb_tasks_clear(&tasks);
    assert_int_equal(tb_tasks_read(&tasks, &(tb_task_choice){.folder = "choice", .ids = missing, .id_count = 2}, &err),
                     TB_EINVAL);
    assert_string_equal(err.message, "there is no task 'd' in 'choice'");
}

static void inputs__are_looked_for_above_the_task(void **state)
{
    (void)state;
    tb_tasks tasks;
    size_t notes;
    write_task("repo/tasks/D/x",
               "{\"multimodal_input\":[{\"file\":\"tasks/inputs/"
               "a.pdf\",\"type\":\"pdf\"},{\"file\":\"b-5f3a.png\"},{\"file\":\"\"},"
               "{\"file\":\"here.txt\"}]}",
               "x");
    assert_int_equal(system("mkdir repo/tasks/inputs"), 0);
    write_file("repo/tasks/inputs/a.pdf", "x");
    write_file("here.txt", "x");
    assert_int_equal(read_tasks(&tasks, "repo/tasks", &notes), TB_OK);
    assert_int_equal(tasks.items[0].input_count, 3);
    assert_string_equal(tasks.items[0].inputs[0].type, "pdf");
    assert_non_null(strstr(tasks.items[0].inputs[0].path, "/repo/tasks/inputs/a.pdf"));
    assert_null(tasks.items[0].inputs[1].path);
    assert_non_null(tasks.items[0].inputs[2].path);
    assert_int_equal(notes, 1);
    tb_tasks_clear(&tasks);
}

// ---- texts ----

static tb_code append_step(void *user, tb_text step, tb_error *error)
{
    return tb_str_printf(user, error, "%.*s|", (int)step.size, step.data);
}

static void assert_steps(const char *description, const char *expected)
{
    tb_str steps = {0};
    const tb_task task = {.id = "t", .description = {description, strlen(description)}};
    assert_int_equal(tb_task_each_step(&task, append_step, &steps, &err), TB_OK);
    assert_string_equal(tb_str_get(&steps), expected);
    tb_str_clear(&steps);
}

// Expected values are those of the official loader.
static void steps__are_found_where_the_official_loader_finds_them(void **state)
{
    (void)state;
    assert_steps("**Steps:**\n1. one\n2. two  \n\n**Login:**\n3. three\n", "one|two|");
    assert_steps("intro\n** step : **\n1. one\n   10.  ten\n", "one|ten|");
    assert_steps("# Steps\n1. one\n## More\n2. two\n", "one|");
    assert_steps("1. zero\n## STEP  \n\n1. one\n", "one|");
    assert_steps("# Steps\n1. one\n**Steps:**\n2. two\n", "two|");
    assert_steps("**Steps:** 1. one\n2. two\n", "one|two|");
    assert_steps("**Steps:**\n1. one **bold** end\n  **bold** begins\n2. two\n", "one **bold** end|");
    assert_steps("**Steps:**\n1. one\n** not closed\n2. two\n", "one|two|");
    assert_steps("**Steps:**\n1.one\n2 two\n3. \n4. four\n#5\n", "four|");
    assert_steps("**Steps:**\n1. one\n#\n2. two\n", "one|");
    assert_steps("Steps:\n1. one\n", "");
    assert_steps("# Steps:\n1. one\n", "");
    assert_steps("***Steps:***\n1. one\n", "one|");
    assert_steps("", "");
}

static void prompt__says_where_applications_are(void **state)
{
    (void)state;
    static const char yaml[] = "apps:\n  b-app:\n    app_index: 1\n  a-app:\n    app_index: 2\n";
    const char *sites[] = {"b-app", "unknown", "a-app"};
    const tb_task task = {.id = "t", .description = {"\n do it \n\n", 10}, .sites = sites, .site_count = 3};
    tb_apps apps, none = {0};
    tb_str text = {0};
    assert_int_equal(tb_apps_parse(&apps, (tb_text){yaml, strlen(yaml)}, "it", &err), TB_OK);
    assert_int_equal(tb_task_append_prompt(&text, &task, &apps, &(tb_slot){.number = 1}, &err), TB_OK);
    assert_non_null(strstr(text.data, "- a-app: http://localhost:30042\n- b-app: http://localhost:30041\n\ndo it\n"));
    tb_str_reset(&text);
    assert_int_equal(tb_task_append_prompt(&text, &task, &none, &(tb_slot){0}, &err), TB_OK);
    assert_string_equal(text.data, "do it\n");
    tb_str_clear(&text);
    tb_apps_clear(&apps);
}

static void todo__lists_the_steps(void **state)
{
    (void)state;
    static const char description[] = "**Steps:**\n1. one\n2. two\n";
    const tb_task task = {.id = "t", .description = {description, strlen(description)}};
    tb_str text = {0};
    assert_int_equal(tb_task_append_todo(&text, &task, &err), TB_OK);
    static const char begin[] =
        "# Task: t\n\n## Plan (you may adjust as needed)\n\n- [ ] one\n- [ ] two\n\n## Notes\n- ";
    assert_memory_equal(text.data, begin, strlen(begin));
    tb_str_clear(&text);
}

static void tasks__survive_any_failed_allocation(void **state)
{
    (void)state;
    static const char yaml[] = "apps:\n  a:\n    app_index: 1\n  b:\n    app_index: 2\n    start: >-\n      x\n";
    write_task("memory/D/a", "{\"meta_data\":{\"sites\":[\"a\"]},\"multimodal_input\":[{\"file\":\"D/a/meta.json\"}]}",
               "x");
    write_task("memory/D/b", "{}", "**Steps:**\n1. one\n");
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM && n < 10000; n++) {
        tb_tasks tasks = {0};
        tb_apps apps = {0};
        tb_str text = {0};
        char hash[65];
        tb_mem_fail_after(n);
        rc = tb_tasks_read(&tasks, &(tb_task_choice){.folder = "memory"}, &err);
        if (!rc)
            rc = tb_apps_parse(&apps, (tb_text){yaml, strlen(yaml)}, "it", &err);
        if (!rc)
            rc = tb_task_append_prompt(&text, &tasks.items[0], &apps, &(tb_slot){0}, &err);
        if (!rc)
            rc = tb_task_append_todo(&text, &tasks.items[1], &err);
        if (!rc)
            rc = tb_tasks_hash(hash, &tasks, &err);
        tb_mem_fail_after(-1);
        tb_str_clear(&text);
        tb_apps_clear(&apps);
        tb_tasks_clear(&tasks);
    }
    assert_int_equal(rc, TB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks__stand_in_the_order_of_their_names),
        cmocka_unit_test(tasks__that_are_damaged_are_passed_over_with_a_note),
        cmocka_unit_test(tasks__whose_ids_cannot_be_names_are_refused),
        cmocka_unit_test(tasks__of_one_id_are_refused_or_renamed),
        cmocka_unit_test(tasks__can_be_chosen),
        cmocka_unit_test(inputs__are_looked_for_above_the_task),
        cmocka_unit_test(steps__are_found_where_the_official_loader_finds_them),
        cmocka_unit_test(prompt__says_where_applications_are),
        cmocka_unit_test(todo__lists_the_steps),
        cmocka_unit_test(tasks__survive_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
