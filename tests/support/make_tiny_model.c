// make_tiny_model OUT.gguf [--blocks N …]: writes a model of tiny_model.h for tests of the program.
#include <stdio.h>

#include "base/base.h"
#include "tiny_model.h"

static const tb_option options[] = {
    {"blocks", 0, TB_OPTION_COUNT, offsetof(tiny_model, blocks), "N", 1, 100, "blocks"},
    {"width", 0, TB_OPTION_COUNT, offsetof(tiny_model, width), "N", 1, 4096, "width of the residual stream"},
    {"ffn-width", 0, TB_OPTION_COUNT, offsetof(tiny_model, ffn_width), "N", 1, 4096,
     "width of the feed-forward layers"},
    {"context", 0, TB_OPTION_COUNT, offsetof(tiny_model, context), "N", 1, 4096, "tokens of context"},
    {"seed", 0, TB_OPTION_COUNT, offsetof(tiny_model, seed), "N", 0, 0, "seed of the weights"},
    {"tied", 0, TB_OPTION_FLAG, offsetof(tiny_model, tied), NULL, 0, 0, "no output matrix of its own"},
    {"nan", 0, TB_OPTION_FLAG, offsetof(tiny_model, nan), NULL, 0, 0, "one weight is NaN"},
    {"without-weights", 0, TB_OPTION_FLAG, offsetof(tiny_model, without_weights), NULL, 0, 0, "vocabulary only"},
    {"chat-template", 0, TB_OPTION_FLAG, offsetof(tiny_model, chat_template), NULL, 0, 0, "with a chat template"},
    {0},
};

enum { MOST_OPERANDS = 32 };

int main(int argc, char **argv)
{
    tiny_model model = tiny_model_default;
    const char *items[MOST_OPERANDS];
    tb_operands operands = {items, 0};
    tb_option_set set = {options, &model};
    tb_error err;
    if (argc > MOST_OPERANDS)
        return 2;
    tb_code rc = tb_options_parse(&operands, &set, 1, argc - 1, (const char *const *)argv + 1, &err);
    if (!rc && operands.count != 1)
        rc = tb_fail(&err, TB_EINVAL, "give one file to write");
    if (!rc)
        rc = tiny_model_write(items[0], &model, &err);
    if (rc)
        fprintf(stderr, "make_tiny_model: %s\n", err.message);
    return rc != 0;
}
