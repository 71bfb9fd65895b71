// The file is a safetensors file: the tallies as two tensors of counts and of sums, the rest as metadata.
#include "csi/measure_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTS = 8, SUMS = 5 };

static void get_counts(uint64_t out[COUNTS], const tb_csi_tally *t)
{
    const uint64_t counts[] = {t->frames,
                               t->bits,
                               t->bit_errors,
                               t->frame_errors,
                               t->bit_errors_squared,
                               t->csi_bits,
                               t->csi_bit_errors,
                               t->csi_bit_errors_squared};
    memcpy(out, counts, sizeof counts);
}

static void get_sums(double out[SUMS], const tb_csi_tally *t)
{
    const double sums[] = {t->error, t->power, t->error_squared, t->error_power, t->power_squared};
    memcpy(out, sums, sizeof sums);
}

static tb_csi_tally tally_of(const uint64_t c[COUNTS], const double s[SUMS])
{
    return (tb_csi_tally){c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], s[0], s[1], s[2], s[3], s[4]};
}

static tb_safetensor table(const char *name, const char *dtype, size_t rows, size_t cols, const void *data)
{
    return (tb_safetensor){.name = {name, strlen(name)},
                           .dtype = {dtype, strlen(dtype)},
                           .dim_count = 2,
                           .dims = {rows, cols, 1, 1},
                           .data = data,
                           .bytes = rows * cols * 8};
}

tb_code tb_csi_measure_state_save(const char *path, const tb_csi_measure_state *state, const char *description,
                                  tb_error *err)
{
    uint64_t(*counts)[COUNTS] = tb_alloc_array(state->count, sizeof *counts);
    double(*sums)[SUMS] = tb_alloc_array(state->count, sizeof *sums);
    char point[24], units[24];
    snprintf(point, sizeof point, "%zu", state->point);
    snprintf(units, sizeof units, "%zu", state->units);
    const char *const metadata[] = {"measurement", description, "point", point, "units", units};
    tb_code rc = counts && sums ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to keep a measurement");
    for (size_t i = 0; !rc && i < state->count; i++) {
        get_counts(counts[i], &state->tallies[i]);
        get_sums(sums[i], &state->tallies[i]);
    }
    const tb_safetensor tables[] = {table("counts", "U64", state->count, COUNTS, counts),
                                    table("sums", "F64", state->count, SUMS, sums)};
    if (!rc)
        rc = tb_safetensors_write(path, tables, 2, metadata, 3, err);
    tb_free(counts);
    tb_free(sums);
    return rc;
}

static bool is_table(const tb_safetensor *t, const char *dtype, size_t rows, size_t cols)
{
    return t && strcmp(t->dtype.data, dtype) == 0 && t->dims[0] == rows && t->dims[1] == cols &&
           t->bytes == rows * cols * 8;
}

static tb_code fill(tb_csi_measure_state *state, const tb_safetensors *file, const char *path, tb_error *err)
{
    const tb_safetensor *counts = tb_safetensors_find(file, "counts"), *sums = tb_safetensors_find(file, "sums");
    const char *point = tb_safetensors_metadata(file, "point"), *units = tb_safetensors_metadata(file, "units");
    if (!point || !units || !is_table(counts, "U64", state->count, COUNTS) ||
        !is_table(sums, "F64", state->count, SUMS))
        return tb_fail(err, TB_EFORMAT, "'%s' is no state of a measurement; remove it to begin anew", path);
    state->point = (size_t)strtoull(point, NULL, 10);
    state->units = (size_t)strtoull(units, NULL, 10);
    for (size_t i = 0; i < state->count; i++) {
        uint64_t c[COUNTS];
        double s[SUMS];
        memcpy(c, counts->data + i * sizeof c, sizeof c);
        memcpy(s, sums->data + i * sizeof s, sizeof s);
        state->tallies[i] = tally_of(c, s);
    }
    return TB_OK;
}

tb_code tb_csi_measure_state_load(tb_csi_measure_state *state, const char *path, const char *description, tb_error *err)
{
    tb_safetensors *file;
    tb_code rc = tb_safetensors_open(&file, path, err);
    if (rc)
        return rc;
    const char *found = tb_safetensors_metadata(file, "measurement");
    if (!found || strcmp(found, description) != 0)
        rc = tb_fail(err, TB_EINVAL, "'%s' belongs to another measurement; remove it to begin anew", path);
    else
        rc = fill(state, file, path, err);
    tb_safetensors_close(file);
    return rc;
}
