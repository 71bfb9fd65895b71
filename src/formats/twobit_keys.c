// The promises that a file with plane-type matrices makes: a version of their layout, and a
// checksum of the decoded values of each matrix, so that no reader misreads them quietly.
#include "formats/matrix_parts.h"

#include "formats/checkpoint.h"

#include <string.h>

// The name behind `prefix`; empty for any other key.
static tb_text name_after(tb_text key, const char *prefix)
{
    size_t n = strlen(prefix);
    bool starts = key.size > n && memcmp(key.data, prefix, n) == 0;
    return starts ? (tb_text){key.data + n, key.size - n} : (tb_text){NULL, 0};
}

static tb_code find_checksum(const tb_kv **out, const tb_checkpoint *checkpoint, tb_text name, tb_error *err)
{
    tb_str key = {0};
    tb_code rc = tb_str_append_text(&key, TB_KEY_CHECKSUM, err);
    if (!rc)
        rc = tb_str_append(&key, name.data, name.size, err);
    *out = rc ? NULL : tb_checkpoint_find(checkpoint, key.data);
    tb_str_clear(&key);
    return rc;
}

tb_code tb_checkpoint_check_planes(const tb_checkpoint *checkpoint, tb_error *err)
{
    uint64_t version = 0;
    tb_code rc = tb_checkpoint_get_u64(&version, checkpoint, TB_KEY_TWOBIT_VERSION, false, err);
    if (!rc && version > TB_TWOBIT_VERSION)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "'%s' was written by a newer twobit (format version %llu, this one knows %d)", checkpoint->path,
                       (unsigned long long)version, TB_TWOBIT_VERSION);
    for (size_t i = 0; i < checkpoint->kv_count && !rc; i++) {
        tb_text name = name_after(checkpoint->kvs[i].key, TB_MATRIX_KEY);
        const tb_kv *checksum;
        if (name.size == 0)
            continue;
        if (version == 0)
            return tb_fail(err, TB_EFORMAT, "'%s' has bit-planes but no '" TB_KEY_TWOBIT_VERSION "'", checkpoint->path);
        rc = find_checksum(&checksum, checkpoint, name, err);
        if (!rc && (!checksum || checksum->type != TB_KV_U64))
            rc =
                tb_fail(err, TB_EFORMAT, "'%s' has no checksum of its matrix '%.*s'", checkpoint->path, TB_SHOWN(name));
    }
    return rc;
}

// ---- verifying ----

typedef struct verification {
    const tb_checkpoint *checkpoint;
    tb_text *names;     // [count] matrices with a checksum
    uint64_t *expected; // [count]
    tb_code *verdicts;  // [count]
    size_t count;
} verification;

static tb_code verify_named(const tb_checkpoint *checkpoint, const char *name, uint64_t expected, tb_error *err)
{
    tb_matrix m;
    tb_code rc = tb_checkpoint_matrix(&m, checkpoint, name, err);
    if (rc)
        return rc;
    if (m.rows == 0)
        return tb_fail(err, TB_EFORMAT, "'%s' has a checksum of a matrix '%s' but not the matrix", checkpoint->path,
                       name);
    float *row = tb_alloc_array(m.cols, sizeof *row);
    if (!row)
        return tb_fail(err, TB_ENOMEM, "no memory for a row of %zu values", m.cols);
    bool same = tb_matrix_checksum(&m, row) == expected;
    tb_free(row);
    if (!same)
        return tb_fail(err, TB_EFORMAT, "matrix '%s' of '%s' does not decode to the values it was written with", name,
                       checkpoint->path);
    return TB_OK;
}

static tb_code verify_matrix(const verification *v, size_t index, tb_error *err)
{
    char *name = tb_dup_text(v->names[index].data, v->names[index].size);
    if (!name)
        return tb_checkpoint_no_memory(v->checkpoint, err);
    tb_code rc = verify_named(v->checkpoint, name, v->expected[index], err);
    tb_free(name);
    return rc;
}

static void verify_range(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    verification *v = user;
    for (size_t i = begin; i < end; i++)
        v->verdicts[i] = verify_matrix(v, i, NULL);
}

static void collect_checksums(verification *v)
{
    for (size_t i = 0; i < v->checkpoint->kv_count; i++) {
        const tb_kv *kv = &v->checkpoint->kvs[i];
        tb_text name = name_after(kv->key, TB_KEY_CHECKSUM);
        if (name.size == 0 || kv->type != TB_KV_U64)
            continue;
        v->names[v->count] = name;
        v->expected[v->count++] = kv->value.u;
    }
}

// Some matrices at a time, so that progress can be told; the first failure in order is repeated for its sentence.
static tb_code verify_all(verification *v, size_t threads, const tb_report *report, tb_error *err)
{
    enum { BATCH = 16 };
    for (size_t done = 0; done < v->count; done += BATCH) {
        size_t n = v->count - done < BATCH ? v->count - done : BATCH;
        verification part = {v->checkpoint, v->names + done, v->expected + done, v->verdicts + done, n};
        tb_parallel(threads, n, 1, verify_range, &part);
        for (size_t i = 0; i < n; i++)
            if (part.verdicts[i])
                return verify_matrix(&part, i, err);
        if (tb_report_progress(report, "verify", (double)(done + n), (double)v->count, "matrices"))
            return tb_fail(err, TB_ECANCELLED, "verifying was stopped");
    }
    return TB_OK;
}

tb_code tb_checkpoint_verify(const tb_checkpoint *checkpoint, size_t threads, const tb_report *report, tb_error *err)
{
    tb_code rc = tb_checkpoint_check_planes(checkpoint, err);
    if (rc)
        return rc;
    verification v = {.checkpoint = checkpoint};
    v.names = tb_alloc_array(checkpoint->kv_count, sizeof *v.names);
    v.expected = tb_alloc_array(checkpoint->kv_count, sizeof *v.expected);
    v.verdicts = tb_alloc_array(checkpoint->kv_count, sizeof *v.verdicts);
    if (!v.names || !v.expected || !v.verdicts) {
        rc = tb_checkpoint_no_memory(checkpoint, err);
    } else {
        collect_checksums(&v);
        rc = v.count ? verify_all(&v, threads, report, err)
                     : tb_fail(err, TB_EUNSUPPORTED, "'%s' has no checksums to verify: it was not written by twobit",
                               checkpoint->path);
    }
    tb_free(v.verdicts);
    tb_free(v.expected);
    tb_free(v.names);
    return rc;
}
