// Texts that live as long as a comparison, and the keys of its results.
#include <stdarg.h>
#include <stdio.h>

#include "cli/compare/compare.h"

static const char *print_to_arena(tb_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : tb_arena_alloc(arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

const char *tb_compare_keep(tb_comparison *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = print_to_arena(&c->arena, format, args);
    va_end(args);
    return text;
}

const char *tb_compare_key(tb_comparison *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = print_to_arena(&c->arena, format, args);
    va_end(args);
    return text ? tb_compare_keep(c, "twobit " TB_VERSION ", kernels %s; %s", c->cpu_name, text) : NULL;
}
