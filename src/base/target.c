#include "base/target.h"

#include "base/fail.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_LINKS = 40,        // as many as Linux follows
    COPY_BYTES = 64 * 1024, // at a time: as many as a pipe holds
};

static tb_code fail_create(const char *name, tb_error *err)
{
    return tb_fail(err, TB_EIO, "cannot create '%s': %s", name, strerror(errno));
}

// Rewrites `path` with all links of its folder followed, and returns its last part; NULL with errno when it has none
// or the folder does not exist.
static const char *settle_folder(char path[PATH_MAX])
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    size_t n = slash ? (size_t)(last - path) : 0;
    if (!*last) {
        errno = EISDIR;
        return NULL;
    }
    memcpy(folder, n ? path : ".", n ? n : 1);
    folder[n ? n : 1] = '\0';
    if (!realpath(folder, real))
        return NULL;
    char whole[PATH_MAX];
    int size = snprintf(whole, sizeof whole, "%s%s%s", real, strcmp(real, "/") == 0 ? "" : "/", last);
    if (size < 0 || (size_t)size >= sizeof whole) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    memcpy(path, whole, (size_t)size + 1);
    return strrchr(path, '/') + 1;
}

// The descriptor N of /proc/self/fd/N, where links like /dev/stdout lead; -1 for any other path.
static int find_descriptor(const char *path, const char *last)
{
    char own[PATH_MAX];
    size_t n = (size_t)(last - path) - 1;
    if (!realpath("/proc/self/fd", own) || strlen(own) != n || memcmp(own, path, n) != 0)
        return -1;
    char *end;
    long number = strtol(last, &end, 10);
    return *end == '\0' && number >= 0 && number <= INT_MAX ? (int)number : -1;
}

// Replaces a link's path by what it says.
static bool follow(char path[PATH_MAX], const char *last)
{
    char text[PATH_MAX];
    ssize_t size = readlink(path, text, sizeof text);
    size_t kept = size > 0 && text[0] != '/' ? (size_t)(last - path) : 0;
    if (size < 0)
        return false;
    if (kept + (size_t)size >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(path + kept, text, (size_t)size);
    path[kept + (size_t)size] = '\0';
    return true;
}

// Follows links to the end, or to an open descriptor; *links says how many. *mode is 0 where nothing is there yet.
static bool follow_all(char path[PATH_MAX], int *links, int *descriptor, mode_t *mode)
{
    for (*links = 0; *links <= MOST_LINKS; (*links)++) {
        struct stat st;
        const char *last = settle_folder(path);
        if (!last)
            return false;
        *descriptor = find_descriptor(path, last);
        *mode = 0;
        if (*descriptor >= 0)
            return true;
        if (lstat(path, &st) != 0)
            return errno == ENOENT;
        *mode = st.st_mode;
        if (!S_ISLNK(st.st_mode))
            return true;
        if (!follow(path, last))
            return false;
    }
    errno = ELOOP;
    return false;
}

tb_code tb_target_find(tb_target *out, const char *path, tb_error *err)
{
    char found[PATH_MAX];
    struct stat st;
    mode_t mode;
    int links;
    bool exists = stat(path, &st) == 0;
    *out = (tb_target){.descriptor = -1};
    if (exists && S_ISDIR(st.st_mode))
        return tb_fail(err, TB_EIO, "cannot write '%s': it is a folder", path);
    if (strlen(path) >= sizeof found) {
        errno = ENAMETOOLONG;
        return fail_create(path, err);
    }
    memcpy(found, path, strlen(path) + 1);
    if (!follow_all(found, &links, &out->descriptor, &mode))
        return fail_create(path, err);
    // The links of other processes' descriptors lead to what has no path.
    bool nameless = exists && mode == 0 && out->descriptor < 0;
    out->streams = out->descriptor >= 0 || nameless || (mode != 0 && !S_ISREG(mode));
    out->name = tb_dup_text(path, strlen(path));
    const char *end = nameless || links == 0 ? path : found; // without a link sentences keep the path as it was written
    out->path = tb_dup_text(end, strlen(end));
    if (out->name && out->path)
        return TB_OK;
    tb_target_clear(out);
    return tb_fail(err, TB_ENOMEM, "no memory to write '%s'", path);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        tb_str path = {0};
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            tb_str_printf(&path, NULL, "%s/%s", folder, entry->d_name) == TB_OK && unlink(path.data) != 0)
            remove_folder(path.data);
        tb_str_clear(&path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

void tb_target_clear(tb_target *target)
{
    if (target->temporary)
        remove_folder(target->temporary);
    tb_free(target->temporary);
    tb_free(target->path);
    tb_free(target->name);
    *target = (tb_target){.descriptor = -1};
}

int tb_target_open(const tb_target *target, tb_error *err)
{
    int fd = target->descriptor >= 0 ? fcntl(target->descriptor, F_DUPFD_CLOEXEC, 0)
                                     : open(target->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        tb_fail(err, TB_EIO, "cannot open '%s': %s", target->name, strerror(errno));
    return fd;
}

bool tb_target_is(const tb_target *target, int fd)
{
    struct stat output, other;
    int found = target->descriptor >= 0 ? fstat(target->descriptor, &output) : stat(target->path, &output);
    return target->streams && found == 0 && fstat(fd, &other) == 0 && output.st_dev == other.st_dev &&
           output.st_ino == other.st_ino;
}

tb_code tb_make_temporary_folder(tb_str *out, const char *stem, tb_error *err)
{
    const char *folder = getenv("TMPDIR");
    tb_code rc = tb_str_printf(out, err, "%s/%s-XXXXXX", folder && *folder ? folder : "/tmp", stem);
    if (!rc && !mkdtemp(out->data))
        rc = fail_create(out->data, err);
    if (rc)
        tb_str_clear(out);
    return rc;
}

static tb_code make_temporary(tb_target *target, tb_error *err)
{
    tb_str name = {0};
    tb_code rc = tb_make_temporary_folder(&name, "twobit", err);
    target->temporary = name.data;
    return rc;
}

tb_code tb_target_work_path(tb_str *out, tb_target *target, const char *suffix, tb_error *err)
{
    if (!target->streams)
        return tb_str_printf(out, err, "%s%s", target->path, suffix);
    tb_code rc = target->temporary ? TB_OK : make_temporary(target, err);
    return rc ? rc : tb_str_printf(out, err, "%s/output%s", target->temporary, suffix);
}

tb_code tb_write_all(int fd, const void *bytes, size_t n, const char *name, tb_error *err)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        ssize_t done = write(fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tb_fail(err, TB_EIO, "cannot write '%s': %s", name, strerror(errno));
        from += done;
        n -= (size_t)done;
    }
    return TB_OK;
}

static tb_code copy(int to, const char *name, const char *from, tb_error *err)
{
    unsigned char *bytes = tb_alloc(COPY_BYTES);
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;
    tb_code rc = bytes ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to write '%s'", name);
    while (fd >= 0 && !rc && (n = read(fd, bytes, COPY_BYTES)) > 0)
        rc = tb_write_all(to, bytes, (size_t)n, name, err);
    if (!rc && n < 0)
        rc = tb_fail(err, TB_EIO, "cannot read '%s': %s", from, strerror(errno));
    if (fd >= 0)
        close(fd);
    tb_free(bytes);
    return rc;
}

tb_code tb_target_take(const tb_target *target, const char *from, tb_error *err)
{
    if (!target->streams)
        return rename(from, target->path) == 0 ? TB_OK : fail_create(target->name, err);
    int fd = tb_target_open(target, err);
    if (fd < 0)
        return TB_EIO;
    tb_code rc = copy(fd, target->name, from, err);
    if (close(fd) != 0 && !rc)
        rc = tb_fail(err, TB_EIO, "cannot write '%s': %s", target->name, strerror(errno));
    return rc;
}
