#include "scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static void remove_folder(void)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.40s", folder, entry->d_name);
        unlink(path);
    }
    if (entries)
        closedir(entries);
    rmdir(folder);
}

static int make_folder(const char *where)
{
    snprintf(folder, sizeof folder, "%s/twobit-fuzz-XXXXXX", where);
    return mkdtemp(folder) != NULL;
}

const char *scratch_folder(void)
{
    if (folder[0])
        return folder;
    if (!make_folder("/dev/shm") && !make_folder("/tmp")) {
        fprintf(stderr, "cannot make a folder for the inputs\n");
        exit(2);
    }
    atexit(remove_folder);
    return folder;
}

const char *scratch_write(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "%s/%s", scratch_folder(), name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "cannot write '%s'\n", path);
        exit(2);
    }
    return path;
}
