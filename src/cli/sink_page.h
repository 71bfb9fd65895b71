// The page of `twobit sink report`: one HTML document with everything inside.
#ifndef TB_CLI_SINK_PAGE_H
#define TB_CLI_SINK_PAGE_H

#include "cli/sink_args.h"

// What it tells of. All measured on the same kind of sequences.
typedef struct tb_sink_page {
    const tb_sink_job *job;
    const tb_sink_result *result, *reference;           // reference: or NULL
    const tb_super_result *weights, *reference_weights; // or NULL: not looked for
    const tb_ablation_result *ablation;                 // or NULL: not made
    double seconds;
} tb_sink_page;

// Appends the document.
tb_code tb_sink_page_write(tb_str *out, const tb_sink_page *page, tb_error *err);

#endif
