#include "eval/act_rounding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// ---- what was asked for ----

tb_code tb_act_form_parse(tb_act_form *out, const char *text, tb_error *err)
{
    static const char *const scales[] = {":token", ":static"};
    for (unsigned bits = TB_ACT_LEAST_BITS; bits <= TB_ACT_MOST_BITS; bits++)
        for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
            char known[16];
            snprintf(known, sizeof known, "a%u%s", bits, scales[i]);
            if (strcmp(text, known) != 0)
                continue;
            *out = (tb_act_form){.bits = bits, .fixed = i == 1};
            return TB_OK;
        }
    return tb_fail(err, TB_EINVAL, "'%s' is none of a%d:token … a%d:token, a%d:static … a%d:static", text,
                   TB_ACT_LEAST_BITS, TB_ACT_MOST_BITS, TB_ACT_LEAST_BITS, TB_ACT_MOST_BITS);
}

// ---- rounding ----

float tb_act_largest(const float *x, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= largest)) // NaN is taken, and stays
            largest = fabsf(x[i]);
    return largest;
}

// In double, so that a number on a level is found there: x/s is off by two roundings of 2^-53.
void tb_act_round(float *x, size_t n, unsigned bits, float largest)
{
    const double levels = (1 << (bits - 1)) - 1, scale = (double)largest / levels;
    for (size_t i = 0; i < n && scale > 0; i++) {
        double level = nearbyint((double)x[i] / scale);
        x[i] = (float)(scale * (level > levels ? levels : level < -levels ? -levels : level));
    }
}

static float *largest_at(const tb_act_rounding *r, size_t block, tb_linear_input input)
{
    return &r->largest[block * TB_LINEAR_INPUTS + input];
}

static void round_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_edit_rows *rows)
{
    const tb_act_rounding *r = user;
    for (size_t t = 0; t < rows->rows; t++) {
        float *x = rows->x + t * rows->stride;
        if ((size_t)rows->positions[t] >= r->left_out)
            tb_act_round(x, rows->cols, r->form.bits,
                         r->form.fixed ? *largest_at(r, at->block, input) : tb_act_largest(x, rows->cols));
    }
}

tb_probe tb_act_rounding_probe(const tb_act_rounding *rounding)
{
    return (tb_probe){.edit_input = round_input, .user = (void *)(uintptr_t)rounding};
}

// ---- scales of a text ----

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    tb_act_rounding *r = user;
    float *largest = largest_at(r, at->block, input);
    for (size_t t = 0; t < rows->rows; t++) {
        float own = tb_act_largest(rows->x + t * rows->stride, rows->cols);
        if ((size_t)rows->positions[t] >= r->left_out && !(own <= *largest))
            *largest = own;
    }
}

static tb_code see_text(tb_act_rounding *r, const tb_model *model, const int32_t *ids, size_t windows, size_t length,
                        const tb_report *report, tb_error *err)
{
    const size_t blocks = tb_model_config(model)->blocks;
    const tb_probe probe = {.linear_input = see_input, .user = r};
    tb_states states;
    tb_code rc = tb_states_init(&states, model, ids, windows, length, err);
    for (size_t b = 0; b < blocks && !rc; b++) {
        if (tb_report_progress(report, "calibrate", (double)b, (double)blocks, "blocks"))
            rc = tb_fail(err, TB_ECANCELLED, "the calibration was stopped");
        if (!rc)
            rc = tb_states_run_block(&states, model, b, NULL, &probe, err);
    }
    tb_states_clear(&states);
    for (size_t i = 0; i < blocks * TB_LINEAR_INPUTS && !rc; i++)
        if (!isfinite(r->largest[i]))
            rc = tb_fail(err, TB_EINVAL, "the model is broken: what its linears read is not finite");
    return rc;
}

static tb_code find_scales(tb_act_rounding *r, const tb_model *model, const tb_act_text *text, const tb_report *report,
                           tb_error *err)
{
    const size_t windows = tb_min_size(text->windows, text->count / text->length), length = text->length;
    if (windows == 0)
        return tb_fail(err, TB_EINVAL, "the text has %zu tokens, fewer than one window of %zu", text->count, length);
    int32_t *ids = tb_alloc_array(windows * length, sizeof *ids);
    r->largest = tb_alloc_array(tb_model_config(model)->blocks * TB_LINEAR_INPUTS, sizeof *r->largest);
    tb_code rc = TB_OK;
    if (!ids || !r->largest)
        rc = tb_fail(err, TB_ENOMEM, "no memory for %zu windows of %zu tokens", windows, length);
    if (!rc) {
        memcpy(ids, text->tokens, windows * length * sizeof *ids);
        for (size_t w = 0; w < windows; w++)
            tb_model_begin_window(ids + w * length, length, model);
        rc = see_text(r, model, ids, windows, length, report, err);
    }
    tb_free(ids);
    return rc;
}

tb_code tb_act_rounding_init(tb_act_rounding *rounding, const tb_model *model, tb_act_form form,
                             const tb_act_text *text, const tb_report *report, tb_error *err)
{
    *rounding =
        (tb_act_rounding){.form = form, .left_out = tb_model_config(model)->registers + tb_model_prefix(model)->count};
    tb_code rc = form.fixed ? find_scales(rounding, model, text, report, err) : TB_OK;
    return rc ? tb_fail_context(err, rc, "calibration of activations") : TB_OK;
}

void tb_act_rounding_clear(tb_act_rounding *rounding)
{
    tb_free(rounding->largest);
    *rounding = (tb_act_rounding){0};
}
