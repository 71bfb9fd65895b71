#include "base/machine.h"

#include <stdio.h>
#include <string.h>

const char *tb_machine_name(char out[TB_MACHINE_NAME])
{
    snprintf(out, TB_MACHINE_NAME, "unknown processor");
    FILE *info = fopen("/proc/cpuinfo", "r");
    if (!info)
        return out;
    char line[256];
    while (fgets(line, sizeof line, info))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            const char *name = strchr(line, ':') + 1;
            name += strspn(name, " ");
            snprintf(out, TB_MACHINE_NAME, "%.*s", (int)strcspn(name, "\n"), name);
            break;
        }
    fclose(info);
    return out;
}
