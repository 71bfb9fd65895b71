// text: the steps of a tokenizer.json. Every kind of them, in any order, with added tokens and unknown text, against
// the library of the format (tests/golden/tokenizers/steps.jsonl); bytes that are not UTF-8; limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "text/normalizer.h"
#include "text/text.h"

static tb_tokenizer *make_tokenizer(const char *json, size_t size)
{
    tb_vocab_file *file;
    tb_tokenizer *tokenizer = NULL;
    tb_error err = {0};
    if (tb_vocab_file_from_json(&file, (tb_text){json, size}, (tb_text){0}, &err) ||
        tb_tokenizer_new(&tokenizer, tb_vocab_file_get(file), &err))
        fail_msg("%s\n%.*s", err.message, (int)size, json);
    tb_vocab_file_free(file);
    return tokenizer;
}

static void expect_ids(const tb_tokenizer *tokenizer, const json_t *text, const json_t *expected, size_t line)
{
    tb_ids ids = {0};
    tb_error err = {0};
    tb_text bytes = {json_string_value(text), json_string_length(text)};
    if (tb_encode(&ids, tokenizer, bytes, TB_ENCODE_SPECIAL, &err))
        fail_msg("line %zu: '%s': %s", line, bytes.data, err.message);
    bool same = ids.size == json_array_size(expected);
    for (size_t i = 0; same && i < ids.size; i++)
        same = ids.data[i] == json_integer_value(json_array_get(expected, i));
    if (!same)
        fail_msg("line %zu: '%s' becomes %zu other tokens than the library's %zu", line, bytes.data, ids.size,
                 json_array_size(expected));
    tb_ids_clear(&ids);
}

static void steps__agree_with_their_library(void **state)
{
    (void)state;
    char *lines;
    size_t size, line = 0;
    tb_error err;
    if (tb_file_read(&lines, &size, TEST_SOURCE_ROOT "/tests/golden/tokenizers/steps.jsonl", 1 << 20, &err))
        fail_msg("%s", err.message);
    for (char *at = lines, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *golden = json_loadb(at, (size_t)(end - at), 0, NULL);
        char *json = json_dumps(json_object_get(golden, "tokenizer"), JSON_COMPACT);
        assert_non_null(json);
        tb_tokenizer *tokenizer = make_tokenizer(json, strlen(json));
        const json_t *texts = json_object_get(golden, "texts"), *ids = json_object_get(golden, "ids");
        line++;
        for (size_t i = 0; i < json_array_size(texts); i++)
            expect_ids(tokenizer, json_array_get(texts, i), json_array_get(ids, i), line);
        tb_tokenizer_free(tokenizer);
        free(json);
        json_decref(golden);
    }
    assert_true(line > 50);
    tb_free(lines);
}

// Digits behind ByteLevel sees "Â½", of which the second is one.
static void steps__behind_byte_level_see_letters(void **state)
{
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": "
        "false, \"use_regex\": false}, {\"type\": \"Digits\"}]}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"Â\": 0, "
        "\"½\": 1, \"Â½\": 2, \"ÿ\": 3, \"þ\": 4, \"ÿþ\": 5}, \"merges\": [\"Â ½\", \"ÿ þ\"]}}";
    tb_tokenizer *tokenizer = make_tokenizer(json, sizeof json - 1);
    tb_ids ids = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, (tb_text){"½\xFF\xFE", 4}, 0, NULL), TB_OK);
    assert_int_equal(ids.size, 3);
    assert_int_equal(ids.data[0], 0);
    assert_int_equal(ids.data[1], 1);
    assert_int_equal(ids.data[2], 5); // what is not UTF-8 is a piece that no step sees
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

// Control tokens that are looked for in normalised text are masked where a prefix has moved it.
static void steps__mask_normalised_control_tokens(void **state)
{
    (void)state;
    static const char json[] =
        "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"▁\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"▁\"}]}, \"added_tokens\": [{\"id\": "
        "5, "
        "\"content\": \"<i>\", \"special\": true, \"normalized\": true}], \"model\": {\"type\": \"BPE\", "
        "\"unk_token\": "
        "\"▁\", \"vocab\": {\"▁\": 0, \"<\": 1, \"i\": 2, \">\": 3, \"a\": 4}, \"merges\": []}}";
    static const tb_stretch own[] = {{0, 3}, {8, 12}};
    static const int32_t expected[] = {5, 0, 1, 2, 3, 4, 5};
    tb_tokenizer *tokenizer = make_tokenizer(json, sizeof json - 1);
    tb_ids ids = {0};
    assert_int_equal(tb_encode_within(&ids, tokenizer, (tb_text){"<i> <i>a <i>", 12}, own, 2, 0, NULL), TB_OK);
    assert_int_equal(ids.size, 7);
    assert_memory_equal(ids.data, expected, sizeof expected);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

static void normalizer__keeps_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    static const char *const components[] = {
        "{\"type\": \"NFKD\"}",
        "{\"type\": \"Lowercase\"}",
        "{\"type\": \"BertNormalizer\"}",
        "{\"type\": \"Nmt\"}",
        "{\"type\": \"Strip\"}",
        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"x*\"}, \"content\": \"\"}",
    };
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++) {
        json_t *component = json_loads(components[i], 0, NULL);
        tb_normalizer *normalizer;
        tb_normalized out = {0};
        assert_int_equal(tb_normalizer_new(&normalizer, component, NULL), TB_OK);
        assert_int_equal(tb_normalizer_run(&out, normalizer, (tb_text){"\xFF\xC3 \xE2\x82", 5}, true, true, NULL),
                         TB_OK);
        assert_int_equal(out.text.size, 5);
        assert_memory_equal(out.text.data, "\xFF\xC3 \xE2\x82", 5);
        tb_normalized_clear(&out);
        tb_normalizer_free(normalizer);
        json_decref(component);
    }
}

static void normalizer__stops_steps_that_blow_a_text_up(void **state)
{
    (void)state;
    json_t *list = json_array();
    for (int i = 0; i < 30; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", "a", "content", "aaaa"));
    json_t *component = json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list);
    tb_normalizer *normalizer;
    tb_normalized out = {0};
    assert_int_equal(tb_normalizer_new(&normalizer, component, NULL), TB_OK);
    assert_int_equal(tb_normalizer_run(&out, normalizer, (tb_text){"a", 1}, true, true, NULL), TB_ELIMIT);
    tb_normalized_clear(&out);
    tb_normalizer_free(normalizer);
    json_decref(component);
}

static void normalizer__refuses_more_steps_than_it_holds(void **state)
{
    (void)state;
    json_t *list = json_array();
    for (int i = 0; i < 40; i++)
        json_array_append_new(list, json_pack("{s:s}", "type", "NFC"));
    json_t *component = json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list);
    tb_normalizer *normalizer;
    assert_int_equal(tb_normalizer_new(&normalizer, component, NULL), TB_EUNSUPPORTED);
    assert_null(normalizer);
    json_decref(component);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps__agree_with_their_library),
        cmocka_unit_test(steps__behind_byte_level_see_letters),
        cmocka_unit_test(steps__mask_normalised_control_tokens),
        cmocka_unit_test(normalizer__keeps_bytes_that_are_not_utf8),
        cmocka_unit_test(normalizer__stops_steps_that_blow_a_text_up),
        cmocka_unit_test(normalizer__refuses_more_steps_than_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
