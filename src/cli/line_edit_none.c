// A build without line editing.
#include "cli/line_edit.h"

tb_line_edit *tb_line_edit_new(void)
{
    return NULL;
}

void tb_line_edit_free(tb_line_edit *edit)
{
    (void)edit;
}

tb_code tb_line_edit_read(tb_line_end *end, tb_str *line, tb_line_edit *edit, const char *prompt, tb_error *err)
{
    (void)line;
    (void)edit;
    (void)prompt;
    *end = TB_LINE_CLOSED;
    return tb_fail(err, TB_EUNSUPPORTED, "this program is built without line editing");
}
