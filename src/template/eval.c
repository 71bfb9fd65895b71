// Evaluation of expressions.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- names and literals ----

static tb_code eval_name(tb_value *out, tb_frame *frame, const tb_expr *e)
{
    *out = *tb_frame_slot(frame, e->as.name.ref);
    if (out->kind == TB_VALUE_MISSING)
        *out = tb_undefined(TB_WHY_NAME, e->as.name.id->string);
    return TB_OK;
}

static tb_code eval_items(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr_list *items, tb_value_kind kind)
{
    tb_code rc = tb_list_new(out, run, kind, items->count);
    size_t i = 0;
    for (const tb_expr *item = items->first; item && !rc; item = item->next)
        rc = tb_eval(&out->as.list->items[i++], run, frame, item);
    return rc;
}

static tb_code eval_dict(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value key, value;
    tb_code rc = tb_dict_new(out, run);
    for (const tb_expr *item = e->as.items.first; item && !rc; item = item->next->next) {
        rc = tb_eval(&key, run, frame, item);
        if (!rc)
            rc = tb_eval(&value, run, frame, item->next);
        if (!rc)
            rc = tb_dict_set(out->as.dict, run, key, value);
    }
    return rc;
}

// ---- operators ----

static tb_code eval_concat(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value left, right;
    tb_code rc = tb_eval(&left, run, frame, e->as.items.first);
    if (!rc)
        rc = tb_to_string(out, run, left, false);
    for (const tb_expr *item = e->as.items.first->next; item && !rc; item = item->next) {
        left = *out;
        rc = tb_eval(&right, run, frame, item);
        if (!rc)
            rc = tb_to_string(&right, run, right, false);
        if (!rc)
            rc = tb_string_concat(out, run, left, right);
    }
    return rc;
}

static tb_code eval_unary(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value value;
    tb_code rc = tb_eval(&value, run, frame, e->as.operands.left);
    if (rc)
        return rc;
    run->line = e->line;
    if (e->op != TB_OPERATOR_NOT)
        return tb_negate(out, run, e->op, value);
    *out = tb_bool(!tb_value_truth(value));
    return TB_OK;
}

static tb_code eval_binary(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value left, right;
    tb_code rc = tb_eval(&left, run, frame, e->as.operands.left);
    if (rc)
        return rc;
    if (e->op == TB_OPERATOR_AND || e->op == TB_OPERATOR_OR) {
        *out = left;
        bool decided = tb_value_truth(left) == (e->op == TB_OPERATOR_OR);
        return decided ? TB_OK : tb_eval(out, run, frame, e->as.operands.right);
    }
    rc = tb_eval(&right, run, frame, e->as.operands.right);
    run->line = e->line;
    return rc ? rc : tb_arith(out, run, e->op, left, right);
}

static tb_code eval_compare(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value left, right;
    bool holds = true;
    tb_code rc = tb_eval(&left, run, frame, e->as.items.first);
    for (const tb_expr *item = e->as.items.first->next; item && holds && !rc; item = item->next) {
        rc = tb_eval(&right, run, frame, item);
        run->line = e->line;
        if (!rc)
            rc = tb_value_compare(&holds, run, item->compare, left, right);
        left = right;
    }
    *out = tb_bool(holds);
    return rc;
}

static tb_code eval_cond(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value test;
    tb_code rc = tb_eval(&test, run, frame, e->as.cond.test);
    if (rc)
        return rc;
    const tb_expr *branch = tb_value_truth(test) ? e->as.cond.then : e->as.cond.otherwise;
    if (branch)
        return tb_eval(out, run, frame, branch);
    *out = tb_undefined_hint("an inline if without else was false");
    return TB_OK;
}

// ---- attributes and items ----

static tb_code eval_attr(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value object;
    tb_code rc = tb_eval(&object, run, frame, e->as.attr.object);
    run->line = e->line;
    return rc ? rc : tb_get_attribute(out, run, object, e->as.attr.name);
}

static tb_code eval_item(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value object, index;
    tb_code rc = tb_eval(&object, run, frame, e->as.item.object);
    if (!rc)
        rc = tb_eval(&index, run, frame, e->as.item.index);
    run->line = e->line;
    return rc ? rc : tb_get_item(out, run, object, index);
}

static tb_code eval_slice(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    const tb_expr *parts[] = {e->as.slice.start, e->as.slice.stop, e->as.slice.step};
    tb_value object, bounds[3];
    tb_code rc = tb_eval(&object, run, frame, e->as.slice.object);
    for (size_t i = 0; i < 3 && !rc; i++) {
        bounds[i] = tb_none();
        if (parts[i])
            rc = tb_eval(&bounds[i], run, frame, parts[i]);
    }
    run->line = e->line;
    return rc ? rc : tb_get_slice(out, run, object, bounds);
}

// ---- calls ----

// *args: the values of anything that can be walked, behind those given one by one.
static tb_code eval_positional(tb_call *call, tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    tb_value given, rest;
    tb_code rc = eval_items(&given, run, frame, &args->positional, TB_VALUE_TUPLE);
    if (!rc && args->rest) {
        rc = tb_eval(&rest, run, frame, args->rest);
        if (!rc)
            rc = tb_value_collect(&rest, run, TB_VALUE_TUPLE, rest);
        if (!rc)
            rc = tb_arith(&given, run, TB_OPERATOR_ADD, given, rest);
    }
    if (rc)
        return rc;
    call->values = given.as.list->items;
    call->count = given.as.list->count;
    return TB_OK;
}

// **kwargs: the entries of a dict, behind those given one by one.
static tb_code add_rest_keywords(tb_keyword *keywords, size_t *count, tb_render *run, tb_value rest)
{
    const tb_dict *dict = rest.as.dict;
    for (size_t i = 0; i < dict->count; i++) {
        tb_value key = dict->entries[i].key;
        if (key.kind != TB_VALUE_STRING)
            return tb_render_fail(run, TB_EINVAL, "a keyword of type '%s'", tb_value_kind_name(key.kind));
        tb_code rc = tb_render_work(run, 1 + *count);
        if (rc)
            return rc;
        for (size_t k = 0; k < *count - i; k++)
            if (tb_piece_equal(keywords[k].name->text, tb_value_text(key)))
                return tb_render_fail(run, TB_EINVAL, "the keyword argument '%.*s' is given twice",
                                      (int)key.as.string->text.size, key.as.string->text.data);
        keywords[(*count)++] = (tb_keyword){key.as.string, dict->entries[i].value};
    }
    return TB_OK;
}

static tb_code eval_keywords(tb_call *call, tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    tb_value rest = {.kind = TB_VALUE_MISSING};
    tb_code rc = args->rest_keywords ? tb_eval(&rest, run, frame, args->rest_keywords) : TB_OK;
    if (!rc && args->rest_keywords && rest.kind != TB_VALUE_DICT)
        rc = tb_render_wrong_type(run, "'**'", rest);
    size_t most = args->keyword_count + (args->rest_keywords && !rc ? rest.as.dict->count : 0), count = 0;
    tb_keyword *keywords = !rc && most ? tb_render_array(run, most, sizeof *keywords) : NULL;
    if (rc || (most && !keywords))
        return rc ? rc : run->err->code;
    for (const tb_keyword_expr *k = args->keywords; k && !rc; k = k->next) {
        keywords[count].name = k->name;
        rc = tb_eval(&keywords[count++].value, run, frame, k->value);
    }
    if (!rc && args->rest_keywords)
        rc = add_rest_keywords(keywords, &count, run, rest);
    call->keywords = keywords;
    call->keyword_count = count;
    return rc;
}

tb_code tb_eval_arguments(tb_call *call, tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    *call = (tb_call){0};
    if (args->positional.count == 0 && !args->rest && !args->keywords && !args->rest_keywords)
        return TB_OK;
    tb_code rc = eval_positional(call, run, frame, args);
    return rc ? rc : eval_keywords(call, run, frame, args);
}

static tb_code eval_call(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value callee;
    tb_call call;
    tb_code rc = tb_eval(&callee, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_eval_arguments(&call, run, frame, &e->as.call.args);
    run->line = e->line;
    return rc ? rc : tb_value_call(out, run, callee, &call);
}

static tb_code eval_filter_or_test(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    const char *what = e->kind == TB_EXPR_FILTER ? "filter" : "test";
    tb_value subject;
    tb_call call;
    if (!e->as.call.function) {
        run->line = e->line;
        return tb_render_fail(run, TB_EINVAL, "there is no %s '%.*s'", what, (int)e->as.call.name->text.size,
                              e->as.call.name->text.data);
    }
    tb_code rc = tb_eval(&subject, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_eval_arguments(&call, run, frame, &e->as.call.args);
    run->line = e->line;
    return rc ? rc : tb_builtin_call(out, run, e->as.call.function, what, subject, &call);
}

// ---- all ----

static tb_code eval_kind(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    switch (e->kind) {
    case TB_EXPR_CONSTANT:
        *out = e->as.constant;
        return TB_OK;
    case TB_EXPR_NAME:
        return eval_name(out, frame, e);
    case TB_EXPR_TUPLE:
        return eval_items(out, run, frame, &e->as.items, TB_VALUE_TUPLE);
    case TB_EXPR_LIST:
        return eval_items(out, run, frame, &e->as.items, TB_VALUE_LIST);
    case TB_EXPR_DICT:
        return eval_dict(out, run, frame, e);
    case TB_EXPR_CONCAT:
        return eval_concat(out, run, frame, e);
    case TB_EXPR_UNARY:
        return eval_unary(out, run, frame, e);
    case TB_EXPR_BINARY:
        return eval_binary(out, run, frame, e);
    case TB_EXPR_COMPARE:
        return eval_compare(out, run, frame, e);
    case TB_EXPR_COND:
        return eval_cond(out, run, frame, e);
    case TB_EXPR_ATTR:
        return eval_attr(out, run, frame, e);
    case TB_EXPR_ITEM:
        return eval_item(out, run, frame, e);
    case TB_EXPR_SLICE:
        return eval_slice(out, run, frame, e);
    case TB_EXPR_CALL:
        return eval_call(out, run, frame, e);
    case TB_EXPR_FILTER:
    case TB_EXPR_TEST:
        return eval_filter_or_test(out, run, frame, e);
    case TB_EXPR_CONTENT:
        *out = run->content;
        return TB_OK;
    case TB_EXPR_MEMBER: // only ever a target
        break;
    }
    return tb_render_fail(run, TB_EINVAL, "a target is no expression");
}

tb_code tb_eval(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e)
{
    run->line = e->line;
    tb_code rc = tb_render_work(run, 1);
    if (!rc)
        rc = tb_render_enter(run);
    if (rc)
        return rc;
    rc = eval_kind(out, run, frame, e);
    run->depth--;
    return rc;
}
