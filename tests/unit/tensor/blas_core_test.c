// The choice of kernels of the BLAS library, for processors that are not at hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/base.h"
#include "tensor/tensor.h"

enum {
    SSE = 0,
    AVX = TB_CPU_AVX,
    AVX2 = AVX | TB_CPU_AVX2,
    AVX512 = AVX2 | TB_CPU_AVX512,
    AVX512_VNNI = AVX512 | TB_CPU_VNNI,
};

typedef struct processor {
    const char *name;
    tb_cpu cpu;
    const char *core;   // what OpenBLAS starts with
    const char *better; // NULL: that is right
} processor;

static void check(const processor *list, size_t count, const char *setting)
{
    for (size_t i = 0; i < count; i++) {
        const char *better = tb_blas_better_core(list[i].cpu, list[i].core, setting);
        const char *expected = setting ? NULL : list[i].better;
        if (expected ? !better || strcmp(better, expected) != 0 : better != NULL)
            fail_msg("%s with %s: %s instead of %s", list[i].name, list[i].core, better ? better : "nothing",
                     expected ? expected : "nothing");
    }
}

static const processor unknown[] = {
    {"Emerald Rapids (6/207)", AVX512_VNNI, "Prescott", "SkylakeX"},
    {"a server of AVX-512 without bfloat16", AVX512, "Prescott", "SkylakeX"},
    {"Raptor Lake (6/183)", AVX2, "Prescott", "Haswell"},
    {"Arrow Lake (6/198)", AVX2, "Prescott", "Haswell"},
    {"a processor of AVX alone", AVX, "Prescott", "Sandybridge"},
    {"Zen 4 before OpenBLAS 0.3.21", AVX512_VNNI, "Zen", "SkylakeX"},
    {"Rocket Lake taken for its predecessor", AVX512_VNNI, "Haswell", "SkylakeX"},
    {"Nano's successors", AVX2, "Nehalem", "Haswell"},
    {"a build for the oldest processor", AVX2, "PRESCOTT", "Haswell"},
};

static const processor known[] = {
    {"Core 2", SSE, "Core2", NULL},
    {"Nehalem", SSE, "Nehalem", NULL},
    {"Sandy Bridge", AVX, "Sandybridge", NULL},
    {"Bulldozer", AVX, "Bulldozer", NULL},
    {"Excavator", AVX2, "Excavator", NULL},
    {"Haswell", AVX2, "Haswell", NULL},
    {"Alder Lake", AVX2, "Haswell", NULL},
    {"Zen 1 and 2", AVX2, "Zen", NULL},
    {"Zen 3", AVX2, "Zen", NULL},
    {"Zen 4 and 5", AVX512_VNNI, "Cooperlake", NULL},
    {"Skylake-X", AVX512, "SkylakeX", NULL},
    {"Ice Lake", AVX512_VNNI, "SkylakeX", NULL},
    {"Sapphire Rapids", AVX512_VNNI, "Cooperlake", NULL},
    {"Sapphire Rapids with a newer OpenBLAS", AVX512_VNNI, "SapphireRapids", NULL},
    {"a core newer than this program", AVX512_VNNI, "Futurelake", NULL},
    {"a build for this processor", AVX2, "HASWELL", NULL},
    {"a processor of another kind", 0, "NEOVERSEN1", NULL},
    {"a core without a name", AVX2, "Unknown", NULL},
};

// A hypervisor hides features, the model stays: the table would have kernels run that cannot.
static const processor masked[] = {
    {"Zen without AVX2", AVX, "Zen", "Sandybridge"},
    {"Zen without AVX", SSE, "Zen", "Prescott"},
    {"Skylake-X whose AVX-512 lacks a part", AVX2, "SkylakeX", "Haswell"},
    {"Haswell without FMA", AVX, "Haswell", "Sandybridge"},
    {"Emerald Rapids without AVX-512", AVX2, "Prescott", "Haswell"},
    {"Emerald Rapids without AVX", SSE, "Prescott", NULL},
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void blas_core__fits_processors_that_the_library_does_not_know(void **state)
{
    (void)state;
    check(unknown, COUNT(unknown), NULL);
}

static void blas_core__leaves_the_library_its_choice_where_it_fits(void **state)
{
    (void)state;
    check(known, COUNT(known), NULL);
}

static void blas_core__fits_what_a_hypervisor_left(void **state)
{
    (void)state;
    check(masked, COUNT(masked), NULL);
}

static void blas_core__leaves_the_user_the_choice(void **state)
{
    (void)state;
    static const char *const settings[] = {"Prescott", "SkylakeX", "nonsense", ""};
    for (size_t i = 0; i < COUNT(settings); i++) {
        check(unknown, COUNT(unknown), settings[i]);
        check(known, COUNT(known), settings[i]);
        check(masked, COUNT(masked), settings[i]);
    }
}

// What is chosen is known, and is not chosen away again.
static void blas_core__is_content_with_its_own_choice(void **state)
{
    (void)state;
    static const tb_cpu cpus[] = {SSE, AVX, AVX2, AVX512, AVX512_VNNI};
    static const char *const cores[] = {"Prescott", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake"};
    for (size_t i = 0; i < COUNT(cpus); i++)
        for (size_t j = 0; j < COUNT(cores); j++) {
            const char *better = tb_blas_better_core(cpus[i], cores[j], NULL);
            if (better)
                assert_null(tb_blas_better_core(cpus[i], better, NULL));
        }
}

static void blas_name__tells_library_and_kernels(void **state)
{
    (void)state;
    char name[TB_BLAS_NAME];
    assert_ptr_equal(tb_blas_name(name), name);
    assert_non_null(strstr(name, "OpenBLAS "));
    assert_non_null(strstr(name, tb_blas_core()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blas_core__fits_processors_that_the_library_does_not_know),
        cmocka_unit_test(blas_core__leaves_the_library_its_choice_where_it_fits),
        cmocka_unit_test(blas_core__fits_what_a_hypervisor_left),
        cmocka_unit_test(blas_core__leaves_the_user_the_choice),
        cmocka_unit_test(blas_core__is_content_with_its_own_choice),
        cmocka_unit_test(blas_name__tells_library_and_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
