#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_COLUMNS = 48, GAP = 2 };

void tb_table_init(tb_table *table, const tb_column *columns, size_t column_count)
{
    *table = (tb_table){.columns = columns, .column_count = column_count};
}

void tb_table_clear(tb_table *table)
{
    tb_str_clear(&table->cells);
    table->cell_count = 0;
}

tb_code tb_table_add(tb_table *table, const char *text, tb_error *err)
{
    size_t start = table->cells.size;
    tb_code rc = tb_str_append(&table->cells, text, strlen(text) + 1, err);
    if (rc)
        return rc;
    for (char *p = table->cells.data + start; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    table->cell_count++;
    return TB_OK;
}

tb_code tb_table_printf(tb_table *table, tb_error *err, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tb_table_add(table, text, err);
}

// Characters of the first `n` bytes: all bytes but those that continue one.
static size_t count_characters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

// Line `index` of a heading; NULL when it has fewer. *n is its length.
static const char *heading_line(const char *heading, size_t index, size_t *n)
{
    for (; index > 0; index--) {
        heading = strchr(heading, '\n');
        if (!heading)
            return NULL;
        heading++;
    }
    *n = strcspn(heading, "\n");
    return heading;
}

static size_t count_heading_lines(const char *heading)
{
    size_t lines = 1;
    for (; *heading; heading++)
        lines += *heading == '\n';
    return lines;
}

static void widen(size_t *width, const char *text, size_t n)
{
    size_t characters = count_characters(text, n);
    if (characters > *width)
        *width = characters;
}

// Fills width[column_count]; returns the most lines of a heading.
static size_t measure(size_t *width, const tb_table *t)
{
    size_t lines = 0;
    for (size_t c = 0; c < t->column_count; c++) {
        size_t own = count_heading_lines(t->columns[c].heading), n;
        lines = own > lines ? own : lines;
        width[c] = 0;
        for (size_t i = 0; i < own; i++) {
            const char *line = heading_line(t->columns[c].heading, i, &n);
            widen(&width[c], line, n);
        }
    }
    const char *cell = tb_str_get(&t->cells);
    for (size_t i = 0; i < t->cell_count; i++, cell += strlen(cell) + 1)
        widen(&width[i % t->column_count], cell, strlen(cell));
    return lines;
}

static tb_code append_cell(tb_str *out, const tb_table *t, const size_t *width, size_t column, const char *text,
                           size_t n, tb_error *err)
{
    int padding = (int)(width[column] - count_characters(text, n));
    bool right = t->columns[column].right, last = column + 1 == t->column_count;
    return tb_str_printf(out, err, "%*s%.*s%*s%s", right ? padding : 0, "", (int)n, text,
                         right || last ? 0 : padding + GAP, "",
                         last    ? "\n"
                         : right ? "  "
                                 : "");
}

// Headings stand at the bottom of their lines.
static tb_code append_headings(tb_str *out, const tb_table *t, const size_t *width, size_t lines, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t line = 0; line < lines; line++)
        for (size_t c = 0; !rc && c < t->column_count; c++) {
            size_t empty = lines - count_heading_lines(t->columns[c].heading), n = 0;
            const char *text = line < empty ? "" : heading_line(t->columns[c].heading, line - empty, &n);
            rc = append_cell(out, t, width, c, text, n, err);
        }
    return rc;
}

tb_code tb_table_write(tb_str *out, const tb_table *table, tb_error *err)
{
    size_t width[MOST_COLUMNS];
    if (table->column_count > MOST_COLUMNS)
        return tb_fail(err, TB_ELIMIT, "a table of %zu columns is too wide", table->column_count);
    size_t lines = measure(width, table);
    tb_code rc = append_headings(out, table, width, lines, err);
    const char *cell = tb_str_get(&table->cells);
    for (size_t i = 0; !rc && i < table->cell_count; i++, cell += strlen(cell) + 1)
        rc = append_cell(out, table, width, i % table->column_count, cell, strlen(cell), err);
    return rc;
}

// A text between bars: what would end the cell or the line is written otherwise.
static tb_code append_markdown_cell(tb_str *out, const char *text, tb_error *err)
{
    tb_code rc = tb_str_append_text(out, " ", err);
    for (; !rc && *text; text++)
        rc = *text == '|'    ? tb_str_append_text(out, "\\|", err)
             : *text == '\n' ? tb_str_append_text(out, " ", err)
                             : tb_str_append(out, text, 1, err);
    return rc ? rc : tb_str_append_text(out, " |", err);
}

tb_code tb_table_write_markdown(tb_str *out, const tb_table *table, tb_error *err)
{
    tb_code rc = tb_str_append_text(out, "|", err);
    for (size_t c = 0; !rc && c < table->column_count; c++)
        rc = append_markdown_cell(out, table->columns[c].heading, err);
    if (!rc)
        rc = tb_str_append_text(out, "\n|", err);
    for (size_t c = 0; !rc && c < table->column_count; c++)
        rc = tb_str_append_text(out, table->columns[c].right ? " ---: |" : " --- |", err);
    const char *cell = tb_str_get(&table->cells);
    for (size_t i = 0; !rc && i < table->cell_count; i++, cell += strlen(cell) + 1) {
        rc = i % table->column_count == 0 ? tb_str_append_text(out, "\n|", err) : TB_OK;
        if (!rc)
            rc = append_markdown_cell(out, cell, err);
    }
    return rc ? rc : tb_str_append_text(out, "\n", err);
}

tb_code tb_table_print(const tb_table *table, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = tb_table_write(&text, table, err);
    if (!rc)
        fputs(tb_str_get(&text), stdout);
    tb_str_clear(&text);
    return rc;
}
