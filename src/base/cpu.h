// What the processor offers to the kernels.
#ifndef TB_BASE_CPU_H
#define TB_BASE_CPU_H

#include <stdbool.h>

typedef enum tb_cpu_flag {
    TB_CPU_AVX2 = 1 << 0,   // AVX2, FMA and F16C together
    TB_CPU_AVX512 = 1 << 1, // AVX-512 F, BW, VL, DQ together (implies TB_CPU_AVX2)
    TB_CPU_VNNI = 1 << 2,   // AVX-512 VNNI (implies TB_CPU_AVX512)
    TB_CPU_AVX = 1 << 3,    // no kernel of ours begins here; some of the BLAS library do
} tb_cpu_flag;

// A set of tb_cpu_flag.
typedef unsigned tb_cpu;

// What this processor and operating system support, and no more than the level that the environment variable TWOBIT_CPU
// names: the tests run as on an older processor.
tb_cpu tb_cpu_detect(void);

// A level by its name: scalar, avx2, avx512, vnni, or native. False if unknown. The level
// may lie above what tb_cpu_detect() reports: intersect before use.
bool tb_cpu_parse(tb_cpu *out, const char *name);

// The name of the highest level in `cpu`.
const char *tb_cpu_name(tb_cpu cpu);

#endif
