#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DENSE "llama", "llama3", "mistral", "smollm3", "qwen2", "qwen3", "gemma3", "gemma2", "phi3", "mistral3"

const char *const tiny_dense[] = {DENSE, NULL};
const char *const tiny_families[] = {DENSE,        "qwen2_moe", "qwen3_moe",     "gpt_oss",
                                     "qwen3_next", "afmoe",     "mimo_v2_flash", NULL};

static char *next_path(void)
{
    static char paths[4][1024];
    static unsigned next;
    return paths[next++ % 4];
}

const char *tiny_path(const char *name)
{
    char *path = next_path();
    snprintf(path, 1024, "%s/tests/golden/models/%s", TB_SOURCE_ROOT, name);
    return path;
}

static const char *present(const char *path, const char *remedy)
{
    if (tb_path_exists(path))
        return path;
    print_message("SKIPPED: '%s' is absent; %s\n", path, remedy);
    return NULL;
}

const char *shared_path(const char *name)
{
    char *path = next_path();
    const char *shared = getenv("TWOBIT_SHARED");
    if (shared)
        snprintf(path, 1024, "%s/%s", shared, name);
    else
        snprintf(path, 1024, "%s/../shared/%s", TB_SOURCE_ROOT, name);
    return present(path, "set TWOBIT_SHARED to the folder with the shared data");
}

const char *cached_path(const char *name)
{
    char *path = next_path();
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache)
        snprintf(path, 1024, "%s/twobit/models/%s", cache, name);
    else
        snprintf(path, 1024, "%s/.cache/twobit/models/%s", home ? home : "", name);
    return present(path, "tools/fetch-model brings it");
}

tb_model *open_model(const char *path, size_t threads)
{
    tb_model *model;
    tb_error err;
    if (tb_model_open(&model, path, &(tb_model_options){.threads = threads}, &err))
        fail_msg("%s", err.message);
    return model;
}

tb_seq *new_seq(const tb_model *model, size_t context, size_t batch, tb_kv_cache_type type)
{
    tb_seq *seq;
    tb_error err;
    if (tb_seq_new(&seq, model, &(tb_seq_options){.context = context, .batch = batch, .kv_cache = type}, &err))
        fail_msg("%s", err.message);
    return seq;
}

float *push_all(tb_seq *seq, const int32_t *ids, size_t n)
{
    tb_error err;
    float *logits = tb_alloc_array(n, tb_model_vocab_size(tb_seq_model(seq)) * sizeof *logits);
    assert_non_null(logits);
    if (tb_seq_push_all(seq, ids, n, logits, &err))
        fail_msg("%s", err.message);
    return logits;
}

int32_t *random_ids(size_t n, size_t vocab, uint64_t seed)
{
    int32_t *ids = tb_alloc_array(n, sizeof *ids);
    assert_non_null(ids);
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)tb_rng_below(&rng, vocab);
    return ids;
}

double distance(const float *a, const float *b, size_t n)
{
    double largest = 0, difference = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(a[i]) && isfinite(b[i]));
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return difference / largest;
}
