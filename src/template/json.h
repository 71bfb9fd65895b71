// JSON both ways. Private to the template files; jansson stays inside of json.c.
#ifndef TB_TEMPLATE_JSON_H
#define TB_TEMPLATE_JSON_H

#include "template/run.h"

// The dict that `text`, a JSON object, describes. Its strings belong to *owner, which must live as long as
// they do and is then freed; it is set on failure, too.
tb_code tb_context_read(tb_value *out, void **owner, tb_render *run, tb_text text);
void tb_context_free(void *owner);

// json.dumps(value, ensure_ascii=…, indent=…, separators=…, sort_keys=…)
typedef struct tb_json_style {
    bool ensure_ascii, sort_keys, has_indent;
    tb_text indent, item_separator, key_separator;
} tb_json_style;
tb_code tb_write_json(tb_render *run, const tb_json_style *how, tb_value value);

#endif
