// Registries of applications in YAML.
#include <stdint.h>
#include <stdlib.h>

#include "agent/apps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_apps apps;
    tb_error err;
    if (tb_apps_parse(&apps, (tb_text){(const char *)data, size}, "it", &err) && !err.message[0])
        abort();
    for (size_t i = 0; i < apps.count; i++)
        if (apps.items[i].index >= TB_SLOT_PORTS || tb_apps_get(&apps, apps.items[i].key) != &apps.items[i])
            abort();
    tb_apps_clear(&apps);
    return 0;
}
