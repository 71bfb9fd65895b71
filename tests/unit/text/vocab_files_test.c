// text: vocabularies from tokenizer.json and tokenizer.model. Encodings against those of the formats'
// own libraries (tests/golden/tokenizers), settings, refusals, damaged files, lack of memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small_vocab.h"

typedef tb_code (*open_fn)(tb_vocab_file **out, tb_text text, tb_text config, tb_error *err);

static tb_text read_golden(const char *name, const char *suffix)
{
    char path[4096], *data;
    size_t size;
    tb_error err;
    snprintf(path, sizeof path, "%s/tests/golden/tokenizers/%s%s", TEST_SOURCE_ROOT, name, suffix);
    if (tb_file_read(&data, &size, path, 1 << 20, &err))
        fail_msg("%s", err.message);
    return (tb_text){data, size};
}

static tb_tokenizer *make(const tb_vocab *vocab)
{
    tb_tokenizer *tokenizer;
    tb_error err = {0};
    if (tb_tokenizer_new(&tokenizer, vocab, &err))
        fail_msg("%s", err.message);
    return tokenizer;
}

// ---- golden encodings ----

static size_t read_hex(char *out, const char *text)
{
    size_t n = 0;
    unsigned byte;
    for (; *text != '\t' && sscanf(text, "%2x", &byte) == 1; text += 2)
        out[n++] = (char)byte;
    return n;
}

static void check_line(const tb_tokenizer *tokenizer, const char *line, const char *name)
{
    char text[4096];
    size_t size = read_hex(text, line);
    tb_ids ids = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, (tb_text){text, size}, TB_ENCODE_BOS | TB_ENCODE_SPECIAL, NULL), TB_OK);
    char shown[16384], *at = shown;
    *at = '\0';
    for (size_t i = 0; i < ids.size; i++)
        at += sprintf(at, "%s%d", i ? " " : "", (int)ids.data[i]);
    if (strcmp(shown, strchr(line, '\t') + 1) != 0)
        fail_msg("%s: '%.*s' becomes %s instead of %s", name, (int)size, text, shown, strchr(line, '\t') + 1);
    tb_ids_clear(&ids);
}

// `pre`: what the pre-tokenizer must be called.
static void check_golden(const char *name, const char *suffix, const char *pre, open_fn open)
{
    tb_text file_text = read_golden(name, suffix), lines = read_golden(name, ".txt");
    tb_vocab_file *file;
    tb_error err = {0};
    if (open(&file, file_text, (tb_text){0}, &err))
        fail_msg("%s: %s", name, err.message);
    tb_free((char *)file_text.data);
    const tb_vocab *vocab = tb_vocab_file_get(file);
    assert_memory_equal(vocab->pre.data, pre, strlen(pre));
    tb_tokenizer *tokenizer = make(vocab);
    tb_vocab_file_free(file);
    size_t checked = 0;
    for (char *line = (char *)lines.data, *end; (end = strchr(line, '\n')); line = end + 1, checked++) {
        *end = '\0';
        check_line(tokenizer, line, name);
    }
    assert_int_equal(checked, 150);
    tb_free((char *)lines.data);
    tb_tokenizer_free(tokenizer);
}

static void json__of_byte_level_bpe_agrees_with_its_library(void **state)
{
    (void)state;
    check_golden("bytes-llama3", ".json", "llama-bpe", tb_vocab_file_from_json);
    check_golden("bytes-gpt4o-nfc", ".json", "gpt-4o", tb_vocab_file_from_json);
    check_golden("bytes-digits", ".json", "smollm", tb_vocab_file_from_json);
    check_golden("bytes-coder", ".json", "deepseek-coder", tb_vocab_file_from_json);
    check_golden("bytes-regex", ".json", "regex:[a-z]+\\d\n\\Qab\\E\n", tb_vocab_file_from_json);
    check_golden("bytes-prefix", ".json", "gpt-2", tb_vocab_file_from_json);
}

static void json__of_models_over_characters_agrees_with_its_library(void **state)
{
    (void)state;
    check_golden("spaces-bpe", ".json", "default", tb_vocab_file_from_json);
    check_golden("spaces-unigram", ".json", "default", tb_vocab_file_from_json);
}

static tb_code open_piece(tb_vocab_file **out, tb_text model, tb_text config, tb_error *err)
{
    (void)config;
    return tb_vocab_file_from_sentencepiece(out, model, slice_of("{\"add_bos_token\": false}"), err);
}

static void sentencepiece__agrees_with_its_library(void **state)
{
    (void)state;
    check_golden("piece-bpe", ".model", "default", open_piece);
    check_golden("piece-unigram", ".model", "default", open_piece);
}

// ---- round trips ----

static void spm__with_a_character_map_round_trips_what_the_map_leaves_alone(void **state)
{
    (void)state;
    tb_text bytes = read_golden("piece-bpe", ".model");
    tb_vocab_file *file;
    assert_int_equal(tb_vocab_file_from_sentencepiece(&file, bytes, (tb_text){0}, NULL), TB_OK);
    tb_tokenizer *tokenizer = make(tb_vocab_file_get(file));
    tb_text text = slice_of(" two  spaces\n\n\xFF\xC3(x)  été ");
    tb_ids ids = {0};
    tb_str back = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, text, TB_ENCODE_BOS, NULL), TB_OK);
    assert_int_equal(ids.data[0], 1);
    assert_int_equal(tb_decode(&back, tokenizer, ids.data, ids.size, false, NULL), TB_OK);
    assert_string_equal(tb_str_get(&back), text.data);
    tb_str_clear(&back);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
    tb_vocab_file_free(file);
    tb_free((char *)bytes.data);
}

// ---- settings ----

// A tokenizer.json of three tokens, with members of the caller's; and a config.
#define BYTE_MODEL "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}, "
#define BYTE_STEPS "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
#define ADDED                                                                                                          \
    "\"added_tokens\": [{\"id\": 4, \"content\": \"<s>\", \"special\": true}, "                                        \
    "{\"id\": 5, \"content\": \"x y\", \"special\": false, \"rstrip\": true}]"

static void json__reads_special_tokens_and_settings(void **state)
{
    (void)state;
    tb_vocab_file *file;
    tb_error err = {0};
    tb_code rc = tb_vocab_file_from_json(
        &file,
        slice_of(
            "{" BYTE_MODEL BYTE_STEPS ADDED
            ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
            "{\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [4]}}}}"),
        slice_of("{\"eos_token\": {\"content\": \"x y\"}, \"bos_token\": \"a\", \"model_max_length\": "
                 "1000000000000000019884624838656}"),
        &err);
    if (rc)
        fail_msg("%s", err.message);
    const tb_vocab *v = tb_vocab_file_get(file);
    assert_int_equal(v->size, 6);
    assert_int_equal(v->kinds[2], TB_TOKEN_NORMAL);
    assert_int_equal(v->kinds[3], TB_TOKEN_UNUSED);
    assert_memory_equal(v->tokens[3].data, "[PAD3]", 6);
    assert_int_equal(v->kinds[4], TB_TOKEN_CONTROL);
    assert_int_equal(v->kinds[5], TB_TOKEN_USER_DEFINED);
    assert_int_equal(v->flags[5], TB_TOKEN_RSTRIP);
    assert_int_equal(v->eos, 5);
    assert_int_equal(v->bos, 4); // what is put in front, not what the config names
    assert_true(v->add_bos);
    tb_vocab_file_free(file);
}

static void json__config_decides_whether_a_bos_is_added(void **state)
{
    (void)state;
    tb_vocab_file *file;
    tb_text json = slice_of("{" BYTE_MODEL BYTE_STEPS ADDED "}");
    for (int add = 0; add < 2; add++) {
        tb_text config =
            slice_of(add ? "{\"bos_token\": \"<s>\", \"add_bos_token\": true}" : "{\"bos_token\": \"<s>\"}");
        assert_int_equal(tb_vocab_file_from_json(&file, json, config, NULL), TB_OK);
        assert_int_equal(tb_vocab_file_get(file)->bos, 4);
        assert_int_equal(tb_vocab_file_get(file)->add_bos, add);
        tb_vocab_file_free(file);
    }
}

static void json__takes_merges_as_pairs(void **state)
{
    (void)state;
    tb_vocab_file *file;
    tb_text json = slice_of("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, "
                            "\"merges\": [[\"a\", \"b\"]]}, " BYTE_STEPS ADDED "}");
    assert_int_equal(tb_vocab_file_from_json(&file, json, (tb_text){0}, NULL), TB_OK);
    const tb_vocab *v = tb_vocab_file_get(file);
    assert_int_equal(v->merge_count, 1);
    assert_int_equal(v->merges[0].size, 3);
    assert_memory_equal(v->merges[0].data, "a b", 3);
    tb_vocab_file_free(file);
}

static void sentencepiece__takes_added_tokens_of_the_config(void **state)
{
    (void)state;
    tb_text bytes = read_golden("piece-bpe", ".model");
    tb_vocab_file *file;
    tb_text config = slice_of("{\"eos_token\": \"<|end|>\", \"legacy\": false, \"added_tokens_decoder\": {\"702\": "
                              "{\"content\": \"<|end|>\", \"special\": true, \"lstrip\": true}}}");
    assert_int_equal(tb_vocab_file_from_sentencepiece(&file, bytes, config, NULL), TB_OK);
    const tb_vocab *v = tb_vocab_file_get(file);
    assert_int_equal(v->size, 703);
    assert_int_equal(v->eos, 702);
    assert_int_equal(v->kinds[701], TB_TOKEN_UNUSED);
    assert_int_equal(v->kinds[702], TB_TOKEN_CONTROL);
    assert_int_equal(v->flags[702], TB_TOKEN_LSTRIP);
    assert_true(v->add_bos && v->bos == 1 && v->add_space_prefix && v->space_prefix_once && v->byte_fallback);
    tb_vocab_file_free(file);
    tb_free((char *)bytes.data);
}

// ---- vocab.json and merges.txt ----

// The ids that the class of `config` gives for a text, as a text.
static void expect_of_class(const char *config, const char *text, const char *expected)
{
    static const char vocab[] =
        "{\"1\": 0, \"2\": 1, \"12\": 2, \"Ġ\": 3, \"Ġ1\": 4, \"e\": 5, \"Ì\": 6, \"ģ\": 7, \"Ã\": 8, "
        "\"©\": 9, \"Ã©\": 10}";
    static const char merges[] = "#version: 0.2\n1 2\nĠ 1\r\n\nÃ ©";
    tb_vocab_file *file;
    tb_error err = {0};
    if (tb_vocab_file_from_merges(&file, slice_of(vocab), slice_of(merges), slice_of(config), &err))
        fail_msg("%s: %s", config, err.message);
    tb_tokenizer *tokenizer = make(tb_vocab_file_get(file));
    tb_ids ids = {0};
    tb_str shown = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, slice_of(text), TB_ENCODE_BOS | TB_ENCODE_SPECIAL, NULL), TB_OK);
    for (size_t i = 0; i < ids.size; i++)
        tb_str_printf(&shown, NULL, "%s%d", i ? " " : "", (int)ids.data[i]);
    if (strcmp(tb_str_get(&shown), expected) != 0)
        fail_msg("%s: '%s' becomes %s instead of %s", config, text, tb_str_get(&shown), expected);
    tb_str_clear(&shown);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
    tb_vocab_file_free(file);
}

// Ids as transformers 5.24.0 gives them for a folder of these files.
static void merges__are_read_as_their_class_reads_them(void **state)
{
    (void)state;
    expect_of_class("{\"tokenizer_class\": \"GPT2Tokenizer\"}", "12 12e\xCC\x81", "2 3 2 5 6 7");
    expect_of_class("{\"tokenizer_class\": \"Qwen2TokenizerFast\"}", "12 12e\xCC\x81", "0 1 3 0 1 10");
    expect_of_class("{\"model_type\": \"qwen3\"}", "12 12e\xCC\x81", "0 1 3 0 1 10");
    expect_of_class("{\"tokenizer_class\": \"GPTNeoXTokenizer\"}", "12 12e\xCC\x81<|padding|>", "2 3 2 10 12");
    expect_of_class("{\"tokenizer_class\": \"CohereTokenizer\"}", "12 12e\xCC\x81", "0 1 3 0 1 10");
    expect_of_class("{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": true}", "12", "3 2");
    expect_of_class("{\"tokenizer_class\": \"GPT2Tokenizer\", \"bos_token\": \"<s>\", \"add_bos_token\": true}",
                    "1<|endoftext|>", "11 0 12");
    expect_of_class("{\"tokenizer_class\": \"GPT2Tokenizer\", \"additional_special_tokens\": [\"<a>\"], "
                    "\"added_tokens_decoder\": {\"20\": {\"content\": \"<t>\", \"lstrip\": true}}}",
                    "1 <t><a><|endoftext|>", "0 11 13 12");
}

static void merges__refuse_what_they_do_not_understand(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *merges, *config, *part;
        tb_code code;
    } cases[] = {
        {"{}", "", "{\"tokenizer_class\": \"RobertaTokenizer\"}", "'RobertaTokenizer'", TB_EUNSUPPORTED},
        {"{}", "", "{\"tokenizer_class\": \"GPT2TokenizerX\"}", "'GPT2TokenizerX'", TB_EUNSUPPORTED},
        {"{}", "", "{}", "tokenizer_class", TB_EUNSUPPORTED},
        {"{}", "", "{\"tokenizer_class\": \"Qwen2Tokenizer\"", "tokenizer_config.json", TB_EFORMAT},
        {"[]", "", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "vocab.json", TB_EFORMAT},
        {"{\"a\": \"b\"}", "", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "'a'", TB_EFORMAT},
        {"{\"a\": 0}", "a", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "merge 0", TB_EFORMAT},
        {"{\"a\": 0}", "\xFF a", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "merges.txt", TB_EFORMAT},
        {"{\"a\": 0}", "", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"added_tokens_decoder\": {\"1\": 7}}", "content",
         TB_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tb_vocab_file *file;
        tb_error err = {0};
        tb_code rc = tb_vocab_file_from_merges(&file, slice_of(cases[i].vocab), slice_of(cases[i].merges),
                                               slice_of(cases[i].config), &err);
        if (rc != cases[i].code || !strstr(err.message, cases[i].part))
            fail_msg("case %zu gives %d '%s' instead of '%s'", i, (int)rc, err.message, cases[i].part);
        assert_null(file);
    }
}

// ---- refusals ----

#define BEHIND_BYTES(step)                                                                                             \
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, " step "]}}"

static void json__refuses_what_it_does_not_understand_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *part;
        tb_code code;
    } cases[] = {
        {"{", "line 1", TB_EFORMAT},
        {"[]", "object", TB_EFORMAT},
        {"{}", "model", TB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"WordPiece\"}}", "'WordPiece'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BYTE_STEPS "\"normalizer\": {\"type\": \"ByteLevel\"}}", "'ByteLevel'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BYTE_STEPS "\"decoder\": {\"type\": \"CTC\"}}", "'CTC'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BYTE_STEPS "\"post_processor\": {\"type\": \"BertProcessing\"}}", "'BertProcessing'",
         TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BEHIND_BYTES("{\"type\": \"UnicodeScripts\"}"), "'UnicodeScripts'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BEHIND_BYTES("{\"type\": \"Metaspace\", \"replacement\": \"▁\"}"), "Metaspace behind ByteLevel",
         TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BEHIND_BYTES("{\"type\": \"ByteLevel\"}"), "ByteLevel behind ByteLevel", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL BEHIND_BYTES("{\"type\": \"Punctuation\", \"behavior\": \"Dropped\"}"), "'Dropped'",
         TB_EUNSUPPORTED},
        {"{" BYTE_MODEL "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a-z&&[^x]]\"}, "
         "\"behavior\": \"Isolated\"}}",
         "'[a-z&&[^x]]'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[[:alpha:]]|(?m:.)\"}, "
         "\"behavior\": \"Isolated\"}}",
         "'[[:alpha:]]|(?m:.)'", TB_EUNSUPPORTED},
        {"{" BYTE_MODEL "\"pre_tokenizer\": null}", "ByteLevel", TB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}, " BYTE_STEPS "\"x\": 0}", "'a'",
         TB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 2000000000}, \"merges\": []}, " BYTE_STEPS "\"x\": 0}",
         "2000000000", TB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}, \"merges\": []}, " BYTE_STEPS "\"x\": 0}",
         "same id 0", TB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}, " BYTE_STEPS "\"x\": 0}",
         "merge 0", TB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}, " BYTE_STEPS "\"x\": 0}", "empty",
         TB_EFORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"end_of_word_suffix\": "
         "\"</w>\"}, " BYTE_STEPS "\"x\": 0}",
         "end_of_word_suffix", TB_EUNSUPPORTED},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}, \"pre_tokenizer\": {\"type\": \"Metaspace\"}}",
         "token 0", TB_EFORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]]}, \"pre_tokenizer\": {\"type\": \"Metaspace\"}, "
         "\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}}",
         "base64", TB_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tb_vocab_file *file;
        tb_error err = {0};
        tb_code rc = tb_vocab_file_from_json(&file, slice_of(cases[i].json), (tb_text){0}, &err);
        if (rc != cases[i].code || !strstr(err.message, cases[i].part))
            fail_msg("%s\ngives %d '%s' instead of '%s'", cases[i].json, (int)rc, err.message, cases[i].part);
        assert_null(file);
    }
}

static void sentencepiece__refuses_damaged_files(void **state)
{
    (void)state;
    tb_text whole = read_golden("piece-bpe", ".model");
    tb_vocab_file *file;
    tb_error err = {0};
    for (size_t cut = 1; cut < whole.size; cut += whole.size / 97) {
        char *copy = tb_dup_text(whole.data, cut); // exact, for the sanitizer
        tb_code rc = tb_vocab_file_from_sentencepiece(&file, (tb_text){copy, cut}, (tb_text){0}, &err);
        if (rc)
            assert_non_null(strstr(err.message, "tokenizer.model"));
        else
            tb_vocab_file_free(file); // a cut between two pieces
        tb_free(copy);
    }
    tb_free((char *)whole.data);
    assert_int_equal(tb_vocab_file_from_sentencepiece(&file, slice_of("{\"a\": 1}"), (tb_text){0}, &err), TB_EFORMAT);
    assert_int_equal(tb_vocab_file_from_sentencepiece(&file, (tb_text){0}, (tb_text){0}, &err), TB_EFORMAT);
    // trainer_spec {model_type: CHAR}
    assert_int_equal(tb_vocab_file_from_sentencepiece(&file, (tb_text){"\x12\x02\x18\x04", 4}, (tb_text){0}, &err),
                     TB_EUNSUPPORTED);
}

static void charsmap__refuses_what_points_outside(void **state)
{
    (void)state;
    static small_vocab v;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"\x04", 1}, {"\x08\0\0\0\0\0\0\0", 8}, {"\x03\0\0\0\0\0\0\0", 8}, {"\x04\0\0\0\0\0\0\0x", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        small_vocab_spm(&v);
        v.vocab.charsmap = (tb_text){bad[i].bytes, bad[i].size};
        tb_tokenizer *tokenizer;
        tb_error err = {0};
        assert_int_equal(tb_tokenizer_new(&tokenizer, &v.vocab, &err), TB_EFORMAT);
        assert_non_null(strstr(err.message, "character map"));
    }
    // A trie whose units all point at themselves and have values far outside.
    small_vocab_spm(&v);
    static char circle[4 + 4 * 256 + 2] = "\0\x04\0\0";
    for (size_t i = 0; i < 256; i++)
        memcpy(circle + 4 + 4 * i, (char[]){(char)i, 1, 0, 0}, 4);
    v.vocab.charsmap = (tb_text){circle, sizeof circle};
    tb_tokenizer *tokenizer = make(&v.vocab);
    tb_ids ids = {0};
    tb_error err = {0};
    tb_code rc = tb_encode(&ids, tokenizer, slice_of("aaaa"), 0, &err);
    assert_true(rc == TB_OK || rc == TB_EFORMAT);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

// ---- lack of memory ----

static tb_code use(const char *name, const char *suffix, open_fn open, tb_text text)
{
    tb_vocab_file *file = NULL;
    tb_tokenizer *tokenizer = NULL;
    tb_ids ids = {0};
    tb_error err = {0};
    tb_code rc = open(&file, text, (tb_text){0}, &err);
    if (!rc)
        rc = tb_tokenizer_new(&tokenizer, tb_vocab_file_get(file), &err);
    if (!rc)
        rc = tb_encode(&ids, tokenizer, slice_of("any  text éx x\xCC\x81\xCC\x96 12\xFF"), 0, &err);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
    tb_vocab_file_free(file);
    if (rc && rc != TB_ENOMEM)
        fail_msg("%s%s: %s", name, suffix, err.message);
    return rc;
}

static void vocab_file__survives_lack_of_memory_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *name, *suffix;
        open_fn open;
    } files[] = {
        {"bytes-gpt4o-nfc", ".json", tb_vocab_file_from_json},
        {"spaces-bpe", ".json", tb_vocab_file_from_json},
        {"spaces-unigram", ".json", tb_vocab_file_from_json},
        {"piece-unigram", ".model", tb_vocab_file_from_sentencepiece},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        tb_text text = read_golden(files[i].name, files[i].suffix);
        tb_code rc = TB_ENOMEM;
        long long n = 0;
        for (; rc && n < 2000; n++) {
            tb_mem_fail_after(n);
            rc = use(files[i].name, files[i].suffix, files[i].open, text);
            tb_mem_fail_after(-1);
        }
        assert_true(n > 5 && n < 2000);
        tb_free((char *)text.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__of_byte_level_bpe_agrees_with_its_library),
        cmocka_unit_test(json__of_models_over_characters_agrees_with_its_library),
        cmocka_unit_test(sentencepiece__agrees_with_its_library),
        cmocka_unit_test(spm__with_a_character_map_round_trips_what_the_map_leaves_alone),
        cmocka_unit_test(json__reads_special_tokens_and_settings),
        cmocka_unit_test(json__config_decides_whether_a_bos_is_added),
        cmocka_unit_test(json__takes_merges_as_pairs),
        cmocka_unit_test(sentencepiece__takes_added_tokens_of_the_config),
        cmocka_unit_test(merges__are_read_as_their_class_reads_them),
        cmocka_unit_test(merges__refuse_what_they_do_not_understand),
        cmocka_unit_test(json__refuses_what_it_does_not_understand_by_name),
        cmocka_unit_test(sentencepiece__refuses_damaged_files),
        cmocka_unit_test(charsmap__refuses_what_points_outside),
        cmocka_unit_test(vocab_file__survives_lack_of_memory_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
