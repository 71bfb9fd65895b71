#include "model/bind_tensor.h"

#include <stdio.h>
#include <string.h>

tb_code tb_bind_no_memory(tb_error *err, const char *name)
{
    return tb_fail(err, TB_ENOMEM, "no memory for '%s'", name);
}

tb_code tb_tensor_binding_init(tb_tensor_binding *b, tb_model *model, tb_error *err)
{
    *b = (tb_tensor_binding){model, tb_alloc_array(tb_checkpoint_tensor_count(model->checkpoint), sizeof *b->used)};
    return b->used ? TB_OK : tb_bind_no_memory(err, tb_checkpoint_path(model->checkpoint));
}

void tb_tensor_binding_clear(tb_tensor_binding *b)
{
    tb_free(b->used);
    *b = (tb_tensor_binding){0};
}

static void mark(tb_tensor_binding *b, const tb_tensor_info *tensor)
{
    if (tensor)
        b->used[tensor - tb_checkpoint_tensor_at(b->model->checkpoint, 0)] = true;
}

// The tensors that hold a matrix: one, or the parts of a plane type.
static void mark_matrix(tb_tensor_binding *b, const char *name)
{
    const tb_checkpoint *checkpoint = b->model->checkpoint;
    mark(b, tb_checkpoint_tensor(checkpoint, name));
    for (size_t i = 0; i < TB_PARTS; i++) {
        char part[256];
        snprintf(part, sizeof part, "%s%s", name, tb_part_suffixes[i]);
        mark(b, tb_checkpoint_tensor(checkpoint, part));
    }
}

tb_code tb_bind_matrix(tb_matrix *out, tb_tensor_binding *b, const char *name, size_t rows, size_t cols, tb_error *err)
{
    const char *path = tb_checkpoint_path(b->model->checkpoint);
    tb_code rc = tb_checkpoint_matrix(out, b->model->checkpoint, name, err);
    if (rc)
        return rc;
    if (out->rows == 0)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' is missing in '%s'", name, path);
    if (out->cols != cols || (rows && out->rows != rows))
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is %zu × %zu, not %zu × %zu", name, path, out->rows,
                       out->cols, rows ? rows : out->rows, cols);
    if (!tb_type_is_decodable(out->type))
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%s' of '%s' has type %s, which twobit cannot decode", name, path,
                       tb_type_name(out->type));
    mark_matrix(b, name);
    b->model->parameters += (uint64_t)out->rows * out->cols;
    return TB_OK;
}

static const float *floats_of(tb_model *model, const tb_tensor_info *tensor, size_t n)
{
    if (tensor->type == TB_TYPE_F32 && (uintptr_t)tensor->data % sizeof(float) == 0)
        return tensor->data;
    float *copy = tb_arena_array(&model->arena, n, sizeof *copy);
    if (copy)
        tb_type_traits_get(tensor->type)->decode(copy, tensor->data, n);
    return copy;
}

static tb_code check_stack(const tb_tensor_info *tensor, const char *path, size_t stacked, size_t rows, size_t cols,
                           tb_error *err)
{
    const uint64_t *dims = tensor->dims;
    bool fits = dims[0] == cols && dims[1] == rows && dims[2] == stacked && dims[3] == 1;
    if (!fits && rows * stacked == 1)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is not a vector of %zu numbers", tensor->name.data, path,
                       cols);
    if (!fits)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is not %zu × %zu × %zu numbers", tensor->name.data, path,
                       stacked, rows, cols);
    if (tensor->type != TB_TYPE_F32 && tensor->type != TB_TYPE_F16 && tensor->type != TB_TYPE_BF16)
        return tb_fail(err, TB_EUNSUPPORTED, "vector '%s' of '%s' has type %s, not F32, F16 or BF16", tensor->name.data,
                       path, tb_type_name(tensor->type));
    return TB_OK;
}

tb_code tb_bind_stack(const float **out, tb_tensor_binding *b, const char *name, size_t stacked, size_t rows,
                      size_t cols, bool required, tb_error *err)
{
    const char *path = tb_checkpoint_path(b->model->checkpoint);
    const tb_tensor_info *tensor = tb_checkpoint_tensor(b->model->checkpoint, name);
    *out = NULL;
    if (!tensor && required)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' is missing in '%s'", name, path);
    if (!tensor)
        return TB_OK;
    tb_code rc = check_stack(tensor, path, stacked, rows, cols, err);
    if (rc)
        return rc;
    *out = floats_of(b->model, tensor, stacked * rows * cols);
    if (!*out)
        return tb_bind_no_memory(err, name);
    mark(b, tensor);
    b->model->parameters += stacked * rows * cols;
    return TB_OK;
}

tb_code tb_bind_refuse_unused(const tb_tensor_binding *b, tb_error *err)
{
    const tb_checkpoint *checkpoint = b->model->checkpoint;
    for (size_t i = 0; i < tb_checkpoint_tensor_count(checkpoint); i++) {
        const char *name = tb_checkpoint_tensor_at(checkpoint, i)->name.data;
        if (!b->used[i] && !tb_prefix_has_tensor(name))
            return tb_fail(err, TB_EUNSUPPORTED, "'%s' has a tensor '%.200s' that the architecture '%s' does not use",
                           tb_checkpoint_path(checkpoint), name, b->model->settings.arch->name);
    }
    return TB_OK;
}
