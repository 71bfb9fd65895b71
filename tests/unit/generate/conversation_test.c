// generate: conversations and their prompts, when memory runs out: each allocation of ours, and of jansson's,
// fails in turn. (jansson does not always know why it fails, and then blames the text.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "generate/generate.h"

static const char source[] = "{{ bos_token }}{% for m in messages %}[{{ m.role }}: {{ m.content | upper }}]"
                             "{% endfor %}{{ tools | tojson }}{% if add_generation_prompt %}>{% endif %}";

// ---- jansson's memory ----

static long left = -1; // allocations that still succeed; negative: all do

static void *allocate(size_t size)
{
    if (left == 0)
        return NULL;
    if (left > 0)
        left--;
    return malloc(size);
}

static void fail_ours(long n)
{
    tb_mem_fail_after(n);
}

static void fail_janssons(long n)
{
    left = n;
}

// ---- what is done again and again ----

static tb_code fill(tb_str *written, json_t *conversation, tb_error *err)
{
    tb_code rc = tb_conversation_add(conversation, "user", "Gr\xC3\xBC\xC3\x9F", 6, err);
    if (!rc)
        rc = tb_conversation_set_system(conversation, "Be brief.", err);
    if (!rc)
        rc = tb_conversation_set_system(conversation, "Be briefer.", err);
    if (!rc)
        rc = tb_conversation_write(written, conversation, err);
    return rc;
}

static tb_code render(tb_str *out, const json_t *conversation, tb_error *err)
{
    tb_prompt_template *tmpl;
    tb_code rc = tb_prompt_template_new_bare(&tmpl, (tb_text){source, sizeof source - 1}, "<s>", "</s>", err);
    tb_prompt prompt = {0};
    if (!rc)
        rc = tb_prompt_template_render(&prompt, tmpl, conversation, true, err);
    if (!rc)
        rc = tb_str_append(out, prompt.text.data, prompt.text.size, err);
    tb_prompt_clear(&prompt);
    tb_prompt_template_free(tmpl);
    return rc;
}

// A conversation is made, written, read and rendered.
static tb_code converse(tb_str *out, tb_error *err)
{
    json_t *conversation = tb_conversation_new(), *read = NULL;
    tb_str written = {0};
    tb_code rc =
        conversation ? fill(&written, conversation, err) : tb_fail(err, TB_ENOMEM, "no memory for a conversation");
    if (!rc)
        rc = tb_conversation_parse(&read, (tb_text){written.data, written.size}, "it", err);
    if (!rc)
        rc = render(out, read, err);
    json_decref(conversation);
    json_decref(read);
    tb_str_clear(&written);
    return rc;
}

static void expect_failure_until_enough(void (*fail_after)(long n), bool tells_why)
{
    tb_code rc = TB_ENOMEM;
    long n = 0;
    for (; rc; n++) {
        tb_str prompt = {0};
        tb_error err = {0};
        fail_after(n);
        rc = converse(&prompt, &err);
        fail_after(-1);
        if (rc && tells_why && err.code != TB_ENOMEM)
            fail_msg("allocation %ld: %s", n, err.message);
        if (!rc)
            assert_string_equal(tb_str_get(&prompt), "<s>[system: BE BRIEFER.][user: GR\xC3\x9CSS]null>");
        tb_str_clear(&prompt);
    }
    assert_true(n > 10);
}

static void conversation__survives_failing_allocations(void **state)
{
    (void)state;
    expect_failure_until_enough(fail_ours, true);
}

static void conversation__survives_failing_allocations_of_jansson(void **state)
{
    (void)state;
    json_set_alloc_funcs(allocate, free);
    expect_failure_until_enough(fail_janssons, false);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversation__survives_failing_allocations),
        cmocka_unit_test(conversation__survives_failing_allocations_of_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
