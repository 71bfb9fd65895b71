// Packed networks in files.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "csi/csi_net.h"

enum {
    NAME_SIZE = 32,
    SUFFIX_SIZE = 8,
    SHAPE_SIZE = 128,
    MATRICES = 2 * TB_CSI_STAGES,
    MOST_TENSORS = 8 * TB_CSI_STAGES
};

static tb_packed *matrix_of(tb_csi_net *net, size_t index)
{
    tb_csi_subnet *s = &net->subnets[index / 2];
    return index % 2 ? &s->packed2 : &s->packed1;
}

static void name_matrix(char name[NAME_SIZE], size_t index)
{
    snprintf(name, NAME_SIZE, "%s.w%zu", tb_csi_stage_names[index / 2], index % 2 + 1);
}

// Whatever the first part is, here it is called data.
static const char *suffix_of(const tb_matrix_part *parts, size_t index)
{
    return index == 0 ? ".data" : parts[index].suffix;
}

// ---- reading ----

static bool parse_shape(tb_matrix *shape, const char *text)
{
    char name[16];
    *shape = (tb_matrix){0};
    return text &&
           sscanf(text, "%15s %zu %zu %u %zu", name, &shape->rows, &shape->cols, &shape->planes, &shape->group) == 5 &&
           tb_plane_type_find(&shape->type, name, strlen(name));
}

// One part, into storage of `size` bytes.
static tb_code load_part(void *to, size_t size, const tb_safetensors *file, const char *matrix, const char *suffix,
                         const char *path, tb_error *err)
{
    char name[NAME_SIZE + SUFFIX_SIZE];
    snprintf(name, sizeof name, "%s%s", matrix, suffix);
    const tb_safetensor *t = tb_safetensors_find(file, name);
    if (!t || t->bytes != size)
        return tb_fail(err, TB_EFORMAT, "'%s' has no tensor '%s' of %zu bytes", path, name, size);
    memcpy(to, t->data, size);
    return TB_OK;
}

static tb_code check_finite(const uint16_t *halves, size_t n, const char *matrix, const char *path, tb_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(tb_half_to_float(halves[i])))
            return tb_fail(err, TB_EFORMAT, "matrix '%s' of '%s' has coefficients that are not finite", matrix, path);
    return TB_OK;
}

static tb_code load_matrix(tb_packed *out, size_t rows, size_t cols, const tb_safetensors *file, const char *name,
                           const char *path, tb_error *err)
{
    tb_matrix shape;
    if (!parse_shape(&shape, tb_safetensors_metadata(file, name)) || shape.rows != rows || shape.cols != cols)
        return tb_fail(err, TB_EFORMAT, "'%s' has no packed matrix '%s' of %zu × %zu", path, name, rows, cols);
    tb_code rc = tb_packed_init(out, shape.type, rows, cols, shape.planes, shape.group, err);
    if (rc)
        return rc;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &out->view);
    for (size_t i = 0; i < count && !rc; i++)
        rc = load_part(tb_packed_part(out, i), parts[i].bytes, file, name, suffix_of(parts, i), path, err);
    return rc ? rc : check_finite(out->coefs, parts[1].bytes / sizeof *out->coefs, name, path, err);
}

tb_code tb_csi_packed_load(tb_csi_net *net, const tb_safetensors *file, const char *path, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < MATRICES; i++) {
        if (!net->subnets[i / 2].exists)
            continue;
        char name[NAME_SIZE];
        tb_csi_stage_shape s = tb_csi_net_stage_shape(&net->options, (tb_csi_stage)(i / 2));
        name_matrix(name, i);
        rc = i % 2 ? load_matrix(matrix_of(net, i), s.out, s.hidden, file, name, path, err)
                   : load_matrix(matrix_of(net, i), s.hidden, s.in, file, name, path, err);
    }
    return rc;
}

// ---- writing ----

typedef struct writer {
    tb_safetensor tensors[MOST_TENSORS];
    char names[MOST_TENSORS][NAME_SIZE + SUFFIX_SIZE];
    size_t count;
    char shapes[MATRICES][SHAPE_SIZE], matrix_names[MATRICES][NAME_SIZE], numbers[TB_CSI_NET_NUMBERS][32];
    const char *metadata[2 * (MATRICES + 8)];
    size_t pairs;
} writer;

static void add_pair(writer *w, const char *key, const char *value)
{
    w->metadata[2 * w->pairs] = key;
    w->metadata[2 * w->pairs++ + 1] = value;
}

static void add_tensor(writer *w, const char *matrix, const char *suffix, const char *dtype, uint64_t rows,
                       uint64_t cols, const void *data, size_t bytes)
{
    char *name = w->names[w->count];
    strcat(strcpy(name, matrix), suffix);
    w->tensors[w->count++] = (tb_safetensor){.name = {name, strlen(name)},
                                             .dtype = {dtype, strlen(dtype)},
                                             .dim_count = 2,
                                             .dims = {rows, cols, 1, 1},
                                             .data = data,
                                             .bytes = bytes};
}

static void add_matrix(writer *w, size_t index, const tb_packed *packed)
{
    const tb_matrix *m = &packed->view;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, m);
    char *name = w->matrix_names[index];
    name_matrix(name, index);
    snprintf(w->shapes[index], SHAPE_SIZE, "%s %zu %zu %u %zu", tb_type_name((uint32_t)m->type), m->rows, m->cols,
             m->planes, m->group);
    add_pair(w, name, w->shapes[index]);
    for (size_t i = 0; i < count; i++) {
        bool halves = parts[i].type == TB_TYPE_F16;
        size_t cols = parts[i].bytes / m->rows / (halves ? sizeof(uint16_t) : 1);
        add_tensor(w, name, suffix_of(parts, i), halves ? "F16" : "U8", m->rows, cols, parts[i].data, parts[i].bytes);
    }
}

static void add_bias(writer *w, const tb_param *p)
{
    add_tensor(w, p->name, "", "F32", p->rows, p->cols, p->value, p->rows * p->cols * sizeof(float));
}

tb_code tb_csi_packed_save(const char *path, const tb_csi_net *net, const char *recipe, tb_error *err)
{
    writer *w = tb_new(writer);
    if (!w)
        return tb_fail(err, TB_ENOMEM, "no memory to write a network");
    w->pairs = tb_csi_net_describe(w->metadata, w->numbers, net);
    add_pair(w, "packed", recipe);
    for (size_t stage = 0; stage < TB_CSI_STAGES; stage++) {
        const tb_csi_subnet *s = &net->subnets[stage];
        if (!s->exists)
            continue;
        add_matrix(w, 2 * stage, &s->packed1);
        add_bias(w, s->b1);
        add_matrix(w, 2 * stage + 1, &s->packed2);
        add_bias(w, s->b2);
    }
    tb_code rc = tb_safetensors_write(path, w->tensors, w->count, w->metadata, w->pairs, err);
    tb_free(w);
    return rc;
}
