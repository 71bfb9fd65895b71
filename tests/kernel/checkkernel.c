// checkkernel [--bench] [--cpu LEVEL]: see check.h. Exits with 1 when a kernel breaks its contract.
#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CANARY = 0xA5, PRINTED_FAILURES = 20 };

static size_t failures;

// What is being checked, for the report when it touches an unmapped page.
static char current[96];

void check_fail(const char *name, const char *format, ...)
{
    if (failures++ >= PRINTED_FAILURES)
        return;
    va_list args;
    va_start(args, format);
    printf("FAILED %s: ", name);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void check_begin(const char *name)
{
    snprintf(current, sizeof current, "%s", name);
}

static void report_crash(int signal)
{
    (void)signal;
    static const char text[] = "FAILED by reading or writing past the end: ";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 || write(STDOUT_FILENO, current, strlen(current)) < 0 ||
        write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

guarded guarded_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded g = {.size = size, .map_size = tb_round_up(size + 1, page) + page};
    g.map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + g.map_size - page, page, PROT_NONE)) {
        perror("checkkernel: mmap");
        exit(1);
    }
    memset(g.map, CANARY, g.map_size - page);
    g.data = g.map + g.map_size - page - size;
    return g;
}

void guarded_free(guarded *g)
{
    munmap(g->map, g->map_size);
}

bool guarded_is_intact(const guarded *g)
{
    for (const unsigned char *p = g->map; p < (unsigned char *)g->data; p++)
        if (*p != CANARY)
            return false;
    return true;
}

const char *shape_name(const sample_shape *shape)
{
    static char name[96];
    if (tb_type_is_plane(shape->type))
        snprintf(name, sizeof name, "%s %zux%zu k=%u g=%zu", tb_type_name((uint32_t)shape->type), shape->rows,
                 shape->cols, shape->planes, shape->group);
    else
        snprintf(name, sizeof name, "%s %zux%zu", tb_type_name((uint32_t)shape->type), shape->rows, shape->cols);
    return name;
}

// The tables of all levels up to `cpu` that bring new kernels, lowest first; returns how many.
static size_t make_tables(tb_kernels tables[4], tb_cpu cpu)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "vnni"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        tb_cpu level;
        tb_cpu_parse(&level, levels[i]);
        if ((level & cpu) != level)
            continue;
        tb_kernels_init(&tables[count], level);
        if (count == 0 || tables[count].cpu != tables[count - 1].cpu)
            count++;
    }
    return count;
}

static void check_table(const tb_kernels *kernels)
{
    size_t before = failures;
    check_gemv(kernels);
    check_decode(kernels);
    check_vector(kernels);
    check_attention(kernels);
    check_codes(kernels);
    printf("%-7s %s\n", tb_cpu_name(kernels->cpu), failures == before ? "ok" : "FAILED");
}

static int usage(void)
{
    fprintf(stderr, "usage: checkkernel [--bench] [--cpu scalar|avx2|avx512|vnni]\n");
    return 2;
}

int main(int argc, char **argv)
{
    bool bench = false;
    tb_cpu cpu = tb_cpu_detect(), limit;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--cpu") == 0 && i + 1 < argc && tb_cpu_parse(&limit, argv[++i]))
            cpu &= limit;
        else
            return usage();
    }
    tb_kernels tables[4];
    size_t count = make_tables(tables, cpu);
    if (bench) {
        bench_kernels(tables, count);
        return 0;
    }
    signal(SIGSEGV, report_crash);
    for (size_t i = 0; i < count; i++)
        check_table(&tables[i]);
    return failures != 0;
}
