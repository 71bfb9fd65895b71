#include "agent/above.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool tb_is_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

tb_code tb_find_above(tb_str *out, const char *folder, const char *name, tb_error *err)
{
    char place[PATH_MAX];
    tb_str_reset(out);
    if (!realpath(folder, place))
        return TB_OK;
    for (char *slash;; *slash = '\0') {
        tb_str_reset(out);
        tb_code rc = tb_str_printf(out, err, "%s/%s", place, name);
        if (rc || tb_is_regular(out->data))
            return rc;
        slash = strrchr(place, '/');
        if (!slash) {
            tb_str_reset(out);
            return TB_OK;
        }
    }
}
