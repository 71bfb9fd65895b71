// Progress for people who watch: one line on stderr that is redrawn, only on a terminal, at most
// six times a second, and gone when the work is done. Notes are whole lines on stderr.
#ifndef TB_CLI_PROGRESS_H
#define TB_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef struct tb_progress {
    bool shows; // stderr is a terminal that can redraw a line, and nobody asked for quiet
    bool quiet, verbose;
    bool drawn;                  // a line stands there now
    char stage[64];              // the work under way
    double begun_at, begun_with; // time and amount done when this stage was first heard of
    double drawn_at;
} tb_progress;

void tb_progress_init(tb_progress *progress, bool quiet, bool verbose);

// Wipes the line, so that something else can be printed.
void tb_progress_clear(tb_progress *progress);

// The report that draws on `progress`; borrowed. It also tells whether the user asked to stop.
tb_report tb_progress_report(tb_progress *progress);

// The line for people: "quantize [####    ] 12/30 blocks, 0.5 blocks/s, 0:36 left", cut to
// `width` columns. `seconds` have passed since `begun_with` was done.
void tb_progress_format(char *line, size_t size, size_t width, const char *stage, double done, double begun_with,
                        double total, const char *unit, double seconds);

#endif
