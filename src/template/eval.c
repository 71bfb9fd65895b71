// Evaluation of expressions.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- names and literals ----

static tb_value eval_name(tb_frame *frame, const tb_expr *e)
{
    tb_value value = *tb_frame_slot(frame, e->as.name.ref);
    return value.kind == TB_VALUE_MISSING ? tb_undefined(TB_WHY_NAME, e->as.name.id->string) : value;
}

static tb_value eval_items(tb_render *run, tb_frame *frame, const tb_expr_list *items, tb_value_kind kind)
{
    tb_value list = tb_list_new(run, kind, items->count);
    size_t i = 0;
    for (const tb_expr *item = items->first; item && !run->rc; item = item->next)
        list.as.list->items[i++] = tb_eval(run, frame, item);
    return list;
}

static tb_value eval_dict(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value dict = tb_dict_new(run);
    for (const tb_expr *item = e->as.items.first; item && !run->rc; item = item->next->next) {
        tb_value key = tb_eval(run, frame, item);
        tb_dict_set(run, dict.as.dict, key, tb_eval(run, frame, item->next));
    }
    return dict;
}

// ---- operators ----

static tb_value eval_unary(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value value = tb_eval(run, frame, e->as.operands.left);
    run->line = e->line;
    return e->op == TB_OPERATOR_NOT ? tb_bool(!tb_value_truth(value)) : tb_negate(run, e->op, value);
}

static tb_value eval_binary(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value left = tb_eval(run, frame, e->as.operands.left);
    bool is_logic = e->op == TB_OPERATOR_AND || e->op == TB_OPERATOR_OR;
    if (run->rc || (is_logic && tb_value_truth(left) == (e->op == TB_OPERATOR_OR)))
        return left;
    tb_value right = tb_eval(run, frame, e->as.operands.right);
    run->line = e->line;
    if (e->op == TB_OPERATOR_TILDE)
        return tb_string_concat(run, tb_to_string(run, left, false), tb_to_string(run, right, false));
    return is_logic ? right : tb_arith(run, e->op, left, right);
}

static tb_value eval_compare(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value left = tb_eval(run, frame, e->as.items.first);
    bool holds = true;
    for (const tb_expr *item = e->as.items.first->next; item && holds && !run->rc; item = item->next) {
        tb_value right = tb_eval(run, frame, item);
        run->line = e->line;
        holds = tb_value_compare(run, item->compare, left, right);
        left = right;
    }
    return tb_bool(holds);
}

static tb_value eval_cond(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    bool holds = tb_value_truth(tb_eval(run, frame, e->as.cond.test));
    const tb_expr *branch = holds ? e->as.cond.then : e->as.cond.otherwise;
    return branch ? tb_eval(run, frame, branch) : tb_undefined_hint("an inline if without else was false");
}

// ---- attributes and items ----

static tb_value eval_attr(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value object = tb_eval(run, frame, e->as.attr.object);
    run->line = e->line;
    return run->rc ? object : tb_get_attribute(run, object, e->as.attr.name);
}

static tb_value eval_item(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value object = tb_eval(run, frame, e->as.item.object), index = tb_eval(run, frame, e->as.item.index);
    run->line = e->line;
    return run->rc ? object : tb_get_item(run, object, index);
}

static tb_value eval_slice(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    const tb_expr *parts[] = {e->as.slice.start, e->as.slice.stop, e->as.slice.step};
    tb_value object = tb_eval(run, frame, e->as.slice.object), bounds[3];
    for (size_t i = 0; i < 3; i++)
        bounds[i] = parts[i] ? tb_eval(run, frame, parts[i]) : tb_none();
    run->line = e->line;
    return run->rc ? object : tb_get_slice(run, object, bounds);
}

// ---- calls ----

// *args: the values of anything that can be walked, behind those given one by one.
static void eval_positional(tb_call *call, tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    tb_value given = eval_items(run, frame, &args->positional, TB_VALUE_TUPLE);
    if (args->rest) {
        tb_value rest = tb_value_collect(run, TB_VALUE_TUPLE, tb_eval(run, frame, args->rest));
        given = tb_arith(run, TB_OPERATOR_ADD, given, rest);
    }
    call->values = tb_value_list(given)->items;
    call->count = tb_value_list(given)->count;
}

// **kwargs: the entries of a dict, behind the `given` ones given one by one.
static void add_rest_keywords(tb_keyword *keywords, size_t given, tb_render *run, const tb_dict *rest)
{
    for (size_t i = 0; i < rest->count && !run->rc; i++) {
        tb_value key = rest->entries[i].key;
        tb_piece name = tb_value_text(key);
        if (key.kind != TB_VALUE_STRING) {
            tb_render_fail(run, TB_EINVAL, "a keyword of type '%s'", tb_value_kind_name(key.kind));
            return;
        }
        tb_render_work(run, 1 + given);
        for (size_t k = 0; k < given; k++)
            if (tb_piece_equal(keywords[k].name->text, name))
                tb_render_fail(run, TB_EINVAL, "the keyword argument '%.*s' is given twice", (int)name.size, name.data);
        keywords[given + i] = (tb_keyword){key.as.string, rest->entries[i].value};
    }
}

static void eval_keywords(tb_call *call, tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    static const tb_dict nothing;
    const tb_dict *rest = &nothing;
    if (args->rest_keywords) {
        tb_value dict = tb_eval(run, frame, args->rest_keywords);
        if (dict.kind != TB_VALUE_DICT) {
            tb_render_wrong_type(run, "'**'", dict);
            return;
        }
        rest = dict.as.dict;
    }
    size_t count = 0;
    tb_keyword *keywords = tb_render_array(run, args->keyword_count + rest->count, sizeof *keywords);
    for (const tb_keyword_expr *k = args->keywords; k && !run->rc; k = k->next)
        keywords[count++] = (tb_keyword){k->name, tb_eval(run, frame, k->value)};
    add_rest_keywords(keywords, count, run, rest);
    call->keywords = keywords;
    call->keyword_count = args->keyword_count + rest->count;
}

tb_call tb_eval_arguments(tb_render *run, tb_frame *frame, const tb_arguments *args)
{
    tb_call call = {0};
    if (args->positional.count > 0 || args->rest)
        eval_positional(&call, run, frame, args);
    if (args->keywords || args->rest_keywords)
        eval_keywords(&call, run, frame, args);
    return call;
}

static tb_value eval_call(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    tb_value callee = tb_eval(run, frame, e->as.call.subject);
    tb_call call = tb_eval_arguments(run, frame, &e->as.call.args);
    run->line = e->line;
    return tb_value_call(run, callee, &call);
}

static tb_value eval_filter_or_test(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    const char *what = e->kind == TB_EXPR_FILTER ? "filter" : "test";
    if (!e->as.call.function)
        return tb_render_fail(run, TB_EINVAL, "there is no %s '%.*s'", what, (int)e->as.call.name->text.size,
                              e->as.call.name->text.data);
    tb_value subject = tb_eval(run, frame, e->as.call.subject);
    tb_call call = tb_eval_arguments(run, frame, &e->as.call.args);
    run->line = e->line;
    return tb_builtin_call(run, e->as.call.function, what, subject, &call);
}

// ---- all ----

static tb_value eval_kind(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    switch (e->kind) {
    case TB_EXPR_CONSTANT:
        return e->as.constant;
    case TB_EXPR_NAME:
        return eval_name(frame, e);
    case TB_EXPR_TUPLE:
        return eval_items(run, frame, &e->as.items, TB_VALUE_TUPLE);
    case TB_EXPR_LIST:
        return eval_items(run, frame, &e->as.items, TB_VALUE_LIST);
    case TB_EXPR_DICT:
        return eval_dict(run, frame, e);
    case TB_EXPR_UNARY:
        return eval_unary(run, frame, e);
    case TB_EXPR_BINARY:
        return eval_binary(run, frame, e);
    case TB_EXPR_COMPARE:
        return eval_compare(run, frame, e);
    case TB_EXPR_COND:
        return eval_cond(run, frame, e);
    case TB_EXPR_ATTR:
        return eval_attr(run, frame, e);
    case TB_EXPR_ITEM:
        return eval_item(run, frame, e);
    case TB_EXPR_SLICE:
        return eval_slice(run, frame, e);
    case TB_EXPR_CALL:
        return eval_call(run, frame, e);
    case TB_EXPR_FILTER:
    case TB_EXPR_TEST:
        return eval_filter_or_test(run, frame, e);
    case TB_EXPR_CONTENT:
        return run->content;
    case TB_EXPR_MEMBER: // only ever a target
        break;
    }
    return tb_render_fail(run, TB_EINVAL, "a target is no expression");
}

tb_value tb_eval(tb_render *run, tb_frame *frame, const tb_expr *e)
{
    if (run->rc)
        return tb_missing();
    run->line = e->line;
    tb_render_work(run, 1);
    if (!tb_render_enter(run))
        return tb_missing();
    tb_value value = eval_kind(run, frame, e);
    run->depth--;
    return run->rc ? tb_missing() : value;
}
