// Files of factors of the first token, head by head.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_head_bias *list;
    size_t count;
    tb_error err = {0};
    tb_code rc = tb_head_gammas_parse(&list, &count, (tb_text){(const char *)data, size}, "fuzz", &err);
    if (rc && (list || count || !err.message[0]))
        abort();
    for (size_t i = 0; i < count; i++)
        if (!isfinite(list[i].bias))
            abort();
    tb_free(list);
    return 0;
}
