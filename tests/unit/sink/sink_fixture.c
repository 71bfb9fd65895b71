#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

tb_model *open_tiny(const tiny_model *shape, size_t threads)
{
    char path[] = "/tmp/twobit-sink-XXXXXX";
    tb_model *model = NULL;
    tb_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    if (tiny_model_write(path, shape, &err) ||
        tb_model_open(&model, path, &(tb_model_options){.threads = threads}, &err))
        fail_msg("%s", err.message);
    unlink(path); // the mapping stays
    return model;
}
