// An output that the command reads again when it is complete: to verify, to measure, to say what is in it.
#ifndef TB_CLI_READABLE_OUTPUT_H
#define TB_CLI_READABLE_OUTPUT_H

#include "base/base.h"

typedef struct tb_readable_output {
    tb_target target;
    tb_str file;
    const char *path; // what to write and read: the output itself, or a file for what streams (base/target.h)
    bool is_stdout;   // then nothing else may be printed there
} tb_readable_output;

tb_code tb_readable_output_init(tb_readable_output *out, const char *path, tb_error *err);

// The complete file goes where it belongs.
tb_code tb_readable_output_finish(tb_readable_output *out, tb_error *err);

void tb_readable_output_clear(tb_readable_output *out);

#endif
