// Files of frames, written (frame_reader.c reads them). A field of all frames is one tensor, so that a frame is spread
// over the file; it is filled in rounds under a preliminary name. s2 is never 0 and is written last, after all else of
// the round is on the disk: the first 0 says where a later call goes on.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "csi/link.h"
#include "formats/formats.h"

typedef enum field { FIELD_H, FIELD_D, FIELD_R, FIELD_S2, FIELD_BITS, FIELDS } field;

static const char *const field_names[FIELDS] = {"h", "d", "r", "s2", "bits"};

static const char *dtype_of(field f)
{
    return f == FIELD_BITS ? "U8" : "F64";
}

// Columns of a field.
static size_t width_of(field f, const tb_csi_link *link)
{
    const size_t widths[FIELDS] = {2 * link->options.n, 2 * link->options.p, 2 * link->options.p, 1,
                                   tb_csi_link_bits(link)};
    return widths[f];
}

static size_t row_bytes(field f, const tb_csi_link *link)
{
    return width_of(f, link) * (f == FIELD_BITS ? 1 : sizeof(double));
}

static void *data_of(field f, tb_csi_frame *frame)
{
    void *const data[FIELDS] = {frame->h, frame->d, frame->r, &frame->s2, frame->bits};
    return data[f];
}

// ---- metadata ----

enum { NUMBERS = 6, PAIRS = NUMBERS + 5, TEXT = 32 };

// `texts` holds the numbers for as long as the metadata are used.
static void describe(const char *metadata[2 * PAIRS], char texts[NUMBERS + 2][TEXT], const tb_csi_link *link,
                     const tb_csi_point *point)
{
    const tb_csi_options *o = &link->options;
    const uint64_t numbers[NUMBERS] = {o->n, o->p, o->b, o->users, o->seed, o->spreading_seed};
    for (size_t i = 0; i < NUMBERS; i++)
        snprintf(texts[i], TEXT, "%" PRIu64, numbers[i]);
    snprintf(texts[NUMBERS], TEXT, "%.17g", point->rho);
    snprintf(texts[NUMBERS + 1], TEXT, "%.17g", point->snr_db);
    // clang-format off
    const char *const pairs[2 * PAIRS] = {
        "n", texts[0], "p", texts[1], "b", texts[2], "users", texts[3], "seed", texts[4], "spreading_seed", texts[5],
        "rho", texts[6], "snr_db", texts[7], "channel", tb_csi_channel_name(o->channel),
        "spreading", tb_csi_spreading_name(o->spreading), "modulation", tb_csi_modulation_name(o->modulation),
    };
    // clang-format on
    memcpy(metadata, pairs, sizeof pairs);
}

// ---- the file ----

typedef struct writer {
    const tb_csi_link *link;
    const tb_csi_point *point;
    size_t frames, done;
    size_t threads;
    tb_csi_batch *batches; // [threads], of a unit each
    tb_str header;
    uint64_t offsets[FIELDS];
    tb_partfile *file;
    unsigned char *rows; // of one field of a unit
    const tb_report *report;
} writer;

static tb_code allocate(writer *w, tb_error *err)
{
    size_t most = 0;
    for (int f = 0; f < FIELDS; f++)
        most = row_bytes((field)f, w->link) > most ? row_bytes((field)f, w->link) : most;
    w->rows = tb_alloc_array(TB_CSI_UNIT_FRAMES, most);
    w->batches = tb_alloc_array(w->threads, sizeof *w->batches);
    tb_code rc = w->rows && w->batches ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to write frames");
    for (size_t i = 0; !rc && i < w->threads; i++)
        rc = tb_csi_batch_init(&w->batches[i], w->link, TB_CSI_UNIT_FRAMES, err);
    return rc;
}

// The header, and where the fields lie behind it; `size` is that of the whole file.
static tb_code lay_out(uint64_t *size, writer *w, tb_error *err)
{
    const char *metadata[2 * PAIRS];
    char texts[NUMBERS + 2][TEXT];
    tb_safetensor fields[FIELDS];
    describe(metadata, texts, w->link, w->point);
    for (int f = 0; f < FIELDS; f++) {
        const char *dtype = dtype_of((field)f);
        fields[f] = (tb_safetensor){.name = {field_names[f], strlen(field_names[f])},
                                    .dtype = {dtype, strlen(dtype)},
                                    .dim_count = 2,
                                    .dims = {w->frames, width_of((field)f, w->link), 1, 1},
                                    .bytes = w->frames * row_bytes((field)f, w->link)};
    }
    tb_code rc = tb_safetensors_header(&w->header, fields, FIELDS, metadata, PAIRS, err);
    *size = w->header.size;
    for (int f = 0; f < FIELDS; f++) {
        w->offsets[f] = *size;
        *size += fields[f].bytes;
    }
    return rc;
}

// How many frames of an unfinished file are there.
static tb_code count_done(writer *w, tb_error *err)
{
    double s2[TB_CSI_UNIT_FRAMES];
    while (w->done < w->frames) {
        size_t left = w->frames - w->done, n = left < TB_CSI_UNIT_FRAMES ? left : TB_CSI_UNIT_FRAMES, there = 0;
        tb_code rc = tb_partfile_read(s2, n * sizeof *s2, w->file, w->offsets[FIELD_S2] + w->done * sizeof *s2, err);
        if (rc)
            return rc;
        while (there < n && s2[there] > 0)
            there++;
        w->done += there;
        if (there < n)
            break;
    }
    return TB_OK;
}

// Begins a new file, or finds out where an unfinished one of the same frames goes on.
static tb_code begin(writer *w, const char *path, tb_error *err)
{
    uint64_t size, length;
    tb_code rc = lay_out(&size, w, err);
    if (!rc)
        rc = tb_partfile_open(&w->file, path, size, err);
    char *found = rc ? NULL : tb_alloc(w->header.size);
    if (!rc && !found)
        rc = tb_fail(err, TB_ENOMEM, "no memory to write '%s'", path);
    if (!rc)
        rc = tb_partfile_read(found, w->header.size, w->file, 0, err);
    if (!rc) {
        memcpy(&length, found, sizeof length); // 0: nothing was written yet
        if (length == 0)
            rc = tb_partfile_write(w->file, 0, w->header.data, w->header.size, err);
        else if (memcmp(found, w->header.data, w->header.size) == 0)
            rc = count_done(w, err);
        else
            rc = tb_fail(err, TB_EINVAL, "'%s' belongs to other frames; remove it to begin anew",
                         tb_partfile_name(w->file));
    }
    tb_free(found);
    if (!rc && w->done)
        tb_report_note(w->report, TB_NOTE_INFO, "going on from '%s': frame %zu of %zu", tb_partfile_name(w->file),
                       w->done, w->frames);
    return rc;
}

static void draw_units(void *user, size_t first, size_t end, size_t worker)
{
    (void)worker;
    const writer *w = user;
    for (size_t i = first; i < end; i++) {
        size_t frame = w->done + i * TB_CSI_UNIT_FRAMES, left = w->frames - frame;
        w->batches[i].count = 0;
        tb_csi_batch_draw(&w->batches[i], w->link, w->point, frame,
                          left < TB_CSI_UNIT_FRAMES ? left : TB_CSI_UNIT_FRAMES);
    }
}

// One field of a batch whose first frame is `first`.
static tb_code write_field(writer *w, field f, tb_csi_batch *batch, size_t first, tb_error *err)
{
    size_t bytes = row_bytes(f, w->link);
    for (size_t i = 0; i < batch->count; i++)
        memcpy(w->rows + i * bytes, data_of(f, &batch->frames[i]), bytes);
    return tb_partfile_write(w->file, w->offsets[f] + first * bytes, w->rows, batch->count * bytes, err);
}

static tb_code write_round(writer *w, tb_error *err)
{
    size_t left = (w->frames - w->done + TB_CSI_UNIT_FRAMES - 1) / TB_CSI_UNIT_FRAMES;
    size_t units = left < w->threads ? left : w->threads;
    tb_code rc = TB_OK;
    tb_parallel(w->threads, units, 1, draw_units, w);
    for (size_t i = 0; i < units; i++)
        for (int f = 0; !rc && f < FIELDS; f++)
            if (f != FIELD_S2)
                rc = write_field(w, (field)f, &w->batches[i], w->done + i * TB_CSI_UNIT_FRAMES, err);
    if (!rc)
        rc = tb_partfile_sync(w->file, err);
    for (size_t i = 0; !rc && i < units; i++) {
        rc = write_field(w, FIELD_S2, &w->batches[i], w->done, err);
        w->done += w->batches[i].count;
    }
    return rc;
}

static tb_code write_rounds(writer *w, tb_error *err)
{
    tb_code rc = TB_OK;
    while (!rc && w->done < w->frames)
        if (tb_report_progress(w->report, "simulate", (double)w->done, (double)w->frames, "frames"))
            rc = tb_fail(err, TB_ECANCELLED, "the simulation was stopped; the same command goes on with it");
        else
            rc = write_round(w, err);
    return rc ? rc : tb_partfile_commit(w->file, err);
}

tb_code tb_csi_write_frames(const char *path, const tb_csi_link *link, const tb_csi_point *point, size_t frames,
                            size_t threads, const tb_report *report, tb_error *err)
{
    writer w = {.link = link, .point = point, .frames = frames, .threads = threads, .report = report};
    tb_code rc = tb_csi_point_check(point, err);
    if (!rc)
        rc = allocate(&w, err);
    if (!rc)
        rc = begin(&w, path, err);
    if (!rc)
        rc = write_rounds(&w, err);
    for (size_t i = 0; w.batches && i < threads; i++)
        tb_csi_batch_clear(&w.batches[i]);
    tb_free(w.batches);
    tb_free(w.rows);
    tb_str_clear(&w.header);
    tb_partfile_close(w.file);
    return rc;
}
