#include "cli/restart.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tensor/tensor.h"

// The path by which this program was started, which keeps its name in the list of processes; NULL when another
// program runs it, such as a loader or an emulator: that would not come back.
static const char *own_path(void)
{
    const char *path = (const char *)getauxval(AT_EXECFN);
    struct stat running, named;
    bool same = path && stat("/proc/self/exe", &running) == 0 && stat(path, &named) == 0 &&
                running.st_dev == named.st_dev && running.st_ino == named.st_ino;
    return same ? path : NULL;
}

void tb_restart_with_blas_core(char **argv)
{
    const char *core = tb_blas_better_core(tb_cpu_detect(), tb_blas_core(), getenv(TB_BLAS_CORE_VARIABLE));
    const char *path = core ? own_path() : NULL;
    if (!path || setenv(TB_BLAS_CORE_VARIABLE, core, 1) != 0)
        return;
    execv(path, argv);
    unsetenv(TB_BLAS_CORE_VARIABLE);
}

// A setting other than the one that fits is the user's own.
void tb_note_blas_core(const tb_report *report)
{
    const char *setting = getenv(TB_BLAS_CORE_VARIABLE);
    const char *core = tb_blas_better_core(tb_cpu_detect(), tb_blas_core(), NULL);
    char name[TB_BLAS_NAME];
    if (!core || (setting && strcasecmp(setting, core) != 0))
        return;
    tb_blas_name(name);
    if (setting)
        tb_report_note(
            report, TB_NOTE_INFO,
            "slow on this processor: %s, whatever " TB_BLAS_CORE_VARIABLE " says; use another build of OpenBLAS", name);
    else
        tb_report_note(report, TB_NOTE_INFO,
                       "slow on this processor: %s; set the environment variable " TB_BLAS_CORE_VARIABLE "=%s", name,
                       core);
    setenv(TB_BLAS_CORE_VARIABLE, tb_blas_core(), 1); // processes that this one starts need not say it again
}
