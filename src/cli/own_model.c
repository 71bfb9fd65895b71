#include "cli/own_model.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define OWN_MODEL "stories.gguf"

// Behind the folder of the program: of the source tree that it was built in, and of an installation.
static const char *const places[] = {"/../share/models/" OWN_MODEL, "/../share/twobit/models/" OWN_MODEL};

// The folder of the running program; false where the system does not tell.
static bool program_folder(char out[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (size <= 0)
        return false;
    out[size] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

tb_code tb_own_model_find(tb_str *path, tb_error *err)
{
    char folder[PATH_MAX];
    tb_code rc = TB_OK;
    bool known = program_folder(folder);
    for (size_t i = 0; known && !rc && i < sizeof places / sizeof places[0]; i++) {
        tb_str_reset(path);
        rc = tb_str_printf(path, err, "%s%s", folder, places[i]);
        if (!rc && tb_path_exists(path->data))
            return TB_OK;
    }
    tb_str_reset(path);
    if (!rc)
        rc = tb_str_append_text(path, TB_MODELS_FOLDER "/" OWN_MODEL, err);
    if (!rc && !tb_path_exists(path->data))
        rc =
            tb_fail(err, TB_EIO, "the model that comes with twobit is not installed as '%s'; name a model", path->data);
    return rc;
}
