#include "base/file.h"

#include "base/fail.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TEXT ((size_t)1 << 30) // bytes

// Buffered so that small writes do not become system calls.
enum { OUT_BUFFER = 1 << 18 };

tb_code tb_map_open(tb_map *out, const char *path, tb_error *err)
{
    *out = (tb_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe would wait for its writer
    if (fd < 0)
        return tb_fail(err, TB_EIO, "cannot open '%s': %s", path, strerror(errno));
    struct stat st;
    tb_code rc = TB_OK;
    if (fstat(fd, &st) != 0) {
        rc = tb_fail(err, TB_EIO, "cannot inspect '%s': %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = tb_fail(err, TB_EIO, "'%s' is not a regular file", path);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            rc = tb_fail(err, TB_EIO, "cannot map '%s': %s", path, strerror(errno));
        else
            *out = (tb_map){data, (size_t)st.st_size};
    }
    close(fd);
    return rc;
}

void tb_map_close(tb_map *map)
{
    if (map && map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    if (map)
        *map = (tb_map){0};
}

tb_code tb_file_read(char **out, size_t *size, const char *path, size_t limit, tb_error *err)
{
    *out = NULL;
    *size = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return tb_fail(err, TB_EIO, "cannot open '%s': %s", path, strerror(errno));
    tb_str text = {.limit = limit};
    char chunk[1 << 14];
    size_t n;
    tb_code rc = TB_OK;
    while (!rc && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        rc = tb_str_append(&text, chunk, n, err);
    if (rc == TB_ELIMIT)
        tb_fail(err, TB_ELIMIT, "'%s' is larger than %zu bytes", path, limit);
    if (!rc && ferror(file))
        rc = tb_fail(err, TB_EIO, "cannot read '%s': %s", path, strerror(errno));
    fclose(file);
    if (!rc && !text.data)
        rc = tb_str_append(&text, "", 0, err);
    if (rc) {
        tb_str_clear(&text);
        return rc;
    }
    *out = text.data;
    *size = text.size;
    return TB_OK;
}

tb_code tb_text_read(char **out, size_t *size, const char *path, tb_error *err)
{
    return tb_file_read(out, size, strcmp(path, "-") == 0 ? "/dev/stdin" : path, MOST_TEXT, err);
}

bool tb_path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool tb_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

struct tb_outfile {
    tb_target target;
    char *temporary; // renamed over the target; NULL once committed, and where the target streams
    int fd;
    size_t position; // bytes written, buffered ones included
    size_t buffered;
    unsigned char buffer[OUT_BUFFER];
};

static tb_code open_temporary(tb_outfile *file, tb_error *err)
{
    tb_str name = {0};
    tb_code rc = tb_str_printf(&name, err, "%s.tmp-%ld", file->target.path, (long)getpid());
    if (rc)
        return rc;
    file->fd = open(name.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        rc = tb_fail(err, TB_EIO, "cannot create '%s': %s", file->target.name, strerror(errno));
        tb_str_clear(&name);
        return rc;
    }
    file->temporary = name.data;
    return TB_OK;
}

tb_code tb_outfile_open(tb_outfile **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_outfile *file = tb_new(tb_outfile);
    if (!file)
        return tb_fail(err, TB_ENOMEM, "no memory to write '%s'", path);
    file->fd = -1;
    tb_code rc = tb_target_find(&file->target, path, err);
    if (!rc && file->target.streams) {
        file->fd = tb_target_open(&file->target, err);
        rc = file->fd < 0 ? TB_EIO : TB_OK;
    } else if (!rc) {
        rc = open_temporary(file, err);
    }
    if (rc) {
        tb_outfile_close(file);
        return rc;
    }
    *out = file;
    return TB_OK;
}

static tb_code flush(tb_outfile *file, tb_error *err)
{
    tb_code rc = tb_write_all(file->fd, file->buffer, file->buffered, file->target.name, err);
    file->buffered = 0;
    return rc;
}

tb_code tb_outfile_write(tb_outfile *file, const void *bytes, size_t n, tb_error *err)
{
    tb_code rc = TB_OK;
    if (n > OUT_BUFFER - file->buffered)
        rc = flush(file, err);
    if (!rc && n >= OUT_BUFFER) {
        rc = tb_write_all(file->fd, bytes, n, file->target.name, err);
    } else if (!rc && n) {
        memcpy(file->buffer + file->buffered, bytes, n);
        file->buffered += n;
    }
    if (!rc)
        file->position += n;
    return rc;
}

tb_code tb_outfile_write_zeros(tb_outfile *file, size_t n, tb_error *err)
{
    static const unsigned char zeros[256];
    tb_code rc = TB_OK;
    while (!rc && n > 0) {
        size_t part = n < sizeof zeros ? n : sizeof zeros;
        rc = tb_outfile_write(file, zeros, part, err);
        n -= part;
    }
    return rc;
}

size_t tb_outfile_position(const tb_outfile *file)
{
    return file->position;
}

tb_code tb_outfile_commit(tb_outfile *file, tb_error *err)
{
    tb_code rc = flush(file, err);
    if (!rc && fsync(file->fd) != 0 && errno != EINVAL) // EINVAL: a device or pipe, nothing to sync
        rc = tb_fail(err, TB_EIO, "cannot write '%s': %s", file->target.name, strerror(errno));
    if (!rc && file->temporary)
        rc = tb_target_take(&file->target, file->temporary, err);
    if (!rc) {
        tb_free(file->temporary);
        file->temporary = NULL;
    }
    return rc;
}

void tb_outfile_close(tb_outfile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary)
        unlink(file->temporary);
    tb_free(file->temporary);
    tb_target_clear(&file->target);
    tb_free(file);
}

tb_code tb_file_write(const char *path, const void *bytes, size_t n, tb_error *err)
{
    tb_outfile *file;
    tb_code rc = tb_outfile_open(&file, path, err);
    if (rc)
        return rc;
    rc = tb_outfile_write(file, bytes, n, err);
    if (!rc)
        rc = tb_outfile_commit(file, err);
    tb_outfile_close(file);
    return rc;
}
