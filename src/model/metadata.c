// The public view of a checkpoint's metadata.
#include "model/weights.h"

#include <inttypes.h>

size_t tb_model_metadata_count(const tb_model *model)
{
    return tb_checkpoint_kv_count(model->checkpoint);
}

void tb_model_metadata_key(const tb_model *model, size_t index, const char **key, size_t *size)
{
    tb_text name = tb_checkpoint_kv_at(model->checkpoint, index)->key;
    *key = name.data;
    *size = name.size;
}

static tb_code append_value(tb_str *out, const tb_kv *kv, const char *key, tb_error *err)
{
    switch (kv->type) {
    case TB_KV_ARRAY:
        return tb_fail(err, TB_EUNSUPPORTED, "the value of '%s' is a list", key);
    case TB_KV_TEXT:
        return tb_str_append(out, kv->value.text.data, kv->value.text.size, err);
    case TB_KV_BOOL:
        return tb_str_append_text(out, kv->value.u ? "true" : "false", err);
    case TB_KV_F32:
        return tb_str_printf(out, err, "%.9g", kv->value.f); // as many digits as tell all floats apart
    case TB_KV_F64:
        return tb_str_printf(out, err, "%.17g", kv->value.f);
    case TB_KV_I8:
    case TB_KV_I16:
    case TB_KV_I32:
    case TB_KV_I64:
        return tb_str_printf(out, err, "%" PRId64, kv->value.i);
    default:
        return tb_str_printf(out, err, "%" PRIu64, kv->value.u);
    }
}

tb_code tb_model_metadata_text(const tb_model *model, const char *key, char **text, size_t *size, tb_error *err)
{
    const tb_kv *kv = tb_checkpoint_find(model->checkpoint, key);
    tb_str value = {0};
    *text = NULL;
    *size = 0;
    if (!kv)
        return tb_fail(err, TB_EINVAL, "'%s' has no metadata key '%s'", tb_checkpoint_path(model->checkpoint), key);
    tb_code rc = append_value(&value, kv, key, err);
    if (!rc)
        rc = tb_str_append(&value, "", 0, err); // so that there is a NUL even where the text is empty
    if (rc) {
        tb_str_clear(&value);
        return rc;
    }
    *text = value.data;
    *size = value.size;
    return TB_OK;
}
