// Files of frames, read: what tb_csi_write_frames wrote, or another program in its place. Nothing in them is
// believed before it was checked.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csi/link.h"
#include "formats/formats.h"

struct tb_csi_frame_file {
    tb_safetensors *file;
    tb_csi_options options;
    tb_csi_point point;
    size_t count;
    const tb_safetensor *h, *d, *r, *s2, *bits;
};

// ---- metadata ----

static tb_code fail_metadata(const char *path, const char *key, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' is no file of 'twobit csi simulate': it does not say '%s'", path, key);
}

static tb_code read_count(uint64_t *out, const tb_safetensors *file, const char *key, const char *path, tb_error *err)
{
    const char *text = tb_safetensors_metadata(file, key);
    char *end = NULL;
    if (!text || *text < '0' || *text > '9')
        return fail_metadata(path, key, err);
    *out = strtoull(text, &end, 10);
    return *end ? fail_metadata(path, key, err) : TB_OK;
}

static tb_code read_real(double *out, const tb_safetensors *file, const char *key, const char *path, tb_error *err)
{
    const char *text = tb_safetensors_metadata(file, key);
    char *end = NULL;
    *out = text ? strtod(text, &end) : NAN;
    return text && *text && !*end ? TB_OK : fail_metadata(path, key, err);
}

static tb_code read_sizes(tb_csi_options *o, const tb_safetensors *file, const char *path, tb_error *err)
{
    uint64_t n = 0, p = 0, b = 0, users = 0;
    tb_code rc = read_count(&n, file, "n", path, err);
    if (!rc)
        rc = read_count(&p, file, "p", path, err);
    if (!rc)
        rc = read_count(&b, file, "b", path, err);
    if (!rc)
        rc = read_count(&users, file, "users", path, err);
    if (!rc)
        rc = read_count(&o->seed, file, "seed", path, err);
    if (!rc)
        rc = read_count(&o->spreading_seed, file, "spreading_seed", path, err);
    o->n = (size_t)n;
    o->p = (size_t)p;
    o->b = (size_t)b;
    o->users = (size_t)users;
    return rc;
}

static tb_code read_names(tb_csi_options *o, const tb_safetensors *file, const char *path, tb_error *err)
{
    const char *channel = tb_safetensors_metadata(file, "channel");
    const char *spreading = tb_safetensors_metadata(file, "spreading");
    const char *modulation = tb_safetensors_metadata(file, "modulation");
    if (!channel || !tb_csi_channel_find(&o->channel, channel))
        return fail_metadata(path, "channel", err);
    if (!spreading || !tb_csi_spreading_find(&o->spreading, spreading))
        return fail_metadata(path, "spreading", err);
    if (!modulation || !tb_csi_modulation_find(&o->modulation, modulation))
        return fail_metadata(path, "modulation", err);
    return TB_OK;
}

static tb_code read_metadata(tb_csi_frame_file *f, const char *path, tb_error *err)
{
    tb_code rc = read_sizes(&f->options, f->file, path, err);
    if (!rc)
        rc = read_names(&f->options, f->file, path, err);
    if (!rc)
        rc = read_real(&f->point.rho, f->file, "rho", path, err);
    if (!rc)
        rc = read_real(&f->point.snr_db, f->file, "snr_db", path, err);
    if (!rc)
        rc = tb_csi_point_check(&f->point, err);
    return rc;
}

// ---- tensors ----

// A tensor [count][columns] of a type; the first one found says the count.
static tb_code find_field(const tb_safetensor **out, tb_csi_frame_file *f, const char *name, const char *dtype,
                          size_t columns, const char *path, tb_error *err)
{
    const tb_safetensor *t = *out = tb_safetensors_find(f->file, name);
    if (!t || strcmp(t->dtype.data, dtype) != 0 || t->dim_count != 2 || t->dims[1] != columns)
        return tb_fail(err, TB_EFORMAT, "'%s' has no tensor '%s' of type %s with rows of %zu", path, name, dtype,
                       columns);
    if (!f->count)
        f->count = (size_t)t->dims[0];
    if (!f->count || t->dims[0] != f->count)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has %" PRIu64 " frames, not %zu", name, path, t->dims[0],
                       f->count);
    return TB_OK;
}

// Copies row `index` of doubles, which may lie at any alignment.
static void copy_row(double *out, const tb_safetensor *t, size_t index)
{
    size_t bytes = (size_t)t->dims[1] * sizeof(double);
    memcpy(out, t->data + index * bytes, bytes);
}

static tb_code check_values(const tb_safetensor *t, const char *path, tb_error *err)
{
    for (size_t i = 0; i < t->bytes / sizeof(double); i++) {
        double value;
        memcpy(&value, t->data + i * sizeof value, sizeof value);
        if (!isfinite(value))
            return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has values that are not finite", t->name.data, path);
    }
    return TB_OK;
}

static tb_code check_noise(const tb_csi_frame_file *f, const char *path, tb_error *err)
{
    for (size_t i = 0; i < f->count; i++) {
        double s2;
        copy_row(&s2, f->s2, i);
        if (!(s2 > 0))
            return tb_fail(err, TB_EFORMAT, "frame %zu of '%s' has a noise variance of %g", i, path, s2);
    }
    return TB_OK;
}

static tb_code check_bits(const tb_safetensor *t, const char *path, tb_error *err)
{
    for (size_t i = 0; i < t->bytes; i++)
        if (t->data[i] > 1)
            return tb_fail(err, TB_EFORMAT, "tensor 'bits' of '%s' has values other than 0 and 1", path);
    return TB_OK;
}

static tb_code find_fields(tb_csi_frame_file *f, const tb_csi_link *link, const char *path, tb_error *err)
{
    size_t n = link->options.n, p = link->options.p;
    const struct {
        const tb_safetensor **field;
        const char *name;
        size_t columns;
    } reals[] = {{&f->h, "h", 2 * n}, {&f->d, "d", 2 * p}, {&f->r, "r", 2 * p}, {&f->s2, "s2", 1}};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < sizeof reals / sizeof reals[0]; i++) {
        rc = find_field(reals[i].field, f, reals[i].name, "F64", reals[i].columns, path, err);
        if (!rc)
            rc = check_values(*reals[i].field, path, err);
    }
    if (!rc)
        rc = find_field(&f->bits, f, "bits", "U8", tb_csi_link_bits(link), path, err);
    if (!rc)
        rc = check_bits(f->bits, path, err);
    return rc ? rc : check_noise(f, path, err);
}

// ---- the file ----

static tb_code open_file(tb_csi_frame_file *f, const char *path, tb_error *err)
{
    tb_csi_link *link;
    tb_code rc = tb_safetensors_open(&f->file, path, err);
    if (!rc)
        rc = read_metadata(f, path, err);
    if (!rc)
        rc = tb_csi_link_new(&link, &f->options, err);
    if (rc)
        return rc;
    rc = find_fields(f, link, path, err);
    tb_csi_link_free(link);
    return rc;
}

tb_code tb_csi_frame_file_open(tb_csi_frame_file **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_csi_frame_file *f = tb_new(tb_csi_frame_file);
    if (!f)
        return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    tb_code rc = open_file(f, path, err);
    if (rc) {
        tb_csi_frame_file_close(f);
        return rc;
    }
    *out = f;
    return TB_OK;
}

void tb_csi_frame_file_close(tb_csi_frame_file *f)
{
    if (!f)
        return;
    tb_safetensors_close(f->file);
    tb_free(f);
}

const tb_csi_options *tb_csi_frame_file_options(const tb_csi_frame_file *f)
{
    return &f->options;
}

tb_csi_point tb_csi_frame_file_point(const tb_csi_frame_file *f)
{
    return f->point;
}

size_t tb_csi_frame_file_count(const tb_csi_frame_file *f)
{
    return f->count;
}

void tb_csi_batch_read(tb_csi_batch *batch, const tb_csi_frame_file *f, size_t index)
{
    tb_csi_frame *frame = &batch->frames[batch->count++];
    size_t bits = (size_t)f->bits->dims[1];
    frame->rho = f->point.rho;
    copy_row(&frame->s2, f->s2, index);
    copy_row(frame->h, f->h, index);
    copy_row(frame->d, f->d, index);
    copy_row(frame->r, f->r, index);
    memcpy(frame->bits, f->bits->data + index * bits, bits);
}
