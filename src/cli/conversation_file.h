// Conversations in files, as `chat` saves them and `template` reads them.
#ifndef TB_CLI_CONVERSATION_FILE_H
#define TB_CLI_CONVERSATION_FILE_H

#include "base/base.h"

struct json_t;

// Reads a file, "-" for standard input; see tb_conversation_parse.
tb_code tb_conversation_read(struct json_t **out, const char *path, tb_error *err);

// Writes a file that tb_conversation_read takes.
tb_code tb_conversation_save(const struct json_t *conversation, const char *path, tb_error *err);

#endif
