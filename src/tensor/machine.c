#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

static void read_processor_name(char *out, size_t size)
{
    snprintf(out, size, "unknown processor");
    FILE *info = fopen("/proc/cpuinfo", "r");
    if (!info)
        return;
    char line[256];
    while (fgets(line, sizeof line, info))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            const char *name = strchr(line, ':') + 1;
            name += strspn(name, " ");
            snprintf(out, size, "%.*s", (int)strcspn(name, "\n"), name);
            break;
        }
    fclose(info);
}

const char *tb_machine_name(char out[TB_MACHINE_NAME])
{
    char processor[TB_MACHINE_NAME - TB_BLAS_NAME - 2], blas[TB_BLAS_NAME];
    read_processor_name(processor, sizeof processor);
    snprintf(out, TB_MACHINE_NAME, "%s, %s", processor, tb_blas_name(blas));
    return out;
}
