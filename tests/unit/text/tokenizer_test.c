// text: tokenizers on small vocabularies of the test's own. Properties (round trips, agreement with
// plain quadratic algorithms), rules of added tokens, refusals, lack of memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small_vocab.h"

static tb_tokenizer *make(const small_vocab *v)
{
    tb_tokenizer *tokenizer;
    tb_error err = {0};
    if (tb_tokenizer_new(&tokenizer, &v->vocab, &err))
        fail_msg("%s", err.message);
    return tokenizer;
}

static tb_ids encode(const tb_tokenizer *tokenizer, tb_text text, unsigned flags)
{
    tb_ids ids = {0};
    tb_error err = {0};
    if (tb_encode(&ids, tokenizer, text, flags, &err))
        fail_msg("%s", err.message);
    return ids;
}

// The tokens of a text, each followed by '|'; a few such results may live at a time.
static const char *shown(const tb_tokenizer *tokenizer, const char *text, unsigned flags)
{
    static char out[4][512];
    static unsigned next;
    char *at = out[next++ % 4];
    char *start = at;
    tb_ids ids = encode(tokenizer, slice_of(text), flags);
    *at = '\0';
    for (size_t i = 0; i < ids.size; i++) {
        tb_text token = tb_tokenizer_token(tokenizer, ids.data[i]);
        at += sprintf(at, "%.*s|", (int)token.size, token.data);
    }
    tb_ids_clear(&ids);
    return start;
}

// ---- UTF-8 ----

static void utf8__round_trips_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        char text[4];
        uint32_t back = 0;
        size_t n = tb_utf8_encode(text, c);
        bool valid = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        assert_int_equal(n > 0, valid);
        if (!valid)
            continue;
        assert_int_equal(tb_utf8_decode(&back, text, n), n);
        assert_int_equal(back, c);
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(tb_utf8_decode(&back, text, cut), 0);
            assert_int_equal(tb_utf8_unfinished(text, cut), cut);
        }
        assert_int_equal(tb_utf8_unfinished(text, n), 0);
    }
}

static void utf8__refuses_what_is_no_character(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",     "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF",         "\xC3\x28",         "\xE2\x28\xA1",     "\xF0\x9F\x98"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t c;
        assert_int_equal(tb_utf8_decode(&c, bad[i], strlen(bad[i])), 0);
        assert_int_equal(tb_utf8_valid_prefix(bad[i], strlen(bad[i])), 0);
    }
    assert_int_equal(tb_utf8_unfinished("\xE0\x80", 2), 0);
    assert_int_equal(tb_utf8_unfinished("\xED\xA0", 2), 0);
    assert_int_equal(tb_utf8_unfinished("\xF4\x90", 2), 0);
    assert_int_equal(tb_utf8_valid_prefix("hé\xF0\x9F\x98\x80!\xFFx", 10), 8);
}

// ---- merging ----

// The tokens of a piece by the definition: again and again the pair of best rank, the leftmost of equals.
static void merge_plainly(tb_ids *ids, const small_vocab *v, const tb_tokenizer *tokenizer)
{
    for (;;) {
        size_t best = 0, best_rank = SIZE_MAX;
        int32_t result = -1;
        for (size_t i = 0; i + 1 < ids->size; i++) {
            tb_text a = tb_tokenizer_token(tokenizer, ids->data[i]),
                    b = tb_tokenizer_token(tokenizer, ids->data[i + 1]);
            char merge[64], joined[64];
            snprintf(merge, sizeof merge, "%.*s %.*s", (int)a.size, a.data, (int)b.size, b.data);
            snprintf(joined, sizeof joined, "%.*s%.*s", (int)a.size, a.data, (int)b.size, b.data);
            for (size_t rank = 0; rank < v->vocab.merge_count && rank < best_rank; rank++)
                if (v->merges[rank].size == strlen(merge) && memcmp(v->merges[rank].data, merge, strlen(merge)) == 0) {
                    best = i;
                    best_rank = rank;
                    result = tb_tokenizer_find(tokenizer, slice_of(joined));
                }
        }
        if (best_rank == SIZE_MAX)
            return;
        ids->data[best] = result;
        memmove(ids->data + best + 1, ids->data + best + 2, (ids->size - best - 2) * sizeof *ids->data);
        ids->size--;
    }
}

static void bpe__agrees_with_merging_by_the_definition(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "regex:(?s).+"); // the whole text is one piece
    tb_tokenizer *tokenizer = make(&v);
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    tb_str text = {0};
    for (size_t i = 0; i < 300; i++) {
        random_text(&text, TEXT_WORDS, 1 + tb_rng_below(&rng, 40), &rng);
        tb_ids ids = encode(tokenizer, (tb_text){text.data, text.size}, 0);
        int32_t plain[64];
        tb_ids expected = {plain, text.size, 64};
        for (size_t k = 0; k < text.size; k++)
            plain[k] = (unsigned char)text.data[k];
        merge_plainly(&expected, &v, tokenizer);
        assert_int_equal(ids.size, expected.size);
        assert_memory_equal(ids.data, expected.data, ids.size * sizeof *ids.data);
        tb_ids_clear(&ids);
    }
    tb_str_clear(&text);
    tb_tokenizer_free(tokenizer);
}

static void bpe__merges_by_rank_and_from_left_to_right(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "hello the aaaaa", 0), "hello|Ġthe|Ġ|aaaa|a|");
    assert_string_equal(shown(tokenizer, "abab aba", 0), "ab|ab|Ġ|aba|");
    tb_tokenizer_free(tokenizer);
}

static void bpe__takes_a_whole_piece_only_when_merges_are_ignored(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    small_vocab_add(&v, "Ġxyz", 0, TB_TOKEN_NORMAL); // no merge leads there
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "xyz xyz", 0), "x|y|z|Ġ|x|y|z|");
    tb_tokenizer_free(tokenizer);
    v.vocab.ignore_merges = true;
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "xyz xyz", 0), "x|y|z|Ġxyz|");
    tb_tokenizer_free(tokenizer);
}

static void spm__merges_by_score_and_falls_back_to_bytes(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "the hello", 0), "▁the|▁|hello|");
    assert_string_equal(shown(tokenizer, "étéz", 0), "▁|été|<0x7A>|");
    assert_string_equal(shown(tokenizer, "\xFF", TB_ENCODE_BOS), "<s>|▁|<0xFF>|");
    assert_string_equal(shown(tokenizer, "", 0), "");
    tb_tokenizer_free(tokenizer);
    v.vocab.byte_fallback = false;
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "azza", 0), "▁a|<unk>|a|");
    tb_tokenizer_free(tokenizer);
}

// The tokens of a text by the definition: again and again the pair of best score, the leftmost of equals.
static void merge_by_score_plainly(tb_text *symbols, size_t *count, const small_vocab *v, const tb_tokenizer *tokenizer)
{
    for (;;) {
        size_t best = SIZE_MAX;
        float best_score = -1e9f;
        for (size_t i = 0; i + 1 < *count; i++) {
            tb_text joined = {symbols[i].data, symbols[i].size + symbols[i + 1].size};
            int32_t id = tb_tokenizer_find(tokenizer, joined);
            if (id >= 0 && v->kinds[id] == TB_TOKEN_NORMAL && v->scores[id] > best_score) {
                best = i;
                best_score = v->scores[id];
            }
        }
        if (best == SIZE_MAX)
            return;
        symbols[best].size += symbols[best + 1].size;
        memmove(symbols + best + 1, symbols + best + 2, (*count - best - 2) * sizeof *symbols);
        --*count;
    }
}

static void spm__agrees_with_merging_by_the_definition(void **state)
{
    (void)state;
    static small_vocab v;
    tb_rng rng;
    tb_rng_init(&rng, 4, 0);
    tb_str text = {0};
    for (size_t i = 0; i < 400; i++) {
        small_vocab_spm(&v);
        v.vocab.add_space_prefix = false;
        if (i % 2) // a token across words: texts can no longer be cut there
            small_vocab_add(&v, "a▁", -3.5f, TB_TOKEN_NORMAL);
        tb_tokenizer *tokenizer = make(&v);
        random_text(&text, TEXT_WORDS, 1 + tb_rng_below(&rng, 40), &rng);
        tb_str marked = {0};
        tb_text symbols[64];
        size_t count = 0;
        for (size_t k = 0; k < text.size; k++)
            tb_str_append_text(&marked, text.data[k] == ' ' ? "▁" : (char[]){text.data[k], '\0'}, NULL);
        for (size_t at = 0, n; at < marked.size; at += n) {
            uint32_t c;
            n = tb_utf8_decode(&c, marked.data + at, marked.size - at);
            symbols[count++] = (tb_text){marked.data + at, n};
        }
        merge_by_score_plainly(symbols, &count, &v, tokenizer);
        tb_ids ids = encode(tokenizer, (tb_text){text.data, text.size}, 0);
        size_t at = 0;
        for (size_t k = 0; k < count; k++) {
            int32_t id = tb_tokenizer_find(tokenizer, symbols[k]);
            if (id < 0) // one byte: no character of these texts is longer and lacks a token
                id = 3 + (unsigned char)symbols[k].data[0];
            assert_int_equal(ids.data[at++], id);
        }
        assert_int_equal(at, ids.size);
        tb_ids_clear(&ids);
        tb_str_clear(&marked);
        tb_tokenizer_free(tokenizer);
    }
    tb_str_clear(&text);
}

static void spm__with_merges_goes_by_their_ranks(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    v.vocab.add_space_prefix = false;
    v.merges[v.vocab.merge_count++] = slice_of("b a");
    small_vocab_add(&v, "ba", -100, TB_TOKEN_NORMAL);
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "aba hello", 0), "a|ba|▁|h|e|l|l|o|");
    tb_tokenizer_free(tokenizer);
}

// The best sum of scores of any segmentation of `text`, by trying all of them.
static double best_score(const small_vocab *v, const tb_tokenizer *tokenizer, tb_text text)
{
    if (text.size == 0)
        return 0;
    double best = -1e9;
    for (size_t n = 1; n <= text.size; n++) {
        int32_t id = tb_tokenizer_find(tokenizer, (tb_text){text.data, n});
        if (id >= 0 && v->kinds[id] == TB_TOKEN_NORMAL) {
            double score = (double)v->scores[id] + best_score(v, tokenizer, (tb_text){text.data + n, text.size - n});
            best = score > best ? score : best;
        }
    }
    return best;
}

static void unigram__finds_the_best_segmentation(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    v.vocab.model = TB_VOCAB_UNIGRAM;
    v.vocab.add_space_prefix = false;
    tb_rng rng;
    tb_rng_init(&rng, 6, 0);
    for (size_t i = 0; i < v.vocab.size; i++)
        v.scores[i] = -1 - 10 * (float)tb_rng_uniform(&rng);
    tb_tokenizer *tokenizer = make(&v);
    for (size_t i = 0; i < 300; i++) {
        static const char letters[] = "aabbthello";
        char text[12];
        size_t size = 1 + tb_rng_below(&rng, sizeof text);
        for (size_t k = 0; k < size; k++)
            text[k] = letters[tb_rng_below(&rng, sizeof letters - 1)];
        tb_ids ids = encode(tokenizer, (tb_text){text, size}, 0);
        double score = 0, best = best_score(&v, tokenizer, (tb_text){text, size});
        for (size_t k = 0; k < ids.size; k++)
            score += (double)v.scores[ids.data[k]];
        assert_true(score > best - 1e-9);
        tb_ids_clear(&ids);
    }
    assert_string_equal(shown(tokenizer, "a\xFF!b", 0), "a|<0xFF>|<0x21>|b|");
    tb_tokenizer_free(tokenizer);
    v.vocab.byte_fallback = false;
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "a\xFF!b!", 0), "a|<unk>|b|<unk>|");
    tb_tokenizer_free(tokenizer);
}

// Quadratic work would take minutes: the suite's time limit ends it.
static void encode__is_quick_on_a_long_text_without_a_break(void **state)
{
    (void)state;
    static small_vocab v;
    enum { SIZE = 1 << 18 };
    static const char *const units[] = {"a", "ab", "é", " ", "!", "1"};
    char *text = tb_alloc(SIZE);
    for (int model = TB_VOCAB_SPM; model <= TB_VOCAB_BPE; model++)
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            for (size_t i = 0; i < SIZE; i++)
                text[i] = units[u][i % strlen(units[u])];
            model == TB_VOCAB_BPE ? small_vocab_bpe(&v, "gpt-4o") : small_vocab_spm(&v);
            v.vocab.model = (tb_vocab_model)model;
            tb_tokenizer *tokenizer = make(&v);
            tb_ids ids = encode(tokenizer, (tb_text){text, SIZE}, 0);
            assert_true(ids.size >= SIZE / 8);
            tb_ids_clear(&ids);
            tb_tokenizer_free(tokenizer);
        }
    tb_free(text);
}

// ---- round trips ----

static void check_round_trips(const small_vocab *v, const char *name)
{
    tb_tokenizer *tokenizer = make(v);
    tb_rng rng;
    tb_rng_init(&rng, 2, 0);
    tb_str text = {0}, back = {0};
    for (size_t i = 0; i < 40; i++) {
        random_text(&text, (text_kind)(i % TEXT_KINDS), 1 + tb_rng_below(&rng, 200), &rng);
        tb_ids ids = encode(tokenizer, (tb_text){text.data, text.size}, 0);
        tb_str_reset(&back);
        assert_int_equal(tb_decode(&back, tokenizer, ids.data, ids.size, false, NULL), TB_OK);
        if (back.size != text.size || memcmp(back.data, text.data, text.size) != 0)
            fail_msg("%s: '%s' comes back as '%s'", name, text.data, back.data);
        tb_ids_clear(&ids);
    }
    tb_str_clear(&text);
    tb_str_clear(&back);
    tb_tokenizer_free(tokenizer);
}

static const char *const pre_names[] = {
    "gpt-2",        "smollm",         "llama-bpe",   "qwen2",   "qwen35",    "tekken", "gpt-4o",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon",  "starcoder", "refact", "command-r",
    "mpt",          "olmo",           "gpt-neox",    "default", "bloom",     "viking",
};

static void bpe__round_trips_any_bytes_with_every_pre_tokenizer(void **state)
{
    (void)state;
    static small_vocab v;
    for (size_t i = 0; i < sizeof pre_names / sizeof *pre_names; i++) {
        small_vocab_bpe(&v, pre_names[i]);
        check_round_trips(&v, pre_names[i]);
    }
}

static void spm__round_trips_any_bytes(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    check_round_trips(&v, "SentencePiece with space prefix");
    v.vocab.add_space_prefix = false;
    check_round_trips(&v, "SentencePiece without space prefix");
    v.vocab.model = TB_VOCAB_UNIGRAM;
    check_round_trips(&v, "unigram");
}

static void decoder__prints_whole_characters_and_everything(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    tb_tokenizer *tokenizer = make(&v);
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    tb_str text = {0}, back = {0};
    for (size_t i = 0; i < 100; i++) {
        bool valid = i % 2;
        random_text(&text, valid ? TEXT_CHARACTERS : TEXT_MIXED, 1 + tb_rng_below(&rng, 60), &rng);
        tb_ids ids = encode(tokenizer, (tb_text){text.data, text.size}, 0);
        tb_decoder decoder = {0};
        tb_str_reset(&back);
        for (size_t k = 0; k < ids.size; k++) {
            assert_int_equal(tb_decoder_push(&decoder, &back, tokenizer, ids.data[k], false, NULL), TB_OK);
            if (valid)
                assert_int_equal(tb_utf8_valid_prefix(back.data, back.size), back.size);
        }
        assert_int_equal(tb_decoder_finish(&decoder, &back, NULL), TB_OK);
        assert_int_equal(back.size, text.size);
        assert_memory_equal(back.data, text.data, text.size);
        tb_ids_clear(&ids);
    }
    tb_str_clear(&text);
    tb_str_clear(&back);
    tb_tokenizer_free(tokenizer);
}

static void decoder__drops_only_the_space_that_encoding_added(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    tb_tokenizer *tokenizer = make(&v);
    int32_t the = tb_tokenizer_find(tokenizer, slice_of("▁the"));
    tb_str text = {0};
    tb_decoder decoder = {0};
    assert_int_equal(tb_decoder_push(&decoder, &text, tokenizer, 1, false, NULL), TB_OK);
    assert_int_equal(tb_decoder_push(&decoder, &text, tokenizer, the, false, NULL), TB_OK);
    assert_int_equal(tb_decoder_push(&decoder, &text, tokenizer, the, false, NULL), TB_OK);
    assert_string_equal(tb_str_get(&text), "the the");
    tb_str_reset(&text);
    decoder = (tb_decoder){.started = true}; // goes on behind a prompt
    assert_int_equal(tb_decoder_push(&decoder, &text, tokenizer, the, false, NULL), TB_OK);
    assert_string_equal(tb_str_get(&text), " the");
    tb_str_clear(&text);
    tb_tokenizer_free(tokenizer);
}

// ---- added tokens ----

static void added__control_tokens_are_matched_only_when_asked(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "a<|end|>a", TB_ENCODE_SPECIAL), "a|<|end|>|a|");
    assert_string_equal(shown(tokenizer, "a<|end|>a", 0), "a|<|||e|n|d|||>|a|");
    int32_t ids[] = {'a', v.vocab.eos, 'a'};
    tb_str text = {0};
    assert_int_equal(tb_decode(&text, tokenizer, ids, 3, false, NULL), TB_OK);
    assert_string_equal(tb_str_get(&text), "aa");
    assert_int_equal(tb_decode(&text, tokenizer, ids, 3, true, NULL), TB_OK);
    assert_string_equal(tb_str_get(&text), "aaa<|end|>a");
    tb_str_clear(&text);
    tb_tokenizer_free(tokenizer);
}

static void added__user_defined_tokens_are_always_matched_the_longest_first(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    small_vocab_add(&v, "\n\n", 0, TB_TOKEN_USER_DEFINED);
    small_vocab_add(&v, "\n\n\n", 0, TB_TOKEN_USER_DEFINED);
    small_vocab_add(&v, "<|end|>>", 0, TB_TOKEN_USER_DEFINED);
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "a\n\n\n\n\nb", 0), "a|\n\n\n|\n\n|b|");
    assert_string_equal(shown(tokenizer, "<|end|>><|end|>", 0), "<|end|>>|<|||e|n|d|||>|");
    tb_tokenizer_free(tokenizer);
}

static void added__strip_rules_swallow_white_space(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    int32_t left = small_vocab_add(&v, "<l>", 0, TB_TOKEN_CONTROL);
    int32_t right = small_vocab_add(&v, "<r>", 0, TB_TOKEN_CONTROL);
    int32_t word = small_vocab_add(&v, "<w", 0, TB_TOKEN_CONTROL);
    v.flags[left] = TB_TOKEN_LSTRIP;
    v.flags[right] = TB_TOKEN_RSTRIP;
    v.flags[word] = TB_TOKEN_SINGLE_WORD;
    tb_tokenizer *tokenizer = make(&v);
    unsigned special = TB_ENCODE_SPECIAL;
    assert_string_equal(shown(tokenizer, "a \n<l> b", special), "a|<l>|Ġ|b|");
    assert_string_equal(shown(tokenizer, "a <r> \xC2\xA0\n b", special), "a|Ġ|<r>|b|");
    assert_string_equal(shown(tokenizer, "<r> <l> <l>a", special), "<r>|<l>|<l>|a|");
    assert_string_equal(shown(tokenizer, "a <w b", special), "a|Ġ|<w|Ġ|b|");
    assert_string_equal(shown(tokenizer, "a<w b", special), "a|<|w|Ġ|b|");
    assert_string_equal(shown(tokenizer, "<wé", special), "<|w|Ã©|");
    tb_tokenizer_free(tokenizer);
}

static bool finds_id(const tb_tokenizer *tokenizer, const char *text, int32_t id)
{
    tb_ids ids = {0};
    bool found = false;
    assert_int_equal(tb_encode(&ids, tokenizer, slice_of(text), TB_ENCODE_SPECIAL, NULL), TB_OK);
    for (size_t i = 0; i < ids.size; i++)
        found = found || ids.data[i] == id;
    tb_ids_clear(&ids);
    return found;
}

// As the reference library has it: Roman numerals, circled letters and joiners are of words; superscript digits,
// fractions and digits in circles are not.
static void added__single_words_end_where_words_end(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    int32_t word = small_vocab_add(&v, "<w>", 0, TB_TOKEN_CONTROL);
    v.flags[word] = TB_TOKEN_SINGLE_WORD;
    tb_tokenizer *tokenizer = make(&v);
    static const char *const inside[] = {"x", "7", "_", "é", "Ⅳ", "Ⓐ", "漢", "\xE2\x80\x8D", "\xCC\x81"};
    static const char *const outside[] = {" ", "-", "²", "½", "①", "€", "🙂", "\xE2\x80\x8B"};
    char text[32];
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        snprintf(text, sizeof text, "%s<w>", inside[i]);
        assert_false(finds_id(tokenizer, text, word));
        snprintf(text, sizeof text, "<w>%s", inside[i]);
        assert_false(finds_id(tokenizer, text, word));
    }
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        snprintf(text, sizeof text, "%s<w>%s", outside[i], outside[i]);
        assert_true(finds_id(tokenizer, text, word));
    }
    tb_tokenizer_free(tokenizer);
}

static void spm__space_prefix_follows_its_settings(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
#define S "▁"
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, " b</s>b", TB_ENCODE_SPECIAL), S S "|b|</s>|" S "|b|");
    tb_tokenizer_free(tokenizer);
    v.vocab.space_prefix_once = v.vocab.space_prefix_missing = true;
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "b</s>b", TB_ENCODE_SPECIAL), S "|b|</s>|b|");
    assert_string_equal(shown(tokenizer, " b", 0), S "|b|");
    tb_tokenizer_free(tokenizer);
    v.vocab.space_prefix_missing = false;
    v.vocab.remove_extra_whitespaces = true;
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "  b   b  ", 0), S "|b|" S "|b|");
    assert_string_equal(shown(tokenizer, "   ", 0), "");
    tb_tokenizer_free(tokenizer);
#undef S
}

static void spm__user_defined_tokens_may_be_part_of_the_text(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_spm(&v);
    small_vocab_add(&v, "<x>", 0, TB_TOKEN_USER_DEFINED);
    tb_tokenizer *tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "<x>b", 0), "<x>|▁|b|");
    tb_tokenizer_free(tokenizer);
    v.vocab.space_prefix_over_user_defined = true; // as SentencePiece itself does
    tokenizer = make(&v);
    assert_string_equal(shown(tokenizer, "<x>b", 0), "▁|<x>|b|");
    assert_string_equal(shown(tokenizer, "b<x>b</s>b", TB_ENCODE_SPECIAL), "▁|b|<x>|b|</s>|▁|b|");
    tb_tokenizer_free(tokenizer);
}

static void ends_turn__knows_ids_and_names(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "gpt-2");
    int32_t im_end = small_vocab_add(&v, "<|im_end|>", 0, TB_TOKEN_CONTROL);
    int32_t plain = small_vocab_add(&v, "<end_of_turn>", 0, TB_TOKEN_NORMAL);
    v.vocab.eos = v.vocab.bos;
    v.vocab.eot = 'x';
    tb_tokenizer *tokenizer = make(&v);
    assert_true(tb_tokenizer_ends_turn(tokenizer, im_end));
    assert_true(tb_tokenizer_ends_turn(tokenizer, v.vocab.eos));
    assert_true(tb_tokenizer_ends_turn(tokenizer, 'x'));
    assert_false(tb_tokenizer_ends_turn(tokenizer, plain));
    assert_false(tb_tokenizer_ends_turn(tokenizer, 'a'));
    assert_false(tb_tokenizer_ends_turn(tokenizer, -1));
    assert_false(tb_tokenizer_ends_turn(tokenizer, (int32_t)v.vocab.size));
    tb_tokenizer_free(tokenizer);
    // gpt-oss: "<|end|>" ends a message, not the turn.
    small_vocab_add(&v, "<|return|>", 0, TB_TOKEN_CONTROL);
    small_vocab_add(&v, "<|call|>", 0, TB_TOKEN_CONTROL);
    tokenizer = make(&v);
    assert_false(tb_tokenizer_ends_turn(tokenizer, tb_tokenizer_find(tokenizer, slice_of("<|end|>"))));
    assert_true(tb_tokenizer_ends_turn(tokenizer, tb_tokenizer_find(tokenizer, slice_of("<|return|>"))));
    tb_tokenizer_free(tokenizer);
}

// ---- pre-tokenizers ----

static void pretokenizer__cuts_as_its_name_says(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *text, *pieces; // pieces end in '|'
    } cases[] = {
        {"gpt-2", "I've 123  days\n\n x", "I|'ve|Ġ123|Ġ|Ġdays|ĊĊ|Ġx|"},
        {"smollm", "I've 123", "I|'ve|Ġ|1|2|3|"},
        {"llama-bpe", "I'VE 12345!\n\nx", "I|'VE|Ġ|123|45|!ĊĊ|x|"},
        {"qwen2", "a 12(x", "a|Ġ|1|2|(x|"},
        {"gpt-4o", "HelloWorld it's/", "Hello|World|Ġit's|/|"},
        {"tekken", "HelloWorld it's", "Hello|World|Ġit|'s|"},
        {"deepseek-coder", "a 1\nb", "a|Ġ|1|Ċ|b|"},
        {"falcon", "x=1234", "x|=|123|4|"},
        {"regex:\\d+\n[ab]", "xab12b", "x|a|b|12|b|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static small_vocab v;
        small_vocab_bpe(&v, cases[i].pre);
        v.vocab.ignore_merges = true; // shows pieces: make each a token
        v.vocab.merge_count = 0;
        static char pieces[512];
        snprintf(pieces, sizeof pieces, "%s", cases[i].pieces);
        for (char *at = pieces, *end; (end = strchr(at, '|')); at = end + 1) {
            *end = '\0';
            small_vocab_add(&v, at, 0, TB_TOKEN_NORMAL);
        }
        tb_tokenizer *tokenizer = make(&v);
        assert_string_equal(shown(tokenizer, cases[i].text, 0), cases[i].pieces);
        tb_tokenizer_free(tokenizer);
    }
}

// ---- refusals ----

static void check_refused(const small_vocab *v, tb_code code, const char *part)
{
    tb_tokenizer *tokenizer;
    tb_error err = {0};
    assert_int_equal(tb_tokenizer_new(&tokenizer, &v->vocab, &err), code);
    assert_null(tokenizer);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not say '%s'", err.message, part);
}

static void tokenizer_new__refuses_bad_vocabularies(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "no-such-name");
    check_refused(&v, TB_EUNSUPPORTED, "'no-such-name'");
    small_vocab_bpe(&v, "");
    check_refused(&v, TB_EUNSUPPORTED, "does not name");
    small_vocab_bpe(&v, "regex:(a");
    check_refused(&v, TB_EFORMAT, "'(a'");
    small_vocab_bpe(&v, "gpt-2");
    v.vocab.eos = 5000;
    check_refused(&v, TB_EFORMAT, "5000");
    small_vocab_bpe(&v, "gpt-2");
    v.merges[3] = slice_of("hell x");
    check_refused(&v, TB_EFORMAT, "'hell x'");
    v.merges[3] = slice_of("hello");
    check_refused(&v, TB_EFORMAT, "'hello'");
    small_vocab_bpe(&v, "gpt-2");
    v.kinds[7] = 9;
    check_refused(&v, TB_EFORMAT, "token 7");
    small_vocab_spm(&v);
    v.scores[300 - 20] = 0.0f / 0.0f;
    check_refused(&v, TB_EFORMAT, "token 280");
    v.vocab.scores = NULL;
    check_refused(&v, TB_EFORMAT, "scores");
    v.vocab.size = 0;
    check_refused(&v, TB_EFORMAT, "0 tokens");
}

static void encode__fails_on_a_pattern_that_explodes(void **state)
{
    (void)state;
    static small_vocab v;
    small_vocab_bpe(&v, "regex:(?:(?:a+)+)+$");
    tb_tokenizer *tokenizer = make(&v);
    tb_ids ids = {0};
    tb_error err;
    assert_int_equal(tb_encode(&ids, tokenizer, slice_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 0, &err),
                     TB_EUNSUPPORTED);
    assert_int_equal(ids.size, 0);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
}

// ---- lack of memory ----

static tb_code use(const small_vocab *v, tb_error *err)
{
    tb_tokenizer *tokenizer = NULL;
    tb_ids ids = {0};
    tb_str text = {0};
    tb_code rc = tb_tokenizer_new(&tokenizer, &v->vocab, err);
    if (!rc)
        rc = tb_encode(&ids, tokenizer, slice_of("hello <|end|> the\xFF aaaa"), TB_ENCODE_SPECIAL, err);
    if (!rc)
        rc = tb_decode(&text, tokenizer, ids.data, ids.size, true, err);
    tb_str_clear(&text);
    tb_ids_clear(&ids);
    tb_tokenizer_free(tokenizer);
    return rc;
}

static void tokenizer__survives_lack_of_memory_anywhere(void **state)
{
    (void)state;
    static small_vocab v;
    for (int spm = 0; spm < 2; spm++) {
        spm ? small_vocab_spm(&v) : small_vocab_bpe(&v, "llama-bpe");
        tb_code rc = TB_ENOMEM;
        long long n = 0;
        for (; rc && n < 10000; n++) {
            tb_error err = {0};
            tb_mem_fail_after(n);
            rc = use(&v, &err);
            tb_mem_fail_after(-1);
            if (rc)
                assert_int_equal(rc, TB_ENOMEM);
        }
        assert_true(n > 4 && n < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8__round_trips_every_code_point),
        cmocka_unit_test(utf8__refuses_what_is_no_character),
        cmocka_unit_test(bpe__agrees_with_merging_by_the_definition),
        cmocka_unit_test(bpe__merges_by_rank_and_from_left_to_right),
        cmocka_unit_test(bpe__takes_a_whole_piece_only_when_merges_are_ignored),
        cmocka_unit_test(spm__merges_by_score_and_falls_back_to_bytes),
        cmocka_unit_test(spm__agrees_with_merging_by_the_definition),
        cmocka_unit_test(spm__with_merges_goes_by_their_ranks),
        cmocka_unit_test(unigram__finds_the_best_segmentation),
        cmocka_unit_test(encode__is_quick_on_a_long_text_without_a_break),
        cmocka_unit_test(bpe__round_trips_any_bytes_with_every_pre_tokenizer),
        cmocka_unit_test(spm__round_trips_any_bytes),
        cmocka_unit_test(decoder__prints_whole_characters_and_everything),
        cmocka_unit_test(decoder__drops_only_the_space_that_encoding_added),
        cmocka_unit_test(added__control_tokens_are_matched_only_when_asked),
        cmocka_unit_test(added__user_defined_tokens_are_always_matched_the_longest_first),
        cmocka_unit_test(added__strip_rules_swallow_white_space),
        cmocka_unit_test(added__single_words_end_where_words_end),
        cmocka_unit_test(spm__space_prefix_follows_its_settings),
        cmocka_unit_test(spm__user_defined_tokens_may_be_part_of_the_text),
        cmocka_unit_test(ends_turn__knows_ids_and_names),
        cmocka_unit_test(pretokenizer__cuts_as_its_name_says),
        cmocka_unit_test(tokenizer_new__refuses_bad_vocabularies),
        cmocka_unit_test(encode__fails_on_a_pattern_that_explodes),
        cmocka_unit_test(tokenizer__survives_lack_of_memory_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
