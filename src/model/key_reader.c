#include "model/key_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *tb_full_key(tb_key_reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch->name, name);
    return r->key;
}

const tb_kv *tb_find_key(tb_key_reader *r, const char *name)
{
    return tb_checkpoint_find(r->checkpoint, tb_full_key(r, name));
}

// A file may say a number for every layer. *value is what all of them are; false where the key is absent or something
// else than such a list.
static bool read_list(tb_key_reader *r, const char *name, double *value)
{
    const tb_kv *kv = r->rc ? NULL : tb_find_key(r, name);
    if (!kv || kv->type != TB_KV_ARRAY || kv->value.array.type == TB_KV_TEXT || kv->value.array.count == 0)
        return false;
    *value = tb_kv_array_f64(kv, 0);
    for (size_t i = 1; i < kv->value.array.count && !r->rc; i++)
        if (tb_kv_array_f64(kv, i) != *value)
            r->rc = tb_fail(r->err, TB_EUNSUPPORTED,
                            "layers of '%s' differ ('%s' is %g in one and %g in another), which "
                            "twobit lacks",
                            r->path, r->key, *value, tb_kv_array_f64(kv, i));
    return true;
}

size_t tb_read_size(tb_key_reader *r, const char *name, uint64_t most, uint64_t absent)
{
    uint64_t value = absent;
    double listed;
    if (read_list(r, name, &listed))
        value = listed >= 0 && listed <= (double)most && listed == floor(listed) ? (uint64_t)listed : UINT64_MAX;
    else if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&value, r->checkpoint, tb_full_key(r, name), absent == 0, r->err);
    if (!r->rc && (value == 0 || value > most))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %" PRIu64 " in '%s', not between 1 and %" PRIu64, r->key, value,
                        r->path, most);
    return r->rc ? 1 : (size_t)value;
}

double tb_read_positive(tb_key_reader *r, const char *name, double absent)
{
    double value = absent;
    if (!read_list(r, name, &value) && !r->rc)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, tb_full_key(r, name), absent == 0, r->err);
    if (!r->rc && !(value > 0 && value <= 1e18))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %g in '%s', not a positive number", r->key, value, r->path);
    return r->rc ? 1 : value;
}

void tb_refuse_unless(tb_key_reader *r, const char *name, double off, const char *what)
{
    double value = off;
    if (!r->rc)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, tb_full_key(r, name), false, r->err);
    if (!r->rc && value != off)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' asks for %s ('%s' is %g), which twobit lacks", r->path, what,
                        r->key, value);
}
