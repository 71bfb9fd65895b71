// Which kernels OpenBLAS runs, and which it should. It chooses them by a table of the processor's family and model when
// it is loaded: a processor newer than the table gets those of the year 2004, and one whose features a hypervisor hides
// may get kernels that it cannot run. Here the choice is compared with the processor's features.
//
// Sums of floats differ between levels; within a level cores share their kernels for what twobit calls (Cooperlake's
// differ from SkylakeX's in bfloat16 only, Zen's from Haswell's in how operands are copied), so that within a level the
// library's own choice stands. f32 products 128×8960×1536 on one thread of an AMD EPYC of family 25, model 17 run at 36
// GF with Prescott's kernels, 84 with Haswell's, 88 with Zen's, 89 with SkylakeX's and 88 with Cooperlake's.
#include "base/base.h"
#include "tensor/tensor.h"

#include <cblas.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef enum kernel_level { LEVEL_SSE, LEVEL_AVX, LEVEL_AVX2, LEVEL_AVX512 } kernel_level;

// The core that stands for a level: every OpenBLAS that can choose when it is loaded has it.
static const char *const core_of_level[] = {
    [LEVEL_SSE] = "Prescott",
    [LEVEL_AVX] = "Sandybridge",
    [LEVEL_AVX2] = "Haswell",
    [LEVEL_AVX512] = "SkylakeX",
};

// AMD's families 15h are the only ones with FMA4, which their kernels use: what the library chooses there is right.
static const struct {
    const char *core;
    kernel_level level;
} cores[] = {
    {"Katmai", LEVEL_SSE},        {"Coppermine", LEVEL_SSE},
    {"Northwood", LEVEL_SSE},     {"Prescott", LEVEL_SSE},
    {"Banias", LEVEL_SSE},        {"Atom", LEVEL_SSE},
    {"Core2", LEVEL_SSE},         {"Penryn", LEVEL_SSE},
    {"Dunnington", LEVEL_SSE},    {"Nehalem", LEVEL_SSE},
    {"Athlon", LEVEL_SSE},        {"Opteron", LEVEL_SSE},
    {"Opteron_SSE3", LEVEL_SSE},  {"Barcelona", LEVEL_SSE},
    {"Nano", LEVEL_SSE},          {"Bobcat", LEVEL_SSE},
    {"Sandybridge", LEVEL_AVX},   {"Haswell", LEVEL_AVX2},
    {"Zen", LEVEL_AVX2},          {"SkylakeX", LEVEL_AVX512},
    {"Cooperlake", LEVEL_AVX512}, {"SapphireRapids", LEVEL_AVX512},
};

enum { CORES = sizeof cores / sizeof cores[0] };

static kernel_level level_of_processor(tb_cpu cpu)
{
    if (cpu & TB_CPU_AVX512)
        return LEVEL_AVX512;
    if (cpu & TB_CPU_AVX2)
        return LEVEL_AVX2;
    return cpu & TB_CPU_AVX ? LEVEL_AVX : LEVEL_SSE;
}

// Builds for one processor write its name in capitals.
static bool find_level(kernel_level *level, const char *core)
{
    for (size_t i = 0; i < CORES; i++)
        if (strcasecmp(core, cores[i].core) == 0) {
            *level = cores[i].level;
            return true;
        }
    return false;
}

const char *tb_blas_better_core(tb_cpu cpu, const char *core, const char *setting)
{
    kernel_level fits = level_of_processor(cpu), runs;
    if (setting || !find_level(&runs, core) || runs == fits)
        return NULL;
    return core_of_level[fits];
}

const char *tb_blas_core(void)
{
    return openblas_get_corename();
}

// The library describes itself as "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …".
const char *tb_blas_name(char out[TB_BLAS_NAME])
{
    const char *config = openblas_get_config();
    size_t name = strcspn(config, " "), version = name + strspn(config + name, " ");
    version += strcspn(config + version, " ");
    snprintf(out, TB_BLAS_NAME, "%.*s with %s kernels", (int)version, config, tb_blas_core());
    return out;
}
