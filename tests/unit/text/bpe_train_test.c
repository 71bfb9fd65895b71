// Learning a byte-level BPE, against counting all pairs anew for every merge; and what comes of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "text/text.h"

#define END "<|endoftext|>"

static json_t *train(const char *text, size_t size, size_t *count)
{
    tb_str json = {0};
    tb_error err;
    if (tb_bpe_train(&json, count, (tb_text){text, strlen(text)}, size, END, true, &err))
        fail_msg("%s", err.message);
    json_t *root = json_loads(json.data, 0, NULL);
    assert_non_null(root);
    tb_str_clear(&json);
    return root;
}

// ---- the plain way ----

enum { MOST_WORDS = 512, MOST_SYMBOLS = 16, MOST_TOKENS = 400 };

// Words as the pattern of GPT-2 cuts letters with single spaces between them, as numbers of tokens.
typedef struct plain {
    int symbols[MOST_WORDS][MOST_SYMBOLS];
    size_t sizes[MOST_WORDS], words;
    char tokens[MOST_TOKENS][64];
    int count;
} plain;

static void cut(plain *p, const char *text)
{
    p->count = 256;
    for (int i = 0; i < 256; i++)
        snprintf(p->tokens[i], sizeof p->tokens[i], "%s", i == ' ' ? "\xC4\xA0" : (char[]){(char)i, 0});
    for (const char *c = text; *c; c++) {
        if (*c == ' ' || c == text)
            p->words++;
        size_t word = p->words - 1;
        p->symbols[word][p->sizes[word]++] = (unsigned char)*c;
    }
}

// The pair that occurs most, of the oldest tokens; false: none twice.
static bool find_best(int best[2], const plain *p)
{
    static int counts[MOST_TOKENS][MOST_TOKENS];
    int most = 1;
    memset(counts, 0, sizeof counts);
    for (size_t w = 0; w < p->words; w++)
        for (size_t i = 0; i + 1 < p->sizes[w]; i++)
            counts[p->symbols[w][i]][p->symbols[w][i + 1]]++;
    for (int a = 0; a < p->count; a++)
        for (int b = 0; b < p->count; b++)
            if (counts[a][b] > most) {
                most = counts[a][b];
                best[0] = a;
                best[1] = b;
            }
    return most > 1;
}

static void merge(plain *p, const int pair[2])
{
    char joined[2 * sizeof p->tokens[0]];
    snprintf(joined, sizeof joined, "%s%s", p->tokens[pair[0]], p->tokens[pair[1]]);
    memcpy(p->tokens[p->count], joined, sizeof p->tokens[0]); // words are short
    for (size_t w = 0; w < p->words; w++) {
        size_t size = 0;
        for (size_t i = 0; i < p->sizes[w]; i++) {
            bool here = i + 1 < p->sizes[w] && p->symbols[w][i] == pair[0] && p->symbols[w][i + 1] == pair[1];
            p->symbols[w][size++] = here ? p->count : p->symbols[w][i];
            i += here;
        }
        p->sizes[w] = size;
    }
    p->count++;
}

// Words of few letters, so that pairs repeat and overlap ("aaa").
static void make_text(char *text, size_t words, uint64_t seed)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    size_t n = 0;
    for (size_t w = 0; w < words; w++) {
        if (w)
            text[n++] = ' ';
        for (uint64_t left = 1 + tb_rng_below(&rng, 10); left; left--)
            text[n++] = (char)('a' + tb_rng_below(&rng, 1 + tb_rng_below(&rng, 4)));
    }
    text[n] = '\0';
}

static void bpe_train__merges_what_occurs_most(void **state)
{
    (void)state;
    static char text[MOST_WORDS * 12];
    for (uint64_t seed = 0; seed < 8; seed++) {
        static plain p;
        memset(&p, 0, sizeof p);
        make_text(text, 300, seed);
        cut(&p, text);
        size_t count;
        json_t *root = train(text, 257 + 100, &count);
        const json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
        int best[2];
        size_t i = 0;
        for (; i < 100 && find_best(best, &p); i++) {
            char expected[160];
            snprintf(expected, sizeof expected, "%s %s", p.tokens[best[0]], p.tokens[best[1]]);
            assert_string_equal(json_string_value(json_array_get(merges, i)), expected);
            merge(&p, best);
        }
        assert_int_equal(json_array_size(merges), i);
        assert_int_equal(count, 257 + i);
        json_decref(root);
    }
}

// ---- what comes of it ----

static tb_tokenizer *make_tokenizer(const char *text, size_t size)
{
    tb_str json = {0};
    tb_vocab_file *file;
    tb_tokenizer *tokenizer;
    tb_error err;
    size_t count;
    assert_int_equal(tb_bpe_train(&json, &count, (tb_text){text, strlen(text)}, size, END, true, &err), TB_OK);
    assert_int_equal(tb_vocab_file_from_json(&file, (tb_text){json.data, json.size}, (tb_text){0}, &err), TB_OK);
    assert_int_equal(tb_tokenizer_new(&tokenizer, tb_vocab_file_get(file), &err), TB_OK);
    assert_int_equal(tb_tokenizer_size(tokenizer), count);
    tb_vocab_file_free(file);
    tb_str_clear(&json);
    return tokenizer;
}

static void assert_round_trip(const tb_tokenizer *tokenizer, const char *text, size_t size)
{
    tb_ids ids = {0};
    tb_str back = {0};
    assert_int_equal(tb_encode(&ids, tokenizer, (tb_text){text, size}, 0, NULL), TB_OK);
    assert_int_equal(tb_decode(&back, tokenizer, ids.data, ids.size, false, NULL), TB_OK);
    assert_int_equal(back.size, size);
    assert_memory_equal(tb_str_get(&back), text, size);
    tb_ids_clear(&ids);
    tb_str_clear(&back);
}

static void bpe_train__makes_tokenizers_of_any_bytes(void **state)
{
    (void)state;
    const char text[] = "The cat, the hat — naïve façade. 1234 12 x\n\tfoo  bar\n" END "the end";
    for (size_t size = 257; size < 300; size += 14) {
        tb_tokenizer *tokenizer = make_tokenizer(text, size);
        assert_round_trip(tokenizer, text, sizeof text - 1);
        assert_round_trip(tokenizer, "\xff\x00\xfe other \xc3", 11);
        tb_tokenizer_free(tokenizer);
    }
}

static void bpe_train__knows_the_end_of_documents(void **state)
{
    (void)state;
    tb_tokenizer *tokenizer = make_tokenizer("endoftext endoftext" END "endoftext <| <| |> |>", 290);
    int32_t end = tb_tokenizer_find(tokenizer, (tb_text){END, strlen(END)});
    tb_ids ids = {0};
    assert_int_equal(end, (int32_t)tb_tokenizer_size(tokenizer) - 1);
    assert_int_equal(tb_tokenizer_bos(tokenizer), end);
    assert_true(tb_tokenizer_adds_bos(tokenizer));
    assert_int_equal(tb_encode(&ids, tokenizer, (tb_text){"a" END "b", 15}, TB_ENCODE_SPECIAL | TB_ENCODE_BOS, NULL),
                     TB_OK);
    assert_int_equal(ids.size, 4);
    assert_int_equal(ids.data[0], end);
    assert_int_equal(ids.data[2], end);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

static void bpe_train__takes_what_it_is_given(void **state)
{
    (void)state;
    tb_str json = {0};
    tb_error err;
    size_t count;
    assert_int_equal(tb_bpe_train(&json, &count, (tb_text){"abc", 3}, 256, END, true, &err), TB_EINVAL);
    assert_int_equal(tb_bpe_train(&json, &count, (tb_text){"", 0}, 400, END, true, &err), TB_OK);
    assert_int_equal(count, 257);
    tb_str_clear(&json);
}

static void bpe_train__survives_lack_of_memory(void **state)
{
    (void)state;
    bool done = false;
    for (long long n = 0; !done; n++) {
        tb_str json = {0};
        tb_error err;
        size_t count;
        tb_mem_fail_after(n);
        tb_code rc = tb_bpe_train(&json, &count, (tb_text){"the the then hen", 16}, 262, END, false, &err);
        tb_mem_fail_after(-1);
        done = rc == TB_OK;
        assert_true(done || rc == TB_ENOMEM);
        tb_str_clear(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_train__merges_what_occurs_most),
        cmocka_unit_test(bpe_train__makes_tokenizers_of_any_bytes),
        cmocka_unit_test(bpe_train__knows_the_end_of_documents),
        cmocka_unit_test(bpe_train__takes_what_it_is_given),
        cmocka_unit_test(bpe_train__survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
