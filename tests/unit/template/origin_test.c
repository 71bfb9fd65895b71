// templates: where the bytes of a prompt come from, through everything that can be done to text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "template/template.h"

static tb_text text_of(const char *text)
{
    return (tb_text){text, strlen(text)};
}

// The rendered text, with < and > around what comes from the conversation.
static void mark(tb_str *out, const tb_prompt *prompt)
{
    size_t at = 0;
    for (size_t i = 0; i <= prompt->own_count; i++) {
        size_t begin = i < prompt->own_count ? prompt->own[i].begin : prompt->text.size;
        assert_true(begin >= at && begin <= prompt->text.size);
        if (begin > at)
            tb_str_printf(out, NULL, "<%.*s>", (int)(begin - at), prompt->text.data + at);
        if (i == prompt->own_count)
            break;
        at = prompt->own[i].end;
        assert_true(at > begin && at <= prompt->text.size);
        tb_str_append(out, prompt->text.data + begin, at - begin, NULL);
    }
}

static void check(const char *source, const char *expected)
{
    static const char variables[] = "{\"bos_token\": \"[S]\", \"spaces\": \"  \"}";
    static const char conversation[] =
        "{\"u\": \"user\", \"v\": \"vVs\", \"w\": \" wide \", \"n\": 42, \"x\": 1.5, \"b\": true, \"z\": null, \"h\": "
        "\"&\\\"\\n\", "
        "\"e\": \"\", \"f\": \"%5s{:>4}\", \"l\": [\"a\", \"b\"], \"d\": {\"k\": [1, \"i\"]}, \"i\": \"12\", \"g\": "
        "\"\xC3\x9F\", "
        "\"m\": {\"role\": \"user\", \"name\": \"user\"}, \"r\": {\"role\": \"<im_end>\"}}";
    tb_template *tmpl;
    tb_prompt prompt;
    tb_error err = {0};
    tb_str marked = {0};
    if (tb_template_new(&tmpl, text_of(source), &err) ||
        tb_template_render(&prompt, tmpl, &(tb_template_input){text_of(variables), text_of(conversation), 0}, &err))
        fail_msg("%s: %s", source, err.message);
    mark(&marked, &prompt);
    assert_string_equal(tb_str_get(&marked), expected);
    tb_str_clear(&marked);
    tb_prompt_clear(&prompt);
    tb_template_free(tmpl);
}

static void values__keep_their_origin(void **state)
{
    (void)state;
    check("{{ bos_token }}a{{ u }}b", "[S]a<user>b");
    check("{{ n }} {{ x }} {{ b }} {{ z }} {{ n + 1 }} {{ -n }} {{ 2 * 3 }} {{ n // 5 }}",
          "<42> <1.5> <True> <None> <43> <-42> 6 <8>");
    check("{{ i|int }} {{ i|float }} {{ x|round }} {{ n|abs }} {{ '7'|int }}", "<12> <12.0> <2.0> <42> 7");
    check("{{ l }} {{ d }} {{ [u, 'c'] }}", "['<a>', '<b>'] {'<k>': [<1>, '<i>']} ['<user>', 'c']");
    check("{{ u|length }} {{ l|length }} {{ u == 'user' }}", "4 2 True");
    check("{% for c in v %}{{ c }}-{% endfor %}{% for k, y in d|items %}{{ k }}{{ y[1] }}{% endfor %}",
          "<v>-<V>-<s>-<ki>");
}

static void joining__keeps_the_origin_of_each_part(void **state)
{
    (void)state;
    check("{{ '<' + u + '>' }}|{{ 'a' ~ v ~ 1 }}", "<<user>>|a<vVs>1");
    check("{% set ns = namespace(s='') %}{% for i in range(3) %}{% set ns.s = ns.s ~ u ~ ',' %}{% endfor %}{{ ns.s }}",
          "<user>,<user>,<user>,");
    check("{% set a = 'x' ~ 'y' %}{% set p = a ~ 'z' %}{% set q = a ~ u %}{{ p }} {{ q }} {{ a }}", "xyz xy<user> xy");
    check("{% set a = u ~ v %}{% set p = a ~ '!' %}{{ a }} {{ p }} {{ a ~ w }}",
          "<uservVs> <uservVs>! <uservVs wide >");
    check("{{ l|join('+') }} {{ '+'.join(l) }} {{ [1, 2]|join(u) }} {{ 2 * u }} {{ 'ab' * 2 }}",
          "<a>+<b> <a>+<b> 1<user>2 <useruser> abab");
    check("{% macro m(t) %}({{ t }}){% endmacro %}{{ m(u) }}{% set c %}c{{ v }}{% endset %}{{ c }}", "(<user>)c<vVs>");
    check("{% macro m() %}[{{ caller() }}]{% endmacro %}{% filter upper %}a{{ u }}{% endfilter %}"
          "{% call m() %}{{ u }}{% endcall %}",
          "A<USER>[<user>]");
}

static void cutting__keeps_the_origin_of_what_is_left(void **state)
{
    (void)state;
    check("{% set s = 'ab' ~ v ~ 'cd' %}{{ s[1:4] }} {{ s[::-1] }} {{ s[2] }} {{ s[-1] }}", "b<vV> dc<sVv>ba <v> d");
    check("{{ (spaces ~ w ~ spaces)|trim }} {{ w.strip() }} {{ ('x' ~ w).lstrip('x ') }}", "<wide> <wide> <wide >");
    check("{% set s = u ~ '::' ~ v ~ '::z' %}{{ s.split('::')|join('/') }} {{ s.partition('::')[2] }}",
          "<user>/<vVs>/z <vVs>::z");
    check("{{ ('a' ~ u ~ ' b')|reverse }} {{ (u ~ 'x').removesuffix('x') }} {{ ('x' ~ u).removeprefix('xu') }}",
          "b <resu>a <user> <ser>");
    check("{{ ('a\n' ~ u ~ '\nc').splitlines()[1] }} {{ (u ~ 'x')|first }}{{ (u ~ 'x')|last }}", "<user> <u>x");
}

static void changing__gives_new_bytes_the_origin_of_the_old(void **state)
{
    (void)state;
    check(
        "{{ ('a' ~ v)|upper }} {{ ('A' ~ v)|lower }} {{ ('a' ~ v).title() }} {{ g|upper }} {{ ('q' ~ g)|capitalize }}",
        "A<VVS> a<vvs> A<vvs> <SS> Q<\xC3\x9F>");
    check("{{ u.replace('s', '-') }} {{ 'aXb'.replace('X', v) }}", "<u>-<er> a<vVs>b");
    check("{{ h|e }} {{ h|tojson }} {{ [h] }}", "<&amp;&#34;\n> \"<&\\\"\\n>\" ['<&\"\\n>']");
    check("{{ d|tojson }} {{ [n, x, b, z]|tojson }} {{ {'t': u}|tojson }}",
          "{\"<k>\": [<1>, \"<i>\"]} [<42>, <1.5>, <true>, <null>] {\"t\": \"<user>\"}");
    check("{{ g|tojson(ensure_ascii=true) }} {{ l|tojson(indent=1) }}", "\"<\\u00df>\" [\n \"<a>\",\n \"<b>\"\n]");
    check("{{ ('a\n' ~ u)|indent(2) }} {{ ('a\nb')|indent(u) }}", "a\n  <user> a\n<user>b");
}

static void formatting__keeps_origins(void **state)
{
    (void)state;
    check("{{ '(%s %d %5.1f)' % (u, n, x) }} {{ '%s'|format(v) }} {{ '%5s|' % u }}",
          "(<user> <42>   <1.5>) <vVs>  <user>|");
    check("{{ '{}-{:>6}-{n}'.format(v, u, n=n) }} {{ '{:05d}'.format(n) }}", "<vVs>-  <user>-<42> 000<42>");
    check("{{ f % 1 }}", "<    >1<{:>4}>");
    check("{{ f.format(1) }}", "<%5s   >1");
    check("{{ strftime_now('%Y') }}", "1970");
    check("{{ strftime_now('%Y' ~ v) }}", "1970<vVs>");
}

// Some templates make control tokens of roles: '<|' + role + '|>'.
static void roles__that_every_template_knows_are_the_formats_own(void **state)
{
    (void)state;
    check("{{ '<|' + m.role + '|>' }} {{ m.name }} {{ m }}", "<|user|> <user> {'<role>': 'user', '<name>': '<user>'}");
    check("{{ '<|' + r.role + '|>' }}", "<|<<im_end>>|>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values__keep_their_origin),
        cmocka_unit_test(joining__keeps_the_origin_of_each_part),
        cmocka_unit_test(cutting__keeps_the_origin_of_what_is_left),
        cmocka_unit_test(changing__gives_new_bytes_the_origin_of_the_old),
        cmocka_unit_test(formatting__keeps_origins),
        cmocka_unit_test(roles__that_every_template_knows_are_the_formats_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
