// Evaluation of expressions.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- names and literals ----

static tb_code eval_name(tb_jvalue *out, tb_jframe *frame, const tb_jexpr *e)
{
    *out = *tb_jframe_slot(frame, e->as.name.ref);
    if (out->kind == TB_J_MISSING)
        *out = tb_jundefined(TB_JWHY_NAME, e->as.name.id->text);
    return TB_OK;
}

static tb_code eval_items(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jlist_expr *items, tb_jkind kind)
{
    tb_code rc = tb_jlist_new(out, run, kind, items->count);
    size_t i = 0;
    for (const tb_jexpr *item = items->first; item && !rc; item = item->next)
        rc = tb_jeval(&out->as.list->items[i++], run, frame, item);
    return rc;
}

static tb_code eval_dict(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue key, value;
    tb_code rc = tb_jdict_new(out, run);
    for (const tb_jexpr *item = e->as.items.first; item && !rc; item = item->next->next) {
        rc = tb_jeval(&key, run, frame, item);
        if (!rc)
            rc = tb_jeval(&value, run, frame, item->next);
        if (!rc)
            rc = tb_jdict_set(out->as.dict, run, key, value);
    }
    return rc;
}

// ---- operators ----

static tb_code eval_concat(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue left, right;
    tb_code rc = tb_jeval(&left, run, frame, e->as.items.first);
    if (!rc)
        rc = tb_jto_string(out, run, left, false);
    for (const tb_jexpr *item = e->as.items.first->next; item && !rc; item = item->next) {
        left = *out;
        rc = tb_jeval(&right, run, frame, item);
        if (!rc)
            rc = tb_jto_string(&right, run, right, false);
        if (!rc)
            rc = tb_jstring_concat(out, run, left, right);
    }
    return rc;
}

static tb_code eval_unary(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue value;
    tb_code rc = tb_jeval(&value, run, frame, e->as.operands.left);
    if (rc)
        return rc;
    run->line = e->line;
    if (e->op != TB_JOP_NOT)
        return tb_jnegate(out, run, e->op, value);
    *out = tb_jbool(!tb_jtruth(value));
    return TB_OK;
}

static tb_code eval_binary(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue left, right;
    tb_code rc = tb_jeval(&left, run, frame, e->as.operands.left);
    if (rc)
        return rc;
    if (e->op == TB_JOP_AND || e->op == TB_JOP_OR) {
        *out = left;
        bool decided = tb_jtruth(left) == (e->op == TB_JOP_OR);
        return decided ? TB_OK : tb_jeval(out, run, frame, e->as.operands.right);
    }
    rc = tb_jeval(&right, run, frame, e->as.operands.right);
    run->line = e->line;
    return rc ? rc : tb_jarith(out, run, e->op, left, right);
}

static tb_code compare(bool *out, tb_jrun *run, tb_joperator op, tb_jvalue left, tb_jvalue right)
{
    tb_code rc;
    switch (op) {
    case TB_JOP_LT:
        return tb_jless(out, run, left, right);
    case TB_JOP_LE:
        return tb_jless_equal(out, run, left, right);
    case TB_JOP_GT:
        return tb_jless(out, run, right, left);
    case TB_JOP_GE:
        return tb_jless_equal(out, run, right, left);
    case TB_JOP_IN:
    case TB_JOP_NOT_IN:
        rc = tb_jcontains(out, run, right, left);
        break;
    default:
        rc = tb_jequal(out, run, left, right);
    }
    if (op == TB_JOP_NOT_IN || op == TB_JOP_NE)
        *out = !*out;
    return rc;
}

static tb_code eval_compare(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue left, right;
    bool holds = true;
    tb_code rc = tb_jeval(&left, run, frame, e->as.items.first);
    for (const tb_jexpr *item = e->as.items.first->next; item && holds && !rc; item = item->next) {
        rc = tb_jeval(&right, run, frame, item);
        run->line = e->line;
        if (!rc)
            rc = compare(&holds, run, item->compare, left, right);
        left = right;
    }
    *out = tb_jbool(holds);
    return rc;
}

static tb_code eval_cond(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue test;
    tb_code rc = tb_jeval(&test, run, frame, e->as.cond.test);
    if (rc)
        return rc;
    const tb_jexpr *branch = tb_jtruth(test) ? e->as.cond.then : e->as.cond.otherwise;
    if (branch)
        return tb_jeval(out, run, frame, branch);
    *out = tb_jundefined_hint("an inline if without else was false");
    return TB_OK;
}

// ---- attributes and items ----

static tb_code eval_attr(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue object;
    tb_code rc = tb_jeval(&object, run, frame, e->as.attr.object);
    run->line = e->line;
    return rc ? rc : tb_jget_attr(out, run, object, e->as.attr.name);
}

static tb_code eval_item(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue object, index;
    tb_code rc = tb_jeval(&object, run, frame, e->as.item.object);
    if (!rc)
        rc = tb_jeval(&index, run, frame, e->as.item.index);
    run->line = e->line;
    return rc ? rc : tb_jget_item(out, run, object, index);
}

static tb_code eval_slice(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    const tb_jexpr *parts[] = {e->as.slice.start, e->as.slice.stop, e->as.slice.step};
    tb_jvalue object, bounds[3];
    tb_code rc = tb_jeval(&object, run, frame, e->as.slice.object);
    for (size_t i = 0; i < 3 && !rc; i++) {
        bounds[i] = tb_jnone();
        if (parts[i])
            rc = tb_jeval(&bounds[i], run, frame, parts[i]);
    }
    run->line = e->line;
    return rc ? rc : tb_jget_slice(out, run, object, bounds);
}

// ---- calls ----

// *args: the values of anything that can be walked, behind those given one by one.
static tb_code eval_positional(tb_jcall *call, tb_jrun *run, tb_jframe *frame, const tb_jargs *args)
{
    tb_jvalue given, rest;
    tb_code rc = eval_items(&given, run, frame, &args->positional, TB_J_TUPLE);
    if (!rc && args->rest) {
        rc = tb_jeval(&rest, run, frame, args->rest);
        if (!rc)
            rc = tb_jcollect(&rest, run, TB_J_TUPLE, rest);
        if (!rc)
            rc = tb_jarith(&given, run, TB_JOP_ADD, given, rest);
    }
    if (rc)
        return rc;
    call->values = given.as.list->items;
    call->count = given.as.list->count;
    return TB_OK;
}

// **kwargs: the entries of a dict, behind those given one by one.
static tb_code add_rest_keywords(tb_jkeyword *keywords, size_t *count, tb_jrun *run, tb_jvalue rest)
{
    const tb_jdict *dict = rest.as.dict;
    for (size_t i = 0; i < dict->count; i++) {
        tb_jvalue key = dict->entries[i].key;
        if (key.kind != TB_J_STRING)
            return tb_jrun_fail(run, TB_EINVAL, "a keyword of type '%s'", tb_jkind_name(key.kind));
        for (size_t k = 0; k < *count - i; k++)
            if (tb_jtext_same(tb_jstring_text(keywords[k].name), tb_jtext(key)))
                return tb_jrun_fail(run, TB_EINVAL, "the keyword argument '%.*s' is given twice",
                                    (int)key.as.string->size, key.as.string->data);
        keywords[(*count)++] = (tb_jkeyword){key.as.string, dict->entries[i].value};
    }
    return TB_OK;
}

static tb_code eval_keywords(tb_jcall *call, tb_jrun *run, tb_jframe *frame, const tb_jargs *args)
{
    tb_jvalue rest = {.kind = TB_J_MISSING};
    tb_code rc = args->rest_keywords ? tb_jeval(&rest, run, frame, args->rest_keywords) : TB_OK;
    if (!rc && args->rest_keywords && rest.kind != TB_J_DICT)
        rc = tb_jrun_wrong_type(run, "'**'", rest);
    size_t most = args->keyword_count + (args->rest_keywords && !rc ? rest.as.dict->count : 0), count = 0;
    tb_jkeyword *keywords = !rc && most ? tb_jrun_array(run, most, sizeof *keywords) : NULL;
    if (rc || (most && !keywords))
        return rc ? rc : run->err->code;
    for (const tb_jkeyword_expr *k = args->keywords; k && !rc; k = k->next) {
        keywords[count].name = k->name;
        rc = tb_jeval(&keywords[count++].value, run, frame, k->value);
    }
    if (!rc && args->rest_keywords)
        rc = add_rest_keywords(keywords, &count, run, rest);
    call->keywords = keywords;
    call->keyword_count = count;
    return rc;
}

tb_code tb_jeval_args(tb_jcall *call, tb_jrun *run, tb_jframe *frame, const tb_jargs *args)
{
    *call = (tb_jcall){0};
    if (args->positional.count == 0 && !args->rest && !args->keywords && !args->rest_keywords)
        return TB_OK;
    tb_code rc = eval_positional(call, run, frame, args);
    return rc ? rc : eval_keywords(call, run, frame, args);
}

static tb_code eval_call(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    tb_jvalue callee;
    tb_jcall call;
    tb_code rc = tb_jeval(&callee, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_jeval_args(&call, run, frame, &e->as.call.args);
    run->line = e->line;
    return rc ? rc : tb_jcall_value(out, run, callee, &call);
}

static tb_code eval_filter_or_test(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    const char *what = e->kind == TB_JEXPR_FILTER ? "filter" : "test";
    tb_jvalue subject;
    tb_jcall call;
    if (!e->as.call.function) {
        run->line = e->line;
        return tb_jrun_fail(run, TB_EINVAL, "there is no %s '%.*s'", what, (int)e->as.call.name->size,
                            e->as.call.name->data);
    }
    tb_code rc = tb_jeval(&subject, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_jeval_args(&call, run, frame, &e->as.call.args);
    run->line = e->line;
    return rc ? rc : tb_jbuiltin_call(out, run, e->as.call.function, what, subject, &call);
}

// ---- all ----

static tb_code eval_kind(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    switch (e->kind) {
    case TB_JEXPR_CONSTANT:
        *out = e->as.constant;
        return TB_OK;
    case TB_JEXPR_NAME:
        return eval_name(out, frame, e);
    case TB_JEXPR_TUPLE:
        return eval_items(out, run, frame, &e->as.items, TB_J_TUPLE);
    case TB_JEXPR_LIST:
        return eval_items(out, run, frame, &e->as.items, TB_J_LIST);
    case TB_JEXPR_DICT:
        return eval_dict(out, run, frame, e);
    case TB_JEXPR_CONCAT:
        return eval_concat(out, run, frame, e);
    case TB_JEXPR_UNARY:
        return eval_unary(out, run, frame, e);
    case TB_JEXPR_BINARY:
        return eval_binary(out, run, frame, e);
    case TB_JEXPR_COMPARE:
        return eval_compare(out, run, frame, e);
    case TB_JEXPR_COND:
        return eval_cond(out, run, frame, e);
    case TB_JEXPR_ATTR:
        return eval_attr(out, run, frame, e);
    case TB_JEXPR_ITEM:
        return eval_item(out, run, frame, e);
    case TB_JEXPR_SLICE:
        return eval_slice(out, run, frame, e);
    case TB_JEXPR_CALL:
        return eval_call(out, run, frame, e);
    case TB_JEXPR_FILTER:
    case TB_JEXPR_TEST:
        return eval_filter_or_test(out, run, frame, e);
    case TB_JEXPR_CONTENT:
        *out = run->content;
        return TB_OK;
    case TB_JEXPR_MEMBER: // only ever a target
        break;
    }
    return tb_jrun_fail(run, TB_EINVAL, "a target is no expression");
}

tb_code tb_jeval(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e)
{
    run->line = e->line;
    tb_code rc = tb_jrun_work(run, 1);
    if (!rc)
        rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    rc = eval_kind(out, run, frame, e);
    run->depth--;
    return rc;
}
