// text: control tokens are recognised in some stretches of a text only, and nothing else about it changes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "small_vocab.h"

enum { MOST = 64 };

// A text and the stretches of it that may hold control tokens.
typedef struct prompt {
    char text[512];
    size_t size;
    tb_stretch own[MOST];
    size_t count;
} prompt;

// `marked` has the stretches in braces.
static prompt read_prompt(const char *marked)
{
    prompt p = {.size = 0};
    for (const char *at = marked; *at; at++) {
        if (*at == '{')
            p.own[p.count].begin = p.size;
        else if (*at == '}')
            p.own[p.count++].end = p.size;
        else
            p.text[p.size++] = *at;
    }
    return p;
}

static tb_tokenizer *make(const small_vocab *v)
{
    tb_tokenizer *tokenizer;
    tb_error err = {0};
    if (tb_tokenizer_new(&tokenizer, &v->vocab, &err))
        fail_msg("%s", err.message);
    return tokenizer;
}

static void check(const tb_tokenizer *tokenizer, const char *marked, const char *expected)
{
    prompt p = read_prompt(marked);
    tb_ids ids = {0};
    tb_str shown = {0};
    assert_int_equal(tb_encode_within(&ids, tokenizer, (tb_text){p.text, p.size}, p.own, p.count, 0, NULL), TB_OK);
    for (size_t i = 0; i < ids.size; i++) {
        tb_text token = tb_tokenizer_token(tokenizer, ids.data[i]);
        tb_str_printf(&shown, NULL, "%.*s|", (int)token.size, token.data);
    }
    assert_string_equal(tb_str_get(&shown), expected);
    tb_str_clear(&shown);
    tb_ids_clear(&ids);
}

static void bpe__no_byte_from_outside_helps_to_make_a_control_token(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    small_vocab_add(&v, "<|", 0, TB_TOKEN_CONTROL);
    small_vocab_add(&v, "<u>", 0, TB_TOKEN_USER_DEFINED);
    tb_tokenizer *tokenizer = make(&v);
    check(tokenizer, "{a<|end|>}b", "a|<|end|>|b|");
    check(tokenizer, "{a<|end|}>b", "a|<||e|n|d|||>|b|");
    check(tokenizer, "a<{|end|>}b", "a|<|||e|n|d|||>|b|");
    check(tokenizer, "{<|en}{d|>}", "<||e|n|d|||>|");
    check(tokenizer, "<|end|>", "<|||e|n|d|||>|");
    check(tokenizer, "<u>a{<u>}", "<u>|a|<u>|");
    tb_tokenizer_free(tokenizer);
}

// As if there were no stretches: merges and pre-tokens pass over their ends.
static void bpe__text_is_encoded_as_one(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    tb_tokenizer *tokenizer = make(&v);
    check(tokenizer, "he{ll}o{ t}he", "hello|Ġthe|");
    check(tokenizer, "{<|start|>h}ello{<|end|>}", "<|start|>|hello|<|end|>|");
    tb_tokenizer_free(tokenizer);
}

static void spm__masks_too_and_keeps_its_space_prefix(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    tb_tokenizer *tokenizer = make(&v);
    check(tokenizer, "{<s>the}{</s>}", "<s>|▁the|</s>|");
    check(tokenizer, "{<s>}the</s>{</s>}", "<s>|▁the|<0x3C>|<0x2F>|<0x73>|<0x3E>|</s>|");
    check(tokenizer, "{<s>t}he{</}s>", "<s>|▁the|<0x3C>|<0x2F>|<0x73>|<0x3E>|");
    check(tokenizer, "<unk>{<unk>}", "▁|<0x3C>|<0x75>|<0x6E>|<0x6B>|<0x3E>|<unk>|");
    tb_tokenizer_free(tokenizer);
}

static void strip_rules__work_across_the_ends_of_stretches(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    v.flags[small_vocab_add(&v, "<l>", 0, TB_TOKEN_CONTROL)] = TB_TOKEN_LSTRIP;
    v.flags[small_vocab_add(&v, "<r>", 0, TB_TOKEN_CONTROL)] = TB_TOKEN_RSTRIP;
    tb_tokenizer *tokenizer = make(&v);
    check(tokenizer, "a {<l>}b", "a|<l>|b|");
    check(tokenizer, "{a<r>} b", "a|<r>|b|");
    check(tokenizer, "{a} <l> <r> {b}", "a|Ġ|<|l|>|Ġ|<|r|>|Ġ|b|");
    tb_tokenizer_free(tokenizer);
}

static void normalised_tokens__are_masked_where_the_text_has_moved(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    v.flags[small_vocab_add(&v, "<n>", 0, TB_TOKEN_CONTROL)] = TB_TOKEN_NORMALIZED;
    v.vocab.nfc = true;
    tb_tokenizer *tokenizer = make(&v);
    // e and an acute become é, which is shorter
    check(tokenizer, "e\xCC\x81<n>{<n>}", "Ã©|<|n|>|<n>|");
    check(tokenizer, "{e\xCC\x81}e\xCC\x81<n>{h<n>e}<n>", "Ã©|Ã©|<|n|>|h|<n>|e|<|n|>|");
    check(tokenizer, "{<n>e}\xCC\x81", "<n>|Ã©|");
    check(tokenizer, "{<n}>", "<|n|>|");
    tb_tokenizer_free(tokenizer);
}

static void encode__is_the_same_for_one_stretch_and_for_none(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    v.vocab.nfc = true;
    v.flags[small_vocab_add(&v, "hell", 0, TB_TOKEN_CONTROL)] = TB_TOKEN_NORMALIZED;
    small_vocab_add(&v, " a", 0, TB_TOKEN_CONTROL);
    tb_tokenizer *tokenizer = make(&v);
    tb_rng rng;
    tb_rng_init(&rng, 7, 0);
    for (size_t round = 0; round < 300; round++) {
        tb_str text = {0};
        tb_ids expected = {0}, ids = {0};
        random_text(&text, (text_kind)(round % TEXT_KINDS), 200, &rng);
        tb_text all = {tb_str_get(&text), text.size};
        const tb_stretch whole = {0, all.size};
        for (size_t count = 0; count < 2; count++) {
            expected.size = ids.size = 0;
            assert_int_equal(tb_encode(&expected, tokenizer, all, count ? TB_ENCODE_SPECIAL : 0, NULL), TB_OK);
            assert_int_equal(tb_encode_within(&ids, tokenizer, all, &whole, count, 0, NULL), TB_OK);
            assert_int_equal(ids.size, expected.size);
            assert_memory_equal(ids.data, expected.data, ids.size * sizeof *ids.data);
        }
        tb_ids_clear(&expected);
        tb_ids_clear(&ids);
        tb_str_clear(&text);
    }
    tb_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe__no_byte_from_outside_helps_to_make_a_control_token),
        cmocka_unit_test(bpe__text_is_encoded_as_one),
        cmocka_unit_test(spm__masks_too_and_keeps_its_space_prefix),
        cmocka_unit_test(strip_rules__work_across_the_ends_of_stretches),
        cmocka_unit_test(normalised_tokens__are_masked_where_the_text_has_moved),
        cmocka_unit_test(encode__is_the_same_for_one_stretch_and_for_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
