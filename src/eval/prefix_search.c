#include "eval/prefix_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/act_rounding.h"

// Greedy ends where a token leaves more than this of the error.
#define LEAST_GAIN 0.5

// Of the windows, in which a token must be an outlier.
#define LEAST_SHARE 0.1

enum { ROUNDED_BITS = 8 };

typedef struct search {
    const tb_model *model;
    const tb_prefix_search *options;
    tb_prefix_found *out;
    size_t vocab, blocks, width; // width: of the widest input
    double ratio;
    size_t passes_done, passes; // for progress; the number is what it will be at most
    tb_arena arena;
    int32_t *ids;     // [sequences][length]
    float *largest;   // [length] M of the window and block under way
    float *sorted;    // [length]
    bool *is_outlier; // [sequences][length] in any block
    size_t *counts;   // [vocab] windows and places, other than the first, where the token is an outlier
    double *peaks;    // [vocab] most of M over the median, at any place
    float *row;       // [width]
    size_t skip;      // first positions that do not count
    float input_largest[TB_LINEAR_INPUTS];
    double input_error[TB_LINEAR_INPUTS], input_energy[TB_LINEAR_INPUTS];
} search;

// ---- windows ----

static void fill_windows(search *s, const int32_t *prefix, size_t count)
{
    const tb_prefix_found *out = s->out;
    memcpy(s->ids, s->options->tokens, out->sequences * out->length * sizeof *s->ids);
    for (size_t w = 0; w < out->sequences; w++) {
        int32_t *window = s->ids + w * out->length;
        if (count)
            memcpy(window, prefix, count * sizeof *window);
        else
            tb_model_begin_window(window, out->length, s->model);
    }
    s->skip = count;
}

static tb_code tell_progress(search *s, size_t block, tb_error *err)
{
    double done = (double)s->passes_done + (double)block / (double)s->blocks;
    if (tb_report_progress(s->options->report, "search", done, (double)s->passes, "passes"))
        return tb_fail(err, TB_ECANCELLED, "the search was stopped");
    return TB_OK;
}

static tb_states window_of(const tb_states *states, size_t w)
{
    return (tb_states){.x = states->x + w * states->length * states->stride,
                       .windows = 1,
                       .length = states->length,
                       .stride = states->stride};
}

// ---- the largest of each token ----

static void see_down(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    search *s = user;
    (void)at;
    for (size_t t = 0; input == TB_INPUT_DOWN && t < rows->rows; t++) {
        float own = tb_act_largest(rows->x + t * rows->stride, rows->cols), *most = &s->largest[rows->positions[t]];
        if (!(own <= *most)) // in a mixture one of several experts
            *most = own;
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Takes note of a window; returns how many outliers it has.
static size_t judge_window(search *s, size_t w, double *most)
{
    size_t length = s->out->length, n = length - s->skip, found = 0;
    memcpy(s->sorted, s->largest + s->skip, n * sizeof *s->sorted);
    qsort(s->sorted, n, sizeof *s->sorted, ascending);
    double median = (double)s->sorted[n / 2];
    for (size_t t = s->skip; t < length && median > 0; t++) {
        double ratio = (double)s->largest[t] / median;
        int32_t id = s->ids[w * length + t];
        *most = ratio > *most ? ratio : *most;
        s->peaks[id] = ratio > s->peaks[id] ? ratio : s->peaks[id];
        if (ratio <= s->ratio)
            continue;
        found++;
        s->counts[id] += t > 0 && !s->is_outlier[w * length + t];
        s->is_outlier[w * length + t] = true;
    }
    return found;
}

static tb_code judge_block(search *s, tb_states *states, size_t block, double *most, tb_error *err)
{
    const tb_probe probe = {.linear_input = see_down, .user = s};
    size_t found = 0;
    tb_code rc = TB_OK;
    for (size_t w = 0; w < states->windows && !rc; w++) {
        tb_states one = window_of(states, w);
        memset(s->largest, 0, states->length * sizeof *s->largest);
        rc = tb_states_run_block(&one, s->model, block, NULL, &probe, err);
        for (size_t t = 0; t < states->length && !rc; t++)
            if (!isfinite(s->largest[t]))
                rc = tb_fail(err, TB_EINVAL, "the model is broken: what its linears read is not finite");
        found += rc ? 0 : judge_window(s, w, most);
    }
    s->out->outliers = fmax(s->out->outliers, (double)found / (double)states->windows);
    return rc;
}

// Looks at all windows as they are filled. *most: the largest M of all over the median of its window.
static tb_code judge(search *s, double *most, tb_error *err)
{
    tb_states states;
    tb_code rc = tb_states_init(&states, s->model, s->ids, s->out->sequences, s->out->length, err);
    *most = 0;
    for (size_t b = 0; b < s->blocks && !rc; b++) {
        rc = tell_progress(s, b, err);
        if (!rc)
            rc = judge_block(s, &states, b, most, err);
    }
    tb_states_clear(&states);
    s->passes_done++;
    return rc;
}

// ---- outliers ----

// The token that is an outlier most often, of equal ones the first; −1 where none is often enough. It is forgotten.
static int32_t take_most_frequent(search *s)
{
    size_t best = 0;
    for (size_t id = 1; id < s->vocab; id++)
        if (s->counts[id] > s->counts[best])
            best = id;
    if (s->counts[best] == 0 || (double)s->counts[best] < LEAST_SHARE * (double)s->out->sequences)
        return -1;
    s->counts[best] = 0;
    return (int32_t)best;
}

static void choose_outliers(search *s, int32_t begin)
{
    tb_prefix_found *out = s->out;
    double wanted = ceil(out->outliers);
    s->counts[begin] = 0; // it comes anyway
    for (int32_t id; out->count + 1 < TB_PREFIX_MOST && (double)(out->count + 1) < wanted;) {
        id = take_most_frequent(s);
        if (id < 0)
            break;
        out->tokens[out->count++] = id;
    }
    out->tokens[out->count++] = begin;
}

// ---- greedy ----

static void see_largest(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    search *s = user;
    (void)at;
    for (size_t t = 0; t < rows->rows; t++)
        if ((size_t)rows->positions[t] >= s->skip)
            s->input_largest[input] =
                fmaxf(s->input_largest[input], tb_act_largest(rows->x + t * rows->stride, rows->cols));
}

static void see_error(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    search *s = user;
    (void)at;
    for (size_t t = 0; t < rows->rows; t++) {
        const float *x = rows->x + t * rows->stride;
        if ((size_t)rows->positions[t] < s->skip)
            continue;
        memcpy(s->row, x, rows->cols * sizeof *s->row);
        tb_act_round(s->row, rows->cols, ROUNDED_BITS, s->input_largest[input]);
        for (size_t c = 0; c < rows->cols; c++) {
            double off = (double)x[c] - (double)s->row[c];
            s->input_error[input] += off * off;
            s->input_energy[input] += (double)x[c] * (double)x[c];
        }
    }
}

// Adds what rounding costs the inputs of a block; the first of two runs, on a copy, says the scales.
static tb_code add_block_error(double *sum, search *s, tb_states *states, tb_states *copy, size_t block, tb_error *err)
{
    const tb_probe largest = {.linear_input = see_largest, .user = s}, error = {.linear_input = see_error, .user = s};
    memcpy(copy->x, states->x, states->windows * states->length * states->stride * sizeof *copy->x);
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        s->input_largest[i] = 0, s->input_error[i] = s->input_energy[i] = 0;
    tb_code rc = tb_states_run_block(copy, s->model, block, NULL, &largest, err);
    if (!rc)
        rc = tb_states_run_block(states, s->model, block, NULL, &error, err);
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc; i++)
        *sum += s->input_energy[i] > 0 ? s->input_error[i] / s->input_energy[i] : 0;
    return rc;
}

static tb_code rounding_error(double *out, search *s, const int32_t *prefix, size_t count, tb_error *err)
{
    tb_states states = {0}, copy = {0};
    fill_windows(s, prefix, count);
    tb_code rc = tb_states_init(&states, s->model, s->ids, s->out->sequences, s->out->length, err);
    if (!rc)
        rc = tb_states_init(&copy, s->model, s->ids, s->out->sequences, s->out->length, err);
    *out = 0;
    for (size_t b = 0; b < s->blocks && !rc; b++) {
        rc = tell_progress(s, b, err);
        if (!rc)
            rc = add_block_error(out, s, &states, &copy, b, err);
    }
    *out /= (double)(s->blocks * TB_LINEAR_INPUTS);
    tb_states_clear(&copy);
    tb_states_clear(&states);
    s->passes_done++;
    return rc;
}

// The BOS, then the tokens with the largest peaks, of equal ones the first. Returns how many.
static size_t list_candidates(int32_t out[TB_PREFIX_CANDIDATES], search *s, int32_t begin)
{
    size_t count = 0;
    out[count++] = begin;
    s->peaks[begin] = 0;
    while (count < TB_PREFIX_CANDIDATES) {
        size_t best = 0;
        for (size_t id = 1; id < s->vocab; id++)
            if (s->peaks[id] > s->peaks[best])
                best = id;
        if (s->peaks[best] == 0)
            break;
        s->peaks[best] = 0;
        out[count++] = (int32_t)best;
    }
    return count;
}

static tb_code choose_greedily(search *s, int32_t begin, tb_error *err)
{
    tb_prefix_found *out = s->out;
    int32_t candidates[TB_PREFIX_CANDIDATES];
    size_t count = list_candidates(candidates, s, begin);
    tb_code rc = rounding_error(&out->errors[0], s, NULL, 0, err);
    while (!rc && out->count < TB_PREFIX_MOST) {
        double least = INFINITY, error;
        int32_t best = begin;
        for (size_t i = 0; i < count && !rc; i++) {
            out->tokens[out->count] = candidates[i];
            rc = rounding_error(&error, s, out->tokens, out->count + 1, err);
            if (!rc && error < least)
                least = error, best = candidates[i];
        }
        if (rc || (out->count > 0 && least > LEAST_GAIN * out->errors[out->count]))
            break; // the first is taken in any case: something has to be the prefix
        out->tokens[out->count++] = best;
        out->errors[out->count] = least;
    }
    return rc;
}

// ---- entrance ----

static tb_code find_sizes(search *s, tb_error *err)
{
    const tb_prefix_search *o = s->options;
    size_t context = tb_model_context_length(s->model);
    s->out->length = o->length ? o->length : tb_min_size(TB_PREFIX_LENGTH, context);
    if (s->out->length > context)
        return tb_fail(err, TB_EINVAL, "windows of %zu tokens are longer than the model's context of %zu",
                       s->out->length, context);
    if (s->out->length <= TB_PREFIX_MOST)
        return tb_fail(err, TB_EINVAL, "windows of %zu tokens are not longer than a prefix, %d", s->out->length,
                       TB_PREFIX_MOST);
    s->out->sequences = tb_min_size(o->sequences ? o->sequences : TB_PREFIX_SEQUENCES, o->token_count / s->out->length);
    return s->out->sequences ? TB_OK
                             : tb_fail(err, TB_EINVAL, "the text has %zu tokens, fewer than one window of %zu",
                                       o->token_count, s->out->length);
}

static void find_width(search *s)
{
    for (size_t b = 0; b < s->blocks; b++) {
        tb_linears linears = tb_model_linears(s->model, b);
        for (size_t i = 0; i < linears.count; i++)
            s->width = tb_max_size(s->width, linears.at[i].matrix.cols);
    }
}

static tb_code allocate(search *s, tb_error *err)
{
    size_t length = s->out->length, tokens = s->out->sequences * length;
    s->ids = tb_arena_array(&s->arena, tokens, sizeof *s->ids);
    s->is_outlier = tb_arena_array(&s->arena, tokens, sizeof *s->is_outlier);
    s->largest = tb_arena_array(&s->arena, length, sizeof *s->largest);
    s->sorted = tb_arena_array(&s->arena, length, sizeof *s->sorted);
    s->counts = tb_arena_array(&s->arena, s->vocab, sizeof *s->counts);
    s->peaks = tb_arena_array(&s->arena, s->vocab, sizeof *s->peaks);
    s->row = tb_arena_array(&s->arena, s->width, sizeof *s->row);
    bool complete = s->ids && s->is_outlier && s->largest && s->sorted && s->counts && s->peaks && s->row;
    return complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to search %zu tokens", tokens);
}

static tb_code run(search *s, int32_t begin, tb_error *err)
{
    tb_prefix_found *out = s->out;
    const bool greedy = s->options->rule == TB_PREFIX_GREEDY;
    s->passes = 2 + (greedy ? 1 + TB_PREFIX_MOST * TB_PREFIX_CANDIDATES : 0);
    tb_code rc = find_sizes(s, err);
    if (!rc)
        rc = allocate(s, err);
    if (rc)
        return rc;
    fill_windows(s, NULL, 0);
    rc = judge(s, &out->before, err);
    double outliers = out->outliers;
    if (!rc && greedy)
        rc = choose_greedily(s, begin, err);
    else if (!rc)
        choose_outliers(s, begin);
    if (!rc) {
        fill_windows(s, out->tokens, out->count);
        rc = judge(s, &out->after, err);
    }
    out->outliers = outliers;
    return rc;
}

tb_code tb_prefix_find(tb_prefix_found *out, const tb_model *model, const tb_prefix_search *options, tb_error *err)
{
    search s = {.model = model,
                .options = options,
                .out = out,
                .vocab = tb_model_vocab_size(model),
                .blocks = tb_model_config(model)->blocks,
                .ratio = options->ratio > 0 ? options->ratio : TB_PREFIX_RATIO};
    int32_t begin = tb_model_begin_token(model);
    *out = (tb_prefix_found){0};
    tb_code rc = tb_model_check_prefix(model, err);
    if (!rc && begin < 0)
        rc = tb_fail(err, TB_EUNSUPPORTED, "'%s' has no token that begins a text",
                     tb_checkpoint_path(tb_model_checkpoint(model)));
    find_width(&s);
    if (!rc)
        rc = run(&s, begin, err);
    tb_arena_clear(&s.arena);
    return rc;
}
