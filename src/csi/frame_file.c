// Frames as a file, for other programs to work on.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "csi/link.h"
#include "formats/formats.h"

enum { FIELDS = 5, PAIRS = 10 };

// The columns of a file in memory.
typedef struct frame_table {
    const tb_csi_link *link;
    size_t frames;
    double *h, *d, *r, *s2;
    uint8_t *bits;
} frame_table;

static tb_code allocate(frame_table *t, tb_arena *arena, tb_error *err)
{
    size_t n = t->link->options.n, p = t->link->options.p;
    t->h = tb_arena_array(arena, t->frames, 2 * n * sizeof(double));
    t->d = tb_arena_array(arena, t->frames, 2 * p * sizeof(double));
    t->r = tb_arena_array(arena, t->frames, 2 * p * sizeof(double));
    t->s2 = tb_arena_array(arena, t->frames, sizeof(double));
    t->bits = tb_arena_array(arena, t->frames, tb_csi_link_bits(t->link));
    return t->h && t->d && t->r && t->s2 && t->bits ? TB_OK
                                                    : tb_fail(err, TB_ENOMEM, "no memory for %zu frames", t->frames);
}

static void keep_frame(const frame_table *t, size_t i, const tb_csi_frame *f)
{
    size_t n = t->link->options.n, p = t->link->options.p, bits = tb_csi_link_bits(t->link);
    memcpy(t->h + i * 2 * n, f->h, 2 * n * sizeof(double));
    memcpy(t->d + i * 2 * p, f->d, 2 * p * sizeof(double));
    memcpy(t->r + i * 2 * p, f->r, 2 * p * sizeof(double));
    memcpy(t->bits + i * bits, f->bits, bits);
    t->s2[i] = f->s2;
}

static tb_code draw(const frame_table *t, const tb_csi_point *point, const tb_report *report, tb_error *err)
{
    tb_csi_batch batch;
    tb_code rc = tb_csi_batch_init(&batch, t->link, 1, err);
    for (size_t i = 0; !rc && i < t->frames; i++) {
        if (i % TB_CSI_UNIT_FRAMES == 0 &&
            tb_report_progress(report, "simulate", (double)i, (double)t->frames, "frames"))
            rc = tb_fail(err, TB_ECANCELLED, "the simulation was stopped");
        batch.count = 0;
        tb_csi_batch_draw(&batch, t->link, point, i, 1);
        keep_frame(t, i, &batch.frames[0]);
    }
    tb_csi_batch_clear(&batch);
    return rc;
}

static tb_safetensor field(const char *name, const char *dtype, size_t frames, size_t columns, const void *data,
                           size_t item)
{
    return (tb_safetensor){.name = {name, strlen(name)},
                           .dtype = {dtype, strlen(dtype)},
                           .dim_count = 2,
                           .dims = {frames, columns, 1, 1},
                           .data = data,
                           .bytes = frames * columns * item};
}

static tb_code write_table(const char *path, const frame_table *t, const tb_csi_point *point, tb_error *err)
{
    const tb_csi_options *o = &t->link->options;
    const tb_safetensor fields[FIELDS] = {
        field("h", "F64", t->frames, 2 * o->n, t->h, sizeof(double)),
        field("d", "F64", t->frames, 2 * o->p, t->d, sizeof(double)),
        field("r", "F64", t->frames, 2 * o->p, t->r, sizeof(double)),
        field("s2", "F64", t->frames, 1, t->s2, sizeof(double)),
        field("bits", "U8", t->frames, tb_csi_link_bits(t->link), t->bits, 1),
    };
    char n[24], p[24], b[24], rho[32], snr[32], seed[24], spreading_seed[24];
    snprintf(n, sizeof n, "%zu", o->n);
    snprintf(p, sizeof p, "%zu", o->p);
    snprintf(b, sizeof b, "%zu", o->b);
    snprintf(rho, sizeof rho, "%.17g", point->rho);
    snprintf(snr, sizeof snr, "%.17g", point->snr_db);
    snprintf(seed, sizeof seed, "%" PRIu64, o->seed);
    snprintf(spreading_seed, sizeof spreading_seed, "%" PRIu64, o->spreading_seed);
    const char *const metadata[2 * PAIRS] = {
        "n",
        n,
        "p",
        p,
        "b",
        b,
        "rho",
        rho,
        "snr_db",
        snr,
        "seed",
        seed,
        "spreading_seed",
        spreading_seed,
        "channel",
        tb_csi_channel_name(o->channel),
        "spreading",
        tb_csi_spreading_name(o->spreading),
        "modulation",
        tb_csi_modulation_name(o->modulation),
    };
    return tb_safetensors_write(path, fields, FIELDS, metadata, PAIRS, err);
}

tb_code tb_csi_write_frames(const char *path, const tb_csi_link *link, const tb_csi_point *point, size_t frames,
                            const tb_report *report, tb_error *err)
{
    tb_arena arena = {0};
    frame_table table = {.link = link, .frames = frames};
    tb_code rc = tb_csi_point_check(point, err);
    if (!rc)
        rc = allocate(&table, &arena, err);
    if (!rc)
        rc = draw(&table, point, report, err);
    if (!rc)
        rc = write_table(path, &table, point, err);
    tb_arena_clear(&arena);
    return rc;
}
