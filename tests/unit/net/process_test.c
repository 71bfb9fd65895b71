// Child processes: what they get, what is read of them, and that nothing is left whatever happens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net.h"

static const tb_process_limits patient = {.timeout_ms = 60000, .grace_ms = 5000, .output_bytes = 1 << 20};

#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})

// Runs a script of the shell; the caller clears the result.
static tb_process_result run_script(const char *script, tb_process_limits limits)
{
    tb_process_result result;
    tb_error err = {0};
    tb_process_options options = {.arguments = SHELL(script)};
    tb_code rc = tb_process_run(&result, &options, &limits, NULL, &err);
    if (rc)
        fail_msg("%s", err.message);
    return result;
}

static void run__gives_what_a_program_writes_and_its_status(void **state)
{
    (void)state;
    for (int status = 0; status < 256; status += 17) {
        char script[100];
        snprintf(script, sizeof script, "printf out%d; printf err%d >&2; exit %d", status, status, status);
        tb_process_result r = run_script(script, patient);
        char out[16], errors[16];
        snprintf(out, sizeof out, "out%d", status);
        snprintf(errors, sizeof errors, "err%d", status);
        assert_string_equal(tb_str_get(&r.output), out);
        assert_string_equal(tb_str_get(&r.errors), errors);
        assert_int_equal(r.end.status, status);
        assert_int_equal(r.end.signal, 0);
        assert_false(r.timed_out || r.output_cut || r.errors_cut);
        tb_process_result_clear(&r);
    }
}

static void run__tells_the_signal_that_killed_a_program(void **state)
{
    (void)state;
    const int signals[] = {SIGKILL, SIGTERM, SIGSEGV};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        char script[40];
        snprintf(script, sizeof script, "kill -%d $$", signals[i]);
        tb_process_result r = run_script(script, patient);
        assert_int_equal(r.end.signal, signals[i]);
        assert_int_equal(r.end.status, 128 + signals[i]);
        tb_process_result_clear(&r);
    }
}

// Both streams at once, each longer than a pipe holds, for every limit around what is written.
static void run__keeps_the_first_bytes_up_to_the_limit_of_each_stream(void **state)
{
    (void)state;
    enum { WRITTEN = 200000 };
    const size_t limits[] = {0, 1, WRITTEN - 1, WRITTEN, WRITTEN + 1};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        tb_process_limits l = patient;
        l.output_bytes = limits[i];
        tb_process_result r = run_script("head -c 200000 /dev/zero | tr '\\0' a & "
                                         "head -c 200000 /dev/zero | tr '\\0' b >&2; wait",
                                         l);
        size_t kept = limits[i] < WRITTEN ? limits[i] : WRITTEN;
        assert_int_equal(r.output.size, kept);
        assert_int_equal(r.errors.size, kept);
        assert_int_equal(strspn(tb_str_get(&r.output), "a"), kept);
        assert_int_equal(strspn(tb_str_get(&r.errors), "b"), kept);
        assert_true(r.output_cut == (kept < WRITTEN) && r.errors_cut == (kept < WRITTEN));
        tb_process_result_clear(&r);
    }
}

static void run__ends_a_program_whose_time_is_over(void **state)
{
    (void)state;
    tb_process_limits l = {.timeout_ms = 300, .grace_ms = 60000, .output_bytes = 100};
    tb_process_result r = run_script("trap 'echo bye; exit 3' TERM; echo begun; sleep 1000 & wait", l);
    assert_true(r.timed_out);
    assert_int_equal(r.end.status, 3);
    assert_string_equal(tb_str_get(&r.output), "begun\nbye\n");
    tb_process_result_clear(&r);
    l.grace_ms = 100;
    r = run_script("trap '' TERM; echo begun; sleep 1000", l);
    assert_true(r.timed_out);
    assert_int_equal(r.end.signal, SIGKILL);
    tb_process_result_clear(&r);
}

static bool is_stopped(void *user)
{
    return (*(int *)user)-- == 0;
}

static void run__stops_when_the_report_asks(void **state)
{
    (void)state;
    int looks = 2;
    tb_report report = {.stopped = is_stopped, .user = &looks};
    tb_process_options options = {.arguments = SHELL("sleep 1000")};
    tb_process_result r;
    tb_error err;
    assert_int_equal(tb_process_run(&r, &options, &patient, &report, &err), TB_ECANCELLED);
}

// The group is gone once no signal reaches it.
static bool is_gone(long pid)
{
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static void run__leaves_none_of_what_a_program_has_started(void **state)
{
    (void)state;
    // A child, a child in a session of its own, and one that has lost its parent as well.
    tb_process_result r = run_script("sleep 1000 & echo $!; setsid sleep 1000 & echo $!; "
                                     "setsid sh -c '(sleep 1000 & echo $!)'",
                                     patient);
    long pids[3];
    assert_int_equal(sscanf(tb_str_get(&r.output), "%ld %ld %ld", &pids[0], &pids[1], &pids[2]), 3);
    for (int i = 0; i < 3; i++)
        assert_true(is_gone(pids[i]));
    tb_process_result_clear(&r);
}

static void run__gives_the_environment_that_was_asked_for(void **state)
{
    (void)state;
    setenv("TB_TEST_KEPT", "kept", 1);
    setenv("TB_TEST_CHANGED", "before", 1);
    setenv("TB_TEST_HIDDEN", "secret", 1);
    const char *const given[] = {"TB_TEST_CHANGED=after", "TB_TEST_NEW=a=b c", NULL};
    const char *const hidden[] = {"TB_TEST_HIDDEN", NULL};
    tb_process_options options = {
        .arguments = (const char *const[]){"env", NULL}, .environment = given, .hidden = hidden};
    tb_process_result r;
    assert_int_equal(tb_process_run(&r, &options, &patient, NULL, NULL), TB_OK);
    const char *text = tb_str_get(&r.output);
    assert_non_null(strstr(text, "TB_TEST_KEPT=kept\n"));
    assert_non_null(strstr(text, "TB_TEST_CHANGED=after\n"));
    assert_non_null(strstr(text, "TB_TEST_NEW=a=b c\n"));
    assert_null(strstr(text, "before"));
    assert_null(strstr(text, "secret"));
    tb_process_result_clear(&r);
}

static void run__works_in_the_folder_and_with_the_path_that_were_asked_for(void **state)
{
    (void)state;
    char folder[] = "/tmp/process_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[60], variable[60];
    snprintf(path, sizeof path, "%s/where", folder);
    snprintf(variable, sizeof variable, "PATH=%s:/usr/bin:/bin", folder);
    assert_int_equal(tb_file_write(path, "#!/bin/sh\npwd\n", 14, NULL), TB_OK);
    const char *const environment[] = {variable, NULL};
    tb_process_options options = {
        .arguments = (const char *const[]){"where", NULL}, .environment = environment, .folder = folder};
    tb_process_result r;
    tb_error err;
    assert_int_equal(tb_process_run(&r, &options, &patient, NULL, &err), TB_EIO); // not to be run yet
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(tb_process_run(&r, &options, &patient, NULL, &err), TB_OK);
    assert_memory_equal(tb_str_get(&r.output), folder, strlen(folder));
    tb_process_result_clear(&r);
    unlink(path);
    rmdir(folder);
}

static void start__says_why_a_program_cannot_be_run(void **state)
{
    (void)state;
    const struct {
        const char *name, *folder, *sentence;
    } cases[] = {
        {"no-such-program-anywhere", NULL, "there is no program 'no-such-program-anywhere' in the folders of PATH"},
        {"/no/such/program", NULL, "cannot run '/no/such/program': No such file or directory"},
        {"/tmp", NULL, "cannot run '/tmp': it is a folder"},
        {"/etc/passwd", NULL, "cannot run '/etc/passwd': Permission denied"},
        {"sh", "/no/such/folder", "cannot start 'sh': its working folder does not exist"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_process *process;
        tb_error err = {0};
        tb_process_options options = {.arguments = (const char *const[]){cases[i].name, NULL},
                                      .folder = cases[i].folder};
        assert_int_equal(tb_process_start(&process, &options, &err), TB_EIO);
        assert_null(process);
        assert_string_equal(err.message, cases[i].sentence);
    }
}

// The descriptors of a program are the named ones and no others, wherever ours lie: also in each other's places.
static void start__gives_descriptors_in_their_places_and_no_others(void **state)
{
    (void)state;
    int to[2], from[2], further[2];
    assert_true(pipe(to) == 0 && pipe(from) == 0 && pipe(further) == 0);
    const int descriptors[] = {-1, from[1], -1, to[0], from[1]};
    tb_process_options options = {
        .arguments = SHELL("for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && printf $fd; done; echo; "
                           "read line <&3; echo \"got $line\" >&4"),
        .descriptors = descriptors,
        .descriptor_count = 5};
    tb_process *process;
    tb_process_end end;
    assert_int_equal(tb_process_start(&process, &options, NULL), TB_OK);
    close(from[1]);
    assert_int_equal(write(to[1], "hello\n", 6), 6);
    assert_true(tb_process_wait(&end, process, 60000));
    assert_int_equal(end.status, 0);
    char text[100] = {0};
    size_t n = 0;
    for (ssize_t got; (got = read(from[0], text + n, sizeof text - 1 - n)) > 0; n += (size_t)got)
        ;
    assert_string_equal(text, "01234\ngot hello\n");
    tb_process_close(process);
    for (int i = 0; i < 2; i++) {
        close(further[i]);
        close(to[i]);
    }
    close(from[0]);
}

static void wait__returns_when_its_time_is_over(void **state)
{
    (void)state;
    tb_process *process;
    tb_process_end end;
    tb_process_options options = {.arguments = SHELL("sleep 1000")};
    assert_int_equal(tb_process_start(&process, &options, NULL), TB_OK);
    assert_false(tb_process_wait(&end, process, 0));
    assert_false(tb_process_wait(&end, process, 50));
    tb_process_signal(process, SIGINT);
    assert_true(tb_process_wait(&end, process, 60000));
    assert_int_equal(end.signal, SIGINT);
    assert_true(tb_process_wait(&end, process, 0)); // again: it has not forgotten
    assert_int_equal(end.signal, SIGINT);
    tb_process_stop(process, 1000);
    tb_process_stop(process, 1000);
    tb_process_close(process);
    tb_process_close(NULL);
}

// ---- a parent that dies ----

// Waits until a line can be read from a file that is being written.
static void read_line(char *line, int size, const char *path)
{
    for (int i = 0; i < 3000; i++) {
        FILE *file = fopen(path, "r");
        char *got = file ? fgets(line, size, file) : NULL;
        if (file)
            fclose(file);
        if (got && strchr(line, '\n'))
            return;
        usleep(20000);
    }
    fail_msg("nothing came in '%s'", path);
}

static bool comes_to_be_gone(const char *path)
{
    for (int i = 0; i < 3000 && access(path, F_OK) == 0; i++)
        usleep(20000);
    return access(path, F_OK) != 0;
}

static void make_deep(const char *folder)
{
    char path[200];
    snprintf(path, sizeof path, "%s/a", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/a/b", folder);
    mkdir(path, 0700);
    for (int i = 0; i < 300; i++) { // more than are read at a time
        snprintf(path, sizeof path, "%s/a/b/a file with quite a long name %d", folder, i);
        close(open(path, O_WRONLY | O_CREAT, 0600));
    }
    snprintf(path, sizeof path, "%s/a/link", folder);
    assert_int_equal(symlink("/", path), 0); // is removed, not followed
}

// A parent that is killed takes with it the program, what that has detached, and the scratch folder.
static void parent__killed_leaves_no_process_and_no_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/process_test.XXXXXX", pids_path[] = "/tmp/process_test_pids.XXXXXX";
    assert_non_null(mkdtemp(folder));
    close(mkstemp(pids_path));
    make_deep(folder);
    char script[200];
    snprintf(script, sizeof script, "setsid sleep 1000 & echo $$ $! >%s; wait", pids_path);
    pid_t parent = fork();
    if (parent == 0) {
        tb_process *process;
        tb_process_options options = {.arguments = SHELL(script), .scratch = folder};
        if (tb_process_start(&process, &options, NULL) == TB_OK)
            pause();
        _exit(1);
    }
    char line[100];
    long program, detached;
    read_line(line, sizeof line, pids_path);
    assert_int_equal(sscanf(line, "%ld %ld", &program, &detached), 2);
    assert_int_equal(kill(parent, SIGKILL), 0);
    waitpid(parent, NULL, 0);
    assert_true(comes_to_be_gone(folder)); // which comes last
    assert_true(is_gone(program) && is_gone(detached));
    unlink(pids_path);
}

// Several at once: none keeps another's pipes and sockets alive.
static void close__ends_one_of_several(void **state)
{
    (void)state;
    tb_process *processes[4];
    char folders[4][32];
    for (int i = 0; i < 4; i++) {
        memcpy(folders[i], "/tmp/process_test.XXXXXX", sizeof "/tmp/process_test.XXXXXX");
        assert_non_null(mkdtemp(folders[i]));
        tb_process_options options = {.arguments = SHELL("sleep 1000"), .scratch = folders[i]};
        assert_int_equal(tb_process_start(&processes[i], &options, NULL), TB_OK);
    }
    for (int i = 0; i < 4; i++) {
        int program = tb_process_get_id(processes[i]);
        assert_false(is_gone(program));
        tb_process_close(processes[i]);
        assert_true(is_gone(program));
        assert_int_not_equal(access(folders[i], F_OK), 0);
    }
}

static void run__survives_failing_allocations(void **state)
{
    (void)state;
    tb_process_options options = {.arguments = SHELL("echo hello")};
    bool failed = true;
    for (long long n = 0; failed && n < 100; n++) {
        tb_process_result r;
        tb_error err = {0};
        tb_mem_fail_after(n);
        tb_code rc = tb_process_run(&r, &options, &patient, NULL, &err);
        tb_mem_fail_after(-1);
        failed = rc != TB_OK;
        if (failed)
            assert_int_equal(rc, TB_ENOMEM);
        else
            tb_process_result_clear(&r);
    }
    assert_false(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run__gives_what_a_program_writes_and_its_status),
        cmocka_unit_test(run__tells_the_signal_that_killed_a_program),
        cmocka_unit_test(run__keeps_the_first_bytes_up_to_the_limit_of_each_stream),
        cmocka_unit_test(run__ends_a_program_whose_time_is_over),
        cmocka_unit_test(run__stops_when_the_report_asks),
        cmocka_unit_test(run__leaves_none_of_what_a_program_has_started),
        cmocka_unit_test(run__gives_the_environment_that_was_asked_for),
        cmocka_unit_test(run__works_in_the_folder_and_with_the_path_that_were_asked_for),
        cmocka_unit_test(start__says_why_a_program_cannot_be_run),
        cmocka_unit_test(start__gives_descriptors_in_their_places_and_no_others),
        cmocka_unit_test(wait__returns_when_its_time_is_over),
        cmocka_unit_test(close__ends_one_of_several),
        cmocka_unit_test(parent__killed_leaves_no_process_and_no_file),
        cmocka_unit_test(run__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
