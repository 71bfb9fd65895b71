#include "agent/secrets.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_SECRET = 8 };

static void overwrite(tb_str *text, const char *secret, size_t size)
{
    for (size_t at = 0; at + size <= text->size; at++)
        if (text->data[at] == secret[0] && memcmp(text->data + at, secret, size) == 0)
            memset(text->data + at, '*', size);
}

// As it stands, and as it stands within a string of JSON.
static tb_code hide(tb_str *text, const char *secret, tb_error *err)
{
    tb_str quoted = {0};
    json_t *value = tb_json_text(secret, strlen(secret));
    char *json = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    tb_code rc =
        json ? tb_str_append_text(&quoted, json, err) : tb_fail(err, TB_ENOMEM, "no memory to look for secrets");
    if (!rc) {
        overwrite(text, secret, strlen(secret));
        overwrite(text, quoted.data + 1, quoted.size - 2);
    }
    free(json);
    json_decref(value);
    tb_str_clear(&quoted);
    return rc;
}

tb_code tb_hide_secrets(tb_str *text, tb_error *err)
{
    static const char *const names[] = {"LLM_API_KEY", "MINDRA_API_KEY"};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !rc; i++) {
        const char *secret = getenv(names[i]);
        if (secret && strlen(secret) >= LEAST_SECRET)
            rc = hide(text, secret, err);
    }
    return rc;
}
