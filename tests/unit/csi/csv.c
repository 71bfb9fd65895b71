#include "csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static size_t count_char(const char *text, char c)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

csv csv_open(const char *name)
{
    csv table = {0};
    char path[512];
    size_t size;
    tb_error err;
    snprintf(path, sizeof path, "%s/csi/%s", TB_GOLDEN, name);
    if (tb_file_read(&table.text, &size, path, 1 << 20, &err))
        fail_msg("%s", err.message);
    size_t lines = count_char(table.text, '\n');
    table.cols = strcspn(table.text, "\n");
    table.cells = tb_alloc_array((table.cols + 1) * lines, sizeof *table.cells);
    assert_non_null(table.cells);
    table.cols = 1;
    for (const char *c = table.text; *c && *c != '\n'; c++)
        table.cols += *c == ',';
    size_t cell = 0;
    for (char *c = table.text; *c; cell++) {
        table.cells[cell] = c;
        c += strcspn(c, ",\r\n");
        while (*c == ',' || *c == '\r' || *c == '\n') {
            char end = *c;
            *c++ = '\0';
            if (end == ',')
                break;
        }
    }
    assert_int_equal(cell, lines * table.cols);
    table.rows = lines - 1;
    return table;
}

void csv_close(csv *table)
{
    tb_free(table->cells);
    tb_free(table->text);
}

const char *csv_text(const csv *table, size_t row, const char *column)
{
    for (size_t i = 0; i < table->cols; i++)
        if (strcmp(table->cells[i], column) == 0)
            return table->cells[(row + 1) * table->cols + i];
    fail_msg("no column %s", column);
    return NULL;
}

double csv_get(const csv *table, size_t row, const char *column)
{
    return strtod(csv_text(table, row, column), NULL);
}

size_t csv_find(const csv *table, ...)
{
    for (size_t row = 0; row < table->rows; row++) {
        va_list args;
        va_start(args, table);
        bool matches = true;
        for (const char *column; (column = va_arg(args, const char *));)
            matches = fabs(csv_get(table, row, column) - va_arg(args, double)) < 1e-12 && matches;
        va_end(args);
        if (matches)
            return row;
    }
    fail_msg("no such row");
    return 0;
}
