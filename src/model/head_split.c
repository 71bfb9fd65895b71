// Scores of heads in a file, and the split of a model's heads by them. The file is a JSON object:
//
//     format   "twobit head split"
//     source   the fingerprint of the model, or of the one that it was quantized from: 64 digits
//     scores   for each block a list with a number for each KV head
#include "model/head_split.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"

#define FORMAT "twobit head split"

enum {
    FILE_LIMIT = 1 << 24, // bytes: a million heads
    // DuoAttention's streaming heads.
    DEFAULT_SINKS = 64,
    DEFAULT_WINDOW = 256,
};

// ---- scores ----

void tb_head_scores_clear(tb_head_scores *scores)
{
    tb_free(scores->scores);
    *scores = (tb_head_scores){0};
}

static tb_code fail_format(const char *path, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' is no head split: it has not the format, the source and the scores of one",
                   path);
}

// 64 hexadecimal digits.
static bool is_fingerprint(tb_text text)
{
    size_t digits = 0;
    while (digits < text.size && text.data[digits] && strchr("0123456789abcdef", text.data[digits]))
        digits++;
    return digits == text.size && digits == sizeof((tb_head_scores *)0)->source - 1;
}

static tb_code read_block(double *to, const json_t *list, size_t kv_heads, const char *path, tb_error *err)
{
    if (!json_is_array(list) || json_array_size(list) != kv_heads)
        return tb_fail(err, TB_EFORMAT, "the scores of '%s' are no lists of equal length", path);
    for (size_t h = 0; h < kv_heads; h++) {
        const json_t *score = json_array_get(list, h);
        if (!json_is_number(score))
            return tb_fail(err, TB_EFORMAT, "the scores of '%s' are not all numbers", path);
        to[h] = json_number_value(score);
    }
    return TB_OK;
}

static tb_code read_scores(tb_head_scores *out, const json_t *lists, const char *path, tb_error *err)
{
    size_t n;
    out->blocks = json_array_size(lists);
    out->kv_heads = json_array_size(json_array_get(lists, 0));
    if (out->blocks == 0 || out->kv_heads == 0)
        return tb_fail(err, TB_EFORMAT, "'%s' has no scores", path);
    out->scores = tb_mul_size(&n, out->blocks, out->kv_heads) ? tb_alloc_array(n, sizeof *out->scores) : NULL;
    if (!out->scores)
        return tb_fail(err, TB_ENOMEM, "no memory for the scores of '%s'", path);
    tb_code rc = TB_OK;
    for (size_t b = 0; b < out->blocks && !rc; b++)
        rc = read_block(out->scores + b * out->kv_heads, json_array_get(lists, b), out->kv_heads, path, err);
    return rc;
}

static tb_code read_object(tb_head_scores *out, const json_t *object, const char *path, tb_error *err)
{
    const json_t *lists = json_object_get(object, "scores");
    tb_text format = tb_json_text_at(object, "format"), source = tb_json_text_at(object, "source");
    if (!tb_text_is(format, FORMAT) || !is_fingerprint(source) || !json_is_array(lists) ||
        json_object_size(object) != 3)
        return fail_format(path, err);
    memcpy(out->source, source.data, source.size);
    return read_scores(out, lists, path, err);
}

tb_code tb_head_scores_parse(tb_head_scores *out, tb_text text, const char *path, tb_error *err)
{
    json_t *object;
    tb_str what = {0};
    *out = (tb_head_scores){0};
    tb_code rc = tb_str_printf(&what, err, "'%s'", path);
    if (!rc)
        rc = tb_json_read(&object, text, tb_str_get(&what), err);
    if (!rc) {
        rc = read_object(out, object, path, err);
        json_decref(object);
    }
    tb_str_clear(&what);
    if (rc)
        tb_head_scores_clear(out);
    return rc;
}

static tb_code read_file(tb_head_scores *out, const char *path, tb_error *err)
{
    char *text;
    size_t size;
    *out = (tb_head_scores){0};
    tb_code rc = tb_file_read(&text, &size, path, FILE_LIMIT, err);
    if (rc)
        return rc;
    rc = tb_head_scores_parse(out, (tb_text){text, size}, path, err);
    tb_free(text);
    return rc;
}

// NULL where memory ran out.
static json_t *make_lists(const tb_head_scores *scores)
{
    json_t *lists = json_array();
    bool ok = lists;
    for (size_t b = 0; b < scores->blocks && ok; b++) {
        json_t *list = json_array();
        for (size_t h = 0; h < scores->kv_heads && ok; h++)
            ok = !json_array_append_new(list, json_real(scores->scores[b * scores->kv_heads + h]));
        ok = !json_array_append_new(lists, list) && ok;
    }
    if (ok)
        return lists;
    json_decref(lists);
    return NULL;
}

tb_code tb_head_scores_write(const tb_head_scores *scores, const char *path, tb_error *err)
{
    tb_str text = {0};
    json_t *lists = make_lists(scores);
    json_t *object =
        lists ? json_pack("{s:s, s:s, s:o}", "format", FORMAT, "source", scores->source, "scores", lists) : NULL;
    tb_code rc = object ? tb_json_append(&text, object, 1, err) : tb_fail(err, TB_ENOMEM, "no memory for '%s'", path);
    if (!rc)
        rc = tb_str_printf(&text, err, "\n");
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    json_decref(object);
    tb_str_clear(&text);
    return rc;
}

// ---- splits ----

typedef struct place {
    double score;
    size_t index;
} place;

// The higher score first, of equal ones the earlier head.
static int compare_places(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// Marks the share of the heads in blocks that see everything whose scores are highest.
static void mark_retrieval(tb_head_split *split, place *places, const tb_settings *settings, const double *scores,
                           double share)
{
    size_t n = 0;
    for (size_t i = 0; i < split->blocks * split->kv_heads; i++) {
        split->retrieval[i] = false;
        if (!settings->near[i / split->kv_heads])
            places[n++] = (place){scores[i], i};
    }
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; i < n && (double)i < round(share * (double)n); i++)
        split->retrieval[places[i].index] = true;
}

static tb_code check_shape(const tb_head_scores *scores, const tb_config *config, tb_error *err)
{
    if (scores->blocks == config->blocks && scores->kv_heads == config->kv_heads)
        return TB_OK;
    return tb_fail(err, TB_EINVAL, "the scores are of %zu blocks of %zu KV heads, the model has %zu of %zu",
                   scores->blocks, scores->kv_heads, config->blocks, config->kv_heads);
}

tb_code tb_head_split_new(tb_head_split **out, const tb_model *model, const tb_head_scores *scores, double share,
                          size_t sinks, size_t window, tb_error *err)
{
    const size_t n = scores->blocks * scores->kv_heads;
    *out = NULL;
    tb_code rc = check_shape(scores, &model->settings.config, err);
    if (!rc && !(share >= 0 && share <= 1))
        rc = tb_fail(err, TB_EINVAL, "a share of %g heads is not between 0 and 1", share);
    if (!rc && (window < 1 || window > TB_MOST_POSITIONS || sinks > TB_MOST_POSITIONS))
        rc = tb_fail(err, TB_EINVAL, "a head cannot see the first %zu and the last %zu tokens: 1 to %zu are the last",
                     sinks, window, TB_MOST_POSITIONS);
    if (rc)
        return rc;
    tb_head_split *split = tb_new(tb_head_split);
    place *places = tb_alloc_array(n, sizeof *places);
    if (split)
        *split = (tb_head_split){scores->blocks, scores->kv_heads, sinks, window, tb_alloc_array(n, sizeof(bool))};
    if (split && places && split->retrieval) {
        mark_retrieval(split, places, &model->settings, scores->scores, share);
        *out = split;
    } else {
        rc = tb_fail(err, TB_ENOMEM, "no memory for a split of %zu heads", n);
        tb_head_split_close(split);
    }
    tb_free(places);
    return rc;
}

void tb_head_split_close(tb_head_split *split)
{
    if (!split)
        return;
    tb_free(split->retrieval);
    tb_free(split);
}

// ---- options ----

// FILE[:SHARE[:S:W]]
typedef struct split_option {
    tb_str path;
    double share; // negative: not said
    size_t sinks, window;
} split_option;

// Whether the text behind its last colon is digits and points; cuts that off.
static const char *cut_number(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789.") != strlen(colon + 1))
        return NULL;
    *colon = '\0';
    return colon + 1;
}

static tb_code parse_numbers(split_option *o, const char *const numbers[3], size_t count, tb_error *err)
{
    uint64_t sinks = DEFAULT_SINKS, window = DEFAULT_WINDOW;
    tb_code rc = count ? tb_parse_real(&o->share, numbers[count - 1], err) : TB_OK;
    if (!rc && count == 3)
        rc = tb_parse_count(&sinks, numbers[1], err);
    if (!rc && count == 3)
        rc = tb_parse_count(&window, numbers[0], err);
    o->sinks = (size_t)sinks;
    o->window = (size_t)window;
    return rc;
}

static tb_code parse_option(split_option *o, const char *text, tb_error *err)
{
    const char *numbers[3];
    size_t count = 0;
    *o = (split_option){.share = -1};
    tb_code rc = tb_str_printf(&o->path, err, "%s", text);
    while (!rc && count < 3 && (numbers[count] = cut_number(o->path.data)) != NULL)
        count++;
    if (!rc && (count == 2 || !o->path.data[0]))
        rc = tb_fail(err, TB_EINVAL, "'%s' is not FILE, FILE:SHARE or FILE:SHARE:S:W", text);
    return rc ? rc : parse_numbers(o, numbers, count, err);
}

static tb_code check_source(const tb_head_scores *scores, const tb_model *model, const char *path, tb_error *err)
{
    char own[65];
    tb_code rc = tb_model_origin(own, model, err);
    if (!rc && memcmp(own, scores->source, sizeof own) != 0)
        rc = tb_fail(err, TB_EINVAL, "the head split of '%s' was made for another model than '%s'", path,
                     tb_checkpoint_path(model->checkpoint));
    return rc;
}

// A quarter of the heads reads far where each has keys of its own, half where they share them, as in DuoAttention.
static double default_share(const tb_config *config)
{
    return config->heads == config->kv_heads ? 0.25 : 0.5;
}

static tb_code open_split(tb_head_split **out, const split_option *o, const tb_model *model, tb_error *err)
{
    tb_head_scores scores;
    double share = o->share < 0 ? default_share(&model->settings.config) : o->share;
    tb_code rc = read_file(&scores, o->path.data, err);
    if (!rc)
        rc = check_source(&scores, model, o->path.data, err);
    if (!rc)
        rc = tb_head_split_new(out, model, &scores, share, o->sinks, o->window, err);
    tb_head_scores_clear(&scores);
    return rc;
}

tb_code tb_head_split_open(tb_head_split **out, const char *text, const tb_model *model, tb_error *err)
{
    split_option option;
    *out = NULL;
    tb_code rc = parse_option(&option, text, err);
    if (!rc)
        rc = open_split(out, &option, model, err);
    tb_str_clear(&option.path);
    return rc;
}
