// JSON both ways. Private to the template files; jansson stays inside of json.c.
#ifndef TB_TEMPLATE_JSON_H
#define TB_TEMPLATE_JSON_H

#include "template/run.h"

// The dict that `text`, a JSON object, describes. Its strings belong to *owner, which must live as long as
// they do and is then freed; it is set on failure, too.
tb_code tb_jcontext_read(tb_jvalue *out, void **owner, tb_jrun *run, tb_text text);
void tb_jcontext_free(void *owner);

// json.dumps(value, ensure_ascii=…, indent=…, separators=…, sort_keys=…)
typedef struct tb_jdumps {
    bool ensure_ascii, sort_keys, has_indent;
    tb_text indent, item_separator, key_separator;
} tb_jdumps;
tb_code tb_jwrite_json(tb_jrun *run, const tb_jdumps *how, tb_jvalue value);

#endif
