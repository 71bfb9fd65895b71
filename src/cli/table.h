// Tables for people: columns as wide as their widest cell, numbers to the right.
#ifndef TB_CLI_TABLE_H
#define TB_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef struct tb_column {
    const char *heading; // may hold newlines: a heading of several lines
    bool right;          // align to the right
} tb_column;

typedef struct tb_table {
    const tb_column *columns;
    size_t column_count;
    tb_str cells; // texts with a NUL behind each, row by row
    size_t cell_count;
} tb_table;

void tb_table_init(tb_table *table, const tb_column *columns, size_t column_count);
void tb_table_clear(tb_table *table);

// The next cell, row by row. Control characters become '?': texts of files come here.
tb_code tb_table_add(tb_table *table, const char *text, tb_error *err);

// The same, made by printf.
tb_code tb_table_printf(tb_table *table, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Appends the table, line by line; UTF-8 characters count as one column each.
tb_code tb_table_write(tb_str *out, const tb_table *table, tb_error *err);

// Appends the same as a table of Markdown.
tb_code tb_table_write_markdown(tb_str *out, const tb_table *table, tb_error *err);

// Prints it on stdout.
tb_code tb_table_print(const tb_table *table, tb_error *err);

#endif
