#include "model/key_reader.h"

#include <inttypes.h>
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

size_t tb_read_size(tb_key_reader *r, const char *name, uint64_t most, uint64_t absent)
{
    uint64_t value = absent;
    if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&value, r->checkpoint, tb_full_key(r, name), absent == 0, r->err);
    if (!r->rc && (value == 0 || value > most))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %" PRIu64 " in '%s', not between 1 and %" PRIu64, r->key, value,
                        r->path, most);
    return r->rc ? 1 : (size_t)value;
}

double tb_read_positive(tb_key_reader *r, const char *name, double absent)
{
    double value = absent;
    if (!r->rc)
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
