// templates: no template, however hostile, takes more time and memory than it is allowed. Templates are made at random
// from a grammar of what grows: texts, lists and tuples that contain themselves several times, and operations on them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "template/run.h"

// A hundredth of what a template is allowed, so that many of them can be tried.
static const tb_limits small = {.memory = 2 << 20, .steps = 150000};

enum {
    TEMPLATES = 600,
    // Small limits are reached within ten milliseconds; a template that takes this long would take minutes.
    GUARD_SECONDS = 5,
    // Of the process, with the values of one rendering, its output and what the sanitizers and the allocator keep.
    GUARD_KIB = 512 << 10,
};

// ---- a grammar of hostile templates ----

typedef struct maker {
    tb_rng rng;
    tb_str out;
} maker;

static const char *pick(maker *m, const char *const *choices)
{
    uint32_t n = 0;
    while (choices[n])
        n++;
    return choices[tb_rng_below(&m->rng, n)];
}

static void put(maker *m, const char *text)
{
    assert_int_equal(tb_str_append_text(&m->out, text, NULL), TB_OK);
}

// What an expression gives.
typedef enum type { TEXT, LIST, NUMBER, ANY } type;

static const char *const leaves[][9] = {
    [TEXT] = {"ns.s", "ns.s", "ns.s", "u", "'a'", "' '", "('a' * #)", NULL},
    [LIST] = {"ns.l", "ns.l", "ns.t", "ns.t", "[]", "range(4000)|list", "[1.5, 0.1] * #", NULL},
    [NUMBER] = {"1", "0.1", "7", "#", NULL},
    [ANY] = {"ns.d", "none", "x", "ns", "m", "()", "{}", NULL},
};

// $ stands for a text, @ for a list, ? for a number, & for anything; # for a number written out.
static const char *const forms[][64] = {
    [TEXT] = {"($ ~ $)",
              "($ ~ &)",
              "($ + $)",
              "($ * #)",
              "$[#:#]",
              "$[::#]",
              "(&)|string",
              "(@)|join($)",
              "(@)|tojson",
              "(&)|tojson(indent=#)",
              "(ns.d)|tojson(sort_keys=true)",
              "($)|upper",
              "($)|title",
              "($)|capitalize",
              "($)|trim",
              "($)|trim($)",
              "($)|replace($, $)",
              "($)|reverse",
              "($)|indent(#, true, true)",
              "($)|indent($)",
              "($)|e",
              "($|safe ~ $)",
              "'%s %s'|format($, &)",
              "'%s%r' % ($, &)",
              "'%#s' % $",
              "'%.#f' % ?",
              "'{:>#}{!r}'.format($, &)",
              "'{0}{0[0]}'.format($)",
              "($).lower()",
              "($).replace($, $)",
              "($).strip($)",
              "($).rstrip($)",
              "($).lstrip()",
              "($).join($.split($))",
              "($).join($)",
              "($).removeprefix($)",
              "($).format($, $)",
              "m($, &)",
              "m(*@)",
              "strftime_now($)",
              "($ if & else $)",
              NULL},
    [LIST] = {"(@ + @)",
              "(@ * #)",
              "[$, @, &]",
              "[@, @]",
              "@[#:#]",
              "@[::#]",
              "($)|list",
              "($).split($)",
              "($).split()",
              "($).rsplit($, #)",
              "($).splitlines()",
              "($).partition($)|list",
              "(@)|sort",
              "($)|sort",
              "(@)|unique|list",
              "(@)|map('string')|unique|list",
              "(@)|reverse|list",
              "(@)|map('length')|list",
              "(@)|map('upper')|list",
              "(@)|map('string')|map('trim', $)|list",
              "(@)|select('in', @)|list",
              "(@)|reject('==', @)|list",
              "(@)|map('string')|select('<', $)|list",
              "(ns.d)|dictsort",
              "ns.d.items()|list",
              NULL},
    [NUMBER] = {"($)|length", "(@)|map('string')|map('length')|sum", "($).count($)", "($).find($, #)", "($).rfind($)",
                "(@).count(&)", "($)|int", "($)|float", "(?)|round(#)", "(? + ?)", "(? // 7)", NULL},
    [ANY] = {"$",
             "@",
             "?",
             "($ == $)",
             "(@ == @)",
             "(ns.t == ns.l)",
             "($ < $)",
             "(@ < @)",
             "($ in $)",
             "(& in @)",
             "{$: &}",
             "{(ns.t, $): @}",
             "{$: 1}[$]",
             "(@)|min",
             "($)|max",
             "(@)|map('string')|min",
             "(@)|first",
             "(@)|sum(start=@)",
             "(@)|last",
             "($).startswith($)",
             "($).endswith(($, $))",
             "($).isalpha()",
             "($).isupper()",
             "ns.d.get($, &)",
             "dict(ns.d, k=&)",
             "(& or &)",
             "(not &)",
             "($ is lower)",
             "($ is filter)",
             "($ is in @)",
             NULL},
};

static void expression(maker *m, type of, unsigned depth);

static void fill_in(maker *m, const char *form, unsigned depth)
{
    static const char *const numbers[] = {"0", "1", "2", "7", "100", "4000", "99999", "-1", "-5000", NULL};
    static const char letters[] = "$@?&"; // in the order of the types
    for (; *form; form++) {
        const char *type_of = strchr(letters, *form), letter[2] = {*form, '\0'};
        if (type_of)
            expression(m, (type)(type_of - letters), depth);
        else
            put(m, *form == '#' ? pick(m, numbers) : letter);
    }
}

static void expression(maker *m, type of, unsigned depth)
{
    fill_in(m, pick(m, depth ? forms[of] : leaves[of]), depth ? depth - 1 : 0);
}

static void statement(maker *m, unsigned depth)
{
    static const char *const growth[] = {"{% set ns.s = ns.s ~ ns.s %}",
                                         "{% set ns.s = ns.s ~ 'ab ' %}",
                                         "{% set ns.s = 'b' ~ ns.s %}",
                                         "{% set ns.s = ns.s ~ u %}",
                                         "{% set ns.t = (ns.t, ns.t) %}",
                                         "{% set ns.t = [ns.t, ns.t, ns.s] %}",
                                         "{% set ns.l = ns.l + [ns.s] %}",
                                         "{% set ns.l = ns.l + ns.l %}",
                                         "{% set ns.l = ns.l + [ns.t] %}",
                                         "{% set ns.d = {ns.t: ns.d} %}",
                                         "{% set ns.d = dict(ns.d, k=ns.s) %}",
                                         "{% set ns.t = {'a': ns.t, 'b': ns.t} %}",
                                         "{% set ns.x = ns %}",
                                         NULL};
    static const char *const uses[] = {"{{ $ }}",
                                       "{{ & }}",
                                       "{{ @ }}",
                                       "{% set x = & %}",
                                       "{% set ns.s = $ %}",
                                       "{% set ns.l = @ %}",
                                       "{% set ns.t = (@, $) %}",
                                       "{% if & %}{{ ? }}{% endif %}",
                                       "{% filter replace($, $) %}{{ $ }}{% endfilter %}",
                                       "{% call m($) %}{{ $ }}{% endcall %}",
                                       NULL};
    uint32_t kind = tb_rng_below(&m->rng, depth ? 8 : 6);
    if (kind < 3) {
        put(m, pick(m, growth));
    } else if (kind < 6) {
        fill_in(m, pick(m, uses), 1 + tb_rng_below(&m->rng, 3));
    } else {
        fill_in(m, kind == 6 ? "{% for i in range(#) %}" : "{% for i in @ if & %}", 1);
        for (uint32_t n = 1 + tb_rng_below(&m->rng, 3); n > 0; n--)
            statement(m, depth - 1);
        put(m, "{% endfor %}");
    }
}

static void make_template(maker *m, uint64_t seed)
{
    static const char *const starts[] = {"'a'", "'ab' * 5000", "u * 500", "'\\n' * 3000", "' ' * 9000", "'<&'", NULL};
    tb_rng_init(&m->rng, seed, 0);
    tb_str_reset(&m->out);
    put(m, "{% macro m(a, b=1) %}{{ a }}{{ caller() if caller }}{{ varargs }}{{ kwargs }}{% endmacro %}");
    put(m, "{% set ns = namespace(t=(1, 'x'), l=['b', 'a'], d={'k': 1}, s=");
    put(m, pick(m, starts));
    put(m, ") %}");
    for (uint32_t n = 2 + tb_rng_below(&m->rng, 5); n > 0; n--)
        statement(m, 2);
}

// ---- what they take ----

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static tb_code render(tb_text source, const tb_limits *limits, tb_error *err)
{
    tb_template *tmpl;
    tb_prompt prompt = {0};
    static const char context[] = "{\"u\": \"\xC3\x9F\xCE\xA3 x\"}";
    const tb_template_input input = {{"{}", 2}, {context, sizeof context - 1}, 0};
    tb_code rc = tb_template_new(&tmpl, source, err);
    if (!rc)
        rc = tb_render_template(&prompt, tmpl, &input, limits, err);
    tb_template_free(tmpl);
    tb_prompt_clear(&prompt);
    return rc;
}

static void limits__hold_for_templates_made_to_break_them(void **state)
{
    (void)state;
    static maker m;
    size_t limited = 0, rendered = 0;
    for (uint64_t seed = 1; seed <= TEMPLATES; seed++) {
        tb_error err = {0};
        make_template(&m, seed);
        double start = cpu_seconds();
        tb_code rc = render((tb_text){tb_str_get(&m.out), m.out.size}, &small, &err);
        if (cpu_seconds() - start > GUARD_SECONDS)
            fail_msg("seed %u takes %.1f s: %s", (unsigned)seed, cpu_seconds() - start, tb_str_get(&m.out));
        limited += rc == TB_ELIMIT;
        rendered += rc == TB_OK;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < GUARD_KIB);
    assert_true(limited > TEMPLATES / 20 && rendered > TEMPLATES / 20); // the grammar reaches both
    tb_str_clear(&m.out);
}

// ---- from the first byte on ----

static void check_source(const char *before, const char *part, size_t size, const char *after)
{
    tb_str source = {0};
    tb_error err = {0};
    tb_str_append_text(&source, before, NULL);
    while (source.size < size)
        tb_str_append_text(&source, part, NULL);
    tb_str_append_text(&source, after, NULL);
    double start = cpu_seconds();
    render((tb_text){source.data, source.size}, &small, &err);
    if (cpu_seconds() - start > GUARD_SECONDS)
        fail_msg("'%s…' takes %.1f s", part, cpu_seconds() - start);
    tb_str_clear(&source);
}

static void compiling__takes_no_more_than_the_source_is_worth(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{{ ", "'a' ", "}}"},
        {"{{ ", "'\\x41' ", "}}"},
        {"{{ [", "1,", "] }}"},
        {"{{ f(", "a,", ") }}"},
        {"", "{{a}}", ""},
        {"", "{{a.b.c|e|e}}", ""},
        {"", "{# #}", ""},
        {"{% raw %}", "{%     ", ""},
        {"{% raw %}", "{% endraw ", ""},
        {"{{ 1", "_1", "}}"},
        {"{{ ", "1.1 ", "}}"},
        {"", "{%if a%}", ""},
        {"", "{%macro a(b,c=1)%}", ""},
        {"", "{%for a in b%}{{a}}", ""},
        {"{% if 0 %}", "{%elif a%}", "{% endif %}"},
        {"{{ a", "[:]", "}}"},
        {"{% set ", "a,", "= b %}"},
        {"", " \n", ""},
        {"", "{", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t size = 60000; size < 1 << 20; size *= 4)
            check_source(cases[i][0], cases[i][1], size, cases[i][2]);
}

// Names and keywords are compared with those before them.
static void compiling__counts_the_comparing_of_names(void **state)
{
    (void)state;
    static const char *const befores[] = {"{{ f(", "{% macro f("}, *const afters[] = {") }}", ") %}{% endmacro %}"};
    for (size_t k = 0; k < 2; k++) {
        tb_str source = {0};
        tb_error err = {0};
        tb_str_append_text(&source, befores[k], NULL);
        for (size_t i = 0; source.size < 250000; i++)
            tb_str_printf(&source, NULL, k ? "a%zu," : "a%zu=1,", i);
        tb_str_append_text(&source, afters[k], NULL);
        assert_int_equal(render((tb_text){source.data, source.size}, &small, &err), TB_ELIMIT);
        assert_non_null(strstr(err.message, "to compile"));
        tb_str_clear(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits__hold_for_templates_made_to_break_them),
        cmocka_unit_test(compiling__takes_no_more_than_the_source_is_worth),
        cmocka_unit_test(compiling__counts_the_comparing_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
