// text against real vocabularies: encodings that llama.cpp's own tests expect, of texts that
// tease pre-tokenizers, for vocabulary-only GGUF files. Skips what the shared data lack.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vocab_gguf.h"

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

static void check_text(const tb_tokenizer *tokenizer, tb_slice text, const tb_ids *expected, const char *name)
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
        check_text(tokenizer, (tb_slice){text, (size_t)(end - text)}, &expected, name);
        checked++;
    }
    assert_true(checked >= 40);
    assert_int_equal(*line, '\0');
    tb_ids_clear(&expected);
    tb_free(input);
    tb_free(output);
}

static void check_gguf(const char *name)
{
    char relative[256];
    snprintf(relative, sizeof relative, "data/tokenizers/vectors/ggml-vocab-%s.gguf", name);
    const char *path = shared_path(relative);
    if (!path)
        skip();
    vocab_gguf file;
    tb_tokenizer *tokenizer;
    tb_error err;
    assert_int_equal(vocab_gguf_open(&file, path, &err), TB_OK);
    tb_code rc = tb_tokenizer_new(&tokenizer, &file.vocab, &err);
    if (rc)
        printf("%s: %s\n", name, err.message);
    assert_int_equal(rc, TB_OK);
    vocab_gguf_close(&file);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode__agrees_with_vectors_of_gpt2),
        cmocka_unit_test(encode__agrees_with_vectors_of_llama_spm),
        cmocka_unit_test(encode__agrees_with_vectors_of_phi3),
        cmocka_unit_test(encode__agrees_with_vectors_of_starcoder),
        cmocka_unit_test(encode__agrees_with_vectors_of_deepseek_llm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
