#include "quant/partial.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MANIFEST_VERSION = 3, // of the folder's contents
    MANIFEST_LIMIT = 1 << 16,
    HEX = 64, // digits of a SHA-256
};

#define MANIFEST "manifest.json"
#define OUTPUT "model.gguf"
#define LOCK "lock"

struct tb_partial {
    tb_target target; // OUT
    char *folder;     // OUT.partial
    char *output;     // OUT.partial/model.gguf
    char *lock;       // OUT.partial/lock
    int lock_fd;      // keeps the folder to this process; -1: it is not ours
    bool has_blocks;
};

static tb_code no_memory(const char *path, tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the partial results of '%s'", path);
}

static char *join(const char *a, const char *b, tb_error *err)
{
    tb_str text = {0};
    if (tb_str_printf(&text, err, "%s%s", a, b) == TB_OK)
        return text.data;
    tb_str_clear(&text);
    return NULL;
}

// ---- the manifest ----

static tb_code write_identity(tb_str *out, const tb_quant_identity *identity, tb_error *err)
{
    return tb_str_printf(out, err,
                         "{\n  \"partial\": %d,\n  \"twobit\": \"%s\",\n  \"model\": \"%s\",\n"
                         "  \"tokens\": \"%s\",\n  \"recipe\": %s\n}\n",
                         MANIFEST_VERSION, TB_VERSION, identity->model, identity->tokens,
                         tb_str_get(&identity->recipe));
}

static bool differs(const json_t *here, const json_t *there, const char *key)
{
    return !json_equal(json_object_get(here, key), json_object_get(there, key));
}

// The first key of `here` whose value in `there` is another or missing, or NULL.
static const char *find_difference(json_t *here, const json_t *there)
{
    for (void *i = json_object_iter(here); i; i = json_object_iter_next(here, i))
        if (differs(here, there, json_object_iter_key(i)))
            return json_object_iter_key(i);
    return NULL;
}

static tb_code refuse(const tb_partial *p, const char *what, tb_error *err)
{
    return tb_fail(err, TB_EINVAL,
                   "%s changed since '%s' was begun; go on as before, or remove that folder to start afresh", what,
                   p->folder);
}

static tb_code refuse_option(const tb_partial *p, json_t *here, json_t *there, tb_error *err)
{
    char what[64];
    const char *key = differs(here, there, "method") ? "method" : find_difference(here, there);
    if (!key)
        key = find_difference(there, here);
    snprintf(what, sizeof what, "option '%s'", key ? key : "?");
    return refuse(p, what, err);
}

static tb_code explain_difference(const tb_partial *p, json_t *here, json_t *there, tb_error *err)
{
    if (differs(here, there, "partial") || differs(here, there, "twobit"))
        return refuse(p, "the version of twobit", err);
    if (differs(here, there, "model"))
        return refuse(p, "the model", err);
    if (differs(here, there, "tokens"))
        return refuse(p, "the calibration text", err);
    return refuse_option(p, json_object_get(here, "recipe"), json_object_get(there, "recipe"), err);
}

// TB_OK when the folder's manifest says the same as `identity`.
static tb_code check_manifest(const tb_partial *p, const char *path, const tb_str *identity, tb_error *err)
{
    char *text;
    size_t size;
    tb_code rc = tb_file_read(&text, &size, path, MANIFEST_LIMIT, err);
    if (rc)
        return rc;
    json_t *there = json_loadb(text, size, 0, NULL), *here = json_loadb(identity->data, identity->size, 0, NULL);
    if (!here)
        rc = no_memory(p->target.name, err);
    else if (!json_is_object(there))
        rc = tb_fail(err, TB_EFORMAT, "'%s' is damaged; remove its folder to start afresh", path);
    else if (!json_equal(here, there))
        rc = explain_difference(p, here, there, err);
    json_decref(there);
    json_decref(here);
    tb_free(text);
    return rc;
}

// ---- the folder ----

static bool is_block(const char *name)
{
    return strncmp(name, "block-", 6) == 0;
}

static bool is_ours(const char *name)
{
    return is_block(name) || strncmp(name, MANIFEST, strlen(MANIFEST)) == 0 ||
           strncmp(name, OUTPUT, strlen(OUTPUT)) == 0;
}

static bool has_blocks(const char *folder)
{
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry && !found; entry = readdir(dir))
        found = is_block(entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

// Removes our files, also temporary ones of a process that died, and the folder. The lock goes last: from then on the
// name may be another's.
static tb_code remove_folder(const tb_partial *p, tb_error *err)
{
    DIR *dir = opendir(p->folder);
    if (!dir)
        return tb_fail(err, TB_EIO, "cannot read '%s': %s", p->folder, strerror(errno));
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (is_ours(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    unlink(p->lock);
    if (rmdir(p->folder) != 0)
        return tb_fail(err, TB_EIO, "cannot remove '%s': %s", p->folder, strerror(errno));
    return TB_OK;
}

static tb_code take_up(tb_partial *p, const char *manifest, const tb_str *identity, tb_error *err)
{
    p->has_blocks = has_blocks(p->folder);
    if (p->has_blocks)
        return check_manifest(p, manifest, identity, err);
    return tb_file_write(manifest, identity->data, identity->size, err); // nothing to lose
}

static tb_code enter_folder(tb_partial *p, const tb_str *identity, tb_error *err)
{
    if (mkdir(p->folder, 0777) != 0 && errno != EEXIST)
        return tb_fail(err, TB_EIO, "cannot create '%s': %s", p->folder, strerror(errno));
    char *manifest = join(p->folder, "/" MANIFEST, err);
    tb_code rc = manifest ? tb_lock_open(&p->lock_fd, p->lock, p->target.name, err) : TB_ENOMEM;
    if (!rc)
        rc = take_up(p, manifest, identity, err);
    tb_free(manifest);
    return rc;
}

tb_code tb_partial_open(tb_partial **out, const char *out_path, const tb_quant_identity *identity, tb_error *err)
{
    *out = NULL;
    tb_partial *p = tb_new(tb_partial);
    tb_str text = {0};
    if (!p)
        return no_memory(out_path, err);
    p->lock_fd = -1;
    tb_code rc = tb_target_find(&p->target, out_path, err);
    if (!rc && p->target.streams)
        rc = tb_fail(err, TB_EIO, "cannot write '%s': it is no file", out_path);
    if (!rc)
        rc = write_identity(&text, identity, err);
    if (!rc) {
        p->folder = join(p->target.path, ".partial", err);
        p->output = join(p->target.path, ".partial/" OUTPUT, err);
        p->lock = join(p->target.path, ".partial/" LOCK, err);
        rc = p->folder && p->output && p->lock ? enter_folder(p, &text, err) : no_memory(out_path, err);
    }
    tb_str_clear(&text);
    if (rc)
        tb_partial_close(p);
    else
        *out = p;
    return rc;
}

static void unlock(tb_partial *p)
{
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    p->lock_fd = -1;
}

void tb_partial_close(tb_partial *p)
{
    if (!p)
        return;
    if (p->lock_fd >= 0 && p->has_blocks)
        unlink(p->lock);
    else if (p->lock_fd >= 0)
        remove_folder(p, NULL);
    unlock(p);
    tb_target_clear(&p->target);
    tb_free(p->lock);
    tb_free(p->folder);
    tb_free(p->output);
    tb_free(p);
}

const char *tb_partial_output_path(const tb_partial *p)
{
    return p->output;
}

tb_code tb_partial_publish(tb_partial *p, tb_error *err)
{
    return tb_target_take(&p->target, p->output, err);
}

tb_code tb_partial_remove(tb_partial *p, tb_error *err)
{
    tb_code rc = remove_folder(p, err);
    unlock(p);
    return rc;
}

// ---- blocks ----

// A block file is this header, then a stored_linear, its name and its parts for each linear, then a stored_scales and
// its floats for each input, then the SHA-256 of all that in hexadecimal digits. Numbers are the machine's own: the
// folder does not travel.
typedef struct block_header {
    char magic[8];
    uint64_t linears;
} block_header;

static block_header expected_header(tb_linears linears)
{
    return (block_header){"tbblock4", linears.count};
}

// Only 8-byte members: no padding.
typedef struct stored_linear {
    uint64_t name_size;
    uint64_t type, rows, cols, planes, group;
    uint64_t tokens, dead_columns, nonfinite_weights, clamped_coefs;
    double damping_used, error, energy;
} stored_linear;

// Of an input; 0 channels: it is not scaled.
typedef struct stored_scales {
    uint64_t channels;
    double alpha;
} stored_scales;

static stored_linear linear_to_stored(const char *name, const tb_matrix *m, const tb_quant_report *r)
{
    return (stored_linear){.name_size = strlen(name),
                           .type = m->type,
                           .rows = m->rows,
                           .cols = m->cols,
                           .planes = m->planes,
                           .group = m->group,
                           .tokens = r->tokens,
                           .dead_columns = r->dead_columns,
                           .nonfinite_weights = r->nonfinite_weights,
                           .clamped_coefs = r->clamped_coefs,
                           .damping_used = r->damping_used,
                           .error = r->error,
                           .energy = r->energy};
}

static tb_quant_report stored_report(const stored_linear *s)
{
    return (tb_quant_report){.tokens = s->tokens,
                             .dead_columns = s->dead_columns,
                             .nonfinite_weights = s->nonfinite_weights,
                             .clamped_coefs = s->clamped_coefs,
                             .damping_used = s->damping_used,
                             .error = s->error,
                             .energy = s->energy};
}

static tb_code block_path(tb_str *path, const tb_partial *p, size_t index, tb_error *err)
{
    return tb_str_printf(path, err, "%s/block-%05zu.bin", p->folder, index);
}

// An output file and the hash of what went into it.
typedef struct hashed_file {
    tb_outfile *file;
    tb_hash *hash;
} hashed_file;

static tb_code put(hashed_file *out, const void *bytes, size_t n, tb_error *err)
{
    tb_hash_update(out->hash, bytes, n);
    return tb_outfile_write(out->file, bytes, n, err);
}

static tb_code put_linear(hashed_file *out, const char *name, const tb_quant_linear *linear, tb_error *err)
{
    const tb_matrix *m = &linear->packed.view;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, m);
    stored_linear stored = linear_to_stored(name, m, &linear->report);
    tb_code rc = put(out, &stored, sizeof stored, err);
    if (!rc)
        rc = put(out, name, stored.name_size, err);
    for (size_t i = 0; i < count && !rc; i++)
        rc = put(out, parts[i].data, parts[i].bytes, err);
    return rc;
}

static tb_code put_scales(hashed_file *out, const float *scales, size_t channels, double alpha, tb_error *err)
{
    stored_scales stored = {scales ? channels : 0, alpha};
    tb_code rc = put(out, &stored, sizeof stored, err);
    return rc || !scales ? rc : put(out, scales, channels * sizeof *scales, err);
}

static tb_code put_block(hashed_file *out, const tb_quant_block *block, const tb_model *model, size_t index,
                         tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    tb_linears linears = tb_model_linears(model, index);
    const block_header header = expected_header(linears);
    tb_code rc = put(out, &header, sizeof header, err);
    for (size_t i = 0; i < linears.count && !rc; i++)
        rc = put_linear(out, linears.at[i].name, &block->linears[i], err);
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc; i++)
        rc = put_scales(out, block->fold.scales[i], tb_fold_channels(config, (tb_linear_input)i), block->fold.alphas[i],
                        err);
    char hex[HEX + 1];
    tb_hash_hex(out->hash, hex);
    return rc ? rc : tb_outfile_write(out->file, hex, HEX, err);
}

tb_code tb_partial_store(tb_partial *p, const tb_model *model, size_t index, const tb_quant_block *block, tb_error *err)
{
    tb_str path = {0};
    hashed_file out = {NULL, tb_hash_new()};
    tb_code rc = out.hash ? block_path(&path, p, index, err) : no_memory(p->target.name, err);
    if (!rc)
        rc = tb_outfile_open(&out.file, path.data, err);
    if (!rc)
        rc = put_block(&out, block, model, index, err);
    if (!rc)
        rc = tb_outfile_commit(out.file, err);
    if (!rc)
        p->has_blocks = true;
    tb_outfile_close(out.file);
    tb_hash_free(out.hash);
    tb_str_clear(&path);
    return rc;
}

// What is left of a mapped block file.
typedef struct cursor {
    const unsigned char *data;
    size_t left;
} cursor;

static bool take(void *out, cursor *c, size_t n)
{
    if (n > c->left)
        return false;
    memcpy(out, c->data, n);
    c->data += n;
    c->left -= n;
    return true;
}

static bool take_name(cursor *c, size_t size, const char *name)
{
    if (size != strlen(name) || size > c->left || memcmp(c->data, name, size) != 0)
        return false;
    c->data += size;
    c->left -= size;
    return true;
}

static bool take_parts(tb_packed *out, cursor *c)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &out->view);
    for (size_t i = 0; i < count; i++)
        if (!take(tb_packed_part(out, i), c, parts[i].bytes))
            return false;
    return true;
}

static bool can_decode(uint32_t type)
{
    const tb_type_traits *traits = tb_type_traits_get(type);
    return tb_type_is_plane((tb_type)type) || (traits && traits->decode);
}

// The shape of a stored matrix; false where its type can have none such.
static bool take_shape(tb_matrix *shape, const stored_linear *s)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    *shape = (tb_matrix){
        .type = (tb_type)s->type, .rows = s->rows, .cols = s->cols, .planes = (unsigned)s->planes, .group = s->group};
    return s->type <= UINT32_MAX && s->planes <= TB_MAX_OFFSET_PLANES && can_decode((uint32_t)s->type) &&
           tb_matrix_get_parts(parts, shape) > 0;
}

static tb_code take_linear(tb_quant_linear *out, bool *ok, cursor *c, const tb_linear *original, tb_error *err)
{
    stored_linear s;
    tb_matrix shape;
    *ok = take(&s, c, sizeof s) && take_name(c, s.name_size, original->name) && take_shape(&shape, &s) &&
          shape.rows == original->matrix.rows && shape.cols == original->matrix.cols;
    if (!*ok)
        return TB_OK;
    tb_code rc = tb_packed_init(&out->packed, shape.type, shape.rows, shape.cols, shape.planes, shape.group, err);
    if (rc)
        return rc;
    *ok = take_parts(&out->packed, c);
    out->report = stored_report(&s);
    return TB_OK;
}

static tb_code take_scales(tb_fold *fold, bool *ok, cursor *c, const tb_config *config, tb_linear_input input,
                           tb_error *err)
{
    stored_scales s;
    size_t channels = tb_fold_channels(config, input);
    *ok = take(&s, c, sizeof s) && (s.channels == 0 || s.channels == channels);
    if (!*ok || s.channels == 0)
        return TB_OK;
    fold->alphas[input] = s.alpha;
    fold->scales[input] = tb_alloc_array(channels, sizeof *fold->scales[input]);
    if (!fold->scales[input])
        return tb_fail(err, TB_ENOMEM, "no memory for the scales of %zu channels", channels);
    *ok = take(fold->scales[input], c, channels * sizeof *fold->scales[input]);
    return TB_OK;
}

static tb_code hash_matches(bool *out, const tb_map *map, tb_error *err)
{
    char hex[HEX + 1];
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory to check a block");
    tb_hash_update(hash, map->data, map->size - HEX);
    tb_hash_hex(hash, hex);
    tb_hash_free(hash);
    *out = memcmp(hex, map->data + map->size - HEX, HEX) == 0;
    return TB_OK;
}

static tb_code read_block(tb_quant_block *out, bool *ok, const tb_map *map, const tb_model *model, size_t index,
                          tb_error *err)
{
    block_header header;
    tb_linears linears = tb_model_linears(model, index);
    const block_header expected = expected_header(linears);
    cursor c = {map->data, map->size > HEX ? map->size - HEX : 0};
    tb_code rc = tb_quant_block_init(out, model, index, err);
    *ok = take(&header, &c, sizeof header) && memcmp(&header, &expected, sizeof header) == 0;
    if (!rc && *ok)
        rc = hash_matches(ok, map, err);
    for (size_t i = 0; i < linears.count && !rc && *ok; i++)
        rc = take_linear(&out->linears[i], ok, &c, &linears.at[i], err);
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc && *ok; i++)
        rc = take_scales(&out->fold, ok, &c, tb_model_config(model), (tb_linear_input)i, err);
    return rc;
}

tb_code tb_partial_load(tb_quant_block *out, bool *found, const tb_partial *p, const tb_model *model, size_t index,
                        tb_error *err)
{
    tb_str path = {0};
    tb_map map = {0};
    *out = (tb_quant_block){0};
    *found = false;
    tb_code rc = block_path(&path, p, index, err);
    if (!rc && tb_path_exists(path.data)) {
        rc = tb_map_open(&map, path.data, err);
        if (!rc)
            rc = read_block(out, found, &map, model, index, err);
        tb_map_close(&map);
    }
    tb_str_clear(&path);
    if (rc || !*found)
        tb_quant_block_clear(out);
    return rc;
}
