// Frames: the user's transmission, the uplink, and the front end of the base station.
//
// The uplink channel g is known, so the front end is the pseudo-inverse r = gᴴY/(√E·‖g‖²) = x + w
// with w ~ CN(0, s2), s2 = 1/(E·‖g‖²). Only ‖g‖² and w matter to what follows; the full front end
// draws Z[B][P] and combines it.
#include <math.h>

#include "csi/link.h"
#include "csi/streams.h"

// Where a frame is drawn, besides the frame itself.
typedef struct draw {
    const tb_csi_link *link;
    double energy; // E
    uint64_t index;
    double *g, *w; // [2B], [2P]
    double *row;   // [2P]: noise of one antenna, full front end only
} draw;

static tb_csi_stream stream_of(const draw *d, tb_csi_purpose purpose)
{
    return (tb_csi_stream){d->link->options.seed, d->index, purpose};
}

static double squared_norm(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

// w = gᴴZ/(√E·‖g‖²); sample (b, p) of Z is number b·P + p of its stream.
static void combine_noise(const draw *d, double norm)
{
    size_t b_count = d->link->options.b, p = d->link->options.p;
    tb_csi_stream noise = stream_of(d, TB_CSI_FOR_NOISE);
    double scale = 1 / (sqrt(d->energy) * norm);
    for (size_t i = 0; i < 2 * p; i++)
        d->w[i] = 0;
    for (size_t b = 0; b < b_count; b++) {
        tb_csi_normals(d->row, d->row + p, &noise, b * p, p, 1);
        double re = scale * d->g[b], im = -scale * d->g[b_count + b];
        for (size_t i = 0; i < p; i++) {
            d->w[i] += re * d->row[i] - im * d->row[p + i];
            d->w[p + i] += re * d->row[p + i] + im * d->row[i];
        }
    }
}

static void draw_noise(tb_csi_frame *frame, const draw *d)
{
    size_t b = d->link->options.b, p = d->link->options.p;
    tb_csi_stream uplink = stream_of(d, TB_CSI_FOR_UPLINK), noise = stream_of(d, TB_CSI_FOR_NOISE);
    tb_csi_normals(d->g, d->g + b, &uplink, 0, b, 1 / (double)b);
    double norm = squared_norm(d->g, 2 * b);
    frame->s2 = 1 / (d->energy * norm);
    if (d->link->options.full_front_end)
        combine_noise(d, norm);
    else
        tb_csi_normals(d->w, d->w + p, &noise, 0, p, frame->s2);
}

// r = √(ρ/N)·W·h + √(1−ρ)·d + w
static void superimpose(tb_csi_frame *frame, const draw *d)
{
    size_t n = d->link->options.n, p = d->link->options.p;
    double csi = sqrt(frame->rho / (double)n), data = sqrt(1 - frame->rho);
    for (size_t part = 0; part < 2; part++)
        tb_csi_spread(frame->r + part * p, d->link, frame->h + part * n);
    for (size_t i = 0; i < 2 * p; i++)
        frame->r[i] = csi * frame->r[i] + data * frame->d[i] + d->w[i];
}

static void draw_frame(tb_csi_frame *frame, const draw *d, double rho)
{
    tb_csi_stream bits = stream_of(d, TB_CSI_FOR_BITS);
    frame->rho = rho;
    tb_csi_channel_draw(frame->h, d->link, d->index);
    tb_csi_bits(frame->bits, &bits, tb_csi_link_bits(d->link));
    tb_csi_modulate(frame->d, d->link, frame->bits);
    draw_noise(frame, d);
    superimpose(frame, d);
}

// ---- batches ----

tb_code tb_csi_batch_init(tb_csi_batch *batch, const tb_csi_link *link, size_t capacity, tb_error *err)
{
    *batch = (tb_csi_batch){.capacity = capacity};
    size_t n = link->options.n, p = link->options.p, bits = tb_csi_link_bits(link);
    tb_arena *arena = &batch->arena;
    batch->frames = tb_arena_array(arena, capacity, sizeof *batch->frames);
    batch->estimates = tb_arena_array(arena, capacity, sizeof *batch->estimates);
    batch->scratch = tb_arena_array(arena, 4 * p + 2 * link->options.b, sizeof(double));
    bool complete = batch->frames && batch->estimates && batch->scratch;
    for (size_t i = 0; complete && i < capacity; i++) {
        tb_csi_frame *frame = &batch->frames[i];
        tb_csi_estimate *estimate = &batch->estimates[i];
        frame->h = tb_arena_array(arena, 4 * (n + p), sizeof(double));
        frame->bits = tb_arena_array(arena, 2 * bits, 1);
        complete = frame->h && frame->bits;
        if (!complete)
            break;
        estimate->h = frame->h + 2 * n;
        frame->d = estimate->h + 2 * n;
        frame->r = frame->d + 2 * p;
        estimate->bits = frame->bits + bits;
    }
    if (complete)
        return TB_OK;
    tb_csi_batch_clear(batch);
    return tb_fail(err, TB_ENOMEM, "no memory for %zu frames of %zu symbols", capacity, p);
}

void tb_csi_batch_clear(tb_csi_batch *batch)
{
    tb_arena_clear(&batch->arena);
    *batch = (tb_csi_batch){0};
}

void tb_csi_batch_draw(tb_csi_batch *batch, const tb_csi_link *link, const tb_csi_point *point, uint64_t index,
                       size_t count)
{
    double *scratch = batch->scratch;
    size_t p = link->options.p;
    draw d = {.link = link,
              .energy = pow(10, point->snr_db / 10),
              .w = scratch,
              .row = scratch + 2 * p,
              .g = scratch + 4 * p};
    for (size_t i = 0; i < count; i++) {
        d.index = index + i;
        draw_frame(&batch->frames[batch->count++], &d, point->rho);
    }
}
