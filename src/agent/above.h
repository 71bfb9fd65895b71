// Inside agent: files that belong to a folder and lie somewhere above it.
#ifndef TB_AGENT_ABOVE_H
#define TB_AGENT_ABOVE_H

#include "base/base.h"

// Looks for the regular file FOLDER/name, then in the folder above, and so on up to the root; `name` may have slashes.
// Leaves *out empty where there is none. Only memory can fail.
tb_code tb_find_above(tb_str *out, const char *folder, const char *name, tb_error *err);

// Whether the path is one of a regular file, or a link to one.
bool tb_is_regular(const char *path);

#endif
