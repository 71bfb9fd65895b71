// The script is gnuplot's standard input, the picture its standard output; both are files without a name, so that
// neither can block and no path has to be quoted.
#include "cli/plot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PICTURE_LIMIT = 64 << 20 };

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static tb_code missing(const char *path, tb_error *err)
{
    return tb_fail(err, TB_EUNSUPPORTED, "cannot draw '%s': gnuplot is not installed (package gnuplot-nox)", path);
}

static tb_code wait_for(pid_t pid, const char *path, tb_error *err)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return tb_fail(err, TB_EIO, "cannot wait for gnuplot: %s", strerror(errno));
    // 127 is what posix_spawn gives where it cannot tell that the program is missing.
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return missing(path, err);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return tb_fail(err, TB_EIO, "gnuplot could not draw '%s'", path);
    return TB_OK;
}

static tb_code run_gnuplot(FILE *input, FILE *output, const char *path, tb_error *err)
{
    // posix_spawn wants pointers to non-const for historical reasons and changes nothing.
    char program[] = "gnuplot", *argv[] = {program, NULL};
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO);
    int failure = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure == ENOENT)
        return missing(path, err);
    if (failure)
        return tb_fail(err, TB_EIO, "cannot start gnuplot: %s", strerror(failure));
    return wait_for(pid, path, err);
}

static tb_code save(const char *path, FILE *picture, tb_error *err)
{
    long size = fseek(picture, 0, SEEK_END) == 0 ? ftell(picture) : -1;
    if (size <= 0 || size > PICTURE_LIMIT)
        return tb_fail(err, TB_EIO, "gnuplot has drawn nothing for '%s'", path);
    rewind(picture);
    char *bytes = tb_alloc((size_t)size);
    tb_code rc = bytes ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the picture '%s'", path);
    if (!rc && fread(bytes, 1, (size_t)size, picture) != (size_t)size)
        rc = tb_fail(err, TB_EIO, "cannot read the picture '%s'", path);
    if (!rc)
        rc = tb_file_write(path, bytes, (size_t)size, err);
    tb_free(bytes);
    return rc;
}

// A script in, bytes out; `keep` says whether the bytes become the file.
static tb_code run_script(const char *path, const char *script, bool keep, tb_error *err)
{
    FILE *input = tmpfile(), *output = tmpfile();
    tb_code rc = TB_OK;
    if (!input || !output || fputs(script, input) == EOF || fflush(input) != 0)
        rc = tb_fail(err, TB_EIO, "cannot make a temporary file: %s", strerror(errno));
    if (!rc) {
        rewind(input);
        rc = run_gnuplot(input, output, path, err);
    }
    if (!rc && keep)
        rc = save(path, output, err);
    if (input)
        fclose(input);
    if (output)
        fclose(output);
    return rc;
}

tb_code tb_plot_check(const char *path, tb_error *err)
{
    if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
        return tb_fail(err, TB_EINVAL, "'%s' is no picture twobit can draw; use a name that ends in .svg or .png",
                       path);
    return run_script(path, "", false, err);
}

tb_code tb_plot_draw(const char *path, const char *script, unsigned width, unsigned height, tb_error *err)
{
    tb_str whole = {0};
    const char *terminal = ends_in(path, ".svg") ? "svg" : "pngcairo";
    tb_code rc = tb_str_printf(
        &whole, err, "set encoding utf8\nset terminal %s size %u,%u font 'Sans,12' background rgb 'white'\n%s",
        terminal, width, height, script);
    if (!rc)
        rc = run_script(path, whole.data, true, err);
    tb_str_clear(&whole);
    return rc;
}

tb_code tb_plot_quote(tb_str *out, const char *text, tb_error *err)
{
    tb_code rc = tb_str_append_text(out, "\"", err);
    for (; *text && !rc; text++) {
        bool control = (unsigned char)*text < ' ';
        if (strchr("\"\\`", *text))
            rc = tb_str_append_text(out, "\\", err);
        if (!rc)
            rc = tb_str_append(out, control ? "?" : text, 1, err);
    }
    return rc ? rc : tb_str_append_text(out, "\"", err);
}
