// Two passes over the tensors of the source: one declares, one writes. What a tensor becomes
// follows from its name alone, so both passes agree.
#include "quant/output.h"

#include "quant/held_out.h"

#include <stdio.h>
#include <string.h>

// ---- what becomes of a tensor ----

typedef enum tensor_role {
    ROLE_LINEAR, // packed planes
    ROLE_END,    // embedding or head: in bits of its own, or as it is
    ROLE_PREFIX, // written afresh, behind all others
    ROLE_VECTOR, // norms and the like: floats, divided by scales where inputs are scaled
} tensor_role;

typedef struct tensor_plan {
    const tb_tensor_info *info;
    tensor_role role;
    size_t block;            // ROLE_LINEAR, and ROLE_VECTOR where an input is scaled
    size_t which;            // ROLE_LINEAR: of the block's list
    tb_linear_input scaled;  // ROLE_VECTOR: the input whose scales divide it; TB_LINEAR_INPUTS: none
    const tb_matrix *source; // ROLE_END: the matrix as stored in the source
    unsigned end_bits;       // ROLE_END
    tb_output_end *end;      // ROLE_END
} tensor_plan;

static bool find_block(tensor_plan *plan, const tb_model *model)
{
    return sscanf(plan->info->name.data, "blk.%zu.", &plan->block) == 1 && plan->block < tb_model_config(model)->blocks;
}

static bool find_linear(tensor_plan *plan, const tb_model *model)
{
    if (!find_block(plan, model))
        return false;
    tb_linears linears = tb_model_linears(model, plan->block);
    plan->which = 0;
    while (plan->which < linears.count && strcmp(linears.at[plan->which].name, plan->info->name.data) != 0)
        plan->which++;
    return plan->which < linears.count;
}

static tensor_plan plan_tensor(tb_output *o, size_t index)
{
    tensor_plan plan = {.info = tb_checkpoint_tensor_at(tb_model_checkpoint(o->model), index),
                        .role = ROLE_VECTOR,
                        .scaled = TB_LINEAR_INPUTS};
    const char *name = plan.info->name.data;
    if (find_linear(&plan, o->model)) {
        plan.role = ROLE_LINEAR;
    } else if (tb_prefix_has_tensor(name)) {
        plan.role = ROLE_PREFIX;
    } else if (strcmp(name, "token_embd.weight") == 0) {
        plan.role = ROLE_END;
        plan.source = tb_model_embedding(o->model);
        plan.end_bits = o->end_bits.embedding;
        plan.end = &o->embedding;
    } else if (strcmp(name, "output.weight") == 0) {
        plan.role = ROLE_END;
        plan.source = tb_model_head(o->model);
        plan.end_bits = o->end_bits.head;
        plan.end = &o->head;
    } else if (tb_method_get(o->method)->scales_inputs && find_block(&plan, o->model)) {
        plan.scaled = tb_fold_of_vector(name);
    }
    return plan;
}

// ---- metadata ----

static bool starts_with(tb_text text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.size >= n && memcmp(text.data, prefix, n) == 0;
}

static bool is_key(tb_text text, const char *key)
{
    return text.size == strlen(key) && starts_with(text, key);
}

// Keys that describe the source's encoding, or that are written afresh.
static bool is_replaced(tb_text key)
{
    static const char *const replaced[] = {"general.file_type",   "general.alignment", "general.quantization_version",
                                           TB_KEY_TWOBIT_VERSION, "twobit.generator",  "twobit.method",
                                           "twobit.bits",         "twobit.block_bits", "twobit.group",
                                           "twobit.recipe",       "twobit.source",     "twobit.calibration"};
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++)
        if (is_key(key, replaced[i]))
            return true;
    return tb_is_tokenizer_key(key) || tb_prefix_has_key(key) || starts_with(key, TB_KEY_CHECKSUM);
}

static tb_code add_source_metadata(tb_gguf_writer *w, const tb_checkpoint *source, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < tb_checkpoint_kv_count(source) && !rc; i++)
        if (!is_replaced(tb_checkpoint_kv_at(source, i)->key))
            rc = tb_gguf_writer_add_kv(w, tb_checkpoint_kv_at(source, i), err);
    return rc ? rc : tb_model_write_tokenizer(w, source, err);
}

static tb_code add_text(tb_gguf_writer *w, const char *key, const char *value, tb_error *err)
{
    return tb_gguf_writer_add_text(w, key, (tb_text){value, strlen(value)}, err);
}

// One number for all blocks, or the widths of the blocks one after the other: "4 2 2 4".
static tb_code add_bits(tb_gguf_writer *w, const tb_output *o, tb_error *err)
{
    if (!o->block_bits)
        return tb_gguf_writer_add_u32(w, "twobit.bits", o->options->bits, err);
    tb_str list = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < tb_model_config(o->model)->blocks && !rc; i++)
        rc = tb_str_printf(&list, err, i ? " %u" : "%u", (unsigned)o->block_bits[i]);
    if (!rc)
        rc = add_text(w, "twobit.block_bits", tb_str_get(&list), err);
    tb_str_clear(&list);
    return rc;
}

static tb_code add_own_metadata(tb_gguf_writer *w, const tb_output *o, tb_error *err)
{
    tb_code rc = tb_gguf_writer_add_u32(w, TB_KEY_TWOBIT_VERSION, TB_TWOBIT_VERSION, err);
    if (!rc)
        rc = add_text(w, "twobit.generator", "twobit " TB_VERSION, err);
    if (!rc)
        rc = add_text(w, "twobit.method", tb_method_get(o->method)->name, err);
    if (!rc)
        rc = add_bits(w, o, err);
    if (!rc)
        rc = tb_gguf_writer_add_u32(w, "twobit.group", (uint32_t)o->options->group, err);
    if (!rc)
        rc = add_text(w, "twobit.recipe", tb_str_get(&o->identity->recipe), err);
    if (!rc)
        rc = add_text(w, "twobit.source", o->identity->model, err);
    if (!rc && o->identity->tokens[0])
        rc = add_text(w, "twobit.calibration", o->identity->tokens, err);
    return rc;
}

static tb_code add_checksum(tb_gguf_writer *w, const char *name, uint64_t checksum, tb_error *err)
{
    tb_str key = {0};
    tb_code rc = tb_str_printf(&key, err, TB_KEY_CHECKSUM "%s", name);
    if (!rc)
        rc = tb_gguf_writer_add_u64(w, key.data, checksum, err);
    tb_str_clear(&key);
    return rc;
}

// ---- declaring ----

tb_matrix tb_output_shape(const tb_output *o, size_t block, size_t which)
{
    tb_linears linears = tb_model_linears(o->model, block);
    const tb_linear *linear = &linears.at[which];
    if (tb_is_held_out(o->held_out ? o->held_out + linears.first : NULL, which, linear, o->method))
        return tb_held_out_shape(&linear->matrix, o->method);
    return (tb_matrix){.type = tb_method_get(o->method)->type,
                       .rows = linear->matrix.rows,
                       .cols = linear->matrix.cols,
                       .planes = tb_linear_bits(linear, o->block_bits ? o->block_bits[block] : o->options->bits),
                       .group = o->options->group};
}

static tb_code declare_linear(tb_gguf_writer *w, const tb_output *o, const tensor_plan *plan, tb_error *err)
{
    const char *name = plan->info->name.data;
    tb_linears linears = tb_model_linears(o->model, plan->block);
    tb_matrix shape = tb_output_shape(o, plan->block, plan->which);
    uint64_t checksum = o->checksums ? o->checksums[linears.first + plan->which] : 0;
    tb_code rc = tb_gguf_writer_add_matrix(w, name, &shape, err);
    return rc ? rc : add_checksum(w, name, checksum, err);
}

static tb_code declare_end(tb_gguf_writer *w, tb_output *o, const tensor_plan *plan, tb_error *err)
{
    tb_matrix *matrix = &plan->end->matrix;
    float *row = NULL;
    tb_code rc = tb_end_convert(matrix, &plan->end->packed, plan->source, plan->end_bits,
                                tb_model_compute(o->model)->threads, &o->nonfinite_weights, err);
    if (!rc)
        rc = tb_gguf_writer_add_matrix(w, plan->info->name.data, matrix, err);
    if (!rc && !(row = tb_alloc_array(matrix->cols, sizeof *row)))
        rc = tb_fail(err, TB_ENOMEM, "no memory for a row of %zu values", matrix->cols);
    if (!rc)
        rc = add_checksum(w, plan->info->name.data, tb_matrix_checksum(matrix, row), err);
    tb_free(row);
    return rc;
}

// The same entries without the values: their checksum is of no matter then.
static tb_code declare_end_shape(tb_gguf_writer *w, const tensor_plan *plan, tb_error *err)
{
    const char *name = plan->info->name.data;
    tb_matrix shape = tb_end_shape(plan->source, plan->end_bits);
    tb_code rc = tb_gguf_writer_add_matrix(w, name, &shape, err);
    return rc ? rc : add_checksum(w, name, 0, err);
}

static tb_code declare_tensors(tb_gguf_writer *w, tb_output *o, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < tb_checkpoint_tensor_count(tb_model_checkpoint(o->model)) && !rc; i++) {
        tensor_plan plan = plan_tensor(o, i);
        if (plan.role == ROLE_LINEAR)
            rc = declare_linear(w, o, &plan, err);
        else if (plan.role == ROLE_END)
            rc = o->checksums ? declare_end(w, o, &plan, err) : declare_end_shape(w, &plan, err);
        else if (plan.role == ROLE_VECTOR)
            rc = tb_gguf_writer_add_tensor(w, plan.info->name.data, TB_TYPE_F32, plan.info->dim_count, plan.info->dims,
                                           err);
    }
    const tb_prefix *prefix = tb_model_prefix(o->model);
    return rc || !prefix->count ? rc : tb_prefix_declare(w, prefix, o->model, err);
}

// ---- writing ----

// The block that is being written, kept while the source's order stays in it.
typedef struct loaded_block {
    tb_quant_block block;
    size_t index;
    bool valid;
} loaded_block;

static tb_code enter_block(loaded_block *loaded, const tb_output *o, size_t index, tb_error *err)
{
    if (loaded->valid && loaded->index == index)
        return TB_OK;
    tb_quant_block_clear(&loaded->block);
    loaded->index = index;
    tb_code rc = tb_partial_load(&loaded->block, &loaded->valid, o->partial, o->model, index, err);
    if (!rc && !loaded->valid)
        rc = tb_fail(err, TB_EIO, "block %zu has vanished from the partial results", index);
    return rc;
}

static tb_code write_linear(tb_gguf_writer *w, const tb_output *o, const tensor_plan *plan, loaded_block *loaded,
                            tb_error *err)
{
    tb_code rc = enter_block(loaded, o, plan->block, err);
    return rc ? rc : tb_gguf_writer_matrix(w, &loaded->block.linears[plan->which].packed.view, err);
}

static tb_code write_end(tb_gguf_writer *w, const tensor_plan *plan, tb_error *err)
{
    tb_code rc = tb_gguf_writer_matrix(w, &plan->end->matrix, err);
    tb_packed_clear(&plan->end->packed);
    return rc;
}

static tb_code write_vector(tb_gguf_writer *w, const tb_output *o, const tensor_plan *plan, loaded_block *loaded,
                            tb_error *err)
{
    const tb_tensor_info *info = plan->info;
    size_t count = 1;
    for (unsigned i = 0; i < info->dim_count; i++)
        count *= (size_t)info->dims[i]; // fits: the checkpoint has checked it against its bytes
    float *values = tb_alloc_array(count, sizeof *values);
    if (!values)
        return tb_fail(err, TB_ENOMEM, "no memory for '%s'", info->name.data);
    tb_type_traits_get(info->type)->decode(values, info->data, count);
    tb_code rc = TB_OK;
    if (plan->scaled != TB_LINEAR_INPUTS) {
        rc = enter_block(loaded, o, plan->block, err);
        if (!rc)
            tb_fold_divide(values, loaded->block.fold.scales[plan->scaled], count);
    }
    if (!rc)
        rc = tb_gguf_writer_data(w, values, count * sizeof *values, err);
    tb_free(values);
    return rc;
}

static tb_code write_tensors(tb_gguf_writer *w, tb_output *o, tb_error *err)
{
    size_t count = tb_checkpoint_tensor_count(tb_model_checkpoint(o->model));
    loaded_block loaded = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < count && !rc; i++) {
        tensor_plan plan = plan_tensor(o, i);
        if (plan.role == ROLE_LINEAR)
            rc = write_linear(w, o, &plan, &loaded, err);
        else if (plan.role == ROLE_END)
            rc = write_end(w, &plan, err);
        else if (plan.role == ROLE_VECTOR)
            rc = write_vector(w, o, &plan, &loaded, err);
        if (!rc && tb_report_progress(o->report, "write", (double)(i + 1), (double)count, "tensors"))
            rc = tb_fail(err, TB_ECANCELLED, "writing was stopped");
    }
    tb_quant_block_clear(&loaded.block);
    const tb_prefix *prefix = tb_model_prefix(o->model);
    return rc || !prefix->count ? rc : tb_prefix_write(w, prefix, o->model, err);
}

static tb_code declare_all(tb_gguf_writer *w, tb_output *o, tb_error *err)
{
    tb_code rc = add_source_metadata(w, tb_model_checkpoint(o->model), err);
    if (!rc)
        rc = add_own_metadata(w, o, err);
    return rc ? rc : declare_tensors(w, o, err);
}

tb_code tb_output_measure(uint64_t *bytes, const tb_output *o, tb_error *err)
{
    tb_gguf_writer *w;
    tb_output sizes_only = *o;
    sizes_only.checksums = NULL;
    tb_code rc = tb_gguf_writer_open(&w, NULL, err);
    if (rc)
        return rc;
    rc = declare_all(w, &sizes_only, err);
    *bytes = tb_gguf_writer_bytes(w);
    tb_gguf_writer_close(w);
    return rc;
}

tb_code tb_output_write(tb_output *o, const char *path, tb_error *err)
{
    tb_gguf_writer *w;
    tb_code rc = tb_gguf_writer_open(&w, path, err);
    if (rc)
        return rc;
    rc = declare_all(w, o, err);
    if (!rc)
        rc = tb_gguf_writer_begin(w, err);
    if (!rc)
        rc = write_tensors(w, o, err);
    if (!rc)
        rc = tb_gguf_writer_commit(w, err);
    tb_gguf_writer_close(w);
    tb_packed_clear(&o->embedding.packed);
    tb_packed_clear(&o->head.packed);
    return rc;
}
