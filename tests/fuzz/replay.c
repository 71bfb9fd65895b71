// Replays a fuzz target's corpus without libFuzzer: gives each file of the folder named by
// the only argument to LLVMFuzzerTestOneInput. What goes wrong ends the process; an empty
// corpus is an error, because it would test nothing.
#include <dirent.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

#define LARGEST_INPUT ((size_t)16 << 20) // corpora hold small files

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tb_code replay_file(const char *folder, const char *name, tb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return tb_fail(err, TB_ELIMIT, "path too long: '%s/%s'", folder, name);
    char *data;
    size_t size;
    tb_code rc = tb_file_read(&data, &size, path, LARGEST_INPUT, err);
    if (rc)
        return rc;
    // An exact copy, so that a sanitizer sees a read past the end.
    uint8_t *copy = tb_alloc(size);
    if (copy) {
        if (size > 0)
            memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
    } else {
        rc = tb_fail(err, TB_ENOMEM, "no memory for '%s'", path);
    }
    tb_free(copy);
    tb_free(data);
    return rc;
}

// Number of inputs replayed, or −1 with a message printed.
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        fprintf(stderr, "cannot open the corpus '%s'\n", folder);
        return -1;
    }
    int count = 0;
    const struct dirent *entry;
    while (count >= 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        tb_error err;
        if (replay_file(folder, entry->d_name, &err)) {
            fprintf(stderr, "%s\n", err.message);
            count = -1;
        } else {
            count++;
        }
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: replay CORPUS\n");
        return 2;
    }
    int count = replay_folder(argv[1]);
    if (count == 0)
        fprintf(stderr, "the corpus '%s' is empty\n", argv[1]);
    else if (count > 0)
        printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
