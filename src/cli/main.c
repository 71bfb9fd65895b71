// The program: finds the command, parses its options, runs it, and turns its result into an exit
// status: 0, 1 (failed) or 2 (usage).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/launch.h"
#include "cli/own_stack.h"
#include "cli/restart.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const tb_command *const commands[] = {
    &tb_command_info,       &tb_command_run,     &tb_command_chat,  &tb_command_quantize, &tb_command_analyze,
    &tb_command_perplexity, &tb_command_compare, &tb_command_bench, &tb_command_tokenize, &tb_command_template,
    &tb_command_logits,     &tb_command_embed,   &tb_command_train, &tb_command_prefix,
};

static const tb_command *const csi_commands[] = {
    &tb_command_csi_evaluate, &tb_command_csi_train,    &tb_command_csi_quantize,
    &tb_command_csi_stream,   &tb_command_csi_simulate, &tb_command_csi_plot,
};

static const tb_command *const sink_commands[] = {
    &tb_command_sink_map,     &tb_command_sink_massive,   &tb_command_sink_super, &tb_command_sink_value,
    &tb_command_sink_entropy, &tb_command_sink_positions, &tb_command_sink_heads, &tb_command_sink_geometry,
    &tb_command_sink_ablate,  &tb_command_sink_gamma,     &tb_command_sink_prune, &tb_command_sink_split,
    &tb_command_sink_report,
};

static const tb_command *const saas_commands[] = {
    &tb_command_saas_list,    &tb_command_saas_facts, &tb_command_saas_verify, &tb_command_saas_report,
    &tb_command_saas_compare, &tb_command_saas_lint,  &tb_command_saas_shot,
};

static const tb_command_group groups[] = {
    {"sink", "attention sinks: where they are, what makes them", sink_commands,
     sizeof sink_commands / sizeof sink_commands[0]},
    {"csi", "wireless channel feedback: simulate, train, measure, stream, plot", csi_commands,
     sizeof csi_commands / sizeof csi_commands[0]},
    {"saas", "web agents at work in real applications, measured", saas_commands,
     sizeof saas_commands / sizeof saas_commands[0]},
};

enum { COMMANDS = sizeof commands / sizeof commands[0], GROUPS = sizeof groups / sizeof groups[0] };

static void print_overview(FILE *to)
{
    fputs("twobit: language models at about two bits per weight\n\n"
          "Examples:\n"
          "  twobit run model.gguf -p \"Once upon a time\"\n"
          "  twobit chat model.gguf\n"
          "  twobit quantize model.gguf -o small.gguf --method bpdq\n"
          "  twobit compare model.gguf\n\n"
          "Usage: twobit COMMAND [arguments]\n\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-12s%s\n", commands[i]->name, commands[i]->summary);
    for (size_t i = 0; i < GROUPS; i++)
        fprintf(to, "  %-12s%s\n", groups[i].name, groups[i].summary);
    fputs("\n'twobit help COMMAND' says more about each. A MODEL is a GGUF file, a twobit file or a\n"
          "Hugging Face folder.\n",
          to);
}

static const tb_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int fail_unknown_command(const char *name)
{
    const char *names[COMMANDS + GROUPS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    for (size_t i = 0; i < GROUPS; i++)
        names[COMMANDS + i] = groups[i].name;
    const char *meant = tb_suggest(name, names, COMMANDS + GROUPS);
    fprintf(stderr, "twobit: unknown command '%s'", name);
    if (meant)
        fprintf(stderr, "; did you mean '%s'?", meant);
    fputs("\nusage: twobit COMMAND [arguments]; 'twobit help' lists the commands\n", stderr);
    return EXIT_USAGE;
}

static tb_code check_operands(tb_cli *cli, tb_error *err)
{
    const tb_command *c = cli->command;
    if (cli->operands.count < c->least_operands)
        return tb_fail_usage(cli, err, "%s is missing", cli->operands.count == 0 ? "the model" : "an argument");
    if (cli->operands.count > c->most_operands)
        return tb_fail_usage(cli, err, "'%s' is one argument too many", cli->operands.items[c->most_operands]);
    return TB_OK;
}

static tb_code check_common(tb_cli *cli, tb_error *err)
{
    tb_cpu cpu;
    if (cli->common.cpu && !tb_cpu_parse(&cpu, cli->common.cpu))
        return tb_fail_usage(cli, err, "unknown kernel level '%s'; use scalar, avx2, avx512, vnni or native",
                             cli->common.cpu);
    const char *most = getenv("TWOBIT_CPU");
    if (most && !tb_cpu_parse(&cpu, most))
        return tb_fail(err, TB_EINVAL, "unknown kernel level '%s' in the environment variable TWOBIT_CPU", most);
    return TB_OK;
}

static tb_code check_ranks(const tb_cli *cli, tb_error *err)
{
    if (tb_ranks_count(cli->ranks) > 1 && !cli->command->takes_ranks)
        return tb_fail(err, TB_EUNSUPPORTED, "'twobit %s' works in one process; start it without mpirun",
                       cli->command->name);
    return TB_OK;
}

// Parses into `args` (which holds the defaults) and runs the command.
static tb_code parse_and_run(tb_cli *cli, void *args, int argc, const char *const *argv, tb_error *err)
{
    const tb_command *c = cli->command;
    tb_option_set sets[2 + TB_MOST_SHARED_OPTIONS] = {{c->options, args}};
    size_t n = 1;
    for (size_t i = 0; i < TB_MOST_SHARED_OPTIONS && c->shared[i].options; i++)
        sets[n++] = (tb_option_set){c->shared[i].options, (char *)args + c->shared[i].offset};
    sets[n++] = (tb_option_set){tb_common_option_table, &cli->common};
    tb_code rc = tb_options_parse(&cli->operands, sets, n, argc, argv, err);
    cli->misused = rc == TB_EINVAL;
    if (rc)
        return rc;
    bool first = tb_ranks_is_first(cli->ranks);
    if (cli->common.help)
        return first ? tb_command_help(cli, err) : TB_OK;
    rc = check_common(cli, err);
    if (!rc)
        rc = check_operands(cli, err);
    if (!rc)
        rc = check_ranks(cli, err);
    if (rc)
        return rc;
    tb_progress_init(&cli->progress, cli->common.quiet || !first, cli->common.verbose && first);
    cli->report = tb_progress_report(&cli->progress);
    tb_note_blas_core(&cli->report);
    rc = cli->command->run(cli, args, err);
    tb_progress_clear(&cli->progress);
    return rc;
}

static tb_code run_command(tb_cli *cli, int argc, const char *const *argv, tb_error *err)
{
    const tb_command *c = cli->command;
    void *args = tb_alloc(c->args_size);
    cli->operands.items = tb_alloc_array((size_t)argc + 1, sizeof *cli->operands.items);
    tb_code rc = TB_OK;
    if (!args || !cli->operands.items) {
        rc = tb_fail(err, TB_ENOMEM, "no memory for the arguments");
    } else {
        memcpy(args, c->defaults, c->args_size);
        rc = parse_and_run(cli, args, argc, argv, err);
    }
    tb_free(cli->operands.items);
    tb_free(args);
    return rc;
}

// What was printed must have arrived. A reader that went away needs no sentence about it.
// `earlier` is the errno of a write that failed before, or 0.
static int finish_stdout(int earlier)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    int reason = earlier ? earlier : errno; // 0: a write that failed before, and nobody kept why
    if (reason == EBADF)
        fprintf(stderr, "twobit: cannot write the output: standard output is closed\n");
    else if (reason != EPIPE)
        fprintf(stderr, "twobit: cannot write the output: %s\n", reason ? strerror(reason) : "a write failed");
    return EXIT_FAILED;
}

static int fail_command(const tb_cli *cli, tb_code rc, const tb_error *err)
{
    fflush(stdout);
    if (tb_ranks_is_first(cli->ranks))
        fprintf(stderr, "twobit: %s\n", err->message);
    if (rc == TB_ECANCELLED)
        tb_interrupt_finish();
    if (!cli->misused)
        return EXIT_FAILED;
    const tb_command *c = cli->command;
    if (tb_ranks_is_first(cli->ranks))
        fprintf(stderr, "usage: twobit %s %s\n'twobit help %s' explains the options\n", c->name, c->usage, c->name);
    return EXIT_USAGE;
}

// Several processes end alike: with what went wrong in any of them.
static int start_command(const tb_command *command, int argc, const char *const *argv)
{
    tb_ranks ranks;
    tb_cli cli = {.command = command, .ranks = &ranks};
    tb_error err = {0};
    tb_code rc = tb_ranks_join(&ranks, &err);
    if (!rc) {
        cli.ranks = ranks.count ? &ranks : NULL;
        rc = tb_ranks_meet(cli.ranks, run_command(&cli, argc, argv, &err), NULL, 0, &err);
    }
    int status = rc ? fail_command(&cli, rc, &err) : finish_stdout(cli.output_errno);
    if (!status)
        status = cli.exit_status;
    tb_ranks_leave(&ranks);
    return status;
}

// ---- groups ----

static const tb_command_group *find_group(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (strcmp(groups[i].name, name) == 0)
            return &groups[i];
    return NULL;
}

// The last word of "csi evaluate".
static const char *name_in_group(const tb_command_group *group, const tb_command *command)
{
    return command->name + strlen(group->name) + 1;
}

static void print_group(const tb_command_group *group, FILE *to)
{
    fprintf(to, "twobit %s: %s\n\nUsage: twobit %s COMMAND [arguments]\n\nCommands:\n", group->name, group->summary,
            group->name);
    for (size_t i = 0; i < group->count; i++)
        fprintf(to, "  %-12s%s\n", name_in_group(group, group->commands[i]), group->commands[i]->summary);
    fprintf(to, "\n'twobit help %s COMMAND' says more about each.\n", group->name);
}

static int start_in_group(const tb_command_group *group, int argc, const char *const *argv)
{
    if (argc == 0) {
        print_group(group, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_group(group, stdout);
        return finish_stdout(0);
    }
    for (size_t i = 0; i < group->count; i++)
        if (strcmp(name_in_group(group, group->commands[i]), argv[0]) == 0)
            return start_command(group->commands[i], argc - 1, argv + 1);
    fprintf(stderr,
            "twobit: unknown command '%s %s'\nusage: twobit %s COMMAND [arguments]; 'twobit help %s' lists them\n",
            group->name, argv[0], group->name, group->name);
    return EXIT_USAGE;
}

static int start_named(const char *name, int argc, const char *const *argv)
{
    const tb_command_group *group = find_group(name);
    if (group)
        return start_in_group(group, argc, argv);
    const tb_command *command = find_command(name);
    return command ? start_command(command, argc, argv) : fail_unknown_command(name);
}

// `twobit help`, `twobit help COMMAND`, `twobit help csi COMMAND`
static int help(int argc, const char *const *argv)
{
    static const char *const ask[] = {"--help"};
    if (argc > 1 && find_group(argv[0])) {
        const char *const ask_member[] = {argv[1], ask[0]};
        return start_named(argv[0], 2, ask_member);
    }
    if (argc > 0)
        return start_named(argv[0], 1, ask);
    print_overview(stdout);
    return finish_stdout(0);
}

static int dispatch(int argc, const char *const *argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("twobit %s\n", tb_version());
        return finish_stdout(0);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(argc - 2, argv + 2);
    return start_named(argv[1], argc - 2, argv + 2);
}

// A file must not become standard output because that was closed when the program started. What is printed there must
// not seem to have arrived either: a folder can be written neither through its descriptor nor as /dev/stdout.
static void open_missing_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open(fd == STDOUT_FILENO ? "/" : "/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

// A verifier called us where it expects the client of Docker.
static int answer_as_docker(int argc, const char *const *argv)
{
    tb_str output = {0}, errors = {0};
    int status = tb_docker_answer(&output, &errors, argc, argv);
    fputs(tb_str_get(&output), stdout);
    fputs(tb_str_get(&errors), stderr);
    tb_str_clear(&output);
    tb_str_clear(&errors);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 0 && tb_docker_is_name(argv[0]))
        return answer_as_docker(argc, (const char *const *)argv);
    tb_restart_with_blas_core(argv);
    open_missing_streams();
    tb_interrupt_init();
    return tb_run_on_own_stack(dispatch, argc, (const char *const *)argv);
}
