// What compare shows of a comparison that was made: the table, also as Markdown (compare_show.c), data for programs
// (compare_data.c), a picture (compare_chart.c).
#ifndef TB_CLI_COMPARE_SHOW_H
#define TB_CLI_COMPARE_SHOW_H

#include "lab/lab.h"

tb_code tb_compare_print_table(const tb_comparison *c, tb_error *err);
tb_code tb_compare_write_markdown(const tb_comparison *c, const char *path, tb_error *err);
tb_code tb_compare_write_csv(const tb_comparison *c, const char *path, tb_error *err);
tb_code tb_compare_draw(const tb_comparison *c, const char *path, tb_error *err);

struct json_t;
// Takes `continuations` (a JSON array, may be NULL).
tb_code tb_compare_print_json(const tb_comparison *c, struct json_t *continuations, tb_error *err);

#endif
