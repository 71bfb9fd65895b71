// agent: the YAML of registries, and what else there is of YAML, which is refused at its place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apps.h"
#include "agent/yaml_subset.h"

static tb_text text_of(const char *text)
{
    return (tb_text){text, strlen(text)};
}

static void assert_reads(const char *yaml, const char *json)
{
    json_t *value;
    tb_error err;
    if (tb_yaml_read(&value, text_of(yaml), "it", &err))
        fail_msg("%s: %s", yaml, err.message);
    char *text = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, json);
    free(text);
    json_decref(value);
}

static void assert_refuses(const char *yaml, const char *place)
{
    json_t *value;
    tb_error err = {0};
    if (tb_yaml_read(&value, text_of(yaml), "it", &err) != TB_EFORMAT)
        fail_msg("this is read: %s", yaml);
    assert_null(value);
    if (strncmp(err.message, place, strlen(place)) != 0)
        fail_msg("%s: '%s' does not start with '%s'", yaml, err.message, place);
}

static void yaml__reads_what_registries_are_written_in(void **state)
{
    (void)state;
    assert_reads("# a comment\napps:\n  # another\n  web:\n    index: 3 # behind\n    name: plain text\n",
                 "{\"apps\":{\"web\":{\"index\":3,\"name\":\"plain text\"}}}");
    assert_reads("a: 'it''s'\nb: \"x\\ty\"\nc: '3'\nd: -12\ne: 3.5\nf: true\n",
                 "{\"a\":\"it's\",\"b\":\"x\\ty\",\"c\":\"3\",\"d\":-12,\"e\":\"3.5\",\"f\":\"true\"}");
    assert_reads("a: >-\n  one\n  two\n\n  three\nb: 1\n", "{\"a\":\"one two\\nthree\",\"b\":1}");
    assert_reads("a:\n  - -data\n  - _more\n  - plain\nb: []\n", "{\"a\":[\"-data\",\"_more\",\"plain\"],\"b\":[]}");
    assert_reads("a:\n- x\n", "{\"a\":[\"x\"]}");
    assert_reads("\"a b\": x\n", "{\"a b\":\"x\"}");
}

static void yaml__refuses_the_rest_at_its_place(void **state)
{
    (void)state;
    assert_refuses("a: &x 1\n", "it, line 1, column 4: anchors");
    assert_refuses("a: 1\nb: *x\n", "it, line 2, column 4: ");
    assert_refuses("a: !!str 1\n", "it, line 1, column 4: anchors and tags");
    assert_refuses("a: |\n  x\n", "it, line 1, column 4: a literal block");
    assert_refuses("a: >\n  x\n", "it, line 1, column 4: of folded blocks");
    assert_refuses("a: >+\n  x\n", "it, line 1, column 4: of folded blocks");
    assert_refuses("a: >2-\n   x\n", "it, line 1, column 4: of folded blocks");
    assert_refuses("a: {b: 1}\n", "it, line 1, column 4: a mapping in braces");
    assert_refuses("a: [1]\n", "it, line 1, column 5: of sequences in one line");
    assert_refuses("a:\n  - b: 1\n", "it, line 2, column 5: an item");
    assert_refuses("a:\n  - - 1\n", "it, line 2, column 5: an item");
    assert_refuses("a:\n  b:\n    c:\n      d: 1\n", "it, line 4, column 7: mappings stand more than 3 deep");
    assert_refuses("a:\nb: 1\n", "it, line ");
    assert_refuses("a: one\n  two\n", "it, line 1, column 4: a scalar of several lines");
    assert_refuses("a: \"one\n  two\"\n", "it, line 1, column 4: a scalar of several lines");
    assert_refuses("? a\n: 1\n", "it, line 1, column 3: a key must be the first");
    assert_refuses("a: 1\na: 2\n", "it, line 2, column 1: the key 'a' stands there twice");
    assert_refuses("--- \na: 1\n", "it, line 1, column 1: there must be one document");
    assert_refuses("%YAML 1.1\n---\na: 1\n", "it, line 1, column 1: there must be one document");
    assert_refuses("a: 1\n...\n", "it, line 2, column 1: there must be one document");
    assert_refuses("a: 1\n---\nb: 1\n", "it, line 2, column 1: there must be one document");
    assert_refuses("- a\n", "it, line 1, column 1: the document must be a mapping");
    assert_refuses("\ta: 1\n", "it, line 1, column 1: ");
    assert_refuses("a: 'x\n", "it, line ");
    assert_refuses("\xC3\xA4: 1\n\xC3\xA4: 2\n", "it, line 2, column 1: the key");
    assert_refuses("a: \xFF\n", "it is not UTF-8 at byte 3");
    assert_refuses("", "it, line 1, column 1: ");
}

static void apps__have_ports_and_names_of_their_slot(void **state)
{
    (void)state;
    tb_apps apps;
    tb_error err;
    static const char yaml[] =
        "\xEF\xBB\xBF"
        "apps:\n  owncloud:\n    app_index: 12\n    fixed_port: 6018\n  wiki:\n    app_index: 0\n";
    if (tb_apps_parse(&apps, text_of(yaml), "it", &err))
        fail_msg("%s", err.message);
    const tb_app *cloud = tb_apps_get(&apps, "owncloud"), *wiki = tb_apps_get(&apps, "wiki");
    assert_non_null(cloud);
    assert_null(tb_apps_get(&apps, "cloud"));
    assert_string_equal(cloud->db_suffix, "-mariadb");
    assert_null(wiki->db_suffix);
    assert_int_equal(tb_slot_port(&(tb_slot){.number = 2}, cloud), 30092);
    assert_int_equal(tb_slot_port(&(tb_slot){.base_port = 40000}, wiki), 40000);
    tb_apps_clear(&apps);
}

static void apps__are_refused_where_they_make_no_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a: 1\n",
        "apps: 1\n",
        "apps:\n  x: 1\n",
        "apps:\n  x:\n    fixed_port: 1\n",
        "apps:\n  x:\n    app_index: 40\n",
        "apps:\n  x:\n    app_index: -1\n",
        "apps:\n  x:\n    app_index: '1'\n",
        "apps:\n  x:\n    app_index: 1\n    colour: red\n",
        "apps:\n  x:\n    app_index: 1\n  y:\n    app_index: 1\n",
        "apps:\n  x:\n    app_index: 1\nmore: 1\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_apps apps;
        tb_error err = {0};
        if (tb_apps_parse(&apps, text_of(bad[i]), "it", &err) != TB_EFORMAT)
            fail_msg("this is a registry: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml__reads_what_registries_are_written_in),
        cmocka_unit_test(yaml__refuses_the_rest_at_its_place),
        cmocka_unit_test(apps__have_ports_and_names_of_their_slot),
        cmocka_unit_test(apps__are_refused_where_they_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
