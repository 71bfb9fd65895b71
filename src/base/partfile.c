#include "base/partfile.h"

#include "base/fail.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tb_partfile {
    tb_target target;
    tb_str partial;
    int fd;
};

static tb_code open_partial(tb_partfile *file, uint64_t size, tb_error *err)
{
    const char *name = file->partial.data;
    struct stat st;
    tb_code rc = tb_lock_open(&file->fd, name, file->target.name, err);
    if (rc)
        return rc;
    if (fstat(file->fd, &st) != 0)
        return tb_fail(err, TB_EIO, "cannot inspect '%s': %s", name, strerror(errno));
    if (st.st_size == 0 && ftruncate(file->fd, (off_t)size) != 0)
        return tb_fail(err, TB_EIO, "cannot write '%s': %s", name, strerror(errno));
    if (st.st_size != 0 && (uint64_t)st.st_size != size)
        return tb_fail(err, TB_EINVAL, "'%s' belongs to another output; remove it to begin anew", name);
    return TB_OK;
}

tb_code tb_partfile_open(tb_partfile **out, const char *path, uint64_t size, tb_error *err)
{
    *out = NULL;
    tb_partfile *file = tb_new(tb_partfile);
    if (!file)
        return tb_fail(err, TB_ENOMEM, "no memory to write '%s'", path);
    file->fd = -1;
    tb_code rc = tb_target_find(&file->target, path, err);
    if (!rc)
        rc = tb_target_work_path(&file->partial, &file->target, ".partial", err);
    if (!rc)
        rc = open_partial(file, size, err);
    if (rc) {
        tb_partfile_close(file);
        return rc;
    }
    *out = file;
    return TB_OK;
}

const char *tb_partfile_name(const tb_partfile *file)
{
    return file->partial.data;
}

tb_code tb_partfile_write(tb_partfile *file, uint64_t offset, const void *bytes, size_t n, tb_error *err)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        ssize_t done = pwrite(file->fd, from, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tb_fail(err, TB_EIO, "cannot write '%s': %s", file->partial.data, strerror(errno));
        from += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return TB_OK;
}

tb_code tb_partfile_read(void *bytes, size_t n, tb_partfile *file, uint64_t offset, tb_error *err)
{
    unsigned char *to = bytes;
    while (n > 0) {
        ssize_t done = pread(file->fd, to, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return tb_fail(err, TB_EIO, "cannot read '%s': %s", file->partial.data, done ? strerror(errno) : "it ends");
        to += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return TB_OK;
}

tb_code tb_partfile_sync(tb_partfile *file, tb_error *err)
{
    if (fdatasync(file->fd) != 0)
        return tb_fail(err, TB_EIO, "cannot write '%s': %s", file->partial.data, strerror(errno));
    return TB_OK;
}

tb_code tb_partfile_commit(tb_partfile *file, tb_error *err)
{
    tb_code rc = tb_partfile_sync(file, err);
    return rc ? rc : tb_target_take(&file->target, file->partial.data, err);
}

void tb_partfile_close(tb_partfile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    tb_str_clear(&file->partial);
    tb_target_clear(&file->target);
    tb_free(file);
}
