#include "generate/prompt_template.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

#include "template/template.h"
#include "text/text.h"

struct tb_prompt_template {
    tb_template *compiled;
    tb_str with_tools; // what goes in its place where there are tools, not compiled; empty: nothing
    json_t *variables; // what every conversation starts from
};

static tb_code fail_no_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for a chat template");
}

static tb_code add_text(tb_prompt_template *t, const char *name, const char *text, size_t size, tb_error *err)
{
    return json_object_set_new(t->variables, name, tb_json_text(text, size)) ? fail_no_memory(err) : TB_OK;
}

// The template with the variables that Hugging Face always defines.
static tb_code compile(tb_prompt_template **out, tb_text source, tb_error *err)
{
    *out = NULL;
    tb_prompt_template *t = tb_new(tb_prompt_template);
    if (!t)
        return fail_no_memory(err);
    t->variables = json_pack("{s:n, s:n}", "tools", "documents");
    tb_code rc = t->variables ? tb_template_new(&t->compiled, source, err) : fail_no_memory(err);
    if (rc) {
        tb_prompt_template_free(t);
        return tb_fail_context(err, rc, "chat template");
    }
    *out = t;
    return TB_OK;
}

static tb_code add_specials(tb_prompt_template *t, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && tb_special_name(i); i++) {
        tb_str_reset(&text);
        rc = tb_model_special_text(&text, checkpoint, i, err);
        if (!rc && text.size)
            rc = add_text(t, tb_special_name(i), text.data, text.size, err);
    }
    tb_str_clear(&text);
    return rc;
}

static tb_code compile_own(tb_prompt_template **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    *out = NULL;
    tb_text source = {0}, with_tools = {0};
    tb_code rc = tb_checkpoint_get_text(&source, checkpoint, "tokenizer.chat_template", false, err);
    if (!rc && source.size == 0)
        rc =
            tb_fail(err, TB_EINVAL,
                    "'%s' has no chat template; 'twobit chat --template FILE' takes one, 'twobit run' continues a text "
                    "without",
                    tb_checkpoint_path(checkpoint));
    if (!rc)
        rc = tb_checkpoint_get_text(&with_tools, checkpoint, "tokenizer.chat_template.tool_use", false, err);
    if (!rc)
        rc = compile(out, (tb_text){source.data, source.size}, err);
    return rc ? rc : tb_str_append(&(*out)->with_tools, with_tools.data, with_tools.size, err);
}

tb_code tb_prompt_template_new(tb_prompt_template **out, const tb_checkpoint *checkpoint, const tb_text *source,
                               tb_error *err)
{
    tb_code rc = source ? compile(out, *source, err) : compile_own(out, checkpoint, err);
    if (!rc)
        rc = add_specials(*out, checkpoint, err);
    if (rc) {
        tb_prompt_template_free(*out);
        *out = NULL;
    }
    return rc;
}

tb_code tb_prompt_template_new_bare(tb_prompt_template **out, tb_text source, const char *bos, const char *eos,
                                    tb_error *err)
{
    tb_code rc = compile(out, source, err);
    if (!rc && bos)
        rc = add_text(*out, "bos_token", bos, strlen(bos), err);
    if (!rc && eos)
        rc = add_text(*out, "eos_token", eos, strlen(eos), err);
    if (rc) {
        tb_prompt_template_free(*out);
        *out = NULL;
    }
    return rc;
}

void tb_prompt_template_free(tb_prompt_template *t)
{
    if (!t)
        return;
    tb_template_free(t->compiled);
    tb_str_clear(&t->with_tools);
    json_decref(t->variables);
    tb_free(t);
}

static tb_code render(tb_prompt *out, const tb_prompt_template *t, bool tools, const tb_template_input *input,
                      tb_error *err)
{
    if (!tools || !t->with_tools.size)
        return tb_template_render(out, t->compiled, input, err);
    tb_template *compiled;
    tb_code rc = tb_template_new(&compiled, (tb_text){t->with_tools.data, t->with_tools.size}, err);
    if (rc)
        return tb_fail_context(err, rc, "chat template for tools");
    rc = tb_template_render(out, compiled, input, err);
    tb_template_free(compiled);
    return rc;
}

tb_code tb_prompt_template_render(tb_prompt *out, const tb_prompt_template *t, const json_t *conversation,
                                  bool generation_prompt, tb_error *err)
{
    tb_str own = {0}, outside = {0};
    json_t *variables = json_copy(t->variables);
    tb_code rc = TB_OK;
    *out = (tb_prompt){0};
    if (!variables || json_object_set_new(variables, "add_generation_prompt", json_boolean(generation_prompt)))
        rc = fail_no_memory(err);
    const json_t *tools = json_object_get(conversation, "tools");
    if (!rc)
        rc = tb_json_append(&own, variables, 0, err);
    if (!rc)
        rc = tb_json_append(&outside, conversation, 0, err);
    tb_template_input input = {{own.data, own.size}, {outside.data, outside.size}, time(NULL)};
    if (!rc)
        rc = render(out, t, tools && !json_is_null(tools), &input, err);
    json_decref(variables);
    tb_str_clear(&own);
    tb_str_clear(&outside);
    return rc;
}

tb_code tb_prompt_template_encode(tb_ids *ids, const tb_prompt_template *t, const tb_tokenizer *tokenizer,
                                  const json_t *conversation, bool generation_prompt, bool control_everywhere,
                                  tb_error *err)
{
    tb_prompt prompt;
    size_t before = ids->size;
    tb_code rc = tb_prompt_template_render(&prompt, t, conversation, generation_prompt, err);
    const tb_stretch whole = {0, prompt.text.size};
    if (!rc)
        rc = tb_encode_within(ids, tokenizer, (tb_text){tb_str_get(&prompt.text), prompt.text.size},
                              control_everywhere ? &whole : prompt.own, control_everywhere ? 1 : prompt.own_count, 0,
                              err);
    if (!rc && ids->size == before)
        rc = tb_fail(err, TB_EINVAL, "the chat template makes nothing of this conversation");
    tb_prompt_clear(&prompt);
    return rc;
}
