// JSON both ways. Private to the template files; jansson stays inside of json.c.
#ifndef TB_TEMPLATE_JSON_H
#define TB_TEMPLATE_JSON_H

#include "template/run.h"

// Fills run->context: the model's variables, then those of the conversation, which replace them. Strings belong to
// `owners`, zeroed before, which must live as long as they do and are then freed, after a failure, too.
void tb_context_read(void *owners[2], tb_render *run, tb_text variables, tb_text conversation);
void tb_context_free(void *owners[2]);

// json.dumps(value, ensure_ascii=…, indent=…, separators=…, sort_keys=…)
typedef struct tb_json_style {
    bool ensure_ascii, sort_keys, has_indent;
    tb_piece indent, item_separator, key_separator;
} tb_json_style;
void tb_write_json(tb_render *run, const tb_json_style *how, tb_value value);

#endif
