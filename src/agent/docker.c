#include "agent/docker.h"

#include <string.h>

enum { EXIT_REFUSED = 1, EXIT_UNKNOWN_CALL = 125 }; // as the client has them

bool tb_docker_is_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash ? slash + 1 : program, "docker") == 0;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

// The first operand at or behind argv[at]; options named in `with_value` are followed by a value. NULL: none.
static const char *find_operand(int argc, const char *const *argv, int at, const char *const *with_value)
{
    while (at < argc && argv[at][0] == '-' && argv[at][1])
        at += is_one_of(argv[at], with_value) ? 2 : 1;
    return at < argc ? argv[at] : NULL;
}

static int fail_call(tb_str *errors, const char *call)
{
    tb_str_printf(errors, NULL, "docker: '%s' is not a call that a slot without containers understands\n", call);
    return EXIT_UNKNOWN_CALL;
}

static int fail_container(tb_str *errors, const char *name, size_t size)
{
    tb_str_printf(errors, NULL, "Error response from daemon: No such container: %.*s\n", (int)size, name);
    return EXIT_REFUSED;
}

static int answer_exec(tb_str *errors, int argc, const char *const *argv)
{
    static const char *const with_value[] = {"-e", "--env", "-u", "--user", "-w", "--workdir", NULL};
    const char *name = find_operand(argc, argv, 2, with_value);
    return name ? fail_container(errors, name, strlen(name)) : fail_call(errors, "exec");
}

// One of the two places is NAME:PATH.
static int answer_cp(tb_str *errors, int argc, const char *const *argv)
{
    for (int i = 2; i < argc; i++) {
        const char *colon = argv[i][0] == '-' ? NULL : strchr(argv[i], ':');
        if (colon)
            return fail_container(errors, argv[i], (size_t)(colon - argv[i]));
    }
    return fail_call(errors, "cp");
}

static int answer_inspect(tb_str *output, tb_str *errors, int argc, const char *const *argv)
{
    static const char *const with_value[] = {"-f", "--format", "--type", NULL};
    const char *name = find_operand(argc, argv, 2, with_value);
    if (!name)
        return fail_call(errors, "inspect");
    tb_str_append_text(output, "\n", NULL);
    tb_str_printf(errors, NULL, "Error: No such object: %s\n", name);
    return EXIT_REFUSED;
}

static int answer_logs(tb_str *errors, int argc, const char *const *argv)
{
    static const char *const with_value[] = {"-n", "--tail", "--since", "--until", NULL};
    const char *name = find_operand(argc, argv, 2, with_value);
    return name ? fail_container(errors, name, strlen(name)) : fail_call(errors, "logs");
}

int tb_docker_answer(tb_str *output, tb_str *errors, int argc, const char *const *argv)
{
    const char *call = argc > 1 ? argv[1] : "";
    if (strcmp(call, "exec") == 0)
        return answer_exec(errors, argc, argv);
    if (strcmp(call, "cp") == 0)
        return answer_cp(errors, argc, argv);
    if (strcmp(call, "inspect") == 0)
        return answer_inspect(output, errors, argc, argv);
    if (strcmp(call, "logs") == 0)
        return answer_logs(errors, argc, argv);
    return strcmp(call, "ps") == 0 ? 0 : fail_call(errors, call);
}
