// What verifiers print: any text has a verdict, whose sums are those of its checks where it printed none.
#include <stdint.h>
#include <stdlib.h>

#include "agent/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_verdict v;
    tb_error err;
    if (tb_verdict_parse(&v, (tb_text){(const char *)data, size}, &err))
        return 0;
    uint64_t total = 0;
    for (size_t i = 0; i < v.check_count; i++) {
        total += v.checks[i].weight;
        if (v.checks[i].label.size == 0 ||
            tb_utf8_valid_prefix(v.checks[i].label.data, v.checks[i].label.size) != v.checks[i].label.size)
            abort();
    }
    if (!v.has_score && (v.total != total || v.earned > v.total))
        abort();
    tb_verdict_clear(&v);
    return 0;
}
