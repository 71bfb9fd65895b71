// Tensors of a checkpoint by name, and a record of which were asked for: a forward pass that leaves out a tensor gives
// wrong numbers without a word. Private to model.
#ifndef TB_MODEL_BIND_TENSOR_H
#define TB_MODEL_BIND_TENSOR_H

#include "model/weights.h"

typedef struct tb_tensor_binding {
    tb_model *model; // whose arena takes copies, and whose parameters are counted
    bool *used;      // [tensors of the checkpoint]
} tb_tensor_binding;

tb_code tb_tensor_binding_init(tb_tensor_binding *binding, tb_model *model, tb_error *err);
void tb_tensor_binding_clear(tb_tensor_binding *binding);

tb_code tb_bind_no_memory(tb_error *err, const char *name);

// A matrix that must be there, of any type that decodes. rows 0: any number of rows.
tb_code tb_bind_matrix(tb_matrix *out, tb_tensor_binding *binding, const char *name, size_t rows, size_t cols,
                       tb_error *err);

// stacked·rows·cols floats: the mapping itself where it holds aligned ones, else a copy. One of one row is a vector.
// Leaves *out NULL when the tensor is absent and not required.
tb_code tb_bind_stack(const float **out, tb_tensor_binding *binding, const char *name, size_t stacked, size_t rows,
                      size_t cols, bool required, tb_error *err);

static inline tb_code tb_bind_vector(const float **out, tb_tensor_binding *binding, const char *name, size_t n,
                                     bool required, tb_error *err)
{
    return tb_bind_stack(out, binding, name, 1, 1, n, required, err);
}

// TB_EUNSUPPORTED names a tensor that nobody asked for.
tb_code tb_bind_refuse_unused(const tb_tensor_binding *binding, tb_error *err);

#endif
