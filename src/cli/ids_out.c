#include "cli/ids_out.h"

#include <jansson.h>
#include <stdio.h>

#include "cli/json_out.h"

tb_code tb_cli_load_tokenizer(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    *out = NULL;
    tb_code rc = tb_model_load_tokenizer(out, checkpoint, err);
    if (!rc && !*out)
        rc = tb_fail(err, TB_EINVAL, "'%s' holds no tokenizer", tb_checkpoint_path(checkpoint));
    return rc;
}

static tb_code print_json(const tb_ids *ids, tb_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ids->size; i++)
        if (json_array_append_new(list, json_integer(ids->data[i]))) {
            json_decref(list);
            return tb_fail(err, TB_ENOMEM, "no memory for %zu ids", ids->size);
        }
    return tb_json_print(json_pack("{s:I, s:o}", "count", (json_int_t)ids->size, "ids", list), err);
}

tb_code tb_cli_print_ids(const tb_ids *ids, bool json, tb_error *err)
{
    if (json)
        return print_json(ids, err);
    for (size_t i = 0; i < ids->size; i++)
        printf("%s%d", i ? " " : "", (int)ids->data[i]);
    putchar('\n');
    return TB_OK;
}
