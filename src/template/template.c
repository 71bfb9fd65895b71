// The outside of templates: compiling one, rendering it.
#include "template/template.h"

#include "template/ast.h"
#include "template/json.h"
#include "template/run.h"

enum { CHUNK = 64 * 1024 }; // bytes of the arena's chunks

// A template takes at most 26 MiB once it is compiled, its output 64 MiB (16 MiB of text, as much for the origins, and
// room to grow): with the values all of it stays within 256 MiB. Fifteen million steps are about a second; long
// conversations take some hundred thousand.
static const tb_limits limits_of_all = {.memory = (size_t)128 << 20, .steps = 15000000};

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

// ---- what the template itself has written ----

// Where the stretch of one origin that begins at `at` ends.
static size_t stretch_end(const tb_str *origins, size_t at)
{
    size_t end = at + 1;
    while (end < origins->size && origins->data[end] == origins->data[at])
        end++;
    return end;
}

static tb_code find_own(tb_prompt *out, const tb_str *origins, tb_error *err)
{
    size_t count = 0;
    for (size_t at = 0; at < origins->size; at = stretch_end(origins, at))
        count += origins->data[at] == TB_FROM_TEMPLATE;
    out->own = tb_alloc_array(count, sizeof *out->own);
    if (!out->own)
        return tb_fail(err, TB_ENOMEM, "no memory for a prompt");
    for (size_t at = 0, end; at < origins->size; at = end) {
        end = stretch_end(origins, at);
        if (origins->data[at] == TB_FROM_TEMPLATE)
            out->own[out->own_count++] = (tb_stretch){at, end};
    }
    return TB_OK;
}

void tb_prompt_clear(tb_prompt *prompt)
{
    tb_str_clear(&prompt->text);
    tb_free(prompt->own);
    *prompt = (tb_prompt){0};
}

tb_code tb_render_template(tb_prompt *out, const tb_template *tmpl, const tb_template_input *input,
                           const tb_limits *limits, tb_error *err)
{
    tb_error ignored;
    void *owners[2] = {0};
    tb_render run;
    *out = (tb_prompt){0};
    tb_render_init(&run, limits, err ? err : &ignored);
    run.now = input->now;
    tb_context_read(owners, &run, input->variables, input->conversation);
    tb_frame *frame = tb_frame_new(&run, NULL, tmpl->slots);
    if (frame) {
        tb_scope_enter(&run, frame, tmpl->scope);
        tb_exec(&run, frame, &tmpl->body);
    }
    tb_code rc = run.rc;
    tb_render_clear(&run);
    tb_context_free(owners);
    if (!rc)
        rc = find_own(out, &run.origins, run.err);
    if (!rc)
        out->text = run.out;
    else
        tb_str_clear(&run.out);
    tb_str_clear(&run.origins);
    return rc;
}

tb_code tb_template_render(tb_prompt *out, const tb_template *tmpl, const tb_template_input *input, tb_error *err)
{
    return tb_render_template(out, tmpl, input, &limits_of_all, err);
}
