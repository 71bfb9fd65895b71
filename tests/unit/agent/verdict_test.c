// agent: what verifiers print, read as the official harness reads it. The vectors are those of the specification, which
// were made with the official parser.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/verdict.h"

static tb_verdict read_verdict(const char *printed)
{
    tb_verdict v;
    tb_error err;
    if (tb_verdict_parse(&v, (tb_text){printed, strlen(printed)}, &err))
        fail_msg("%s", err.message);
    return v;
}

// Checks are written "pass 1 label|detail".
static void assert_verdict(const char *printed, const char *status, double score, uint64_t earned, uint64_t total,
                           bool all_pass, const char *checks)
{
    tb_verdict v = read_verdict(printed);
    tb_str text = {0};
    for (size_t i = 0; i < v.check_count; i++) {
        const tb_check *c = &v.checks[i];
        tb_str_printf(&text, NULL, "%s %d %.*s|%.*s;", c->passed ? "pass" : "fail", (int)c->weight, (int)c->label.size,
                      c->label.data, (int)c->detail.size, c->detail.data);
    }
    assert_string_equal(tb_str_get(&text), checks);
    assert_string_equal(tb_verdict_status_name(v.status), status);
    if (fabs(v.score - score) > 1e-15)
        fail_msg("%s: score %g", printed, v.score);
    assert_int_equal(v.earned, earned);
    assert_int_equal(v.total, total);
    assert_int_equal(v.all_pass, all_pass);
    tb_str_clear(&text);
    tb_verdict_clear(&v);
}

static void verdict__reads_the_vectors(void **state)
{
    (void)state;
    assert_verdict("[PASS] (1pt) a\n[FAIL] (2pt) b  (why)\nSCORE: 0.333  PASS: False  (1/3)\n", "FAIL", 0.333, 1, 3,
                   false, "pass 1 a|;fail 2 b|why;");                                                          // A
    assert_verdict("[PASS] (1pt) a\n[FAIL] (2pt) b\n", "FAIL", 1.0 / 3, 1, 3, false, "pass 1 a|;fail 2 b|;");  // B
    assert_verdict("[PASS] (1pt) 0. files\nFATAL: x\n", "PASS", 1, 1, 1, true, "pass 1 0. files\nFATAL: x|;"); // C
    assert_verdict("[PASS] no weight\n[FAIL] (2pt) b\n[PASS] (1pt) c\n", "PASS", 1, 1, 1, true, "pass 1 c|;"); // D
    assert_verdict("[PASS] (1.5pt) a\n[PASS] (1pt) b\n", "ERROR", 0, 0, 0, false, "");                         // E
    assert_verdict("[PASS] (1pt) a (b)\n", "PASS", 1, 1, 1, true, "pass 1 a (b)|;");                           // F
    assert_verdict("[PASS] (1pt) a  (b)  (c)\n", "PASS", 1, 1, 1, true, "pass 1 a|b)  (c;");                   // G
    assert_verdict("[FAIL] (1pt) a  (b\nSCORE: 0.000  PASS: False  (0/1)\n", "FAIL", 0, 0, 1, false,
                   "fail 1 a  (b|;");                                                       // H
    assert_verdict("   [PASS] (1pt)   a   (b)   \n", "PASS", 1, 1, 1, true, "pass 1 a|b;"); // I
    assert_verdict("[PASS] (1pt) a\nSCORE: 0.5  PASS: False  (1/2)\nSCORE: 1.000  PASS: True  (2/2)\n", "PASS", 1, 2, 2,
                   true, "pass 1 a|;");                                             // J
    assert_verdict("SCORE: 1.000  PASS: True  (2/2)\n", "PASS", 1, 2, 2, true, ""); // K
    assert_verdict("warn\n[PASS] (1pt) a\nwarn2\n[PASS] (2pt) b  (x)\ntrailing\n", "PASS", 1, 3, 3, true,
                   "pass 1 a\nwarn2|;pass 2 b  (x)\ntrailing|;");                                                 // L
    assert_verdict("[PASS] (1pt) a\nSCORE: 0.999  PASS: True  (1/1)\n", "PASS", 0.999, 1, 1, true, "pass 1 a|;"); // M
    assert_verdict("[FAIL] (0pt) a\n", "FAIL", 0, 0, 0, false, "fail 0 a|;");                                     // N
    assert_verdict("[FAIL] (2pt) s  (judge error: x\ny)\nSCORE: 0.000  PASS: False  (0/2)\n", "FAIL", 0, 0, 2, false,
                   "fail 2 s|judge error: x\ny;");                                                             // O
    assert_verdict("[pass] (1pt) a\n", "ERROR", 0, 0, 0, false, "");                                           // P
    assert_verdict("[PASS] (1pt) a\nSCORE: n/a\n", "PASS", 1, 1, 1, true, "pass 1 a|;");                       // Q
    assert_verdict("", "ERROR", 0, 0, 0, false, "");                                                           // R
    assert_verdict("[PASS] (1pt) a\n\n(b)\n[PASS] (1pt) c\n", "PASS", 1, 2, 2, true, "pass 1 a|b;pass 1 c|;"); // S
    assert_verdict("[PASS] oops\nSCORE: 1.000  PASS: True  (1/1)\n", "ERROR", 0, 0, 0, false, "");             // T
}

// More of the same kind, with what the official parser makes of them.
static void verdict__knows_white_space_and_lines_as_python_does(void **state)
{
    (void)state;
    assert_verdict("\xC2\xA0[PASS]\xE2\x80\x83(1pt)\xC2\xA0"
                   "a\xE3\x80\x80\xC2\xA0(b)\xE2\x80\xA8[FAIL] (1pt) c\x0B"
                   "d",
                   "FAIL", 0.5, 1, 2, false, "pass 1 a|b;fail 1 c\nd|;");
    assert_verdict("[PASS] (1pt) a\r\n[PASS] (1pt) b\r[PASS] (1pt) c\x1E[PASS] (1pt) d\xC2\x85", "PASS", 1, 4, 4, true,
                   "pass 1 a|;pass 1 b|;pass 1 c|;pass 1 d|;");
    assert_verdict("[PASS] (1pt) a \n (b)", "PASS", 1, 1, 1, true, "pass 1 a\n(b)|;");
    assert_verdict("[PASS](1pt) a\n[PASS] (1pt)\n[PASS] (1pt) b\n", "PASS", 1, 1, 1, true, "pass 1 b|;");
    assert_verdict("[PASS] (1pt) a  ()\n[PASS] (1pt) b  ()  (x)\n[PASS] (1pt) c  (())\n", "PASS", 1, 3, 3, true,
                   "pass 1 a  ()|;pass 1 b|)  (x;pass 1 c|();");
    assert_verdict("[PASS] (1pt) a  b  (x)\n[FAIL] (1pt) (x)  (  y  )\n", "FAIL", 0.5, 1, 2, false,
                   "pass 1 a  b|x;fail 1 (x)|y;");
    assert_verdict("SCORE:.5 PASS:True (1/2) and more\n", "PASS", 0.5, 1, 2, true, "");
    assert_verdict("SCORE: 1.0PASS: True (1/1)\nSCORE: 1.0 PASS: true (1/1)\nxSCORE: 1 PASS: True (1/1)\n", "ERROR", 0,
                   0, 0, false, "");
    assert_verdict("[PASS] (1pt) \xFF\n", "PASS", 1, 1, 1, true, "pass 1 \xEF\xBF\xBD|;");
}

static void verdict__of_numbers_that_are_none_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[PASS] (1pt) a\nSCORE: 1.2.3  PASS: True  (1/1)\n",
        "SCORE: .  PASS: True  (1/1)\n",
        "[PASS] (123456789012pt) a\n",
        "SCORE: 1  PASS: True  (1/123456789012)\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_verdict v = read_verdict(bad[i]);
        assert_int_equal(v.status, TB_VERDICT_ERROR);
        assert_int_equal(v.check_count, 0);
        assert_non_null(v.error);
        tb_verdict_clear(&v);
    }
}

static void verdict__is_written_in_the_official_members(void **state)
{
    (void)state;
    tb_verdict v = read_verdict("[PASS] (1pt) a\n[FAIL] (2pt) b  (why)\nSCORE: 0.333  PASS: False  (1/3)\n");
    v.ended = true;
    v.returncode = 1;
    json_t *json = tb_verdict_json(&v, "t");
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert_string_equal(
        text,
        "{\"task_id\":\"t\",\"status\":\"FAIL\",\"score\":0.333,\"earned\":1,\"total\":3,\"all_pass\":false,"
        "\"checks\":[{\"label\":\"a\",\"weight\":1,\"passed\":true,\"detail\":\"\"},{\"label\":\"b\",\"weight\":2,"
        "\"passed\":false,\"detail\":\"why\"}],\"returncode\":1,\"error\":null}");
    free(text);
    json_decref(json);
    tb_verdict_clear(&v);
    tb_verdict_init(&v, TB_VERDICT_SKIP, "no verify.py");
    json = tb_verdict_json(&v, "t");
    text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(
        text, "{\"task_id\":\"t\",\"status\":\"SKIP\",\"score\":0.0,\"checks\":[],\"error\":\"no verify.py\"}");
    free(text);
    json_decref(json);
}

static void verdict__survives_any_failed_allocation(void **state)
{
    (void)state;
    static const char printed[] = "[PASS] (1pt) a\nx\xFF\n[FAIL] (2pt) b  (why)\nSCORE: 0.333  PASS: False  (1/3)\n";
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM && n < 1000; n++) {
        tb_verdict v;
        tb_error err;
        tb_mem_fail_after(n);
        rc = tb_verdict_parse(&v, (tb_text){printed, strlen(printed)}, &err);
        tb_mem_fail_after(-1);
        tb_verdict_clear(&v);
    }
    assert_int_equal(rc, TB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdict__reads_the_vectors),
        cmocka_unit_test(verdict__knows_white_space_and_lines_as_python_does),
        cmocka_unit_test(verdict__of_numbers_that_are_none_is_an_error),
        cmocka_unit_test(verdict__is_written_in_the_official_members),
        cmocka_unit_test(verdict__survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
