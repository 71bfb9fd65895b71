// Line editing with history, on a terminal: line_edit_libedit.c, or line_edit_none.c where the
// program is built without libedit.
#ifndef TB_CLI_LINE_EDIT_H
#define TB_CLI_LINE_EDIT_H

#include "cli/line_input.h"

typedef struct tb_line_edit tb_line_edit;

// Edits on standard input and stderr. NULL where there is no editing; lines are then read as they come.
tb_line_edit *tb_line_edit_new(void);
void tb_line_edit_free(tb_line_edit *edit); // leaves the terminal as it was

// Appends a line without its newline to `line`, and to the history.
tb_code tb_line_edit_read(tb_line_end *end, tb_str *line, tb_line_edit *edit, const char *prompt, tb_error *err);

#endif
