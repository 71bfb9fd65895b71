#include "generate/conversation.h"

#include <jansson.h>
#include <string.h>

static tb_code fail_no_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for a conversation");
}

json_t *tb_conversation_new(void)
{
    return json_pack("{s:[]}", "messages");
}

static json_t *messages_of(const json_t *conversation)
{
    return json_object_get(conversation, "messages");
}

// ---- JSON ----

static tb_code check(const json_t *conversation, const char *name, tb_error *err)
{
    const json_t *messages = messages_of(conversation), *message;
    size_t i;
    if (!json_is_array(messages))
        return tb_fail(err, TB_EFORMAT, "'%s' has no list \"messages\"", name);
    json_array_foreach(messages, i, message)
    {
        if (!json_is_string(json_object_get(message, "role")))
            return tb_fail(err, TB_EFORMAT, "message %zu of '%s' has no \"role\"", i + 1, name);
    }
    return TB_OK;
}

tb_code tb_conversation_parse(json_t **out, tb_text text, const char *name, tb_error *err)
{
    *out = NULL;
    json_error_t why;
    json_t *json = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
    if (!json && json_error_code(&why) == json_error_out_of_memory)
        return fail_no_memory(err);
    if (!json)
        return tb_fail(err, TB_EFORMAT, "'%s' is not valid JSON: %s at line %d", name, why.text, why.line);
    if (json_is_array(json))
        json = json_pack("{s:o}", "messages", json);
    if (!json)
        return fail_no_memory(err);
    tb_code rc = check(json, name, err);
    if (rc) {
        json_decref(json);
        return rc;
    }
    *out = json;
    return TB_OK;
}

tb_code tb_conversation_write(tb_str *out, const json_t *conversation, tb_error *err)
{
    enum { INDENT = 2 };
    tb_code rc = tb_json_append(out, conversation, INDENT, err);
    return rc ? rc : tb_str_append_text(out, "\n", err);
}

// ---- messages ----

size_t tb_conversation_size(const json_t *conversation)
{
    return json_array_size(messages_of(conversation));
}

static json_t *new_message(const char *role, const char *text, size_t size)
{
    return json_pack("{s:s, s:o}", "role", role, "content", tb_json_text(text, size));
}

tb_code tb_conversation_add(json_t *conversation, const char *role, const char *text, size_t size, tb_error *err)
{
    if (json_array_append_new(messages_of(conversation), new_message(role, text, size)))
        return fail_no_memory(err);
    return TB_OK;
}

void tb_conversation_drop_last(json_t *conversation)
{
    json_t *messages = messages_of(conversation);
    if (json_array_size(messages))
        json_array_remove(messages, json_array_size(messages) - 1);
}

static const json_t *find_system(const json_t *conversation)
{
    const json_t *first = json_array_get(messages_of(conversation), 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    return role && strcmp(role, "system") == 0 ? first : NULL;
}

const char *tb_conversation_get_system(const json_t *conversation)
{
    return json_string_value(json_object_get(find_system(conversation), "content"));
}

tb_code tb_conversation_set_system(json_t *conversation, const char *text, tb_error *err)
{
    json_t *messages = messages_of(conversation), *message = new_message("system", text, strlen(text));
    int failed = find_system(conversation) ? json_array_set_new(messages, 0, message)
                                           : json_array_insert_new(messages, 0, message);
    return failed ? fail_no_memory(err) : TB_OK;
}

void tb_conversation_reset(json_t *conversation)
{
    size_t kept = find_system(conversation) ? 1 : 0;
    while (tb_conversation_size(conversation) > kept)
        tb_conversation_drop_last(conversation);
}
