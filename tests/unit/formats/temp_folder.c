#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static int make_in(const char *where)
{
    snprintf(folder, sizeof folder, "%s/twobit-test-XXXXXX", where);
    return mkdtemp(folder) != NULL;
}

// In memory where the system offers it: some tests write thousands of small files.
int temp_folder_make(void **state)
{
    (void)state;
    const char *chosen = getenv("TMPDIR");
    return (chosen ? make_in(chosen) : make_in("/dev/shm") || make_in("/tmp")) ? 0 : -1;
}

static void remove_all(const char *path)
{
    DIR *entries = opendir(path);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        char child[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) != 0)
            remove_all(child);
    }
    if (entries)
        closedir(entries);
    rmdir(path);
}

int temp_folder_remove(void **state)
{
    (void)state;
    remove_all(folder);
    return 0;
}

const char *temp_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void temp_write(const char *name, const void *bytes, size_t size)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        char parent[64];
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - name), name);
        mkdir(temp_path(parent), 0777);
    }
    FILE *file = fopen(temp_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void temp_delete(const char *name)
{
    unlink(temp_path(name));
}
