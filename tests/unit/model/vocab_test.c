// Tokenizers of checkpoints: read from metadata and folders, written, read again.
#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void expect_ids(const tb_model *model, const char *text, unsigned flags, const int32_t *expected, size_t n)
{
    int32_t *ids;
    size_t count;
    tb_error err;
    if (tb_model_tokenize(model, text, strlen(text), flags, &ids, &count, &err))
        fail_msg("%s", err.message);
    assert_int_equal(count, n);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    tb_free_ids(ids);
}

static void expect_text(const tb_model *model, const int32_t *ids, size_t n, bool special, const char *expected)
{
    char *text;
    size_t size;
    tb_error err;
    if (tb_model_detokenize(model, ids, n, special, &text, &size, &err))
        fail_msg("%s", err.message);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
    tb_free_text(text);
}

// 5 "▁the", 16 "▁", 7 "an", 20 "d", 21 "e", 9 "nd": see add_vocabulary in the generator. "an" wins over "nd".
static void gguf__brings_its_tokenizer(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    const int32_t ids[] = {1, 5, 16, 7, 20, 16, 21, 9};
    expect_ids(model, "the and end", TB_TOKENIZE_BOS, ids, 8);
    expect_ids(model, "the and end", 0, ids + 1, 7);
    expect_text(model, ids, 8, false, "the and end");
    expect_text(model, ids, 8, true, "<s> the and end");
    expect_text(model, NULL, 0, false, "");
    assert_true(tb_model_is_end(model, 2));
    assert_false(tb_model_is_end(model, 5));
    assert_int_equal(tb_tokenizer_bos(tb_model_tokenizer(model)), 1);
    assert_int_equal(tb_model_chat_template(model).size,
                     strlen("{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"));
    tb_model_close(model);
}

// 26 is the space, 29 " the", 32 " and"; 33 … 35 are the added tokens.
static void folder__brings_its_tokenizer(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("qwen2"), 1);
    const int32_t ids[] = {35, 29, 32, 26, 4, 13, 3};
    expect_ids(model, "<|im_end|> the and end", TB_TOKENIZE_BOS | TB_TOKENIZE_SPECIAL, ids, 7);
    expect_text(model, ids, 7, false, " the and end");
    expect_text(model, ids, 7, true, "<|im_end|> the and end");
    assert_true(tb_model_is_end(model, 35));
    assert_int_equal(tb_tokenizer_eos(tb_model_tokenizer(model)), 35);
    assert_int_not_equal(tb_model_chat_template(model).size, 0);
    tb_model_close(model);
}

static void model__without_a_tokenizer_says_so(void **state)
{
    (void)state;
    int32_t *ids;
    char *text;
    size_t n;
    tb_error err;
    tb_model *model = open_model(tiny_path("qwen2.gguf"), 1);
    assert_null(tb_model_tokenizer(model));
    assert_int_equal(tb_model_tokenize(model, "a", 1, 0, &ids, &n, &err), TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "no tokenizer"));
    assert_int_equal(tb_model_detokenize(model, NULL, 0, false, &text, &n, &err), TB_EUNSUPPORTED);
    assert_false(tb_model_is_end(model, 0));
    tb_model_close(model);
}

static void settings__of_the_metadata_are_heeded(void **state)
{
    (void)state;
    const model_edit edits[] = {
        {SET_FLAGS, "twobit.tokenizer.token_flags", 0, "0"}, // wrong length
        {SET_U32, "tokenizer.ggml.add_bos_token", 1, NULL},  // no truth value
        {SET_TEXT, "tokenizer.ggml.tokens", 0, "x"},         {SET_FLAGS, "tokenizer.ggml.scores", 0, "11"},
        {SET_TEXT, "tokenizer.ggml.token_type", 0, "x"},     {SET_FLAGS, "tokenizer.ggml.merges", 0, "1"},
        {SET_TEXT, "tokenizer.ggml.bos_token_id", 0, "1"},   {SET_U32, "tokenizer.chat_template", 1, NULL},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        tb_model *model;
        tb_error err;
        write_edited(temp_path("edited.gguf"), tiny_path("llama.gguf"), &edits[i], 1);
        assert_int_equal(tb_model_open(&model, temp_path("edited.gguf"), NULL, &err), TB_EFORMAT);
        assert_non_null(strstr(err.message, edits[i].name));
    }
}

// Writes nothing but the tokenizer of a checkpoint, reads that, and compares.
static void expect_same_after_writing(const char *path, const char *const *texts, size_t n)
{
    tb_checkpoint *in, *out;
    tb_gguf_writer *w;
    tb_tokenizer *before = NULL, *after = NULL;
    tb_error err;
    const char *copy = temp_path("vocabulary.gguf");
    if (tb_checkpoint_open(&in, path, &err) || tb_model_load_tokenizer(&before, in, &err))
        fail_msg("%s", err.message);
    assert_non_null(before);
    assert_int_equal(tb_gguf_writer_open(&w, copy, &err), TB_OK);
    assert_int_equal(tb_gguf_writer_add_text(w, "general.architecture", (tb_text){"llama", 5}, &err), TB_OK);
    if (tb_model_write_tokenizer(w, in, &err))
        fail_msg("%s", err.message);
    assert_int_equal(tb_gguf_writer_begin(w, &err), TB_OK);
    assert_int_equal(tb_gguf_writer_commit(w, &err), TB_OK);
    tb_gguf_writer_close(w);
    if (tb_checkpoint_open(&out, copy, &err) || tb_model_load_tokenizer(&after, out, &err))
        fail_msg("%s", err.message);
    assert_int_equal(!tb_checkpoint_find(in, "tokenizer.chat_template"),
                     !tb_checkpoint_find(out, "tokenizer.chat_template"));
    assert_int_equal(tb_tokenizer_size(after), tb_tokenizer_size(before));
    assert_int_equal(tb_tokenizer_bos(after), tb_tokenizer_bos(before));
    assert_int_equal(tb_tokenizer_eos(after), tb_tokenizer_eos(before));
    assert_int_equal(tb_tokenizer_adds_bos(after), tb_tokenizer_adds_bos(before));
    for (size_t id = 0; id < tb_tokenizer_size(before); id++)
        assert_int_equal(tb_tokenizer_ends_turn(after, (int32_t)id), tb_tokenizer_ends_turn(before, (int32_t)id));
    for (size_t i = 0; i < n; i++) {
        tb_ids a = {0}, b = {0};
        tb_text text = {texts[i], strlen(texts[i])};
        assert_int_equal(tb_encode(&a, before, text, TB_ENCODE_BOS | TB_ENCODE_SPECIAL, &err), TB_OK);
        assert_int_equal(tb_encode(&b, after, text, TB_ENCODE_BOS | TB_ENCODE_SPECIAL, &err), TB_OK);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size * sizeof *a.data);
        tb_ids_clear(&a), tb_ids_clear(&b);
    }
    tb_tokenizer_free(before), tb_tokenizer_free(after);
    tb_checkpoint_close(in), tb_checkpoint_close(out);
}

static const char *const texts[] = {
    "",
    "the and",
    "  two  spaces ",
    "Größe, e\xCC\x81 \xE2\x80\xA6 1234567",
    "\xff\xfe",
    "</s>x<|im_start|> user\n\n\tdone",
};

#define TEXTS (sizeof texts / sizeof texts[0])

static void write_tokenizer__keeps_that_of_a_gguf(void **state)
{
    (void)state;
    expect_same_after_writing(tiny_path("llama.gguf"), texts, TEXTS);
}

static void write_tokenizer__keeps_that_of_a_folder(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "the and", "<|im_end|>the<|im_start|> end"};
    expect_same_after_writing(tiny_path("qwen2"), plain, 3);
}

static void write_tokenizer__keeps_those_of_real_files(void **state)
{
    (void)state;
    static const char *const names[] = {"data/models/stories260K-hf", "data/models/stories260K.gguf",
                                        "data/tokenizers/vectors/ggml-vocab-gpt-2.gguf",
                                        "data/tokenizers/vectors/ggml-vocab-phi-3.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = shared_path(names[i]);
        if (!path)
            skip();
        expect_same_after_writing(path, texts, TEXTS);
    }
}

// tokenizer.json files whose steps GGUF has no keys for: a few of the golden ones, each a line.
static void write_tokenizer__keeps_steps(void **state)
{
    (void)state;
    static const char key[] = "{\"tokenizer\":", behind[] = ",\"texts\":";
    char *lines;
    size_t size, count = 0;
    assert_int_equal(tb_file_read(&lines, &size, tiny_path("../tokenizers/steps.jsonl"), 1 << 20, NULL), TB_OK);
    for (char *at = lines, *end; (end = strchr(at, '\n')) && count < 12; at = end + 1, count++) {
        *end = '\0';
        assert_memory_equal(at, key, strlen(key));
        char *json = at + strlen(key), *json_end = strstr(json, behind);
        temp_write("steps.json", json, (size_t)(json_end - json));
        expect_same_after_writing(temp_path("steps.json"), texts, TEXTS);
    }
    assert_int_equal(count, 12);
    tb_free(lines);
}

// ---- folders as people bring them ----

static void copy_file(const char *to, const char *from)
{
    char *bytes;
    size_t size;
    tb_error err;
    if (tb_file_read(&bytes, &size, from, 1 << 20, &err))
        fail_msg("%s", err.message);
    temp_write(to, bytes, size);
    tb_free(bytes);
}

static void write_text(const char *name, const char *text)
{
    temp_write(name, text, strlen(text));
}

// A folder with qwen2's weights, 96 rows of embedding, and the golden tokenizer FILE under that name.
static const char *make_folder(const char *name, const char *tokenizer, const char *file)
{
    char to[64], from[64];
    static const char *const parts[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(to, sizeof to, "%s/%s", name, parts[i]);
        snprintf(from, sizeof from, "qwen2/%s", parts[i]);
        copy_file(to, tiny_path(from));
    }
    snprintf(to, sizeof to, "%s/%s", name, file);
    snprintf(from, sizeof from, "../%s", tokenizer);
    copy_file(to, tiny_path(from));
    return temp_path(name);
}

static void folder__has_a_token_for_every_row(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("qwen2"), 1);
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    assert_int_equal(tb_tokenizer_size(tokenizer), 96);
    tb_text last = tb_tokenizer_token(tokenizer, 95);
    assert_int_equal(last.size, strlen("[PAD95]"));
    assert_memory_equal(last.data, "[PAD95]", last.size);
    expect_text(model, (const int32_t[]){29, 95}, 2, true, " the[PAD95]");
    tb_model_close(model);
}

static void folder__refuses_tokens_without_a_row(void **state)
{
    (void)state;
    tb_model *model;
    tb_error err;
    const char *path = make_folder("rows", "tokenizers/bytes-digits.json", "tokenizer.json");
    assert_int_equal(tb_model_open(&model, path, NULL, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "tokens, its embedding only 96 rows"));
}

// A GGUF file may name more ends than eos and eot; a copy names them under the same keys.
static void gguf__ends_where_any_of_its_keys_says(void **state)
{
    (void)state;
    static const uint32_t list[] = {2, 40};
    static const model_edit edits[] = {
        {SET_U32, "tokenizer.ggml.eom_token_id", 50, NULL},
        {SET_U32, "tokenizer.ggml.eot_token_id", 51, NULL},
        {SET_NUMBERS, "tokenizer.ggml.eos_token_ids", 2, list},
    };
    const char *path = temp_path("ends.gguf");
    write_edited(path, tiny_path("llama.gguf"), edits, 3);
    tb_model *model = open_model(path, 1);
    for (int32_t id = 0; id < (int32_t)tb_model_vocab_size(model); id++)
        assert_int_equal(tb_model_is_end(model, id), id == 2 || id == 40 || id == 50 || id == 51);
    tb_model_close(model);
    expect_same_after_writing(path, texts, 3);
    tb_checkpoint *copy;
    assert_int_equal(tb_checkpoint_open(&copy, temp_path("vocabulary.gguf"), NULL), TB_OK);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(tb_checkpoint_find(copy, edits[i].name));
    tb_checkpoint_close(copy);
}

static void folder__ends_where_its_generation_config_says(void **state)
{
    (void)state;
    const char *path = make_folder("ends", "models/qwen2/tokenizer.json", "tokenizer.json");
    write_text("ends/generation_config.json", "{\"eos_token_id\":[33,7]}");
    tb_model *model = open_model(path, 1);
    assert_true(tb_model_is_end(model, 33) && tb_model_is_end(model, 7));
    assert_false(tb_model_is_end(model, 8));
    assert_int_equal(tb_tokenizer_eos(tb_model_tokenizer(model)), 33);
    tb_model_close(model);
    expect_same_after_writing(path, texts, 3);
}

static void special_text__comes_from_whichever_file_names_it(void **state)
{
    (void)state;
    const char *path = make_folder("special", "models/qwen2/tokenizer.json", "tokenizer.json");
    write_text("special/special_tokens_map.json", "{\"bos_token\":{\"content\":\"<|im_start|>\"},\"eos_token\":\"x\"}");
    write_text("special/tokenizer_config.json", "{\"eos_token\":\"<|im_end|>\",\"model_max_length\":"
                                                "1000000000000000019884624838656}");
    tb_checkpoint *checkpoint;
    tb_tokenizer *tokenizer;
    tb_str bos = {0}, eos = {0};
    assert_int_equal(tb_checkpoint_open(&checkpoint, path, NULL), TB_OK);
    assert_int_equal(tb_model_special_text(&bos, checkpoint, 0, NULL), TB_OK);
    assert_int_equal(tb_model_special_text(&eos, checkpoint, 1, NULL), TB_OK);
    assert_string_equal(tb_str_get(&bos), "<|im_start|>");
    assert_string_equal(tb_str_get(&eos), "<|im_end|>");
    assert_int_equal(tb_model_load_tokenizer(&tokenizer, checkpoint, NULL), TB_OK);
    assert_int_equal(tb_tokenizer_bos(tokenizer), 34);
    assert_int_equal(tb_tokenizer_eos(tokenizer), 35);
    tb_tokenizer_free(tokenizer);
    tb_checkpoint_close(checkpoint);
    tb_str_clear(&bos), tb_str_clear(&eos);
}

// tokenizer.model with tokens that only added_tokens.json lists: 700 is text to everybody, 701 special.
static void write_tokenizer__keeps_the_space_prefix_over_user_defined_tokens(void **state)
{
    (void)state;
    copy_file("added/tokenizer.model", tiny_path("../tokenizers/piece-bpe.model"));
    write_text("added/added_tokens.json", "{\"<mood>\":700,\"<turn>\":701}");
    write_text("added/special_tokens_map.json", "{\"additional_special_tokens\":[\"<turn>\"]}");
    static const char *const marked[] = {"<mood>the end", "the<mood> end<mood>s", "<turn>the<mood><turn> end",
                                         "<mood>"};
    static const char *const legacy[] = {"{}", "{\"legacy\":false}"};
    for (size_t i = 0; i < 2; i++) {
        write_text("added/tokenizer_config.json", legacy[i]);
        expect_same_after_writing(temp_path("added"), marked, 4);
        expect_same_after_writing(temp_path("added"), texts, TEXTS);
    }
}

static void tokenizer_keys__are_told_from_others(void **state)
{
    (void)state;
    assert_true(tb_is_tokenizer_key((tb_text){"tokenizer.ggml.model", 20}));
    assert_true(tb_is_tokenizer_key((tb_text){"twobit.tokenizer.nfc", 20}));
    assert_false(tb_is_tokenizer_key((tb_text){"tokenizer", 9}));
    assert_false(tb_is_tokenizer_key((tb_text){"twobit.version", 14}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf__brings_its_tokenizer),
        cmocka_unit_test(folder__brings_its_tokenizer),
        cmocka_unit_test(model__without_a_tokenizer_says_so),
        cmocka_unit_test(settings__of_the_metadata_are_heeded),
        cmocka_unit_test(write_tokenizer__keeps_that_of_a_gguf),
        cmocka_unit_test(write_tokenizer__keeps_that_of_a_folder),
        cmocka_unit_test(write_tokenizer__keeps_those_of_real_files),
        cmocka_unit_test(write_tokenizer__keeps_steps),
        cmocka_unit_test(folder__has_a_token_for_every_row),
        cmocka_unit_test(folder__refuses_tokens_without_a_row),
        cmocka_unit_test(gguf__ends_where_any_of_its_keys_says),
        cmocka_unit_test(folder__ends_where_its_generation_config_says),
        cmocka_unit_test(special_text__comes_from_whichever_file_names_it),
        cmocka_unit_test(write_tokenizer__keeps_the_space_prefix_over_user_defined_tokens),
        cmocka_unit_test(tokenizer_keys__are_told_from_others),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
