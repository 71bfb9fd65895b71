// Inside agent: finding the folders of tasks.
#ifndef TB_AGENT_TASK_FOLDERS_H
#define TB_AGENT_TASK_FOLDERS_H

#include "base/base.h"

// Paths of meta.json files, in the arena they were made in.
typedef struct tb_task_files {
    const char **paths;
    size_t count;
} tb_task_files;

// Every meta.json in the folder at any depth, sorted name by name: "a/x" stands before "a-b/x". Folders that cannot be
// read are TB_EIO.
tb_code tb_task_files_find(tb_task_files *out, tb_arena *arena, const char *folder, tb_error *err);

#endif
