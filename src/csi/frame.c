// Frames: the user's transmission, the uplink, and the front end of the base station.
//
// The uplink channel g is known, so the front end is the pseudo-inverse r = gᴴY/(√E·‖g‖²) = x + w
// with w ~ CN(0, s2), s2 = 1/(E·‖g‖²). Only ‖g‖² and w matter to what follows; the full front end
// draws Z[B][P] and combines it.
//
// Several users send at the same time, Y = √E·Σ g_k·x_kᵀ + Z, and zero forcing takes them apart: it
// combines along g⊥, the part of the user's g that is orthogonal to all others', and everything
// above holds with g⊥ for g. (1/‖g⊥‖² is the user's diagonal entry of (GᴴG)⁻¹.)
#include <math.h>
#include <string.h>

#include "csi/link.h"
#include "csi/streams.h"

// Where a frame is drawn, besides the frame itself.
typedef struct draw {
    const tb_csi_link *link;
    double energy; // E
    uint64_t index;
    double *w;           // [2P]
    double *g;           // [users][2B]: the user's first; in the end g⊥
    double *row;         // [2P] or [2B]: one antenna's samples, or one user's channel; full front end only
    tb_csi_frame *other; // room for another user's transmission, in r; full front end only
} draw;

// The other users send frames of numbers that are used for nothing else.
static uint64_t frame_of(const draw *d, size_t user)
{
    return d->index | (uint64_t)user << 56;
}

static tb_csi_stream stream_of(const draw *d, size_t user, tb_csi_purpose purpose)
{
    return (tb_csi_stream){d->link->options.seed, frame_of(d, user), purpose};
}

// ---- the users ----

// r ← x = √(ρ/N)·W·h + √(1−ρ)·d
static void transmit(tb_csi_frame *frame, const draw *d, size_t user)
{
    size_t n = d->link->options.n, p = d->link->options.p;
    double csi = sqrt(frame->rho / (double)n), data = sqrt(1 - frame->rho);
    tb_csi_stream bits = stream_of(d, user, TB_CSI_FOR_BITS);
    tb_csi_channel_draw(frame->h, d->link, frame_of(d, user));
    tb_csi_bits(frame->bits, &bits, tb_csi_link_bits(d->link));
    tb_csi_modulate(frame->d, d->link, frame->bits);
    for (size_t part = 0; part < 2; part++)
        tb_csi_spread(frame->r + part * p, d->link, frame->h + part * n);
    for (size_t i = 0; i < 2 * p; i++)
        frame->r[i] = csi * frame->r[i] + data * frame->d[i];
}

// ---- the uplink ----

static double squared_norm(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

static void draw_uplink(double *g, const draw *d, size_t user)
{
    size_t b = d->link->options.b;
    tb_csi_stream uplink = stream_of(d, user, TB_CSI_FOR_UPLINK);
    tb_csi_normals(g, g + b, &uplink, 0, b, 1 / (double)b);
}

// x ← x − u·(uᴴx)/‖u‖², complex vectors of B entries.
static void remove_component(double *x, const double *u, size_t b)
{
    double re = 0, im = 0, norm = squared_norm(u, 2 * b);
    for (size_t i = 0; i < b; i++) {
        re += u[i] * x[i] + u[b + i] * x[b + i];
        im += u[i] * x[b + i] - u[b + i] * x[i];
    }
    for (size_t i = 0; i < b; i++) {
        x[i] -= (re * u[i] - im * u[b + i]) / norm;
        x[b + i] -= (re * u[b + i] + im * u[i]) / norm;
    }
}

// g ← g⊥, and the others' channels ← an orthogonal basis of what they span (modified Gram–Schmidt).
static void force_zeros(const draw *d)
{
    size_t b = d->link->options.b, users = d->link->options.users;
    for (size_t k = 1; k < users; k++) {
        const double *basis = d->g + k * 2 * b;
        for (size_t j = k + 1; j < users; j++)
            remove_component(d->g + j * 2 * b, basis, b);
        remove_component(d->g, basis, b);
    }
}

// ---- the front end ----

// w += gᴴ·(√E·g_k·x_kᵀ)/(√E·‖g‖²): what combining along g lets through of another user.
static void combine_user(const draw *d, size_t user, double rho, double norm)
{
    size_t b = d->link->options.b, p = d->link->options.p;
    double *channel = d->row, re = 0, im = 0; // drawn anew: the one of g[] is a basis by now
    draw_uplink(channel, d, user);
    for (size_t i = 0; i < b; i++) {
        re += d->g[i] * channel[i] + d->g[b + i] * channel[b + i];
        im += d->g[i] * channel[b + i] - d->g[b + i] * channel[i];
    }
    d->other->rho = rho;
    transmit(d->other, d, user);
    const double *x = d->other->r;
    for (size_t i = 0; i < p; i++) {
        d->w[i] += (re * x[i] - im * x[p + i]) / norm;
        d->w[p + i] += (re * x[p + i] + im * x[i]) / norm;
    }
}

// w = gᴴZ/(√E·‖g‖²); sample (b, p) of Z is number b·P + p of its stream.
static void combine_noise(const draw *d, double norm)
{
    size_t b_count = d->link->options.b, p = d->link->options.p;
    tb_csi_stream noise = stream_of(d, 0, TB_CSI_FOR_NOISE);
    double scale = 1 / (sqrt(d->energy) * norm);
    memset(d->w, 0, 2 * p * sizeof *d->w);
    for (size_t b = 0; b < b_count; b++) {
        tb_csi_normals(d->row, d->row + p, &noise, b * p, p, 1);
        double re = scale * d->g[b], im = -scale * d->g[b_count + b];
        for (size_t i = 0; i < p; i++) {
            d->w[i] += re * d->row[i] - im * d->row[p + i];
            d->w[p + i] += re * d->row[p + i] + im * d->row[i];
        }
    }
}

// s2 and w.
static void draw_noise(tb_csi_frame *frame, const draw *d)
{
    size_t b = d->link->options.b, p = d->link->options.p, users = d->link->options.users;
    for (size_t k = 0; k < users; k++)
        draw_uplink(d->g + k * 2 * b, d, k);
    force_zeros(d);
    double norm = squared_norm(d->g, 2 * b);
    frame->s2 = 1 / (d->energy * norm);
    if (!d->link->options.full_front_end) {
        tb_csi_stream noise = stream_of(d, 0, TB_CSI_FOR_NOISE);
        tb_csi_normals(d->w, d->w + p, &noise, 0, p, frame->s2);
        return;
    }
    combine_noise(d, norm);
    for (size_t k = 1; k < users; k++)
        combine_user(d, k, frame->rho, norm);
}

static void draw_frame(tb_csi_frame *frame, const draw *d, double rho)
{
    frame->rho = rho;
    draw_noise(frame, d);
    transmit(frame, d, 0);
    for (size_t i = 0; i < 2 * d->link->options.p; i++)
        frame->r[i] += d->w[i];
}

// ---- batches ----

static bool make_frame(tb_csi_frame *frame, tb_arena *arena, const tb_csi_link *link)
{
    size_t n = link->options.n, p = link->options.p;
    frame->h = tb_arena_array(arena, n, 2 * sizeof(double));
    frame->d = tb_arena_array(arena, p, 2 * sizeof(double));
    frame->r = tb_arena_array(arena, p, 2 * sizeof(double));
    frame->bits = tb_arena_array(arena, tb_csi_link_bits(link), 1);
    return frame->h && frame->d && frame->r && frame->bits;
}

tb_code tb_csi_batch_init(tb_csi_batch *batch, const tb_csi_link *link, size_t capacity, tb_error *err)
{
    *batch = (tb_csi_batch){.capacity = capacity};
    size_t n = link->options.n, p = link->options.p, b = link->options.b;
    tb_arena *arena = &batch->arena;
    batch->frames = tb_arena_array(arena, capacity, sizeof *batch->frames);
    batch->estimates = tb_arena_array(arena, capacity, sizeof *batch->estimates);
    batch->scratch = tb_arena_array(arena, 2 * (p + b * link->options.users + (b > p ? b : p)), sizeof(double));
    bool complete = batch->frames && batch->estimates && batch->scratch && make_frame(&batch->other, arena, link);
    for (size_t i = 0; complete && i < capacity; i++) {
        tb_csi_estimate *estimate = &batch->estimates[i];
        estimate->h = tb_arena_array(arena, n, 2 * sizeof(double));
        estimate->bits = tb_arena_array(arena, tb_csi_link_bits(link), 1);
        complete = estimate->h && estimate->bits && make_frame(&batch->frames[i], arena, link);
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
              .g = scratch + 2 * p,
              .row = scratch + 2 * (p + link->options.b * link->options.users),
              .other = &batch->other};
    for (size_t i = 0; i < count; i++) {
        d.index = index + i;
        draw_frame(&batch->frames[batch->count++], &d, point->rho);
    }
}
