#include "cli/line_input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/line_edit.h"

enum { CHUNK = 4096 };

struct tb_line_input {
    bool is_person;
    tb_line_edit *edit; // NULL: lines as they come
    char bytes[CHUNK];  // from `taken` to `filled`: read, and part of no line yet
    size_t taken, filled;
};

tb_code tb_line_input_open(tb_line_input **out, tb_error *err)
{
    *out = NULL;
    tb_line_input *input = tb_new(tb_line_input);
    if (!input)
        return tb_fail(err, TB_ENOMEM, "no memory to read lines");
    input->is_person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    if (input->is_person)
        input->edit = tb_line_edit_new();
    *out = input;
    return TB_OK;
}

void tb_line_input_close(tb_line_input *input)
{
    if (!input)
        return;
    tb_line_edit_free(input->edit);
    tb_free(input);
}

bool tb_line_input_is_person(const tb_line_input *input)
{
    return input->is_person;
}

// Reads more bytes. *end: TB_LINE_READ when there are some.
static tb_code fill(tb_line_end *end, tb_line_input *input, tb_error *err)
{
    for (;;) {
        tb_wait what = tb_interrupt_wait(STDIN_FILENO);
        if (what == TB_WAIT_CONTINUED)
            continue;
        *end = what == TB_WAIT_INTERRUPTED ? TB_LINE_INTERRUPTED : TB_LINE_CLOSED;
        if (what == TB_WAIT_INTERRUPTED)
            return TB_OK;
        ssize_t n = read(STDIN_FILENO, input->bytes, sizeof input->bytes);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return tb_fail(err, TB_EIO, "cannot read the input: %s", strerror(errno));
        input->taken = 0;
        input->filled = (size_t)n;
        if (n > 0)
            *end = TB_LINE_READ;
        return TB_OK;
    }
}

// A last line may lack its newline; that of Windows is CR LF.
static tb_code read_plain(tb_line_end *end, tb_str *line, tb_line_input *input, tb_error *err)
{
    size_t before = line->size;
    const char *newline = NULL;
    tb_code rc = TB_OK;
    *end = TB_LINE_READ;
    while (!newline && !rc) {
        if (input->taken == input->filled)
            rc = fill(end, input, err);
        if (rc || *end != TB_LINE_READ)
            break;
        const char *bytes = input->bytes + input->taken;
        size_t n = input->filled - input->taken;
        newline = memchr(bytes, '\n', n);
        if (newline)
            n = (size_t)(newline - bytes);
        rc = tb_str_append(line, bytes, n, err);
        input->taken += n + (newline ? 1 : 0);
    }
    if (newline && !rc && line->size > before && line->data[line->size - 1] == '\r')
        tb_str_truncate(line, line->size - 1);
    if (*end == TB_LINE_CLOSED && line->size > before)
        *end = TB_LINE_READ;
    return rc;
}

tb_code tb_line_input_read(tb_line_end *end, tb_str *line, tb_line_input *input, const char *prompt, tb_error *err)
{
    if (input->edit)
        return tb_line_edit_read(end, line, input->edit, prompt, err);
    if (input->is_person)
        fputs(prompt, stderr);
    return read_plain(end, line, input, err);
}
