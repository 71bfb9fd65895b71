// Golden tables: CSV with a header line.
#ifndef TB_TEST_CSV_H
#define TB_TEST_CSV_H

#include <stddef.h>

typedef struct csv {
    char *text;
    char **cells; // [rows + 1][cols], the header first
    size_t rows, cols;
} csv;

// Reads tests/golden/csi/NAME; fails the test when it cannot.
csv csv_open(const char *name);
void csv_close(csv *table);

const char *csv_text(const csv *table, size_t row, const char *column);
double csv_get(const csv *table, size_t row, const char *column);

// The row whose columns have these values ("N", 64, "rho", 0.2, NULL); fails when there is none.
size_t csv_find(const csv *table, ...);

#endif
