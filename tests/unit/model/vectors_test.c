// Tokenizers against real vocabularies: encodings that llama.cpp's own tests expect, of texts that
// tease pre-tokenizers, and the numbers of tokens of WikiText-2. Vocabularies come the way that users'
// do: opened as a checkpoint, a GGUF file or a folder; GPT-2's own files are put together here.
// Skips what the shared data lack.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

// Reads the ids of one line; returns the text behind it.
static const char *read_ids(tb_ids *ids, const char *line)
{
    ids->size = 0;
    while (*line && *line != '\n') {
        char *end;
        long id = strtol(line, &end, 10);
        if (end == line)
            break;
        ids->data = tb_realloc(ids->data, ids->size * sizeof *ids->data, (ids->size + 1) * sizeof *ids->data);
        ids->data[ids->size++] = (int32_t)id;
        line = end;
    }
    line = strchr(line, '\n');
    return line ? line + 1 : "";
}

static void check_text(const tb_tokenizer *tokenizer, tb_text text, const tb_ids *expected, const char *name)
{
    tb_ids ids = {0};
    tb_error err;
    assert_int_equal(tb_encode(&ids, tokenizer, text, 0, &err), TB_OK);
    bool same = ids.size == expected->size;
    for (size_t i = 0; same && i < ids.size; i++)
        same = ids.data[i] == expected->data[i];
    if (!same) {
        printf("%s: '%.*s' becomes", name, (int)text.size, text.data);
        for (size_t i = 0; i < ids.size; i++)
            printf(" %d", (int)ids.data[i]);
        printf(" instead of");
        for (size_t i = 0; i < expected->size; i++)
            printf(" %d", (int)expected->data[i]);
        printf("\n");
    }
    assert_true(same);
    tb_ids_clear(&ids);
}

static char *read_shared(const char *folder, const char *name, const char *suffix)
{
    char relative[256];
    snprintf(relative, sizeof relative, "%s%s%s", folder, name, suffix);
    const char *path = shared_path(relative);
    char *text = NULL;
    size_t size;
    tb_error err;
    if (path)
        assert_int_equal(tb_file_read(&text, &size, path, 1 << 20, &err), TB_OK);
    return text;
}

// Every text of NAME.inp must become the ids of its line in NAME.out.
static void check_vectors(const tb_tokenizer *tokenizer, const char *name)
{
    char *input = read_shared("data/tokenizers/vectors/ggml-vocab-", name, ".gguf.inp");
    char *output = read_shared("data/tokenizers/vectors/ggml-vocab-", name, ".gguf.out");
    if (!input || !output)
        skip();
    tb_ids expected = {0};
    size_t checked = 0;
    const char *line = output;
    for (char *text = input, *end; (end = strstr(text, SEPARATOR)); text = end + strlen(SEPARATOR)) {
        line = read_ids(&expected, line);
        check_text(tokenizer, (tb_text){text, (size_t)(end - text)}, &expected, name);
        checked++;
    }
    assert_true(checked >= 40);
    assert_int_equal(*line, '\0');
    tb_ids_clear(&expected);
    tb_free(input);
    tb_free(output);
}

// The tokenizer of a file or folder that must have one.
static tb_tokenizer *load(const char *path)
{
    tb_checkpoint *checkpoint;
    tb_tokenizer *tokenizer = NULL;
    tb_error err = {0};
    if (tb_checkpoint_open(&checkpoint, path, &err) || tb_model_load_tokenizer(&tokenizer, checkpoint, &err))
        fail_msg("%s", err.message);
    assert_non_null(tokenizer);
    tb_checkpoint_close(checkpoint);
    return tokenizer;
}

static tb_tokenizer *load_shared(const char *name)
{
    const char *path = shared_path(name);
    if (!path)
        skip();
    return load(path);
}

static void check_gguf(const char *name)
{
    char relative[256];
    snprintf(relative, sizeof relative, "data/tokenizers/vectors/ggml-vocab-%s.gguf", name);
    tb_tokenizer *tokenizer = load_shared(relative);
    check_vectors(tokenizer, name);
    tb_tokenizer_free(tokenizer);
}

static void encode__agrees_with_vectors_of_gpt2(void **state)
{
    (void)state;
    check_gguf("gpt-2");
}

static void encode__agrees_with_vectors_of_llama_spm(void **state)
{
    (void)state;
    check_gguf("llama-spm");
}

static void encode__agrees_with_vectors_of_phi3(void **state)
{
    (void)state;
    check_gguf("phi-3");
}

// As llama.cpp does it: behind <|user|>, <|end|> and <|assistant|> (32010, 32007, 32001) white space goes.
static void phi3__strips_behind_special_tokens(void **state)
{
    (void)state;
    tb_tokenizer *tokenizer = load_shared("data/tokenizers/vectors/ggml-vocab-phi-3.gguf");
    static const int32_t expected[] = {32010, 317, 21554, 13, 17628, 32007, 32001, 32000, 29871, 13};
    tb_ids ids = {0};
    static const char written[] = "<|user|>\nSYS\nHI<|end|>\n<|assistant|> \n<|endoftext|>\n";
    tb_text text = {written, sizeof written - 1};
    assert_int_equal(tb_encode(&ids, tokenizer, text, TB_ENCODE_SPECIAL, NULL), TB_OK);
    assert_int_equal(ids.size, sizeof expected / sizeof *expected);
    assert_memory_equal(ids.data, expected, sizeof expected);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

static void encode__agrees_with_vectors_of_starcoder(void **state)
{
    (void)state;
    check_gguf("starcoder");
}

static void encode__agrees_with_vectors_of_deepseek_llm(void **state)
{
    (void)state;
    check_gguf("deepseek-llm");
}

// ---- Hugging Face's files ----

// Unpacks an .xz file of the shared data; NULL when it is absent or cannot be unpacked.
static char *unpack(size_t *size, const char *relative)
{
    const char *path = shared_path(relative);
    char command[4200];
    snprintf(command, sizeof command, "xz -dc '%s'", path ? path : "");
    FILE *pipe = path ? popen(command, "r") : NULL;
    if (!pipe)
        return NULL;
    tb_str text = {0};
    static char chunk[1 << 16];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, pipe)) > 0;)
        assert_int_equal(tb_str_append(&text, chunk, n, NULL), TB_OK);
    bool ok = pclose(pipe) == 0;
    if (!ok)
        printf("SKIPPED: '%s' failed; is xz installed?\n", command);
    *size = text.size;
    return ok ? text.data : NULL;
}

// A folder with the tokenizer files of data/tokenizers/NAME.
static const char *unpack_folder(const char *name)
{
    char relative[256], file[64];
    snprintf(relative, sizeof relative, "data/tokenizers/%s/tokenizer.json.xz", name);
    size_t size = 0;
    char *json = unpack(&size, relative), *config;
    if (!json)
        skip();
    snprintf(file, sizeof file, "%s/tokenizer.json", name);
    temp_write(file, json, size);
    tb_free(json);
    snprintf(relative, sizeof relative, "data/tokenizers/%s/tokenizer_config.json", name);
    assert_int_equal(tb_file_read(&config, &size, shared_path(relative), 1 << 20, NULL), TB_OK);
    snprintf(file, sizeof file, "%s/tokenizer_config.json", name);
    temp_write(file, config, size);
    tb_free(config);
    return temp_path(name);
}

// Writes the tokenizer of a folder as GGUF metadata, as quantize does.
static void write_gguf(const char *path, const char *folder)
{
    tb_checkpoint *in;
    tb_gguf_writer *w;
    assert_int_equal(tb_checkpoint_open(&in, folder, NULL), TB_OK);
    assert_int_equal(tb_gguf_writer_open(&w, path, NULL), TB_OK);
    assert_int_equal(tb_model_write_tokenizer(w, in, NULL), TB_OK);
    assert_int_equal(tb_gguf_writer_begin(w, NULL), TB_OK);
    assert_int_equal(tb_gguf_writer_commit(w, NULL), TB_OK);
    tb_gguf_writer_close(w);
    tb_checkpoint_close(in);
}

// WikiText-2's raw test split must be so many tokens and come back from them.
static void check_wiki(const tb_tokenizer *tokenizer, size_t count)
{
    const char *path = shared_path("data/text/wiki.test.raw");
    char *text;
    size_t size;
    if (!path)
        skip();
    assert_int_equal(tb_file_read(&text, &size, path, 1 << 24, NULL), TB_OK);
    tb_ids ids = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, (tb_text){text, size}, 0, NULL), TB_OK);
    assert_int_equal(ids.size, count);
    tb_str back = {0};
    assert_int_equal(tb_decode(&back, tokenizer, ids.data, ids.size, false, NULL), TB_OK);
    assert_int_equal(back.size, size);
    assert_memory_equal(back.data, text, size);
    tb_str_clear(&back);
    tb_ids_clear(&ids);
    tb_free(text);
}

static void folder__of_llama3_agrees_with_vectors_and_count(void **state)
{
    (void)state;
    tb_tokenizer *tokenizer = load(unpack_folder("llama3_1"));
    assert_true(tb_tokenizer_adds_bos(tokenizer));
    assert_int_equal(tb_tokenizer_bos(tokenizer), 128000);
    assert_int_equal(tb_tokenizer_eos(tokenizer), 128009);
    check_vectors(tokenizer, "llama-bpe");
    check_wiki(tokenizer, 289076);
    tb_tokenizer_free(tokenizer);
}

static void folder__of_qwen3_agrees_with_vectors_and_count(void **state)
{
    (void)state;
    tb_tokenizer *tokenizer = load(unpack_folder("qwen3"));
    assert_false(tb_tokenizer_adds_bos(tokenizer));
    assert_int_equal(tb_tokenizer_eos(tokenizer), 151645);
    check_vectors(tokenizer, "qwen2");
    check_wiki(tokenizer, 299078);
    tb_tokenizer_free(tokenizer);
}

// The vectors of Qwen3.5 have Qwen3's tokens, another pattern, and, as GGUF files go, no NFC.
static void gguf__written_from_folders_agrees_with_vectors(void **state)
{
    (void)state;
    static const model_edit qwen35[] = {{SET_TEXT, "tokenizer.ggml.pre", 0, "qwen35"},
                                        {DROP_KEY, "twobit.tokenizer.nfc", 0, NULL}};
    write_gguf(temp_path("llama3.gguf"), unpack_folder("llama3_1"));
    write_gguf(temp_path("qwen3.gguf"), unpack_folder("qwen3"));
    write_edited(temp_path("qwen35.gguf"), temp_path("qwen3.gguf"), qwen35, 2);
    static const char *const files[][2] = {
        {"llama3.gguf", "llama-bpe"}, {"qwen3.gguf", "qwen2"}, {"qwen35.gguf", "qwen35"}};
    for (size_t i = 0; i < 3; i++) {
        tb_tokenizer *tokenizer = load(temp_path(files[i][0]));
        check_vectors(tokenizer, files[i][1]);
        tb_tokenizer_free(tokenizer);
    }
}

// GPT-2's vocab.json maps texts to ids, merges.txt has a comment and a merge a line.
static void gpt2__from_its_own_files_agrees_with_vectors_and_count(void **state)
{
    (void)state;
    const char *path = shared_path("data/tokenizers/gpt2/gpt2_vocab.json");
    if (!path)
        skip();
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    char *text;
    size_t size;
    assert_int_equal(tb_file_read(&text, &size, shared_path("data/tokenizers/gpt2/gpt2_merges.txt"), 1 << 20, NULL),
                     TB_OK);
    tb_vocab vocab = {.model = TB_VOCAB_BPE, .pre = {"gpt-2", 5}, .size = json_object_size(json)};
    tb_vocab_set_defaults(&vocab);
    tb_text *tokens = tb_alloc_array(vocab.size, sizeof *tokens), *merges = tb_alloc_array(vocab.size, sizeof *merges);
    const char *key;
    json_t *id;
    json_object_foreach(json, key, id) tokens[json_integer_value(id)] = (tb_text){key, strlen(key)};
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "#version", 8) != 0)
            merges[vocab.merge_count++] = (tb_text){line, strlen(line)};
    vocab.tokens = tokens;
    vocab.merges = merges;
    tb_tokenizer *tokenizer;
    assert_int_equal(tb_tokenizer_new(&tokenizer, &vocab, NULL), TB_OK);
    tb_free(tokens);
    tb_free(merges);
    tb_free(text);
    json_decref(json);
    check_vectors(tokenizer, "gpt-2");
    check_wiki(tokenizer, 286221);
    tb_tokenizer_free(tokenizer);
}

// ---- stories260K: the same vocabulary in both containers ----

static void sentencepiece__agrees_with_the_gguf_of_the_same_model(void **state)
{
    (void)state;
    tb_tokenizer *from_model = load_shared("data/models/tok512.model");
    tb_tokenizer *from_gguf = load_shared("data/models/stories260K.gguf");
    tb_error err;
    tb_text text = {"Once upon a time, Lily saw a bird.\nIt's \xC3\xA9\xE6\x97\xA5!", 44};
    tb_ids a = {0}, b = {0};
    assert_int_equal(tb_encode(&a, from_model, text, TB_ENCODE_BOS, &err), TB_OK);
    assert_int_equal(tb_encode(&b, from_gguf, text, TB_ENCODE_BOS, &err), TB_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size * sizeof *a.data);
    const int32_t start[] = {1, 403, 407, 261, 378}; // "<s> Once upon a time"
    assert_memory_equal(a.data, start, sizeof start);
    tb_ids_clear(&a);
    tb_ids_clear(&b);
    tb_tokenizer_free(from_model);
    tb_tokenizer_free(from_gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode__agrees_with_vectors_of_gpt2),
        cmocka_unit_test(encode__agrees_with_vectors_of_llama_spm),
        cmocka_unit_test(encode__agrees_with_vectors_of_phi3),
        cmocka_unit_test(phi3__strips_behind_special_tokens),
        cmocka_unit_test(encode__agrees_with_vectors_of_starcoder),
        cmocka_unit_test(encode__agrees_with_vectors_of_deepseek_llm),
        cmocka_unit_test(folder__of_llama3_agrees_with_vectors_and_count),
        cmocka_unit_test(folder__of_qwen3_agrees_with_vectors_and_count),
        cmocka_unit_test(gguf__written_from_folders_agrees_with_vectors),
        cmocka_unit_test(gpt2__from_its_own_files_agrees_with_vectors_and_count),
        cmocka_unit_test(sentencepiece__agrees_with_the_gguf_of_the_same_model),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
