#include "agent/task_folders.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/above.h"

enum { MOST_TASKS = 100000 }; // a folder of so many is not one of tasks

static const char meta_name[] = "meta.json";

typedef struct finder {
    tb_task_files *files;
    tb_arena *arena;
    size_t capacity;
    tb_error *err;
} finder;

static tb_code fail_memory(const finder *f)
{
    return tb_fail(f->err, TB_ENOMEM, "no memory for the folders of tasks");
}

static tb_code add(finder *f, const char *path)
{
    tb_task_files *files = f->files;
    if (files->count == MOST_TASKS)
        return tb_fail(f->err, TB_ELIMIT, "there are more than %d tasks in the folder", MOST_TASKS);
    if (files->count == f->capacity) {
        size_t capacity = 2 * f->capacity + 64;
        const char **grown = tb_arena_array(f->arena, capacity, sizeof *grown);
        if (!grown)
            return fail_memory(f);
        if (files->count)
            memcpy(grown, files->paths, files->count * sizeof *grown);
        files->paths = grown;
        f->capacity = capacity;
    }
    const char *copy = tb_arena_text(f->arena, path, strlen(path));
    if (!copy)
        return fail_memory(f);
    files->paths[files->count++] = copy;
    return TB_OK;
}

static tb_code find_in(finder *f, const char *folder);

static tb_code look_at(finder *f, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return tb_fail(f->err, TB_ELIMIT, "the path of '%s' in '%.200s' is too long", name, folder);
    if (strcmp(name, meta_name) == 0 && tb_is_regular(path))
        return add(f, path);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || lstat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return TB_OK;
    return find_in(f, path);
}

static tb_code find_in(finder *f, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return tb_fail(f->err, TB_EIO, "cannot open the folder '%s': %s", folder, strerror(errno));
    tb_code rc = TB_OK;
    const struct dirent *entry;
    while (!rc && (entry = readdir(dir)) != NULL)
        rc = look_at(f, folder, entry->d_name);
    closedir(dir);
    return rc;
}

// A slash counts less than any character of a name.
static int by_names(const void *a, const void *b)
{
    const unsigned char *x = *(const unsigned char *const *)a, *y = *(const unsigned char *const *)b;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    int first = *x == '/' ? 1 : *x ? *x + 1 : 0, second = *y == '/' ? 1 : *y ? *y + 1 : 0;
    return first - second;
}

tb_code tb_task_files_find(tb_task_files *out, tb_arena *arena, const char *folder, tb_error *err)
{
    *out = (tb_task_files){0};
    finder f = {.files = out, .arena = arena, .err = err};
    tb_code rc = find_in(&f, folder);
    if (!rc && out->count)
        qsort(out->paths, out->count, sizeof *out->paths, by_names);
    return rc;
}
