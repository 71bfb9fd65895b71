#include "cli/conversation_file.h"

#include "cli/cli.h"
#include "generate/generate.h"

tb_code tb_conversation_read(struct json_t **out, const char *path, tb_error *err)
{
    *out = NULL;
    char *text;
    size_t size;
    tb_code rc = tb_text_read(&text, &size, path, err);
    if (!rc)
        rc = tb_conversation_parse(out, (tb_text){text, size}, path, err);
    tb_free(text);
    return rc;
}

tb_code tb_conversation_save(const struct json_t *conversation, const char *path, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = tb_conversation_write(&text, conversation, err);
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}
