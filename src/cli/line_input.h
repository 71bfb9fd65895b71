// Lines from whoever speaks to the program: a person at a terminal, who sees a prompt and may edit,
// or a pipe.
#ifndef TB_CLI_LINE_INPUT_H
#define TB_CLI_LINE_INPUT_H

#include <stdbool.h>

#include "base/base.h"

typedef enum tb_line_end {
    TB_LINE_READ,
    TB_LINE_CLOSED,      // the input is over: Ctrl-D
    TB_LINE_INTERRUPTED, // Ctrl-C or SIGTERM
} tb_line_end;

typedef struct tb_line_input tb_line_input;

tb_code tb_line_input_open(tb_line_input **out, tb_error *err);
void tb_line_input_close(tb_line_input *input);

// True when a person sits there: standard input and stderr are a terminal.
bool tb_line_input_is_person(const tb_line_input *input);

// Appends the next line to `line`, without its newline. A person is shown `prompt`.
tb_code tb_line_input_read(tb_line_end *end, tb_str *line, tb_line_input *input, const char *prompt, tb_error *err);

#endif
