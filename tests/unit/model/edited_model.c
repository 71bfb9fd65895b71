#include "edited_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const model_edit *find_edit(const model_edit *edits, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(edits[i].name, name) == 0)
            return &edits[i];
    return NULL;
}

static bool sets_key(const model_edit *edit)
{
    return edit->kind <= SET_NUMBERS;
}

static void add_key(tb_gguf_writer *w, const model_edit *edit)
{
    static unsigned char flags[16];
    tb_kv kv = {.key = {edit->name, strlen(edit->name)}};
    if (edit->kind == SET_U32) {
        kv.type = TB_KV_U32;
        kv.value.u = (uint64_t)edit->number;
    } else if (edit->kind == SET_BOOL) {
        kv.type = TB_KV_BOOL;
        kv.value.u = edit->number != 0;
    } else if (edit->kind == SET_F32) {
        kv.type = TB_KV_F32;
        kv.value.f = edit->number;
    } else if (edit->kind == SET_TEXT) {
        kv.type = TB_KV_TEXT;
        kv.value.text = (tb_text){edit->value, strlen(edit->value)};
    } else if (edit->kind == SET_NUMBERS) {
        kv.type = TB_KV_ARRAY;
        kv.value.array.type = TB_KV_U32;
        kv.value.array.count = (size_t)edit->number;
        kv.value.array.data = edit->value;
    } else {
        const char *digits = edit->value;
        assert_true(strlen(digits) <= sizeof flags);
        kv.type = TB_KV_ARRAY;
        kv.value.array.type = TB_KV_BOOL;
        kv.value.array.count = strlen(digits);
        kv.value.array.data = flags;
        for (size_t i = 0; digits[i]; i++)
            flags[i] = digits[i] == '1';
    }
    assert_int_equal(tb_gguf_writer_add_kv(w, &kv, NULL), TB_OK);
}

// What a file with matrices of plane types must say.
static void add_plane_keys(tb_gguf_writer *w, const model_edit *edit)
{
    const tb_matrix *m = edit->value;
    char key[256];
    float *row = tb_alloc_array(m->cols, sizeof *row);
    assert_non_null(row);
    snprintf(key, sizeof key, "%s%s", TB_KEY_CHECKSUM, edit->name);
    assert_int_equal(tb_gguf_writer_add_u32(w, TB_KEY_TWOBIT_VERSION, TB_TWOBIT_VERSION, NULL), TB_OK);
    assert_int_equal(tb_gguf_writer_add_u64(w, key, tb_matrix_checksum(m, row), NULL), TB_OK);
    tb_free(row);
}

static void copy_keys(tb_gguf_writer *w, const tb_checkpoint *in, const model_edit *edits, size_t n)
{
    for (size_t i = 0; i < tb_checkpoint_kv_count(in); i++) {
        const tb_kv *kv = tb_checkpoint_kv_at(in, i);
        char key[256] = {0};
        assert_true(kv->key.size < sizeof key);
        memcpy(key, kv->key.data, kv->key.size);
        const model_edit *edit = find_edit(edits, n, key);
        if (!edit || (!sets_key(edit) && edit->kind != DROP_KEY))
            assert_int_equal(tb_gguf_writer_add_kv(w, kv, NULL), TB_OK);
    }
    for (size_t i = 0; i < n; i++) {
        if (sets_key(&edits[i]))
            add_key(w, &edits[i]);
        if (edits[i].kind == REPLACE_MATRIX)
            add_plane_keys(w, &edits[i]);
    }
}

static void declare_tensors(tb_gguf_writer *w, const tb_checkpoint *in, const model_edit *edits, size_t n)
{
    for (size_t i = 0; i < tb_checkpoint_tensor_count(in); i++) {
        const tb_tensor_info *t = tb_checkpoint_tensor_at(in, i);
        const model_edit *edit = find_edit(edits, n, t->name.data);
        const char *name = edit && edit->kind == RENAME_TENSOR ? edit->value : t->name.data;
        if (edit && edit->kind == REPLACE_MATRIX)
            assert_int_equal(tb_gguf_writer_add_matrix(w, name, edit->value, NULL), TB_OK);
        else if (!edit || edit->kind != DROP_TENSOR)
            assert_int_equal(tb_gguf_writer_add_tensor(w, name, t->type, t->dim_count, t->dims, NULL), TB_OK);
    }
    for (size_t i = 0; i < n; i++)
        if (edits[i].kind == ADD_VECTOR)
            assert_int_equal(tb_gguf_writer_add_tensor(w, edits[i].name, TB_TYPE_F32, 1,
                                                       (const uint64_t[]){(uint64_t)edits[i].number}, NULL),
                             TB_OK);
}

static void write_floats(tb_gguf_writer *w, float value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tb_gguf_writer_data(w, &value, sizeof value, NULL), TB_OK);
}

static void write_vector(tb_gguf_writer *w, const model_edit *edit)
{
    size_t n = (size_t)edit->number;
    if (edit->value)
        assert_int_equal(tb_gguf_writer_data(w, edit->value, n * sizeof(float), NULL), TB_OK);
    else
        write_floats(w, 0.5f, n);
}

static void copy_tensors(tb_gguf_writer *w, const tb_checkpoint *in, const model_edit *edits, size_t n)
{
    for (size_t i = 0; i < tb_checkpoint_tensor_count(in); i++) {
        const tb_tensor_info *t = tb_checkpoint_tensor_at(in, i);
        const model_edit *edit = find_edit(edits, n, t->name.data);
        if (edit && edit->kind == FILL_VECTOR)
            write_floats(w, (float)edit->number, t->dims[0]);
        else if (edit && edit->kind == REPLACE_MATRIX)
            assert_int_equal(tb_gguf_writer_matrix(w, edit->value, NULL), TB_OK);
        else if (!edit || edit->kind != DROP_TENSOR)
            assert_int_equal(tb_gguf_writer_data(w, t->data, t->bytes, NULL), TB_OK);
    }
    for (size_t i = 0; i < n; i++)
        if (edits[i].kind == ADD_VECTOR)
            write_vector(w, &edits[i]);
}

void write_edited(const char *out_path, const char *in_path, const model_edit *edits, size_t n)
{
    tb_checkpoint *in;
    tb_gguf_writer *w;
    assert_int_equal(tb_checkpoint_open(&in, in_path, NULL), TB_OK);
    assert_int_equal(tb_gguf_writer_open(&w, out_path, NULL), TB_OK);
    copy_keys(w, in, edits, n);
    declare_tensors(w, in, edits, n);
    assert_int_equal(tb_gguf_writer_begin(w, NULL), TB_OK);
    copy_tensors(w, in, edits, n);
    assert_int_equal(tb_gguf_writer_commit(w, NULL), TB_OK);
    tb_gguf_writer_close(w);
    tb_checkpoint_close(in);
}
