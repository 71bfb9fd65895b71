#include "template/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    CHUNK = 64 * 1024,       // bytes of an arena's chunks
    DEPTH_LIMIT = 1500,      // levels of evaluation, some eight for each call of a macro; Python stops earlier
    LARGE = CHUNK / 8,       // bytes of what gets a chunk of its own: an eighth of a chunk at most stays unused
    OUTPUT_LIMIT = 16 << 20, // bytes of text; a context of a million tokens has some four million
};

// ---- failing ----

tb_value tb_render_fail(tb_render *run, tb_code code, const char *format, ...)
{
    char what[sizeof run->err->message];
    va_list args;
    if (run->rc)
        return tb_missing();
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    run->rc = tb_fail(run->err, code, "the template failed at line %u: %s", (unsigned)run->line, what);
    return tb_missing();
}

tb_value tb_render_wrong_type(tb_render *run, const char *operation, tb_value value)
{
    if (value.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, value);
    return tb_render_fail(run, TB_EINVAL, "%s does not work on a value of type '%s'", operation,
                          tb_value_kind_name(value.kind));
}

tb_value tb_render_fail_undefined(tb_render *run, tb_value undefined)
{
    const tb_string *s = undefined.variant == TB_WHY_HINT ? NULL : undefined.as.string;
    int n = s ? (int)(s->text.size < 200 ? s->text.size : 200) : 0;
    const char *text = s ? s->text.data : "";
    switch (undefined.variant) {
    case TB_WHY_NAME:
        return tb_render_fail(run, TB_EINVAL, "'%.*s' is undefined", n, text);
    case TB_WHY_ATTRIBUTE:
        if (!s)
            return tb_render_fail(run, TB_EINVAL, "a value of type '%s' lacks an item",
                                  tb_value_kind_name(undefined.owner));
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' has no '%.*s'", tb_value_kind_name(undefined.owner),
                              n, text);
    case TB_WHY_PARAMETER:
        return tb_render_fail(run, TB_EINVAL, "the parameter '%.*s' was not given", n, text);
    case TB_WHY_FORBIDDEN:
        return tb_render_fail(run, TB_EINVAL,
                              "'%.*s' of a value of type '%s' is forbidden to templates (as in Hugging Face's sandbox)",
                              n, text, tb_value_kind_name(undefined.owner));
    default:
        return tb_render_fail(run, TB_EINVAL, "%s", undefined.as.hint);
    }
}

// ---- limits ----

void tb_render_init(tb_render *run, const tb_limits *limits, tb_error *err)
{
    *run = (tb_render){.memory_left = limits->memory, .steps_left = limits->steps, .err = err};
    tb_arena_init(&run->arena, CHUNK);
    tb_arena_init(&run->large, 1);
}

void tb_render_clear(tb_render *run)
{
    tb_arena_clear(&run->arena);
    tb_arena_clear(&run->large);
}

void tb_render_work(tb_render *run, uint64_t steps)
{
    if (steps > run->steps_left)
        tb_render_fail(run, TB_ELIMIT, "it takes too many steps");
    else
        run->steps_left -= steps;
}

bool tb_render_enter(tb_render *run)
{
    if (run->depth == DEPTH_LIMIT)
        tb_render_fail(run, TB_ELIMIT, "calls or values nest too deeply");
    run->depth += !run->rc;
    return !run->rc;
}

void *tb_render_alloc(tb_render *run, size_t size)
{
    size_t padded = tb_round_up(size, TB_ALIGNMENT);
    if (size > run->memory_left || padded > run->memory_left)
        tb_render_fail(run, TB_ELIMIT, "it needs too much memory");
    if (run->rc)
        return NULL;
    void *block = tb_arena_alloc(size > LARGE ? &run->large : &run->arena, size);
    if (block)
        run->memory_left -= padded;
    else
        run->rc = tb_fail(run->err, TB_ENOMEM, "no memory to render a template");
    return block;
}

void *tb_render_array(tb_render *run, size_t count, size_t size)
{
    size_t total;
    return tb_render_alloc(run, tb_mul_size(&total, count, size) ? total : SIZE_MAX - TB_ALIGNMENT);
}

tb_frame *tb_frame_new(tb_render *run, tb_frame *outer, size_t slots)
{
    tb_frame *frame = tb_render_alloc(run, sizeof *frame + slots * sizeof frame->slots[0]);
    if (frame)
        frame->outer = outer;
    return frame;
}

// ---- output ----

void tb_render_write(tb_render *run, tb_piece text)
{
    tb_render_work(run, 1 + text.size / TB_BYTES_COPIED_PER_STEP);
    if (text.size > OUTPUT_LIMIT - run->out.size)
        tb_render_fail(run, TB_ELIMIT, "its output grows too long");
    size_t at = run->origins.size;
    if (!run->rc)
        run->rc = tb_str_append(&run->out, text.data, text.size, run->err);
    if (!run->rc) // where all bytes are of one origin, what is copied is overwritten
        run->rc = tb_str_append(&run->origins, text.origins ? text.origins : text.data, text.size, run->err);
    if (!run->rc && !text.origins && text.size)
        memset(run->origins.data + at, text.origin, text.size);
}

void tb_render_write_text(tb_render *run, const char *text)
{
    tb_render_write(run, tb_piece_literal(text));
}

void tb_render_write_repeated(tb_render *run, tb_piece text, size_t times)
{
    for (size_t i = 0; i < times && text.size > 0 && !run->rc; i++)
        tb_render_write(run, text);
}

void tb_render_printf(tb_render *run, tb_origin origin, const char *format, ...)
{
    char text[512]; // of numbers: the longest has 309 digits and a short fraction
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tb_render_work(run, TB_STEPS_PER_NUMBER / 4); // most are short
    if (n < 0 || (size_t)n >= sizeof text)
        tb_render_fail(run, TB_EUNSUPPORTED, "a number of that many digits is not supported");
    else
        tb_render_write(run, tb_piece_of((tb_text){text, (size_t)n}, origin));
}

size_t tb_render_begin(const tb_render *run)
{
    return run->out.size;
}

// What has been written since `mark`; borrowed until more is written.
static tb_piece written_since(const tb_render *run, size_t mark)
{
    size_t size = run->out.size - mark;
    if (size == 0)
        return tb_piece_literal("");
    const char *origins = run->origins.data + mark;
    bool of_one = memcmp(origins, origins + 1, size - 1) == 0;
    return (tb_piece){run->out.data + mark, size, of_one ? NULL : origins, (tb_origin)*origins};
}

tb_value tb_render_take(tb_render *run, size_t mark)
{
    if (run->rc)
        return tb_missing();
    tb_value string = tb_string_new(run, written_since(run, mark));
    run->out.size = run->origins.size = mark;
    return string;
}

tb_value tb_render_take_alike(tb_render *run, size_t mark, tb_value string)
{
    return tb_marked_like(tb_render_take(run, mark), string);
}
