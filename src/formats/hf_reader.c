// Reads of a config.json, and writes of metadata.
#include "formats/hf_config.h"

#include <jansson.h>
#include <string.h>

void tb_hf_refuse(tb_hf_config *c, const char *name, const char *what)
{
    if (!c->rc)
        c->rc = tb_fail(c->err, TB_EFORMAT, "config.json of '%s' has no valid '%s': %s", c->out->path, name, what);
}

void tb_hf_refuse_unsupported(tb_hf_config *c, const char *name, const char *value)
{
    if (!c->rc)
        c->rc = tb_fail(c->err, TB_EUNSUPPORTED, "config.json of '%s' has '%s'%s%.64s, which twobit lacks",
                        c->out->path, name, value ? " = " : "", value ? value : "");
}

// ---- reading ----

const json_t *tb_hf_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

uint32_t tb_hf_read_whole(tb_hf_config *c, const char *name, uint32_t least, uint32_t absent)
{
    const json_t *value = tb_hf_member(c->json, name);
    if (!value && absent)
        return absent;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < least || number > INT32_MAX) {
        tb_hf_refuse(c, name, value ? "it must be a positive number" : "it is missing");
        return 1;
    }
    return (uint32_t)number;
}

uint32_t tb_hf_read_count(tb_hf_config *c, const char *name, uint32_t absent)
{
    return tb_hf_read_whole(c, name, 1, absent);
}

double tb_hf_read_positive(tb_hf_config *c, const json_t *object, const char *name, double absent)
{
    const json_t *value = tb_hf_member(object, name);
    if (!value && absent > 0)
        return absent;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 && number <= 1e30)) {
        tb_hf_refuse(c, name, value ? "it must be a positive number" : "it is missing");
        return 1;
    }
    return number;
}

bool tb_hf_read_bool(tb_hf_config *c, const char *name, bool absent)
{
    const json_t *value = tb_hf_member(c->json, name);
    if (value && !json_is_boolean(value))
        tb_hf_refuse(c, name, "it must be true or false");
    return value ? json_is_true(value) : absent;
}

// ---- writing ----

static tb_kv *new_kv(tb_hf_config *c, const char *key)
{
    tb_kv *kv = c->rc ? NULL : tb_hf_new_kv(c->out, key);
    if (!kv && !c->rc)
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
    return kv;
}

// An entry under "ARCHITECTURE.name".
static tb_kv *new_arch_kv(tb_hf_config *c, const char *name)
{
    tb_str key = {0};
    if (!c->rc)
        c->rc = tb_str_printf(&key, c->err, "%s.%s", c->family->architecture, name);
    tb_kv *kv = new_kv(c, tb_str_get(&key));
    tb_str_clear(&key);
    return kv;
}

void tb_hf_put_u32(tb_hf_config *c, const char *name, uint32_t value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (kv) {
        kv->type = TB_KV_U32;
        kv->value.u = value;
    }
}

void tb_hf_put_f32(tb_hf_config *c, const char *name, double value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (kv) {
        kv->type = TB_KV_F32;
        kv->value.f = (double)(float)value;
    }
}

void tb_hf_put_bool(tb_hf_config *c, const char *name, bool value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (kv) {
        kv->type = TB_KV_BOOL;
        kv->value.u = value;
    }
}

void tb_hf_put_flags(tb_hf_config *c, const char *name, const unsigned char *flags)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (!kv)
        return;
    kv->type = TB_KV_ARRAY;
    kv->value.array.type = TB_KV_BOOL;
    kv->value.array.count = c->blocks;
    kv->value.array.data = flags;
    kv->value.array.texts = NULL;
}

void tb_hf_put_text(tb_hf_config *c, const char *key, const char *value)
{
    if (!c->rc)
        c->rc = tb_hf_add_text(c->out, key, (tb_text){value, strlen(value)}, c->err);
}

void tb_hf_put_arch_text(tb_hf_config *c, const char *name, const char *value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (!kv)
        return;
    kv->type = TB_KV_TEXT;
    kv->value.text = (tb_text){value, strlen(value)};
}
