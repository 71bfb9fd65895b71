// Two kinds of lock on the same file. fcntl's names the process that has it, but does not keep out a second opening by
// the same process; flock's does that. Some systems make one of the other, which does no harm.
#include "base/lock.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static tb_code refuse(int fd, const char *output, tb_error *err)
{
    struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0)
        return tb_fail(err, TB_EIO, "another process (%d) is writing '%s'", (int)holder.l_pid, output);
    return tb_fail(err, TB_EIO, "'%s' is being written already", output);
}

static tb_code lock(int fd, const char *path, const char *output, tb_error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &whole) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return TB_OK;
    if (errno == EACCES || errno == EAGAIN)
        return refuse(fd, output, err);
    return tb_fail(err, TB_EIO, "cannot lock '%s': %s", path, strerror(errno));
}

// Whoever had it before may have renamed or removed the file between our opening and our locking.
static bool is_still_there(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

tb_code tb_lock_open(int *fd, const char *path, const char *output, tb_error *err)
{
    for (;;) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (*fd < 0)
            return tb_fail(err, TB_EIO, "cannot create '%s': %s", path, strerror(errno));
        tb_code rc = lock(*fd, path, output, err);
        if (rc == TB_OK && is_still_there(*fd, path))
            return TB_OK;
        close(*fd);
        *fd = -1;
        if (rc)
            return rc;
    }
}

static tb_code take(tb_output_lock *l, const char *output, const char *suffix, const char *name, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s%s", output, suffix);
    if (!rc)
        rc = tb_lock_open(&l->fd, path.data, name, err);
    if (rc)
        tb_str_clear(&path);
    else
        l->path = path.data;
    return rc;
}

tb_code tb_output_lock_take(tb_output_lock *l, const tb_target *output, tb_error *err)
{
    *l = (tb_output_lock){0};
    return output->streams ? TB_OK : take(l, output->path, ".lock", output->name, err);
}

tb_code tb_output_lock_take_folder(tb_output_lock *l, const char *folder, tb_error *err)
{
    *l = (tb_output_lock){0};
    return take(l, folder, "/lock", folder, err);
}

void tb_output_lock_give(tb_output_lock *l)
{
    if (!l->path)
        return;
    unlink(l->path); // before others can have it: see is_still_there
    close(l->fd);
    tb_free(l->path);
    *l = (tb_output_lock){0};
}
