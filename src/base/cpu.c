#include "base/cpu.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const struct {
    const char *name;
    tb_cpu cpu;
} levels[] = {
    {"scalar", 0},
    {"avx2", TB_CPU_AVX2},
    {"avx512", TB_CPU_AVX2 | TB_CPU_AVX512},
    {"vnni", TB_CPU_AVX2 | TB_CPU_AVX512 | TB_CPU_VNNI},
};

enum { LEVELS = sizeof levels / sizeof levels[0] };

#if defined(__x86_64__)
// clang 14 does not know the name "f16c": ask for leaf 1, ECX bit 29. The operating system's
// part, saving the wide registers, is the same as for AVX2.
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

static tb_cpu ask_processor(void)
{
    tb_cpu cpu = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx"))
        cpu |= TB_CPU_AVX;
    if ((cpu & TB_CPU_AVX) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        cpu |= TB_CPU_AVX2;
    if ((cpu & TB_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        cpu |= TB_CPU_AVX512;
    if ((cpu & TB_CPU_AVX512) && __builtin_cpu_supports("avx512vnni"))
        cpu |= TB_CPU_VNNI;
#endif
    return cpu;
}

static bool find_level(tb_cpu *out, const char *name)
{
    for (size_t i = 0; i < LEVELS; i++)
        if (strcmp(name, levels[i].name) == 0) {
            *out = levels[i].cpu;
            return true;
        }
    return false;
}

tb_cpu tb_cpu_detect(void)
{
    const char *most = getenv("TWOBIT_CPU");
    tb_cpu level;
    return most && find_level(&level, most) ? ask_processor() & level : ask_processor();
}

bool tb_cpu_parse(tb_cpu *out, const char *name)
{
    if (strcmp(name, "native") != 0)
        return find_level(out, name);
    *out = tb_cpu_detect();
    return true;
}

const char *tb_cpu_name(tb_cpu cpu)
{
    size_t best = 0;
    for (size_t i = 1; i < LEVELS; i++)
        if ((cpu & levels[i].cpu) == levels[i].cpu)
            best = i;
    return levels[best].name;
}
