// Conversations as JSON: an object with "messages", each of which has a "role" and mostly a
// "content"; "tools" and anything else is kept for the chat template.
#ifndef TB_GENERATE_CONVERSATION_H
#define TB_GENERATE_CONVERSATION_H

#include <stddef.h>

#include "base/base.h"

struct json_t;

// One without messages; NULL when memory ran out. Release with json_decref.
struct json_t *tb_conversation_new(void);

// Reads JSON. TB_EFORMAT when it is not a conversation; the sentence calls it `name`. A bare list of messages
// is taken for one, too.
tb_code tb_conversation_parse(struct json_t **out, tb_text json, const char *name, tb_error *err);

// Appends JSON that tb_conversation_parse takes, in lines.
tb_code tb_conversation_write(tb_str *out, const struct json_t *conversation, tb_error *err);

size_t tb_conversation_size(const struct json_t *conversation);

// Adds a message at the end, or takes the last one away.
tb_code tb_conversation_add(struct json_t *conversation, const char *role, const char *text, size_t size,
                            tb_error *err);
void tb_conversation_drop_last(struct json_t *conversation);

// Makes `text` the system message, in front of all others.
tb_code tb_conversation_set_system(struct json_t *conversation, const char *text, tb_error *err);
// NULL when there is none.
const char *tb_conversation_get_system(const struct json_t *conversation);

// Drops all messages but the system message.
void tb_conversation_reset(struct json_t *conversation);

#endif
