// Downlink channels. All have E|h_n|² = 1.
#include <math.h>

#include "csi/link.h"
#include "csi/streams.h"

#define PI 3.14159265358979323846

// ---- clustered delay lines (3GPP TR 38.901, tables 7.7.1-1 to 7.7.1-4), without their delays ----

typedef struct cluster {
    double power_db, departure_deg;
} cluster;

static const cluster profile_a[] = {
    {-13.4, -178.1}, {0, -4.2},       {-2.2, -4.2},    {-4, -4.2},     {-6, 90.2},     {-8.2, 90.2},
    {-9.9, 90.2},    {-10.5, 121.5},  {-7.5, -81.7},   {-15.9, 158.4}, {-6.6, -83},    {-16.7, 134.8},
    {-12.4, -153},   {-15.2, -172},   {-10.8, -129.9}, {-11.3, -136},  {-12.7, 165.4}, {-16.2, 148.4},
    {-18.3, 132.7},  {-18.9, -118.6}, {-16.6, -154.1}, {-19.9, 126.5}, {-29.7, -56.2},
};
static const cluster profile_b[] = {
    {0, 9.3},      {-2.2, 9.3},    {-4, 9.3},       {-3.2, -34.1}, {-9.8, -65.4},  {-1.2, -11.4},
    {-3.4, -11.4}, {-5.2, -11.4},  {-7.6, -67.2},   {-3, 52.5},    {-8.9, -72},    {-9, 74.3},
    {-4.8, -52.2}, {-5.7, -50.5},  {-7.5, 61.4},    {-1.9, 30.6},  {-7.6, -72.5},  {-12.2, -90.6},
    {-9.8, -77.6}, {-11.4, -82.6}, {-14.9, -103.6}, {-9.2, 75.6},  {-11.3, -77.6},
};
static const cluster profile_c[] = {
    {-4.4, -46.6},   {-1.2, -22.8}, {-3.5, -22.8}, {-5.2, -22.8},  {-2.5, -40.7},  {0, 0.3},
    {-2.2, 0.3},     {-3.9, 0.3},   {-7.4, 73.1},  {-7.1, -64.5},  {-10.7, 80.2},  {-11.1, -97.1},
    {-5.1, -55.3},   {-6.8, -64.3}, {-8.7, -78.5}, {-13.2, 102.7}, {-13.9, 99.2},  {-13.9, 88.8},
    {-15.8, -101.9}, {-17.1, 92.2}, {-16, 93.3},   {-15.7, 106.6}, {-21.6, 119.5}, {-22.8, -123.8},
};
static const cluster profile_d[] = {
    {-0.2, 0},   {-13.5, 0},    {-18.8, 89.2},  {-21, 89.2},    {-22.8, 89.2}, {-17.9, 13},   {-20.1, 13},
    {-21.9, 13}, {-22.9, 34.6}, {-27.8, -64.5}, {-23.6, -32.9}, {-24.8, 52.6}, {-30, -132.1}, {-27.7, 77.2},
};

typedef struct profile {
    const cluster *clusters;
    size_t count;
    double spread_deg;  // azimuth spread of departure inside a cluster, c_ASD
    bool line_of_sight; // the first cluster is one ray
} profile;

#define PROFILE(table, spread, sight)                                                                                  \
    {                                                                                                                  \
        table, sizeof table / sizeof table[0], spread, sight                                                           \
    }
static const profile profiles[] = {
    PROFILE(profile_a, 5, false),
    PROFILE(profile_b, 10, false),
    PROFILE(profile_c, 2, false),
    PROFILE(profile_d, 5, true),
};

// Offsets of the rays inside a cluster of unit spread, both signs (table 7.5-3).
static const double ray_offsets[] = {0.0447, 0.1413, 0.2492, 0.3715, 0.5129, 0.6797, 0.8844, 1.1481, 1.5195, 2.1551};
enum { RAY_PAIRS = sizeof ray_offsets / sizeof ray_offsets[0], RAYS = 2 * RAY_PAIRS };

static double power_of(const cluster *c)
{
    return pow(10, c->power_db / 10);
}

// The response of a half-wavelength array to a departure angle.
static void add_ray(tb_csi_link *link, double angle_deg, double power)
{
    size_t n = link->options.n;
    double *ray = link->rays + link->ray_count++ * 2 * n;
    double step = PI * sin(angle_deg * PI / 180);
    for (size_t i = 0; i < n; i++) {
        ray[i] = sqrt(power) * cos(step * (double)i);
        ray[n + i] = sqrt(power) * sin(step * (double)i);
    }
}

static tb_code init_profile(tb_csi_link *link, const profile *chosen, tb_error *err)
{
    link->rays = tb_arena_array(&link->arena, chosen->count * RAYS, 2 * link->options.n * sizeof(double));
    if (!link->rays)
        return tb_fail(err, TB_ENOMEM, "no memory for the rays of the channel");
    double total = 0;
    for (size_t i = 0; i < chosen->count; i++)
        total += power_of(&chosen->clusters[i]);
    for (size_t i = 0; i < chosen->count; i++) {
        double angle = chosen->clusters[i].departure_deg, power = power_of(&chosen->clusters[i]) / total;
        if (i == 0 && chosen->line_of_sight) {
            add_ray(link, angle, power);
            continue;
        }
        for (size_t j = 0; j < RAYS; j++) {
            double offset = chosen->spread_deg * ray_offsets[j / 2];
            add_ray(link, angle + (j % 2 ? -offset : offset), power / RAYS);
        }
    }
    return TB_OK;
}

// Each ray arrives with a phase of its own.
static void draw_rays(double *h, const tb_csi_link *link, uint64_t frame)
{
    enum { MOST_RAYS = 24 * RAYS };
    double phases[MOST_RAYS];
    size_t n = link->options.n;
    tb_csi_uniforms(phases, &(tb_csi_stream){link->options.seed, frame, TB_CSI_FOR_PATHS}, link->ray_count);
    for (size_t i = 0; i < 2 * n; i++)
        h[i] = 0;
    for (size_t k = 0; k < link->ray_count; k++) {
        const double *ray = link->rays + k * 2 * n;
        double c = cos(2 * PI * phases[k]), s = sin(2 * PI * phases[k]);
        for (size_t i = 0; i < n; i++) {
            h[i] += c * ray[i] - s * ray[n + i];
            h[n + i] += s * ray[i] + c * ray[n + i];
        }
    }
}

// ---- few angles ----

enum { SPARSE_PATHS = 8 };

static tb_code init_sparse(tb_csi_link *link, tb_error *err)
{
    size_t n = link->options.n;
    link->angles = tb_arena_array(&link->arena, n, 2 * sizeof(double));
    if (!link->angles)
        return tb_fail(err, TB_ENOMEM, "no memory for the angles of the channel");
    for (size_t i = 0; i < n; i++) {
        link->angles[2 * i] = cos(2 * PI * (double)i / (double)n);
        link->angles[2 * i + 1] = sin(2 * PI * (double)i / (double)n);
    }
    return TB_OK;
}

// Places of the `paths` non-zero angles among n, all different (Floyd's sampling).
static void draw_places(size_t *places, size_t paths, size_t n, const double *draws)
{
    for (size_t i = 0; i < paths; i++) {
        size_t last = n - paths + i, place = (size_t)(draws[i] * (double)(last + 1));
        for (size_t j = 0; j < i; j++)
            if (places[j] == place) {
                place = last;
                break;
            }
        places[i] = place;
    }
}

// h is the unitary discrete Fourier transform of the angles.
static void draw_sparse(double *h, const tb_csi_link *link, uint64_t frame)
{
    size_t n = link->options.n, paths = n < SPARSE_PATHS ? n : SPARSE_PATHS, places[SPARSE_PATHS];
    double re[SPARSE_PATHS], im[SPARSE_PATHS], draws[SPARSE_PATHS];
    uint64_t seed = link->options.seed;
    tb_csi_normals(re, im, &(tb_csi_stream){seed, frame, TB_CSI_FOR_CSI}, 0, paths, 1 / (double)paths);
    tb_csi_uniforms(draws, &(tb_csi_stream){seed, frame, TB_CSI_FOR_PATHS}, paths);
    draw_places(places, paths, n, draws);
    for (size_t i = 0; i < n; i++) {
        h[i] = h[n + i] = 0;
        for (size_t k = 0; k < paths; k++) {
            const double *angle = link->angles + 2 * (i * places[k] % n);
            h[i] += re[k] * angle[0] - im[k] * angle[1];
            h[n + i] += re[k] * angle[1] + im[k] * angle[0];
        }
    }
}

// ---- a CSI of symbols ----

static void draw_symbols(double *h, const tb_csi_link *link, uint64_t frame)
{
    const double root_half = 0.70710678118654752440;
    size_t n = link->options.n;
    tb_csi_uniforms(h, &(tb_csi_stream){link->options.seed, frame, TB_CSI_FOR_CSI}, 2 * n);
    for (size_t i = 0; i < 2 * n; i++)
        h[i] = h[i] < 0.5 ? -root_half : root_half;
}

// ---- all of them ----

tb_code tb_csi_channel_init(tb_csi_link *link, tb_error *err)
{
    switch (link->options.channel) {
    case TB_CSI_SPARSE:
        return init_sparse(link, err);
    case TB_CSI_CDL_A:
    case TB_CSI_CDL_B:
    case TB_CSI_CDL_C:
    case TB_CSI_CDL_D:
        return init_profile(link, &profiles[link->options.channel - TB_CSI_CDL_A], err);
    default:
        return TB_OK;
    }
}

void tb_csi_channel_draw(double *h, const tb_csi_link *link, uint64_t frame)
{
    size_t n = link->options.n;
    if (link->angles)
        draw_sparse(h, link, frame);
    else if (link->rays)
        draw_rays(h, link, frame);
    else if (link->options.channel == TB_CSI_DIGITAL)
        draw_symbols(h, link, frame);
    else
        tb_csi_normals(h, h + n, &(tb_csi_stream){link->options.seed, frame, TB_CSI_FOR_CSI}, 0, n, 1);
}
