// Speeds of all kernels on one thread, median of several runs. The clock is that of the thread's
// own processor time: what other programs do between two runs does not count.
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 512, COLS = 2048, REPEATS = 15 };

// Rows decoded at a time into the same place, as matmul does it.
enum { TILE = 32 };

typedef struct bench_case {
    tb_packed w;
    float *x, *y, *decoded;
    uint16_t *halves, *keys;
} bench_case;

typedef void bench_fn(const tb_kernels *kernels, bench_case *c);

static void run_gemv(const tb_kernels *kernels, bench_case *c)
{
    tb_kernels_product(kernels, c->w.view.type)->gemv(c->y, &c->w.view, 0, ROWS, c->x);
}

static void run_decode(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r += TILE)
        tb_kernels_decode(kernels, c->w.view.type)(c->decoded, COLS, &c->w.view, r, r + TILE);
}

static void run_dot_f32(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        c->y[r] = kernels->dot_f32(c->x, c->decoded, COLS);
}

static void run_dot_f32_f16(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        c->y[r] = kernels->dot_f32_f16(c->x, c->halves, COLS);
}

static void run_axpy_f32(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        kernels->axpy_f32(c->decoded, 0x1p-20f, c->x, COLS);
}

static void run_axpy_f16(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        kernels->axpy_f16(c->decoded, 0x1p-20f, c->halves, COLS);
}

static void run_half_from_float(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        kernels->half_from_float(c->halves, c->x, COLS);
}

// Attention of three heads of 64 that share keys, over 512 keys that lie in the cache; elements count once.
enum { HEAD = 64, HEADS = 3 };

static void run_scores_f16(const tb_kernels *kernels, bench_case *c)
{
    for (size_t i = 0; i < COLS / HEAD; i++)
        kernels->scores_f16(c->decoded, ROWS, c->x, HEAD, HEADS, c->keys, ROWS, HEAD);
}

static void run_mix_f16(const tb_kernels *kernels, bench_case *c)
{
    for (size_t i = 0; i < COLS / HEAD; i++)
        kernels->mix_f16(c->y, HEAD, c->decoded, ROWS, HEADS, c->keys, ROWS, HEAD);
}

// Groups of 64 rows, as caches have them.
static void run_mix_codes(const tb_kernels *kernels, bench_case *c, unsigned bits)
{
    enum { GROUP = 64 };
    for (size_t i = 0; i < COLS / HEAD; i++)
        for (size_t r = 0; r < ROWS; r += GROUP) {
            const tb_codes codes = {c->halves, c->halves + GROUP, (uint8_t *)c->keys + r * HEAD, HEAD / 8 * bits, bits};
            kernels->mix_codes(c->y, HEAD, c->decoded + r, ROWS, HEADS, &codes, GROUP, HEAD);
        }
}

static void run_mix_2_bits(const tb_kernels *kernels, bench_case *c)
{
    run_mix_codes(kernels, c, 2);
}

static void run_mix_4_bits(const tb_kernels *kernels, bench_case *c)
{
    run_mix_codes(kernels, c, 4);
}

static void run_mix_8_bits(const tb_kernels *kernels, bench_case *c)
{
    run_mix_codes(kernels, c, 8);
}

static void run_decode_2_bits(const tb_kernels *kernels, bench_case *c)
{
    for (size_t i = 0; i < COLS / HEAD; i++) {
        const tb_codes codes = {c->halves, c->halves + ROWS, (uint8_t *)c->keys, HEAD / 4, 2};
        kernels->decode_codes(c->decoded, HEAD, &codes, ROWS, HEAD);
    }
}

static void run_max_f32(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        c->y[0] = kernels->max_f32(c->x, COLS);
}

static void run_exp_f32(const tb_kernels *kernels, bench_case *c)
{
    for (size_t r = 0; r < ROWS; r++)
        c->y[0] = kernels->exp_f32(c->decoded, 0, COLS);
}

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Billions of weights (or elements) per second.
static double measure(bench_fn *fn, const tb_kernels *kernels, bench_case *c)
{
    double seconds[REPEATS];
    fn(kernels, c);
    for (size_t i = 0; i < REPEATS; i++) {
        double start = thread_seconds();
        fn(kernels, c);
        seconds[i] = thread_seconds() - start;
    }
    qsort(seconds, REPEATS, sizeof seconds[0], by_value);
    return (double)ROWS * COLS / seconds[REPEATS / 2] * 1e-9;
}

static void print_line(const char *name, bench_fn *fn, const tb_kernels *tables, size_t count, bench_case *c)
{
    printf("| %-26s |", name);
    for (size_t i = 0; i < count; i++)
        printf(" %7.2f |", measure(fn, &tables[i], c));
    printf("\n");
    fflush(stdout);
}

static void bench_case_init(bench_case *c, const sample_shape *shape)
{
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    sample_matrix(&c->w, shape, SAMPLE_NORMAL, &rng);
    c->x = tb_alloc_array(COLS, sizeof(float));
    c->y = tb_alloc_array(ROWS, sizeof(float));
    c->decoded = tb_alloc_array((size_t)TILE * COLS, sizeof(float));
    c->halves = tb_alloc_array(COLS, sizeof(uint16_t));
    c->keys = tb_alloc_array((size_t)ROWS * HEAD, sizeof(uint16_t));
    if (!c->x || !c->y || !c->decoded || !c->halves || !c->keys)
        exit(1);
    sample_vector(c->x, COLS, SAMPLE_NORMAL, &rng);
}

static void bench_case_clear(bench_case *c)
{
    tb_packed_clear(&c->w);
    tb_free(c->x);
    tb_free(c->y);
    tb_free(c->decoded);
    tb_free(c->halves);
    tb_free(c->keys);
}

static void bench_matrix(const sample_shape *shape, const tb_kernels *tables, size_t count)
{
    char what[64], name[80];
    const char *type = tb_type_name((uint32_t)shape->type);
    if (tb_type_is_plane(shape->type))
        snprintf(what, sizeof what, "%s k=%u g=%zu", type, shape->planes, shape->group);
    else
        snprintf(what, sizeof what, "%s", type);
    bench_case c;
    bench_case_init(&c, shape);
    snprintf(name, sizeof name, "gemv %s", what);
    print_line(name, run_gemv, tables, count, &c);
    snprintf(name, sizeof name, "decode %s", what);
    print_line(name, run_decode, tables, count, &c);
    bench_case_clear(&c);
}

static void bench_vectors(const tb_kernels *tables, size_t count)
{
    bench_case c;
    bench_case_init(&c, &(sample_shape){TB_TYPE_F32, ROWS, COLS, 0, 0});
    print_line("dot_f32", run_dot_f32, tables, count, &c);
    print_line("dot_f32_f16", run_dot_f32_f16, tables, count, &c);
    print_line("axpy_f32", run_axpy_f32, tables, count, &c);
    print_line("axpy_f16", run_axpy_f16, tables, count, &c);
    print_line("half_from_float", run_half_from_float, tables, count, &c);
    print_line("scores_f16, 3 queries", run_scores_f16, tables, count, &c);
    print_line("mix_f16, 3 queries", run_mix_f16, tables, count, &c);
    print_line("mix_codes 2 bits, 3 queries", run_mix_2_bits, tables, count, &c);
    print_line("mix_codes 4 bits, 3 queries", run_mix_4_bits, tables, count, &c);
    print_line("mix_codes 8 bits, 3 queries", run_mix_8_bits, tables, count, &c);
    print_line("decode_codes 2 bits", run_decode_2_bits, tables, count, &c);
    print_line("max_f32", run_max_f32, tables, count, &c);
    print_line("exp_f32", run_exp_f32, tables, count, &c);
    bench_case_clear(&c);
}

void bench_kernels(const tb_kernels *tables, size_t count)
{
    static const sample_shape planes[] = {
        {TB_TYPE_BITPLANES, ROWS, COLS, 1, 128}, {TB_TYPE_BITPLANES, ROWS, COLS, 2, 64},
        {TB_TYPE_BITPLANES, ROWS, COLS, 2, 128}, {TB_TYPE_BITPLANES, ROWS, COLS, 3, 128},
        {TB_TYPE_BITPLANES, ROWS, COLS, 4, 128}, {TB_TYPE_AFFINE, ROWS, COLS, 2, 128},
        {TB_TYPE_AFFINE, ROWS, COLS, 3, 128},    {TB_TYPE_TRITPLANES, ROWS, COLS, 2, 128},
        {TB_TYPE_OFFSET, ROWS, COLS, 2, 64},     {TB_TYPE_OFFSET, ROWS, COLS, 4, 64},
        {TB_TYPE_OFFSET, ROWS, COLS, 6, 64},
    };
    printf("billions of weights or elements per second, %d x %d, one thread, median of %d runs of processor time\n\n",
           ROWS, COLS, REPEATS);
    printf("| %-26s |", "kernel");
    for (size_t i = 0; i < count; i++)
        printf(" %7s |", tb_cpu_name(tables[i].cpu));
    printf("\n| --- |");
    for (size_t i = 0; i < count; i++)
        printf(" --: |");
    printf("\n");
    for (size_t i = 0; i < sizeof planes / sizeof planes[0]; i++)
        bench_matrix(&planes[i], tables, count);
    for (uint32_t type = 0; type < 256; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (traits && traits->decode)
            bench_matrix(&(sample_shape){(tb_type)type, ROWS, COLS, 0, 0}, tables, count);
    }
    bench_vectors(tables, count);
}
