#include "cli/readable_output.h"

#include <unistd.h>

tb_code tb_readable_output_init(tb_readable_output *out, const char *path, tb_error *err)
{
    *out = (tb_readable_output){.path = path};
    tb_code rc = tb_target_find(&out->target, path, err);
    if (rc || !out->target.streams)
        return rc;
    rc = tb_target_work_path(&out->file, &out->target, "", err);
    out->path = out->file.data;
    out->is_stdout = tb_target_is(&out->target, STDOUT_FILENO);
    return rc;
}

tb_code tb_readable_output_finish(tb_readable_output *out, tb_error *err)
{
    return out->target.streams ? tb_target_take(&out->target, out->path, err) : TB_OK;
}

void tb_readable_output_clear(tb_readable_output *out)
{
    tb_str_clear(&out->file);
    tb_target_clear(&out->target);
}
