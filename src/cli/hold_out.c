#include "cli/hold_out.h"

#include <string.h>

#include "cli/sink_args.h"

static tb_code hold_out_name(bool *linears, const tb_model *model, tb_text name, tb_error *err)
{
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++) {
        tb_linears list = tb_model_linears(model, b);
        for (size_t i = 0; i < list.count; i++)
            if (tb_text_is(name, list.at[i].name)) {
                linears[list.first + i] = true;
                return TB_OK;
            }
    }
    return tb_fail(err, TB_EINVAL, "the model's blocks have no matrix '%.*s'", (int)name.size, name.data);
}

static tb_code hold_out_names(bool *linears, const tb_model *model, const char *text, tb_error *err)
{
    tb_code rc = TB_OK;
    for (const char *at = text; at && !rc;) {
        const char *comma = strchr(at, ',');
        rc = hold_out_name(linears, model, (tb_text){at, comma ? (size_t)(comma - at) : strlen(at)}, err);
        at = comma ? comma + 1 : NULL;
    }
    return rc;
}

static tb_code hold_out_weights(bool *linears, const tb_model *model, const int32_t *ids, size_t count,
                                const tb_report *report, tb_error *err)
{
    tb_super_result found = {0};
    const tb_super_options options = {.report = report};
    tb_code rc = tb_sink_find_super(&found, model, ids, count, &options, err);
    for (size_t i = 0; i < found.count && !rc; i++) {
        tb_linears list = tb_model_linears(model, found.weights[i].block);
        linears[list.first + tb_linears_find(list, TB_LINEAR_DOWN, 0)] = true;
    }
    tb_super_result_clear(&found);
    return rc;
}

// All matrices of a super expert.
static tb_code hold_out_experts(bool *linears, const tb_model *model, const int32_t *ids, size_t count, tb_error *err)
{
    static const tb_linear_kind kinds[] = {TB_LINEAR_GATE, TB_LINEAR_UP, TB_LINEAR_DOWN};
    tb_super_experts found = {0};
    tb_code rc = tb_sink_find_super_experts(&found, model, ids, count, err);
    for (size_t i = 0; i < found.count && !rc; i++) {
        tb_linears list = tb_model_linears(model, found.found[i].block);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            linears[list.first + tb_linears_find(list, kinds[k], found.found[i].expert)] = true;
    }
    tb_super_experts_clear(&found);
    return rc;
}

static tb_code hold_out_super(bool *linears, const tb_model *model, const tb_report *report, tb_error *err)
{
    int32_t *ids = NULL;
    size_t count;
    tb_code rc = tb_sink_super_tokens(&ids, &count, model, NULL, err);
    if (!rc && tb_model_config(model)->experts)
        rc = hold_out_experts(linears, model, ids, count, err);
    else if (!rc)
        rc = hold_out_weights(linears, model, ids, count, report, err);
    tb_free_ids(ids);
    return rc;
}

static void tell(const bool *linears, const tb_model *model, const tb_report *report)
{
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++) {
        tb_linears list = tb_model_linears(model, b);
        for (size_t i = 0; i < list.count; i++)
            if (linears[list.first + i])
                tb_report_note(report, TB_NOTE_INFO, "'%s' is held out", list.at[i].name);
    }
}

tb_code tb_hold_out_choose(bool **linears, const tb_model *model, const char *text, const tb_report *report,
                           tb_error *err)
{
    size_t count = tb_model_linear_count(model), held = 0;
    *linears = NULL;
    if (strcmp(text, "none") == 0)
        return TB_OK;
    bool *own = tb_alloc_array(count, sizeof *own);
    if (!own)
        return tb_fail(err, TB_ENOMEM, "no memory for a list of %zu matrices", count);
    tb_code rc =
        strcmp(text, "auto") == 0 ? hold_out_super(own, model, report, err) : hold_out_names(own, model, text, err);
    for (size_t i = 0; i < count && !rc; i++)
        held += own[i];
    if (rc || held == 0) {
        tb_free(own);
        if (!rc)
            tb_report_note(report, TB_NOTE_INFO, "nothing super was found, and nothing is held out");
        return rc ? tb_fail_context(err, rc, "option '--hold-out'") : TB_OK;
    }
    tell(own, model, report);
    *linears = own;
    return TB_OK;
}
