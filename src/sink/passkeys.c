// Texts with ten numbers in them, of which the end asks for one: the synthetic data of DuoAttention (arXiv 2410.10819).
// They are put together from tokens, so that it is known where a number stands, and all have the same length.
#include <stdio.h>
#include <string.h>

#include "sink/sink.h"

enum { KEYS = 10, LEAST_NUMBER = 10000, NUMBERS = 90000, MOST_SENTENCE = 64 };

static const char *const names[KEYS] = {"garden",   "river",   "castle",  "harbor",  "library",
                                        "mountain", "village", "kitchen", "theater", "airport"};

// What is put between the pieces of a text: ten sentences, the question, and its answer.
typedef struct sentences {
    tb_ids ids;
    size_t ends[KEYS + 1];                 // of the sentences and of the question
    size_t key_begin[KEYS], key_end[KEYS]; // the numbers in the sentences
} sentences;

static tb_code add_words(sentences *s, const tb_tokenizer *tokenizer, const char *text, tb_error *err)
{
    return tb_encode(&s->ids, tokenizer, (tb_text){text, strlen(text)}, 0, err);
}

static tb_code add_name(sentences *s, const tb_tokenizer *tokenizer, size_t key, tb_error *err)
{
    char text[MOST_SENTENCE];
    snprintf(text, sizeof text, "\nThe pass key of the %s is", names[key]);
    return add_words(s, tokenizer, text, err);
}

static tb_code add_number(sentences *s, const tb_tokenizer *tokenizer, unsigned number, tb_error *err)
{
    char text[MOST_SENTENCE];
    snprintf(text, sizeof text, " %u", number);
    return add_words(s, tokenizer, text, err);
}

// All sentences, and the question for key `asked` with its answer.
static tb_code write_sentences(sentences *s, const tb_tokenizer *tokenizer, size_t asked, tb_rng *rng, tb_error *err)
{
    unsigned numbers[KEYS];
    tb_code rc = TB_OK;
    for (size_t i = 0; i < KEYS && !rc; i++) {
        numbers[i] = LEAST_NUMBER + (unsigned)tb_rng_below(rng, NUMBERS);
        rc = add_name(s, tokenizer, i, err);
        s->key_begin[i] = s->ids.size;
        if (!rc)
            rc = add_number(s, tokenizer, numbers[i], err);
        s->key_end[i] = s->ids.size;
        if (!rc)
            rc = add_words(s, tokenizer, ".\n", err);
        s->ends[i] = s->ids.size;
    }
    if (!rc)
        rc = add_name(s, tokenizer, asked, err);
    s->ends[KEYS] = s->ids.size;
    return rc ? rc : add_number(s, tokenizer, numbers[asked], err);
}

static size_t put(int32_t *to, size_t at, const int32_t *from, size_t count)
{
    if (count > 0)
        memcpy(to + at, from, count * sizeof *to);
    return at + count;
}

// Puts the sentences between equal pieces of a text, and the question behind it.
static void put_together(tb_sink_prompt *p, int32_t *tokens, const sentences *s, const int32_t *text, size_t asked,
                         int32_t bos)
{
    size_t at = bos < 0 ? 0 : put(tokens, 0, &bos, 1);
    size_t filler = p->count - at - s->ids.size, piece = filler / (KEYS + 1), begin = 0;
    for (size_t i = 0; i < KEYS; i++) {
        at = put(tokens, at, text + i * piece, piece);
        if (i == asked)
            p->key = at + s->key_begin[i] - begin;
        at = put(tokens, at, s->ids.data + begin, s->ends[i] - begin);
        begin = s->ends[i];
    }
    at = put(tokens, at, text + KEYS * piece, filler - KEYS * piece);
    put(tokens, at, s->ids.data + begin, s->ids.size - begin);
    p->answer = s->ids.size - s->ends[KEYS];
    p->tokens = tokens;
}

static tb_code make_prompt(tb_sink_prompt *p, tb_arena *arena, const tb_model *model, const int32_t *text,
                           size_t length, size_t index, uint64_t seed, tb_error *err)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    int32_t bos = tb_tokenizer_adds_bos(tokenizer) ? tb_tokenizer_bos(tokenizer) : -1;
    sentences s = {0};
    tb_rng rng;
    tb_rng_init(&rng, seed, index);
    *p = (tb_sink_prompt){.count = length};
    int32_t *tokens = tb_arena_array(arena, length, sizeof *tokens);
    tb_code rc = tokens ? write_sentences(&s, tokenizer, index % KEYS, &rng, err)
                        : tb_fail(err, TB_ENOMEM, "no memory for a prompt of %zu tokens", length);
    if (!rc && s.ids.size + 1 >= length)
        rc = tb_fail(err, TB_EINVAL, "prompts of %zu tokens have no room for %zu of questions and answers", length,
                     s.ids.size);
    if (!rc)
        put_together(p, tokens, &s, text, index % KEYS, bos);
    tb_ids_clear(&s.ids);
    return rc;
}

tb_code tb_sink_make_passkeys(tb_sink_prompt *out, tb_arena *arena, const tb_model *model, size_t count, size_t length,
                              const int32_t *text, size_t text_count, uint64_t seed, tb_error *err)
{
    tb_code rc = TB_OK;
    if (!tb_model_tokenizer(model))
        rc = tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer", tb_checkpoint_path(tb_model_checkpoint(model)));
    else if (text_count < length)
        rc = tb_fail(err, TB_EINVAL, "the text has %zu tokens and fills no prompt of %zu", text_count, length);
    for (size_t i = 0; i < count && !rc; i++) {
        const int32_t *own = text + i % (text_count / length) * length;
        rc = make_prompt(&out[i], arena, model, own, length, i, seed, err);
    }
    return rc;
}
