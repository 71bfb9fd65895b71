#include "lab/lab_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SHORT_HASH = 8, MOST_NAME = 120 }; // digits and characters in names of files

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the work folder");
}

// ---- the folder itself ----

static tb_code make_folders(char *path, tb_error *err)
{
    for (char *slash = path + 1;; *slash++ = '/') {
        slash = strchr(slash, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0777) != 0 && !(errno == EEXIST && tb_path_is_folder(path)))
            return tb_fail(err, TB_EIO, "cannot create the folder '%s': %s", path, strerror(errno));
        if (!slash)
            return TB_OK;
    }
}

// "FIRST/SECOND" in the arena.
static const char *join(tb_arena *arena, const char *first, const char *second)
{
    size_t size = strlen(first) + 1 + strlen(second) + 1;
    char *path = tb_arena_alloc(arena, size);
    if (path)
        snprintf(path, size, "%s/%s", first, second);
    return path;
}

static tb_code choose_path(tb_folder *f, const char *path, tb_error *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (path)
        f->path = tb_arena_text(&f->arena, path, strlen(path));
    else if (cache && cache[0])
        f->path = join(&f->arena, cache, "twobit/compare");
    else if (home && home[0])
        f->path = join(&f->arena, home, ".cache/twobit/compare");
    else
        return tb_fail(err, TB_EINVAL,
                       "no place for the quantized models: neither HOME nor XDG_CACHE_HOME is set; "
                       "name a folder with --work");
    return f->path ? TB_OK : fail_memory(err);
}

// ---- what lies in it ----

// One text of everything that a file was made from.
static const char *print_identity(tb_arena *arena, tb_text version, tb_text model, tb_text tokens, tb_text recipe)
{
    size_t size = version.size + model.size + tokens.size + recipe.size + 8;
    char *text = tb_arena_alloc(arena, size);
    if (text)
        snprintf(text, size, "%.*s\n%.*s\n%.*s\n%.*s", (int)version.size, version.data, (int)model.size, model.data,
                 (int)tokens.size, tokens.data, (int)recipe.size, recipe.data);
    return text;
}

static tb_text text_of(const char *text)
{
    return (tb_text){text, strlen(text)};
}

static const char *print_wanted(tb_arena *arena, const tb_quant_identity *identity)
{
    return print_identity(arena, text_of("twobit " TB_VERSION), text_of(identity->model), text_of(identity->tokens),
                          text_of(tb_str_get(&identity->recipe)));
}

// What a file says of itself; *out is NULL where it was not quantized by twobit.
static tb_code read_identity(const char **out, tb_arena *arena, const tb_checkpoint *file, tb_error *err)
{
    tb_text version = text_of(""), model = version, tokens = version, recipe = version;
    bool ours = !tb_checkpoint_get_text(&version, file, "twobit.generator", true, NULL) &&
                !tb_checkpoint_get_text(&model, file, "twobit.source", true, NULL) &&
                !tb_checkpoint_get_text(&recipe, file, "twobit.recipe", true, NULL) &&
                !tb_checkpoint_get_text(&tokens, file, "twobit.calibration", false, NULL);
    *out = ours ? print_identity(arena, version, model, tokens, recipe) : NULL;
    return *out || !ours ? TB_OK : fail_memory(err);
}

static tb_code append_file(tb_folder *f, const tb_folder_file *file, tb_error *err)
{
    if (f->count == f->capacity) {
        size_t capacity = 2 * f->capacity + 16;
        tb_folder_file *files = tb_realloc_array(f->files, f->capacity, capacity, sizeof *files);
        if (!files)
            return fail_memory(err);
        f->files = files;
        f->capacity = capacity;
    }
    f->files[f->count++] = *file;
    return TB_OK;
}

tb_code tb_folder_add(tb_folder *f, const char *path, tb_error *err)
{
    tb_checkpoint *checkpoint;
    tb_folder_file file = {.path = tb_arena_text(&f->arena, path, strlen(path))};
    if (!file.path)
        return fail_memory(err);
    if (tb_checkpoint_open(&checkpoint, path, NULL))
        return TB_OK; // damaged, or no model at all: it does not count
    file.bytes = tb_checkpoint_file_bytes(checkpoint);
    tb_code rc = read_identity(&file.identity, &f->arena, checkpoint, err);
    tb_checkpoint_close(checkpoint);
    return rc || !file.identity ? rc : append_file(f, &file, err);
}

static bool is_model_name(const char *name)
{
    static const char suffix[] = ".gguf";
    size_t n = strlen(name), cut = sizeof suffix - 1;
    return n > cut && strcmp(name + n - cut, suffix) == 0;
}

static tb_code look_through(tb_folder *f, tb_error *err)
{
    DIR *folder = opendir(f->path);
    if (!folder)
        return tb_fail(err, TB_EIO, "cannot read the folder '%s': %s", f->path, strerror(errno));
    tb_code rc = TB_OK;
    for (const struct dirent *entry; !rc && (entry = readdir(folder)) != NULL;) {
        if (!is_model_name(entry->d_name))
            continue;
        const char *path = join(&f->arena, f->path, entry->d_name);
        rc = path ? tb_folder_add(f, path, err) : fail_memory(err);
    }
    closedir(folder);
    return rc;
}

tb_code tb_folder_open(tb_folder *f, const char *path, tb_error *err)
{
    *f = (tb_folder){0};
    tb_code rc = choose_path(f, path, err);
    if (rc)
        return rc;
    char *changeable = tb_dup_text(f->path, strlen(f->path));
    rc = changeable ? make_folders(changeable, err) : fail_memory(err);
    tb_free(changeable);
    if (!rc)
        rc = tb_output_lock_take_folder(&f->lock, f->path, err);
    return rc ? rc : look_through(f, err);
}

void tb_folder_clear(tb_folder *f)
{
    tb_output_lock_give(&f->lock);
    tb_free(f->files);
    tb_arena_clear(&f->arena);
    *f = (tb_folder){0};
}

const char *tb_folder_find(const tb_folder *f, const tb_quant_identity *identity)
{
    tb_arena scratch = {0};
    const char *wanted = print_wanted(&scratch, identity), *found = NULL;
    // A file of another size has been damaged since. Behind equal ones the newest counts.
    for (size_t i = 0; wanted && i < f->count; i++)
        if (f->files[i].bytes == identity->file_bytes && strcmp(f->files[i].identity, wanted) == 0)
            found = f->files[i].path;
    tb_arena_clear(&scratch);
    return found;
}

// ---- names ----

// False without memory.
static bool hash_text(char out[65], const char *text)
{
    tb_hash *hash = text ? tb_hash_new() : NULL;
    if (!hash)
        return false;
    tb_hash_update(hash, text, strlen(text));
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return true;
}

const char *tb_folder_name_file(tb_folder *f, const char *model, const char *recipe, const tb_quant_identity *identity)
{
    char digits[65], name[MOST_NAME], whole[MOST_NAME + SHORT_HASH + sizeof "-.gguf"];
    tb_arena scratch = {0};
    bool hashed = hash_text(digits, print_wanted(&scratch, identity));
    tb_arena_clear(&scratch);
    if (!hashed)
        return NULL;
    snprintf(name, sizeof name, "%s-%s", model, recipe);
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._", *at))
            *at = '-';
    snprintf(whole, sizeof whole, "%s-%.*s.gguf", name, SHORT_HASH, digits);
    return join(&f->arena, f->path, whole);
}
