// From a conversation as JSON text to a prompt: the public entrance to conversations and templates.
#include "generate/generate.h"

#include <jansson.h>

typedef struct source {
    json_t *conversation;
    tb_prompt_template *tmpl;
} source;

static void clear(source *p)
{
    json_decref(p->conversation);
    tb_prompt_template_free(p->tmpl);
}

static tb_code init(source *p, const tb_model *model, const char *json, size_t json_size, tb_error *err)
{
    *p = (source){0};
    tb_code rc = tb_conversation_parse(&p->conversation, (tb_text){json, json_size}, "the conversation", err);
    return rc ? rc : tb_prompt_template_new(&p->tmpl, tb_model_checkpoint(model), NULL, err);
}

tb_code tb_model_render_chat(const tb_model *model, const char *json, size_t json_size, bool answer, char **text,
                             size_t *size, tb_error *err)
{
    source p;
    tb_prompt out = {0};
    *text = NULL;
    *size = 0;
    tb_code rc = init(&p, model, json, json_size, err);
    if (!rc)
        rc = tb_prompt_template_render(&out, p.tmpl, p.conversation, answer, err);
    if (!rc)
        rc = tb_str_append(&out.text, "", 0, err); // so that there is a NUL even when nothing was rendered
    clear(&p);
    if (!rc) { // the caller's from here on
        *text = out.text.data;
        *size = out.text.size;
        out.text = (tb_str){0};
    }
    tb_prompt_clear(&out);
    return rc;
}

tb_code tb_model_tokenize_chat(const tb_model *model, const char *json, size_t json_size, bool answer, int32_t **ids,
                               size_t *count, tb_error *err)
{
    source p;
    tb_ids out = {0};
    *ids = NULL;
    *count = 0;
    if (!tb_model_tokenizer(model))
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer", tb_checkpoint_path(tb_model_checkpoint(model)));
    tb_code rc = init(&p, model, json, json_size, err);
    if (!rc)
        rc = tb_prompt_template_encode(&out, p.tmpl, tb_model_tokenizer(model), p.conversation, answer, false, err);
    clear(&p);
    if (!rc)
        rc = tb_model_begin_text(&out, model, err);
    if (rc) {
        tb_ids_clear(&out);
        return rc;
    }
    *ids = out.data;
    *count = out.size;
    return TB_OK;
}
