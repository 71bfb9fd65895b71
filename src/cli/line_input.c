#include "cli/line_input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/line_edit.h"

struct tb_line_input {
    bool is_person;
    tb_line_edit *edit; // NULL: lines as they come
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

// getc that goes on after signals that ask for nothing.
static int next_byte(void)
{
    int c = getc(stdin);
    while (c == EOF && ferror(stdin) && errno == EINTR && !tb_interrupt_requested()) {
        clearerr(stdin);
        c = getc(stdin);
    }
    return c;
}

static tb_code read_plain(tb_line_end *end, tb_str *line, tb_error *err)
{
    tb_code rc = TB_OK;
    size_t before = line->size;
    int c;
    errno = 0;
    while (!rc && (c = next_byte()) != EOF && c != '\n')
        rc = tb_str_append(line, &(char){(char)c}, 1, err);
    if (rc || c == '\n' || (line->size > before && feof(stdin))) {
        *end = TB_LINE_READ;
        return rc;
    }
    *end = tb_interrupt_requested() ? TB_LINE_INTERRUPTED : TB_LINE_CLOSED;
    if (*end == TB_LINE_CLOSED && ferror(stdin))
        return tb_fail(err, TB_EIO, "cannot read the input: %s", strerror(errno));
    clearerr(stdin);
    return TB_OK;
}

tb_code tb_line_input_read(tb_line_end *end, tb_str *line, tb_line_input *input, const char *prompt, tb_error *err)
{
    if (input->edit)
        return tb_line_edit_read(end, line, input->edit, prompt, err);
    if (input->is_person)
        fputs(prompt, stderr);
    return read_plain(end, line, err);
}
