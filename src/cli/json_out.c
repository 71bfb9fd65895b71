#include "cli/json_out.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

// Digits that say more than any measurement here, without the tail of binary fractions.
enum { DIGITS = 12 };

json_t *tb_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

tb_code tb_json_print(json_t *object, tb_error *err)
{
    if (!object)
        return tb_fail(err, TB_ENOMEM, "no memory for the result");
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS));
    json_decref(object);
    if (failed && !ferror(stdout)) // a failed write is noticed where the program ends
        return tb_fail(err, TB_ENOMEM, "no memory for the result");
    putchar('\n');
    return TB_OK;
}

tb_code tb_json_write(json_t *object, const char *path, tb_error *err)
{
    char *json = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    tb_str text = {0};
    tb_code rc = json ? tb_str_printf(&text, err, "%s\n", json) : tb_fail(err, TB_ENOMEM, "no memory for the result");
    free(json);
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}
