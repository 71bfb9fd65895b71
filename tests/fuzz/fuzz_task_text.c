// Descriptions of tasks: every step is a piece of a line without white space at its ends.
#include <stdint.h>
#include <stdlib.h>

#include "agent/tasks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tb_code check_step(void *user, tb_text step, tb_error *err)
{
    const tb_task *task = user;
    (void)err;
    bool inside =
        step.data >= task->description.data && step.data + step.size <= task->description.data + task->description.size;
    if (!inside || step.size == 0 || step.data[0] == ' ' || step.data[step.size - 1] == ' ')
        abort();
    for (size_t i = 0; i < step.size; i++)
        if (step.data[i] == '\n')
            abort();
    return TB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_task task = {.id = "task", .description = {(const char *)data, size}};
    tb_str text = {0};
    tb_error err;
    tb_task_each_step(&task, check_step, &task, &err);
    if (tb_task_append_todo(&text, &task, &err) || tb_task_append_prompt(&text, &task, NULL, NULL, &err))
        abort();
    tb_str_clear(&text);
    return 0;
}
