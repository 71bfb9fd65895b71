// The work folder of compare. Every file's name carries eight digits of a hash of what it is made
// from, so that other options, texts or models of the same name never meet; the record beside it
// holds that description in full and is believed only if it is the same, word for word.
#include "cli/compare.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/json_out.h"

enum {
    RECORD_LIMIT = 1 << 16,
    HASH_TEXT = 65,
    SHORT_HASH = 8, // digits in file names
};

// Printed text in the comparison's arena, or NULL.
static const char *keep(tb_comparison *c, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

static const char *keep(tb_comparison *c, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : tb_arena_alloc(&c->arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to plan the comparison");
}

// ---- folder ----

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

// "smollm2" of "models/smollm2.gguf"
static const char *name_of_model(tb_comparison *c)
{
    const char *path = c->model_path, *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/')
        end--;
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    size_t n = (size_t)(end - start);
    const char suffix[] = ".gguf";
    size_t cut = sizeof suffix - 1;
    if (n > cut && memcmp(end - cut, suffix, cut) == 0)
        n -= cut;
    return tb_arena_text(&c->arena, start, n);
}

static tb_code choose_folder(tb_comparison *c, tb_error *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *name = name_of_model(c);
    if (!name)
        return fail_memory(err);
    if (c->args->work)
        c->folder = keep(c, "%s", c->args->work);
    else if (cache && cache[0])
        c->folder = keep(c, "%s/twobit/%s.twobit", cache, name);
    else if (home && home[0])
        c->folder = keep(c, "%s/.cache/twobit/%s.twobit", home, name);
    else
        return tb_fail(err, TB_EINVAL,
                       "no place for the quantized models: neither HOME nor XDG_CACHE_HOME is set; "
                       "name a folder with --work");
    if (!c->folder)
        return fail_memory(err);
    char *changeable = tb_dup_text(c->folder, strlen(c->folder));
    tb_code rc = changeable ? make_folders(changeable, err) : fail_memory(err);
    tb_free(changeable);
    return rc;
}

// ---- what things are made from ----

// Hash of a text file, or what stands for the text that comes with twobit.
static tb_code describe_text(char out[HASH_TEXT], const char *path, tb_error *err)
{
    if (!path) {
        snprintf(out, HASH_TEXT, "built in");
        return TB_OK;
    }
    char *text;
    size_t size;
    tb_code rc = tb_cli_read_text(&text, &size, path, err);
    if (rc)
        return rc;
    tb_hash *hash = tb_hash_new();
    if (hash) {
        tb_hash_update(hash, text, size);
        tb_hash_hex(hash, out);
    }
    tb_hash_free(hash);
    tb_free(text);
    return hash ? TB_OK : fail_memory(err);
}

// The first digits of the hash of a key, for file names.
static tb_code shorten(char out[HASH_TEXT], const char *key, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return fail_memory(err);
    tb_hash_update(hash, key, strlen(key));
    tb_hash_hex(hash, out);
    out[SHORT_HASH] = '\0';
    tb_hash_free(hash);
    return TB_OK;
}

// Hashes of everything that goes in.
typedef struct inputs {
    char model[HASH_TEXT], text[HASH_TEXT], calibration[HASH_TEXT];
} inputs;

static tb_code read_inputs(inputs *in, const tb_comparison *c, tb_error *err)
{
    tb_code rc = tb_checkpoint_fingerprint(in->model, tb_model_checkpoint(c->model), err);
    if (!rc)
        rc = describe_text(in->text, c->args->text, err);
    return rc ? rc : describe_text(in->calibration, c->args->calibration, err);
}

static const char *describe_quantizing(tb_comparison *c, const tb_compare_row *row, const inputs *in)
{
    if (row->original)
        return keep(c, "twobit " TB_VERSION ", model %s", in->model);
    return keep(c, "twobit " TB_VERSION ", model %s, method %s, calibration %s, %llu tokens, seed %llu", in->model,
                row->name, in->calibration, (unsigned long long)c->args->calibration_tokens,
                (unsigned long long)c->cli->common.seed);
}

static const char *describe_measuring(tb_comparison *c, const tb_compare_row *row, const inputs *in)
{
    const tb_compare_args *a = c->args;
    const tb_compute *compute = tb_model_compute(c->model);
    return keep(c, "%s; text %s, ctx %llu, skip %llu, max %llu tokens; threads %zu, kernels %s", row->quantized_key,
                in->text, (unsigned long long)a->ctx, (unsigned long long)a->skip, (unsigned long long)a->max_tokens,
                compute->threads, tb_cpu_name(compute->kernels.cpu));
}

// "bpdq-2-64" of "bpdq:2:64"
static void name_file(char out[sizeof((tb_compare_row *)0)->name], const tb_compare_row *row)
{
    for (size_t i = 0; i < sizeof row->name; i++)
        out[i] = row->name[i] == ':' ? '-' : row->name[i];
}

static tb_code name_row(tb_comparison *c, tb_compare_row *row, const inputs *in, tb_error *err)
{
    char name[sizeof row->name], made[HASH_TEXT], measured[HASH_TEXT];
    name_file(name, row);
    row->quantized_key = describe_quantizing(c, row, in);
    row->measured_key = row->quantized_key ? describe_measuring(c, row, in) : NULL;
    if (!row->measured_key)
        return fail_memory(err);
    tb_code rc = shorten(made, row->quantized_key, err);
    if (!rc)
        rc = shorten(measured, row->measured_key, err);
    if (rc)
        return rc;
    if (!row->original) {
        row->path = keep(c, "%s/%s-%s.gguf", c->folder, name, made);
        row->quantized_path = keep(c, "%s/%s-%s.json", c->folder, name, made);
    }
    row->measured_path = keep(c, "%s/%s-%s-measured-%s.json", c->folder, name, made, measured);
    bool complete = row->path && row->measured_path && (row->original || row->quantized_path);
    return complete ? TB_OK : fail_memory(err);
}

// ---- records ----

// The record at `path` if it was made from `key`; else NULL.
static json_t *load_record(const char *path, const char *key)
{
    char *text;
    size_t size;
    if (tb_file_read(&text, &size, path, RECORD_LIMIT, NULL))
        return NULL;
    json_t *record = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    tb_free(text);
    const char *made_from = json_string_value(json_object_get(record, "made_from"));
    if (made_from && strcmp(made_from, key) == 0)
        return record;
    json_decref(record);
    return NULL;
}

// Writes the record (which may be NULL when memory ran out) and releases it.
static tb_code save_record(const char *path, json_t *record, tb_error *err)
{
    char *text = record ? json_dumps(record, JSON_INDENT(2)) : NULL;
    json_decref(record);
    if (!text)
        return fail_memory(err);
    tb_code rc = tb_file_write(path, text, strlen(text), err);
    free(text); // jansson's
    return rc;
}

static bool has_size(const char *path, size_t bytes)
{
    struct stat st;
    return stat(path, &st) == 0 && (size_t)st.st_size == bytes;
}

bool tb_compare_take_quantized(tb_compare_row *row, json_t *figures)
{
    json_int_t bytes, peak, reused;
    if (json_unpack(figures, "{s:I, s:F, s:F, s:I, s:I}", "file_bytes", &bytes, "linear_bits_per_weight",
                    &row->linear_bits, "seconds", &row->quantize_seconds, "peak_rss_bytes", &peak, "blocks_reused",
                    &reused) != 0)
        return false;
    row->file_bytes = (size_t)bytes;
    row->quantize_peak_rss_bytes = (size_t)peak;
    row->blocks_reused = (size_t)reused;
    return true;
}

static void load_quantized(tb_compare_row *row)
{
    json_t *record = load_record(row->quantized_path, row->quantized_key);
    row->quantized = record && tb_compare_take_quantized(row, record) && has_size(row->path, row->file_bytes);
    json_decref(record);
}

static void load_measured(tb_compare_row *row)
{
    json_t *record = load_record(row->measured_path, row->measured_key);
    json_int_t tokens, windows, ctx, skip;
    int broken;
    if (record && json_unpack(record, "{s:F, s:F, s:F, s:F, s:F, s:F, s:F, s:F, s:I, s:I, s:I, s:I, s:b}", "perplexity",
                              &row->perplexity, "stderr", &row->stderr_, "nll", &row->nll, "kl_mean", &row->kl_mean,
                              "kl_p99", &row->kl_p99, "top1_agreement", &row->top1_agreement, "prefill_tps",
                              &row->prefill_tps, "decode_tps", &row->decode_tps, "tokens", &tokens, "windows", &windows,
                              "ctx", &ctx, "skip", &skip, "broken", &broken) == 0) {
        row->tokens = (size_t)tokens;
        row->windows = (size_t)windows;
        row->ctx = (size_t)ctx;
        row->skip = (size_t)skip;
        row->broken = broken != 0;
        row->measured = true;
    }
    json_decref(record);
}

tb_code tb_compare_save_quantized(const tb_compare_row *row, tb_error *err)
{
    json_t *record = json_pack("{s:s, s:I, s:f, s:f, s:I, s:I}", "made_from", row->quantized_key, "file_bytes",
                               (json_int_t)row->file_bytes, "linear_bits_per_weight", row->linear_bits, "seconds",
                               row->quantize_seconds, "peak_rss_bytes", (json_int_t)row->quantize_peak_rss_bytes,
                               "blocks_reused", (json_int_t)row->blocks_reused);
    return save_record(row->quantized_path, record, err);
}

tb_code tb_compare_save_measured(const tb_compare_row *row, tb_error *err)
{
    json_t *record = json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:b}", "made_from",
                               row->measured_key, "perplexity", row->perplexity, "stderr", row->stderr_, "nll",
                               row->nll, "kl_mean", row->kl_mean, "kl_p99", row->kl_p99, "top1_agreement",
                               row->top1_agreement, "prefill_tps", row->prefill_tps, "decode_tps", row->decode_tps,
                               "tokens", (json_int_t)row->tokens, "windows", (json_int_t)row->windows, "ctx",
                               (json_int_t)row->ctx, "skip", (json_int_t)row->skip, "broken", (int)row->broken);
    return save_record(row->measured_path, record, err);
}

tb_code tb_compare_open_store(tb_comparison *c, tb_error *err)
{
    inputs in;
    tb_code rc = choose_folder(c, err);
    if (!rc)
        rc = read_inputs(&in, c, err);
    for (size_t i = 0; !rc && i < c->count; i++) {
        tb_compare_row *row = &c->rows[i];
        rc = name_row(c, row, &in, err);
        if (rc || c->args->fresh)
            continue;
        if (!row->original)
            load_quantized(row);
        if (row->quantized)
            load_measured(row);
    }
    return rc;
}
