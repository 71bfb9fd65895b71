// The file of `run --sink-log`: a line of CSV for each token that was generated.
#ifndef TB_CLI_SINK_LOG_H
#define TB_CLI_SINK_LOG_H

#include "generate/generate.h"

typedef struct tb_sink_log {
    tb_outfile *file;
    const tb_tokenizer *tokenizer; // set before the first line
    tb_decoder decoder;            // a character may need several tokens; it belongs to the last of them
    tb_str text, line;
} tb_sink_log;

// Begins the file, which appears when it is finished (a pipe gets lines as they come). Clear also after failure.
tb_code tb_sink_log_open(tb_sink_log *log, const char *path, tb_error *err);
tb_code tb_sink_log_add(tb_sink_log *log, const tb_sink_sight *sight, tb_error *err);
tb_code tb_sink_log_finish(tb_sink_log *log, tb_error *err);
void tb_sink_log_clear(tb_sink_log *log);

#endif
