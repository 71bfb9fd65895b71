// Writes a model in fewer bits and says how far it is.
//
//     quantize MODEL OUT.gguf RECIPE     a recipe like bpdq, gptq:3 or bpdq:2:192+head=6
#include <stdio.h>

#include "twobit/twobit.h"

static bool show(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user;
    fprintf(stderr, "%s: %.0f of %.0f %s\n", stage, done, total, unit);
    return false; // true would stop the work; the same call then goes on where it was
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: quantize MODEL OUT.gguf RECIPE\n");
        return 2;
    }
    tb_report report = {.progress = show};
    tb_quantize_options options = {.report = &report};
    tb_error err;
    if (tb_quantize(argv[1], argv[2], argv[3], &options, &err)) {
        fprintf(stderr, "quantize: %s\n", err.message);
        return 1;
    }
    return 0;
}
