// Experts as gpt-oss's folders have them, made into GGUF's. Rows of gate and up take turns in one tensor. As floats,
// the matrices are stored by columns: gate and up [experts][width][2·hidden], down [experts][hidden][width]. As MXFP4
// they are stored by rows, sixteen bytes for 32 numbers in "…_blocks" and their exponents in "…_scales"; a byte holds
// two neighbours, where GGUF's units hold number j and number j + 16. All of it is copied when the folder is opened.
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

enum { UNIT = 32, UNIT_CODES = UNIT / 2, UNIT_BYTES = 1 + UNIT_CODES }; // of MXFP4

// One tensor to be filled from rows first, first + step, … of every expert's matrix.
typedef struct target {
    const char *stem;
    size_t first, step;
} target;

static const target gate_up[] = {{"ffn_gate_exps", 0, 2}, {"ffn_up_exps", 1, 2}};
static const target down[] = {{"ffn_down_exps", 0, 1}};

// What the source holds: matrices of rows[cols], or biases of `rows`.
typedef struct source {
    const tb_safetensor *tensor, *scales;
    size_t experts, rows, cols;
    size_t item; // bytes of a number; of MXFP4: 0
} source;

// ---- copying ----

// From a matrix by columns.
static void copy_columns(unsigned char *to, const source *s, size_t expert, size_t row)
{
    const unsigned char *from = s->tensor->data + (expert * s->cols * s->rows + row) * s->item;
    for (size_t c = 0; c < s->cols; c++)
        memcpy(to + c * s->item, from + c * s->rows * s->item, s->item);
}

// Code j of 32 that lie two in a byte.
static unsigned code_at(const unsigned char *codes, size_t j)
{
    return codes[j / 2] >> j % 2 * 4 & 15u;
}

static void copy_units(unsigned char *to, const source *s, size_t expert, size_t row)
{
    size_t units = s->cols / UNIT, first = (expert * s->rows + row) * units;
    for (size_t u = 0; u < units; u++, to += UNIT_BYTES) {
        const unsigned char *codes = s->tensor->data + (first + u) * UNIT_CODES;
        to[0] = s->scales->data[first + u];
        for (size_t j = 0; j < UNIT_CODES; j++)
            to[1 + j] = (unsigned char)(code_at(codes, j) | code_at(codes, j + UNIT_CODES) << 4);
    }
}

static void copy_biases(unsigned char *to, const source *s, size_t expert, size_t row)
{
    memcpy(to, s->tensor->data + (expert * s->rows + row) * s->item, s->item);
}

// ---- shapes ----

static bool get_type(tb_type *type, size_t *item, const char *dtype)
{
    static const struct {
        const char *dtype;
        tb_type type;
        size_t item;
    } types[] = {{"F32", TB_TYPE_F32, 4}, {"F16", TB_TYPE_F16, 2}, {"BF16", TB_TYPE_BF16, 2}, {"U8", TB_TYPE_MXFP4, 0}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].dtype, dtype) == 0) {
            *type = types[i].type;
            *item = types[i].item;
            return true;
        }
    return false;
}

// Whether the dims are those of matrices in the layout of `type`, or of biases, in `targets` parts.
static bool read_shape(source *s, tb_type type, bool bias, size_t targets)
{
    const uint64_t *dims = s->tensor->dims;
    unsigned count = s->tensor->dim_count;
    s->experts = (size_t)dims[0];
    s->rows = (size_t)dims[bias || type == TB_TYPE_MXFP4 ? 1 : 2];
    s->cols = bias ? 1 : (size_t)dims[type == TB_TYPE_MXFP4 ? 2 : 1];
    if (s->rows % targets != 0 || s->tensor->bytes == 0)
        return false;
    if (bias)
        return count == 2 && type != TB_TYPE_MXFP4;
    if (type != TB_TYPE_MXFP4)
        return count == 3;
    if (!s->scales || count != 4 || dims[3] != UNIT_CODES)
        return false;
    s->cols *= UNIT; // fits: a sixteenth of its bytes are there
    return s->scales->dim_count == 3 && memcmp(s->scales->dims, dims, 3 * sizeof *dims) == 0 &&
           strcmp(s->scales->dtype.data, "U8") == 0;
}

// ---- all of it ----

static tb_code add_target(tb_checkpoint *out, const target *t, const char *name, const source *s, tb_type type,
                          bool bias, tb_error *err)
{
    char text[TB_HF_NAME_SIZE];
    int block = (int)(strchr(name + 4, '.') - name); // behind "blk."
    int size = snprintf(text, sizeof text, "%.*s.%s%s", block, name, t->stem, strrchr(name, '.'));
    size_t rows = s->rows / t->step;
    tb_tensor_info *tensor = &out->tensors[out->tensor_count];
    *tensor = (tb_tensor_info){.type = type, .dim_count = bias ? 2 : 3, .dims = {s->cols, rows, s->experts, 1}};
    if (bias)
        memcpy(tensor->dims, (uint64_t[]){rows, s->experts, 1, 1}, sizeof tensor->dims);
    tensor->name = (tb_text){tb_arena_text(&out->arena, text, (size_t)size), (size_t)size};
    unsigned char *data = tb_tensor_set_bytes(tensor) ? tb_arena_alloc(&out->arena, tensor->bytes) : NULL;
    if (!tensor->name.data || !data)
        return tb_checkpoint_no_memory(out, err);
    void (*copy)(unsigned char *, const source *, size_t, size_t) = bias      ? copy_biases
                                                                    : s->item ? copy_columns
                                                                              : copy_units;
    size_t row_bytes = tensor->bytes / s->experts / rows;
    for (size_t e = 0; e < s->experts; e++)
        for (size_t r = 0; r < rows; r++)
            copy(data + (e * rows + r) * row_bytes, s, e, t->first + r * t->step);
    tensor->data = data;
    out->tensor_count++;
    return TB_OK;
}

tb_code tb_hf_add_experts(tb_checkpoint *out, const char *name, const tb_safetensor *from, const tb_safetensor *scales,
                          tb_error *err)
{
    tb_type type;
    source s = {.tensor = from, .scales = scales};
    bool bias = strcmp(strrchr(name, '.'), ".bias") == 0, both = strstr(name, "gate_up") != NULL;
    const target *targets = both ? gate_up : down;
    size_t count = both ? sizeof gate_up / sizeof gate_up[0] : sizeof down / sizeof down[0];
    if (!get_type(&type, &s.item, from->dtype.data))
        return tb_fail(err, TB_EUNSUPPORTED,
                       "tensor '%.96s' of '%s' has type %s; twobit reads F32, F16, BF16 and MXFP4", from->name.data,
                       out->path, from->dtype.data);
    if (!read_shape(&s, type, bias, count))
        return tb_fail(err, TB_EFORMAT, "tensor '%.96s' of '%s' has not the shape of experts", from->name.data,
                       out->path);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_target(out, &targets[i], name, &s, type, bias, err);
    return rc;
}
