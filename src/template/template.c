// The outside of templates: compiling one, rendering it.
#include "template/template.h"

#include "template/ast.h"
#include "template/json.h"
#include "template/run.h"

enum {
    CHUNK = 64 * 1024,
    MEMORY_LIMIT = 256 << 20,    // bytes of values in one rendering
    OUTPUT_LIMIT = 64 << 20,     // bytes of text
    STEPS_LIMIT = 50 * 1000000u, // pieces of work: about a second; long conversations take some hundred thousand
};

tb_code tb_template_new(tb_template **out, tb_text source, tb_error *err)
{
    *out = NULL;
    tb_template *tmpl = tb_new(tb_template);
    if (!tmpl)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a template");
    tb_arena_init(&tmpl->arena, CHUNK);
    tb_code rc = tb_parse_template(tmpl, source, err);
    if (!rc)
        rc = tb_resolve_names(tmpl, err);
    if (rc) {
        tb_template_free(tmpl);
        return rc;
    }
    *out = tmpl;
    return TB_OK;
}

void tb_template_free(tb_template *tmpl)
{
    if (!tmpl)
        return;
    tb_arena_clear(&tmpl->arena);
    tb_free(tmpl);
}

static tb_code run_template(tb_render *run, const tb_template *tmpl)
{
    tb_flow flow;
    tb_frame *frame = tb_frame_new(run, NULL, tmpl->slots);
    if (!frame)
        return run->err->code;
    tb_scope_enter(run, frame, tmpl->scope);
    return tb_exec(&flow, run, frame, &tmpl->body);
}

tb_code tb_template_render(tb_str *out, const tb_template *tmpl, tb_text context, time_t now, tb_error *err)
{
    tb_error ignored;
    tb_value variables;
    void *owner = NULL;
    tb_render run = {
        .memory_left = MEMORY_LIMIT,
        .steps_left = STEPS_LIMIT,
        .out = out,
        .out_limit = out->size + OUTPUT_LIMIT,
        .now = now,
        .err = err ? err : &ignored,
    };
    size_t mark = tb_render_begin(&run);
    tb_arena_init(&run.arena, CHUNK);
    tb_code rc = tb_context_read(&variables, &owner, &run, context);
    if (!rc) {
        run.context = variables.as.dict;
        rc = run_template(&run, tmpl);
    }
    if (rc)
        tb_render_drop(&run, mark);
    tb_context_free(owner);
    tb_arena_clear(&run.arena);
    return rc;
}
