// templates: the stored snippets of the language against what jinja2 gave for them; errors, limits, lack of memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

#define FOLDER TEST_SOURCE_ROOT "/tests/golden/templates/"

enum { NOW = 1718454896 }; // 15 June 2024, 12:34:56 UTC; the snippets were stored with it

static tb_text slice(const char *text)
{
    return (tb_text){text, strlen(text)};
}

// Appends the text only.
static tb_code render_compiled(tb_str *out, const tb_template *tmpl, tb_text conversation, tb_error *err)
{
    tb_prompt prompt;
    tb_code rc = tb_template_render(&prompt, tmpl, &(tb_template_input){{"{}", 2}, conversation, NOW}, err);
    if (!rc)
        rc = tb_str_append(out, tb_str_get(&prompt.text), prompt.text.size, err);
    tb_prompt_clear(&prompt);
    return rc;
}

// Compiles and renders; `out` is to be cleared.
static tb_code render(tb_str *out, tb_text source, tb_text context, tb_error *err)
{
    tb_template *tmpl;
    tb_code rc = tb_template_new(&tmpl, source, err);
    if (!rc)
        rc = render_compiled(out, tmpl, context, err);
    tb_template_free(tmpl);
    return rc;
}

static void check(const char *source, const char *context, const char *expected)
{
    tb_str out = {0};
    tb_error err = {0};
    tb_code rc = render(&out, slice(source), slice(context), &err);
    if (rc)
        print_error("%s: %s\n", source, err.message);
    assert_int_equal(rc, TB_OK);
    assert_string_equal(tb_str_get(&out), expected);
    tb_str_clear(&out);
}

// The template fails with this code and a message that has `part` in it.
static void check_fails(const char *source, const char *context, tb_code code, const char *part)
{
    tb_str out = {0};
    tb_error err = {0};
    tb_code rc = render(&out, slice(source), slice(context), &err);
    if (rc != code || !strstr(err.message, part))
        print_error("%s: code %d, '%s' lacks '%s'\n", source, (int)rc, err.message, part);
    assert_int_equal(rc, code);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, part));
    assert_int_equal(out.size, 0);
    tb_str_clear(&out);
}

// ---- snippets ----

// What is wrong with the answer to a stored snippet, or NULL.
static const char *find_fault(const json_t *stored, tb_code rc, const tb_str *out, const tb_error *err)
{
    if (json_is_string(stored)) {
        if (rc)
            return "it fails";
        bool same = out->size == json_string_length(stored) &&
                    memcmp(tb_str_get(out), json_string_value(stored), out->size) == 0;
        return same ? NULL : "it gives another text";
    }
    if (!rc)
        return "it does not fail";
    if (json_is_null(stored))
        return rc == TB_ENOMEM ? "it runs out of memory" : NULL;
    if (rc != TB_EUNSUPPORTED)
        return "it is not refused";
    return strstr(err->message, json_string_value(json_object_get(stored, "refused"))) ? NULL
                                                                                       : "it says something else";
}

// True when the snippet of one line does what is stored.
static bool snippet_holds(const char *line, tb_text context)
{
    json_t *snippet = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_true(json_is_array(snippet) && json_array_size(snippet) >= 2);
    const json_t *source = json_array_get(snippet, 0), *own = json_array_get(snippet, 2);
    char *own_text = own ? json_dumps(own, 0) : NULL;
    tb_str out = {0};
    tb_error err = {0};
    tb_code rc = render(&out, (tb_text){json_string_value(source), json_string_length(source)},
                        own_text ? slice(own_text) : context, &err);
    const char *fault = find_fault(json_array_get(snippet, 1), rc, &out, &err);
    if (fault)
        print_error("%s: %s\n  now: '%s' (%s)\n", line, fault, tb_str_get(&out), rc ? err.message : "no error");
    tb_str_clear(&out);
    free(own_text);
    json_decref(snippet);
    return !fault;
}

static void template__does_what_jinja2_did_with_every_snippet(void **state)
{
    (void)state;
    char *text, *context, *rest;
    size_t size, context_size, count = 0, wrong = 0;
    tb_error err;
    assert_int_equal(tb_file_read(&text, &size, FOLDER "snippets.jsonl", 1 << 20, &err), TB_OK);
    assert_int_equal(tb_file_read(&context, &context_size, FOLDER "context.json", 1 << 20, &err), TB_OK);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (*line == '#')
            continue;
        count++;
        wrong += !snippet_holds(line, (tb_text){context, context_size});
    }
    assert_int_equal(wrong, 0);
    assert_true(count > 500);
    tb_free(text);
    tb_free(context);
}

// ---- the context ----

static void render__keeps_the_order_of_keys(void **state)
{
    (void)state;
    check("{{ o }}", "{\"o\": {\"z\": 1, \"a\": 2, \"m\": {\"y\": 1, \"b\": 2}, \"0\": 3}}",
          "{'z': 1, 'a': 2, 'm': {'y': 1, 'b': 2}, '0': 3}");
    check("{{ o|tojson }}", "{\"o\": {\"b\": 1, \"a\": 2, \"b\": 3}}", "{\"b\": 3, \"a\": 2}");
}

static void render__keeps_integers_and_floats_apart(void **state)
{
    (void)state;
    check("{{ a }} {{ b }} {{ c }} {{ d }}", "{\"a\": 1, \"b\": 1.0, \"c\": 1e2, \"d\": -9223372036854775808}",
          "1 1.0 100.0 -9223372036854775808");
}

static void render__takes_large_dicts(void **state)
{
    (void)state;
    check("{% set ns = namespace() %}{% for i in range(3000) %}{% set ns.n = loop.index %}{% endfor %}"
          "{% set ns.p = [] %}{% for i in range(1500) %}{% set ns.p = ns.p + [(i|string, i)] %}{% endfor %}"
          "{% set d = dict(ns.p) %}{{ d|length }} {{ d['1498'] }} {{ d['x'] is defined }}",
          "{}", "1500 1498 False");
}

static void render__rejects_a_context_that_is_no_object(void **state)
{
    (void)state;
    check_fails("x", "[1]", TB_EFORMAT, "no JSON object");
    check_fails("x", "{\"a\": }", TB_EFORMAT, "not valid JSON");
    check_fails("x", "", TB_EFORMAT, "not valid JSON");
    check_fails("x", "{\"a\": \"\xff\"}", TB_EFORMAT, "not valid JSON");
    check_fails("x", "{\"a\": 99999999999999999999}", TB_EFORMAT, "not valid JSON");
}

// ---- output and errors ----

static void render__leaves_nothing_when_it_fails(void **state)
{
    (void)state;
    tb_template *tmpl;
    tb_prompt prompt;
    tb_error err;
    tb_template_input input = {{"{}", 2}, slice("{\"a\": 1, \"b\": 0}"), NOW};
    assert_int_equal(tb_template_new(&tmpl, slice("{{ a }}{{ 1 // b }}"), &err), TB_OK);
    assert_int_equal(tb_template_render(&prompt, tmpl, &input, &err), TB_EINVAL);
    assert_true(prompt.text.size == 0 && !prompt.own && prompt.own_count == 0);
    input.conversation = slice("{\"a\": 2, \"b\": 1}");
    assert_int_equal(tb_template_render(&prompt, tmpl, &input, NULL), TB_OK);
    assert_string_equal(tb_str_get(&prompt.text), "21");
    tb_prompt_clear(&prompt);
    input.conversation = slice("{}");
    assert_int_equal(tb_template_render(&prompt, tmpl, &input, NULL), TB_EINVAL);
    tb_template_free(tmpl);
}

static void render__quotes_what_a_template_raises(void **state)
{
    (void)state;
    check_fails("a\nb\n{{ raise_exception('Conversation roles must alternate: ' ~ x) }}", "{\"x\": \"user\"}",
                TB_EINVAL, "the template refuses at line 3: Conversation roles must alternate: user");
    tb_str longer = {0};
    tb_error err;
    for (int i = 0; i < 200; i++)
        assert_int_equal(tb_str_append_text(&longer, "lo\xc3\xb6ng", &err), TB_OK);
    assert_int_equal(tb_str_append_text(&longer, "')}}", &err), TB_OK);
    char *source = tb_alloc(longer.size + 64);
    snprintf(source, longer.size + 64, "{{ raise_exception('%s", tb_str_get(&longer));
    check_fails(source, "{}", TB_EINVAL, "lo\xc3\xb6nglo\xc3\xb6ng");
    tb_free(source);
    tb_str_clear(&longer);
}

static void errors__name_the_line(void **state)
{
    (void)state;
    check_fails("a\n{% if x %}\n\n{{ y", "{}", TB_EFORMAT, "at line 4");
    check_fails("a\n{#-\n c -#}\n\n{{ 'a\nb' ~ \n x.y }}", "{}", TB_EINVAL, "at line 7: 'x' is undefined");
    check_fails("{% raw %}\n\n{% endraw %}\n{% include 'a' %}", "{}", TB_EUNSUPPORTED, "'include' at line 4");
    check_fails("{% macro m(a) %}\n{{ a + 1 }}\n{% endmacro %}\n\n{{ m('x') }}", "{}", TB_EINVAL, "at line 2");
    check_fails("\xff", "{}", TB_EFORMAT, "not valid UTF-8");
}

static void strftime_now__shows_the_local_time_that_it_is_given(void **state)
{
    (void)state;
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    check("{{ strftime_now('%d %b %Y %H:%M') }}", "{}", "15 Jun 2024 18:04");
    setenv("TZ", "UTC", 1);
    tzset();
    check("{{ strftime_now('%d %b %Y %H:%M') }}", "{}", "15 Jun 2024 12:34");
}

static void generators__run_no_sooner_than_they_are_walked(void **state)
{
    (void)state;
    check("{% set g = ['a', 1]|map('round') %}ok", "{}", "ok");
    check(
        "{% set ns = namespace(n=0) %}{% for x in [1, 2, 3, 4] if x > ns.n %}{% set ns.n = x + 1 %}{{ x }}{% endfor %}",
        "{}", "13");
}

// ---- limits ----

// A text of `n` times `part` between two others.
static char *repeated(const char *before, const char *part, size_t n, const char *after)
{
    tb_str text = {0};
    assert_int_equal(tb_str_append_text(&text, before, NULL), TB_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tb_str_append_text(&text, part, NULL), TB_OK);
    assert_int_equal(tb_str_append_text(&text, after, NULL), TB_OK);
    return text.data;
}

static void check_repeated_fails(const char *before, const char *part, size_t n, const char *after, tb_code code)
{
    char *source = repeated(before, part, n, after);
    tb_str out = {0};
    tb_error err = {0};
    tb_code rc = render(&out, slice(source), slice("{}"), &err);
    if (rc != code)
        print_error("%s%s…: %s\n", before, part, err.message);
    assert_int_equal(rc, code);
    tb_str_clear(&out);
    tb_free(source);
}

static void parser__stops_at_deep_nesting(void **state)
{
    (void)state;
    check_repeated_fails("{{ ", "(", 100000, "", TB_ELIMIT);
    check_repeated_fails("{{ ", "[", 100000, "", TB_ELIMIT);
    check_repeated_fails("{{ ", "- ", 100000, "1 }}", TB_ELIMIT);
    check_repeated_fails("{{ ", "not ", 100000, "1 }}", TB_ELIMIT);
    check_repeated_fails("{{ 1", " + 1", 100000, " }}", TB_ELIMIT);
    check_repeated_fails("{{ x", ".x", 100000, " }}", TB_ELIMIT);
    check_repeated_fails("{{ x", "|e", 100000, " }}", TB_ELIMIT);
    check_repeated_fails("{{ 1", " if 1 else 1", 50000, " }}", TB_ELIMIT);
    check_repeated_fails("", "{% if 1 %}", 50000, "", TB_ELIMIT);
    check_repeated_fails("", "{% macro m() %}", 50000, "", TB_ELIMIT);
    check_repeated_fails("", "x", (256 << 10) + 1, "", TB_ELIMIT);
}

static void parser__takes_what_real_templates_need(void **state)
{
    (void)state;
    char *sum = repeated("{{ 1", " + 1", 400, " }}");
    check(sum, "{}", "401");
    tb_free(sum);
    char *chain = repeated("{% if 0 %}", "{% elif 0 %}", 5000, "{% else %}x{% endif %}");
    check(chain, "{}", "x");
    tb_free(chain);
    char *nested = repeated("{{ ", "(", 80, "1");
    char *whole = repeated(nested, ")", 80, " }}");
    check(whole, "{}", "1");
    tb_free(nested);
    tb_free(whole);
}

static void run__stops_at_endless_recursion(void **state)
{
    (void)state;
    check_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{}", TB_ELIMIT, "nest too deeply");
    check_fails("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}", "{}", TB_ELIMIT, "nest too deeply");
    check_fails("{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
                "{}", TB_ELIMIT, "nest too deeply");
    check_fails("{% set ns = namespace(a=[], b=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}"
                "{% set ns.b = [ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
                "{}", TB_ELIMIT, "nest too deeply");
}

static void run__stops_at_endless_work(void **state)
{
    (void)state;
    check_fails("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "{}", TB_ELIMIT,
                "too many steps");
    check_fails("{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{{ s.count('b') }}{% endfor %}", "{}", TB_ELIMIT,
                "too many steps");
    check_fails("{% set s = 'a' * 1000000 %}{{ s.find('a' * 500000 ~ 'b') }}", "{}", TB_ELIMIT, "too many steps");
}

static void run__stops_at_endless_memory(void **state)
{
    (void)state;
    check_fails("{{ 'a' * 9000000000 }}", "{}", TB_ELIMIT, "");
    check_fails("{{ [1] * 9000000000000000000 }}", "{}", TB_ELIMIT, "");
    check_fails("{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "{}",
                TB_ELIMIT, "too much memory");
    check_fails("{{ '%900000000s' % 'a' }}", "{}", TB_ELIMIT, "");
    check_fails("{{ '%9000000d' % 1 ~ '{:900000000}'.format(1) }}", "{}", TB_ELIMIT, "");
}

static void run__gathers_text_piece_by_piece_in_linear_memory(void **state)
{
    (void)state;
    // Copying the text for every piece would take 20 GB.
    check("{% set ns = namespace(s='') %}{% for i in range(20000) %}{% set ns.s = ns.s ~ 'x' * 100 %}{% endfor %}"
          "{% set t = ns.s ~ 'a' %}{% set u = ns.s ~ 'b' %}{{ ns.s|length }} {{ t[-2:] }} {{ u[-2:] }}",
          "{}", "2000000 xa xb");
}

static void run__takes_deep_values(void **state)
{
    (void)state;
    char *open = repeated("{\"a\": ", "[", 2500, "");
    check_fails("{{ a }}", open, TB_EFORMAT, "not valid JSON");
    tb_free(open);
    open = repeated("{\"a\": ", "[", 2000, "");
    char *whole = repeated(open, "]", 2000, "}");
    check_fails("{{ a|tojson }}", whole, TB_ELIMIT, "nest too deeply");
    tb_free(open);
    tb_free(whole);
}

// ---- lack of memory ----

static const char *const sampler =
    "{% macro m(a, b=2) %}{{ a }}{{ caller() if caller }}{{ varargs }}{{ kwargs }}{% endmacro %}"
    "{% set ns = namespace(s='') %}{% for k, v in d|dictsort if v %}{{ loop.last }}{% set ns.s = ns.s ~ k %}{% endfor "
    "%}"
    "{% call m(1, x=2) %}{% filter upper %}body{% endfilter %}{% endcall %}"
    "{{ l|map('string')|join(',') }}{{ l|sort|list }}{{ d|tojson(indent=2) }}{{ '%s'|format(l) }}{{ s.split(' ') }}"
    "{{ '{:>5}'.format(s) }}{{ s|title|e }}{{ l|unique|list }}{{ (s|safe) + '<' }}{{ l[::-1] }}{{ ns }}"
    "{% generation %}{{ strftime_now('%Y') }}{% endgeneration %}";

static const char *const sample_context = "{\"d\": {\"b\": 1, \"a\": {\"x\": [1.5, null]}}, \"l\": [3, 1, 2], \"s\": "
                                          "\"two w\\u00f6rds\"}";

static void template_new__survives_lack_of_memory(void **state)
{
    (void)state;
    tb_error err;
    tb_template *tmpl;
    for (long long n = 0;; n++) {
        tb_mem_fail_after(n);
        tb_code rc = tb_template_new(&tmpl, slice(sampler), &err);
        tb_mem_fail_after(-1);
        if (rc == TB_OK)
            break;
        assert_int_equal(rc, TB_ENOMEM);
        assert_int_equal(err.code, TB_ENOMEM);
        assert_null(tmpl);
    }
    tb_template_free(tmpl);
}

static void render__survives_lack_of_memory(void **state)
{
    (void)state;
    tb_error err;
    tb_template *tmpl;
    assert_int_equal(tb_template_new(&tmpl, slice(sampler), &err), TB_OK);
    long long n = 0;
    for (;; n++) {
        tb_str out = {0};
        tb_mem_fail_after(n);
        tb_code rc = render_compiled(&out, tmpl, slice(sample_context), &err);
        tb_mem_fail_after(-1);
        if (rc == TB_OK)
            assert_true(out.size > 100);
        else
            assert_int_equal(out.size, 0);
        tb_str_clear(&out);
        if (rc == TB_OK)
            break;
        assert_int_equal(rc, TB_ENOMEM);
    }
    assert_true(n > 3);
    tb_template_free(tmpl);
}

static void template_free__accepts_null(void **state)
{
    (void)state;
    tb_template_free(NULL);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(template__does_what_jinja2_did_with_every_snippet),
        cmocka_unit_test(render__keeps_the_order_of_keys),
        cmocka_unit_test(render__keeps_integers_and_floats_apart),
        cmocka_unit_test(render__takes_large_dicts),
        cmocka_unit_test(render__rejects_a_context_that_is_no_object),
        cmocka_unit_test(render__leaves_nothing_when_it_fails),
        cmocka_unit_test(render__quotes_what_a_template_raises),
        cmocka_unit_test(errors__name_the_line),
        cmocka_unit_test(strftime_now__shows_the_local_time_that_it_is_given),
        cmocka_unit_test(generators__run_no_sooner_than_they_are_walked),
        cmocka_unit_test(parser__stops_at_deep_nesting),
        cmocka_unit_test(parser__takes_what_real_templates_need),
        cmocka_unit_test(run__stops_at_endless_recursion),
        cmocka_unit_test(run__stops_at_endless_work),
        cmocka_unit_test(run__stops_at_endless_memory),
        cmocka_unit_test(run__gathers_text_piece_by_piece_in_linear_memory),
        cmocka_unit_test(run__takes_deep_values),
        cmocka_unit_test(template_new__survives_lack_of_memory),
        cmocka_unit_test(render__survives_lack_of_memory),
        cmocka_unit_test(template_free__accepts_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
