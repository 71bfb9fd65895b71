#include "generate/sampling.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(tb_sampling_args, name)

const tb_option tb_sampling_option_table[] = {
    {"temp", 0, TB_OPTION_REAL, FIELD(temperature), "T", 0, 100, "temperature; 0 always takes the likeliest token"},
    {"top-k", 0, TB_OPTION_COUNT, FIELD(top_k), "K", 0, 1 << 24, "choose among the K likeliest tokens; 0: among all"},
    {"typical-p", 0, TB_OPTION_REAL, FIELD(typical_p), "P", 0, 1,
     "… among the most typical that together have probability P; 0 or 1: among all"},
    {"top-p", 0, TB_OPTION_REAL, FIELD(top_p), "P", 0, 1,
     "… among the likeliest that together have probability P; 0 or 1: among all"},
    {"min-p", 0, TB_OPTION_REAL, FIELD(min_p), "P", 0, 1,
     "… among those at least P times as likely as the likeliest; 0: among all"},
    {"repeat-penalty", 0, TB_OPTION_REAL, FIELD(repeat_penalty), "X", 0, 100,
     "divide the logits of the last 64 tokens by X, or multiply negative ones; 0 or 1: leave them"},
    {"presence-penalty", 0, TB_OPTION_REAL, FIELD(presence_penalty), "X", -100, 100,
     "subtract X from the logits of the last 64 tokens"},
    {"frequency-penalty", 0, TB_OPTION_REAL, FIELD(frequency_penalty), "X", -100, 100,
     "… and X for each time that they occurred"},
    {"logit-bias", 0, TB_OPTION_TEXTS, FIELD(logit_biases), "ID=V", 0, 0,
     "add V to the logit of a token; -inf forbids it (repeatable)"},
    {"stop", 0, TB_OPTION_TEXTS, FIELD(stops), "TEXT", 0, 0, "end before this text (repeatable)"},
    {0},
};

static tb_code parse_id(int32_t *id, const char *text, size_t size, tb_error *err)
{
    char digits[16];
    uint64_t value = 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(size < sizeof digits ? size : sizeof digits), text);
    tb_code rc = tb_parse_count(&value, digits, err);
    if (!rc && value > INT32_MAX)
        rc = tb_fail(err, TB_EINVAL, "'%s' is no token id", digits);
    if (!rc)
        *id = (int32_t)value;
    return rc;
}

// "ID=V"
static tb_code parse_bias(int32_t *id, float *value, const char *text, tb_error *err)
{
    const char *sign = strchr(text, '=');
    if (!sign)
        return tb_fail(err, TB_EINVAL, "'%s' is not a token id, '=' and a number", text);
    tb_code rc = parse_id(id, text, (size_t)(sign - text), err);
    if (rc)
        return rc;
    *value = -INFINITY;
    if (strcmp(sign + 1, "-inf") == 0)
        return TB_OK;
    double real = 0;
    rc = tb_parse_real(&real, sign + 1, err);
    *value = (float)real;
    return rc;
}

tb_code tb_sampling_init(tb_sampling *out, const tb_sampling_args *args, uint64_t seed, tb_error *err)
{
    out->options = (tb_sampler_options){
        .temperature = args->temperature,
        .top_k = (size_t)args->top_k,
        .top_p = args->top_p,
        .min_p = args->min_p,
        .typical_p = args->typical_p,
        .repeat_penalty = args->repeat_penalty,
        .presence_penalty = args->presence_penalty,
        .frequency_penalty = args->frequency_penalty,
        .bias_ids = out->bias_ids,
        .bias_values = out->bias_values,
        .bias_count = args->logit_biases.count,
        .seed = seed,
    };
    for (size_t i = 0; i < args->logit_biases.count; i++) {
        tb_code rc = parse_bias(&out->bias_ids[i], &out->bias_values[i], args->logit_biases.items[i], err);
        if (rc)
            return tb_fail_context(err, rc, "option '--logit-bias'");
    }
    for (size_t i = 0; i < args->stops.count; i++)
        if (!args->stops.items[i][0])
            return tb_fail(err, TB_EINVAL, "option '--stop': the text is empty");
    return TB_OK;
}
