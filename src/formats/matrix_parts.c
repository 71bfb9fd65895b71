// Matrices of a checkpoint: one ggml-type tensor, or the parts of a plane type, which are
// checked against the shape that the metadata states.
#include "formats/matrix_parts.h"

#include "formats/checkpoint.h"

#include <inttypes.h>
#include <string.h>

// The tensor named NAME and SUFFIX, or NULL; *rc is not TB_OK when the name could not be built.
static const tb_tensor_info *find_part(const tb_checkpoint *checkpoint, const char *name, const char *suffix,
                                       tb_code *rc, tb_error *err)
{
    tb_str full = {0};
    *rc = tb_str_printf(&full, err, "%s%s", name, suffix);
    const tb_tensor_info *part = *rc ? NULL : tb_checkpoint_tensor(checkpoint, full.data);
    tb_str_clear(&full);
    return part;
}

static tb_code find_key(const tb_kv **out, const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    tb_str key = {0};
    tb_code rc = tb_str_printf(&key, err, TB_MATRIX_KEY "%s", name);
    *out = rc ? NULL : tb_checkpoint_find(checkpoint, key.data);
    tb_str_clear(&key);
    return rc;
}

// ---- the shape that the metadata states ----

// Takes "WORD" up to the next space or the end.
static tb_text take_word(tb_text *text)
{
    const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;
    tb_text word = {text->data, space ? (size_t)(space - text->data) : text->size};
    size_t used = word.size + (space != NULL);
    *text = (tb_text){text->data + used, text->size - used};
    return word;
}

// A decimal number below 2^31 without sign; 0 when the word is none.
static uint32_t number_of(tb_text word)
{
    uint64_t value = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return 0;
        value = 10 * value + (uint64_t)(word.data[i] - '0');
        if (value > INT32_MAX)
            return 0;
    }
    return (uint32_t)value;
}

static bool parse_shape(tb_matrix *shape, tb_text text)
{
    tb_text kind = take_word(&text);
    bool known = tb_plane_type_find(&shape->type, kind.data, kind.size);
    shape->cols = number_of(take_word(&text));
    shape->group = number_of(take_word(&text));
    shape->planes = number_of(text); // the rest: nothing may follow
    return known;
}

// ---- the parts ----

static tb_code lacks_part(const tb_checkpoint *checkpoint, const char *name, const char *suffix, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "matrix '%s' of '%s' lacks its part '%s'", name, checkpoint->path, suffix + 1);
}

static tb_code check_part(const tb_checkpoint *checkpoint, const char *name, const tb_matrix_part *wanted,
                          const tb_tensor_info *part, tb_error *err)
{
    if (!part)
        return lacks_part(checkpoint, name, wanted->suffix, err);
    bool same = part->type == wanted->type && part->bytes == wanted->bytes;
    for (unsigned i = 0; i < TB_MAX_DIMS && same; i++)
        same = part->dims[i] == (i < wanted->dim_count ? wanted->dims[i] : 1);
    if (!same)
        return tb_fail(err, TB_EFORMAT, "part '%s' of matrix '%s' of '%s' has a type or shape that does not fit it",
                       wanted->suffix + 1, name, checkpoint->path);
    return TB_OK;
}

static tb_code bind_parts(tb_matrix *out, const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    tb_matrix_part wanted[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(wanted, out);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < count && !rc; i++) {
        const tb_tensor_info *part = find_part(checkpoint, name, wanted[i].suffix, &rc, err);
        if (!rc)
            rc = check_part(checkpoint, name, &wanted[i], part, err);
        if (!rc)
            tb_matrix_set_part(out, i, part->data);
    }
    return rc;
}

// The rows are those of the first part; every part is compared with the shape afterwards.
static tb_code find_rows(tb_matrix *shape, const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    const char *suffix = tb_part_suffixes[tb_plane_traits_get((uint32_t)shape->type)->data];
    tb_code rc;
    const tb_tensor_info *part = find_part(checkpoint, name, suffix, &rc, err);
    if (rc)
        return rc;
    if (!part)
        return lacks_part(checkpoint, name, suffix, err);
    shape->rows = (size_t)part->dims[2];
    return TB_OK;
}

static tb_code plane_matrix(tb_matrix *out, const tb_checkpoint *checkpoint, const char *name, const tb_kv *key,
                            tb_error *err)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    bool parsed = key->type == TB_KV_TEXT && parse_shape(out, key->value.text);
    tb_code rc = parsed ? find_rows(out, checkpoint, name, err) : TB_OK;
    if (!rc && (!parsed || tb_matrix_get_parts(parts, out) == 0))
        rc = tb_fail(err, TB_EFORMAT, "metadata key '" TB_MATRIX_KEY "%s' of '%s' describes no possible matrix", name,
                     checkpoint->path);
    return rc ? rc : bind_parts(out, checkpoint, name, err);
}

static tb_code ggml_matrix(tb_matrix *out, const tb_checkpoint *checkpoint, const tb_tensor_info *tensor, tb_error *err)
{
    if (tensor->dims[2] != 1 || tensor->dims[3] != 1)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has %u dimensions, not the 2 of a matrix",
                       tensor->name.data, checkpoint->path, tensor->dim_count);
    *out = (tb_matrix){
        .type = tensor->type, .rows = (size_t)tensor->dims[1], .cols = (size_t)tensor->dims[0], .data = tensor->data};
    return TB_OK;
}

// Parts without their metadata must not look like an absent matrix.
static tb_code refuse_orphans(const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    for (size_t i = 0; i < TB_PARTS; i++) {
        tb_code rc;
        const tb_tensor_info *part = find_part(checkpoint, name, tb_part_suffixes[i], &rc, err);
        if (!rc && part)
            rc = tb_fail(err, TB_EFORMAT, "'%s' has '%s' but lacks the metadata key '" TB_MATRIX_KEY "%s'",
                         checkpoint->path, part->name.data, name);
        if (rc)
            return rc;
    }
    return TB_OK;
}

tb_code tb_checkpoint_matrix(tb_matrix *out, const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    *out = (tb_matrix){0};
    const tb_tensor_info *tensor = tb_checkpoint_tensor(checkpoint, name);
    const tb_kv *key;
    tb_code rc = find_key(&key, checkpoint, name, err);
    if (rc)
        return rc;
    if (key && tensor)
        return tb_fail(err, TB_EFORMAT, "'%s' stores matrix '%s' twice, as a tensor and as planes", checkpoint->path,
                       name);
    if (key)
        rc = plane_matrix(out, checkpoint, name, key, err);
    else
        rc = tensor ? ggml_matrix(out, checkpoint, tensor, err) : refuse_orphans(checkpoint, name, err);
    if (rc)
        *out = (tb_matrix){0};
    return rc;
}
