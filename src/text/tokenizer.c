// Making a tokenizer from a vocabulary, and asking it about its tokens.
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

#include <jansson.h>

void tb_vocab_set_defaults(tb_vocab *vocab)
{
    bool spm = vocab->model == TB_VOCAB_SPM, bpe = vocab->model == TB_VOCAB_BPE;
    tb_pre_traits traits = bpe ? tb_pre_traits_of(vocab->pre) : (tb_pre_traits){0};
    vocab->bos = bpe ? -1 : 1;
    vocab->eos = bpe ? -1 : 2;
    vocab->unk = bpe ? -1 : 0;
    vocab->eot = vocab->pad = -1;
    vocab->add_bos = spm || traits.add_bos;
    vocab->add_eos = vocab->model == TB_VOCAB_UNIGRAM;
    vocab->add_space_prefix = !bpe;
    vocab->space_prefix_once = vocab->space_prefix_missing = vocab->space_prefix_over_user_defined = false;
    vocab->remove_extra_whitespaces = false;
    vocab->nfc = false;
    vocab->byte_fallback = !bpe;
    vocab->ignore_merges = traits.ignore_merges;
}

// ---- checking ----

static tb_code check_id(int32_t id, const char *what, const tb_vocab *vocab, tb_error *err)
{
    if (id < -1 || (id >= 0 && (size_t)id >= vocab->size))
        return tb_fail(err, TB_EFORMAT, "%s token %d is outside the vocabulary of %zu", what, (int)id, vocab->size);
    return TB_OK;
}

static tb_code check_kinds(const tb_vocab *vocab, tb_error *err)
{
    for (size_t i = 0; vocab->kinds && i < vocab->size; i++)
        if (vocab->kinds[i] < 0 || vocab->kinds[i] > TB_TOKEN_BYTE)
            return tb_fail(err, TB_EFORMAT, "token %zu is of unknown kind %d", i, (int)vocab->kinds[i]);
    return TB_OK;
}

static tb_code check_scores(const tb_vocab *vocab, tb_error *err)
{
    if (vocab->model == TB_VOCAB_BPE)
        return TB_OK;
    if (!vocab->scores)
        return tb_fail(err, TB_EFORMAT, "a SentencePiece vocabulary comes without scores");
    for (size_t i = 0; i < vocab->size; i++)
        if (!isfinite(vocab->scores[i]))
            return tb_fail(err, TB_EFORMAT, "the score of token %zu is not a finite number", i);
    return TB_OK;
}

static tb_code check_vocab(const tb_vocab *vocab, tb_error *err)
{
    if (vocab->size == 0 || vocab->size > INT32_MAX)
        return tb_fail(err, TB_EFORMAT, "a vocabulary of %zu tokens makes no tokenizer", vocab->size);
    const struct {
        const char *what;
        int32_t id;
    } ids[] = {{"BOS", vocab->bos}, {"EOS", vocab->eos}, {"unknown", vocab->unk}, {"end-of-turn", vocab->eot}};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof ids / sizeof *ids && !rc; i++)
        rc = check_id(ids[i].id, ids[i].what, vocab, err);
    if (!rc && vocab->add_bos && vocab->bos < 0)
        rc = tb_fail(err, TB_EFORMAT, "the vocabulary wants a BOS token in front and has none");
    if (!rc)
        rc = check_kinds(vocab, err);
    return rc ? rc : check_scores(vocab, err);
}

// ---- copying ----

static bool copy_arrays(tb_tokenizer *t, const tb_vocab *vocab)
{
    size_t n = vocab->size;
    t->tokens = tb_arena_array(&t->arena, n, sizeof *t->tokens);
    t->pieces = tb_arena_array(&t->arena, n, sizeof *t->pieces);
    t->kinds = tb_arena_array(&t->arena, n, sizeof *t->kinds);
    t->flags = tb_arena_array(&t->arena, n, sizeof *t->flags);
    t->ends_turn = tb_arena_array(&t->arena, n, sizeof *t->ends_turn);
    if (!t->tokens || !t->pieces || !t->kinds || !t->flags || !t->ends_turn)
        return false;
    for (size_t i = 0; i < n; i++) {
        int32_t kind = vocab->kinds ? vocab->kinds[i] : 0;
        t->kinds[i] = (uint8_t)(kind ? kind : TB_TOKEN_NORMAL); // 0 in GGUF: not said
        t->flags[i] = vocab->flags ? vocab->flags[i] : 0;
    }
    if (vocab->model != TB_VOCAB_BPE) {
        t->scores = tb_arena_array(&t->arena, n, sizeof *t->scores);
        if (!t->scores)
            return false;
        memcpy(t->scores, vocab->scores, n * sizeof *t->scores);
    }
    return true;
}

// All texts one behind the other: one allocation instead of a small one per token.
static bool copy_tokens(tb_tokenizer *t, const tb_vocab *vocab)
{
    size_t total = 0;
    for (size_t i = 0; i < vocab->size; i++)
        if (!tb_add_size(&total, total, vocab->tokens[i].size))
            return false;
    char *at = tb_arena_alloc(&t->arena, total);
    if (!at)
        return false;
    for (size_t i = 0; i < vocab->size; i++) {
        tb_text token = vocab->tokens[i];
        if (token.size)
            memcpy(at, token.data, token.size);
        t->tokens[i] = (tb_text){at, token.size};
        at += token.size;
    }
    return true;
}

// ---- what tokens print ----

// Resolves the byte alphabet; a character outside it stands for itself. Writes at most token.size bytes.
static size_t resolve_alphabet(char *out, tb_text token)
{
    size_t size = 0;
    for (size_t at = 0, n; at < token.size; at += n) {
        uint32_t c = 0;
        n = tb_utf8_decode(&c, token.data + at, token.size - at);
        int byte = n ? tb_byte_of_alphabet(c) : -1;
        if (byte >= 0) {
            out[size++] = (char)byte;
            continue;
        }
        n = n ? n : 1;
        memcpy(out + size, token.data + at, n);
        size += n;
    }
    return size;
}

static size_t resolve_marks(char *out, tb_text token)
{
    size_t size = 0;
    for (size_t at = 0; at < token.size;) {
        bool mark =
            token.size - at >= TB_SPACE_MARK_SIZE && memcmp(token.data + at, TB_SPACE_MARK, TB_SPACE_MARK_SIZE) == 0;
        out[size++] = mark ? ' ' : token.data[at];
        at += mark ? TB_SPACE_MARK_SIZE : 1;
    }
    return size;
}

static size_t resolve_piece(char *out, const tb_tokenizer *t, size_t id)
{
    tb_text token = t->tokens[id];
    uint8_t kind = t->kinds[id];
    if (kind == TB_TOKEN_BYTE && tb_byte_of_token(token) >= 0) {
        *out = (char)tb_byte_of_token(token);
        return 1;
    }
    if (kind == TB_TOKEN_NORMAL && t->model == TB_VOCAB_BPE)
        return resolve_alphabet(out, token);
    if (tb_token_is_text(t, (int32_t)id) && t->model != TB_VOCAB_BPE)
        return resolve_marks(out, token);
    if (token.size)
        memcpy(out, token.data, token.size);
    return token.size;
}

static bool make_pieces(tb_tokenizer *t)
{
    size_t total = 0;
    for (size_t i = 0; i < t->size; i++)
        total += t->tokens[i].size;
    char *at = tb_arena_alloc(&t->arena, total);
    for (size_t i = 0; at && i < t->size; i++) {
        size_t n = resolve_piece(at, t, i);
        t->pieces[i] = (tb_text){at, n};
        at += n;
    }
    return at != NULL;
}

// The byte that a token of the vocabulary's own kind of byte tokens stands for, or −1.
// DeepSeek's vocabularies have added tokens that look like letters of the byte alphabet and mean
// the letters: only normal tokens count there.
static int byte_of_id(const tb_tokenizer *t, size_t id)
{
    if (t->model != TB_VOCAB_BPE)
        return t->kinds[id] == TB_TOKEN_BYTE ? tb_byte_of_token(t->tokens[id]) : -1;
    if (t->kinds[id] != TB_TOKEN_NORMAL || t->pieces[id].size != 1 || t->tokens[id].size > 2)
        return -1;
    return (unsigned char)t->pieces[id].data[0];
}

static void find_byte_tokens(tb_tokenizer *t, const tb_vocab *vocab)
{
    for (size_t b = 0; b < 256; b++)
        t->byte_ids[b] = -1;
    if (t->model != TB_VOCAB_BPE && !vocab->byte_fallback)
        return;
    for (size_t i = t->size; i-- > 0;) { // backwards: of several the first counts
        int byte = byte_of_id(t, i);
        if (byte >= 0)
            t->byte_ids[byte] = (int32_t)i;
    }
}

// ---- added tokens and ends of turns ----

static bool is_added(uint8_t kind)
{
    return kind == TB_TOKEN_CONTROL || kind == TB_TOKEN_UNKNOWN || kind == TB_TOKEN_USER_DEFINED;
}

static bool is_normalized(const tb_tokenizer *t, size_t id)
{
    return t->flags[id] & TB_TOKEN_NORMALIZED;
}

// The text under which an added token is looked for, copied where it is a normalised one.
static tb_code added_text(tb_text *text, tb_tokenizer *t, size_t id, tb_normalized *normalized, tb_error *err)
{
    *text = t->normalizer ? t->tokens[id] : t->pieces[id]; // SentencePiece looks for spaces where a token has marks
    if (!is_normalized(t, id))
        return TB_OK;
    tb_code rc = tb_tokenizer_normalize(normalized, text, t, true, true, err);
    if (!rc && text->data == tb_str_get(&normalized->text)) {
        text->data = tb_arena_text(&t->arena, text->data, text->size);
        if (!text->data)
            rc = tb_fail(err, TB_ENOMEM, "no memory for added tokens");
    }
    return rc;
}

// Indexes the added tokens that are looked for before, or after, normalisation.
static tb_code index_added(tb_prefix_index *index, tb_tokenizer *t, bool after, tb_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < t->size; i++)
        count += is_added(t->kinds[i]) && is_normalized(t, i) == after;
    tb_prefix_entry *entries = tb_arena_array(&t->arena, count, sizeof *entries);
    if (!entries)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu added tokens", count);
    tb_normalized normalized = {0};
    tb_code rc = TB_OK;
    count = 0;
    for (size_t i = 0; i < t->size && !rc; i++) {
        if (!is_added(t->kinds[i]) || is_normalized(t, i) != after)
            continue;
        tb_text text;
        rc = added_text(&text, t, i, &normalized, err);
        if (!rc && text.size == 0 && t->tokens[i].size > 0) // the library finds such a token everywhere
            rc = tb_fail(err, TB_EUNSUPPORTED,
                         "added token '%.*s', of which the normalizer leaves nothing, is not supported",
                         (int)(t->tokens[i].size < 64 ? t->tokens[i].size : 64), t->tokens[i].data);
        if (!rc && text.size > 0)
            entries[count++] = (tb_prefix_entry){text, (int32_t)i};
    }
    tb_normalized_clear(&normalized);
    if (!rc)
        tb_prefix_index_init(index, entries, count);
    return rc;
}

// Files often name one of several ends (a base model's EOS in a chat model), so that the
// names under which models are trained to end a turn count as well.
static void find_ends(tb_tokenizer *t, const tb_vocab *vocab)
{
    static const char *const names[] = {
        "</s>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<end_of_turn>",
        "<|end_of_turn|>",
        "<|endofturn|>",
        "<end_of_utterance>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<｜end▁of▁sentence｜>",
        "<eos>",
    };
    if (vocab->eos >= 0)
        t->ends_turn[vocab->eos] = true;
    if (vocab->eot >= 0)
        t->ends_turn[vocab->eot] = true;
    for (size_t i = 0; i < vocab->end_count; i++)
        if (vocab->ends[i] >= 0 && (size_t)vocab->ends[i] < t->size)
            t->ends_turn[vocab->ends[i]] = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t id = tb_text_map_find(&t->by_token, names[i], strlen(names[i]));
        if (id >= 0 && is_added(t->kinds[id]))
            t->ends_turn[id] = true;
    }
    // In gpt-oss's harmony format "<|end|>" ends a message and the turn goes on.
    int32_t end = tb_text_map_find(&t->by_token, "<|end|>", 7);
    if (end >= 0 && end != vocab->eos && tb_text_map_find(&t->by_token, "<|return|>", 10) >= 0 &&
        tb_text_map_find(&t->by_token, "<|call|>", 8) >= 0)
        t->ends_turn[end] = false;
}

static bool index_tokens(tb_tokenizer *t)
{
    if (!tb_text_map_init(&t->by_token, t->tokens, t->size, &t->arena))
        return false;
    for (size_t i = 0; i < t->size; i++)
        tb_text_map_add(&t->by_token, (int32_t)i);
    if (!t->ignore_merges)
        return true;
    const tb_text *pieces = t->model == TB_VOCAB_BPE ? t->pieces : t->tokens;
    if (!tb_text_map_init(&t->whole_pieces, pieces, t->size, &t->arena))
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (t->kinds[i] == TB_TOKEN_NORMAL || (t->flags[i] & TB_TOKEN_OF_MODEL))
            tb_text_map_add(&t->whole_pieces, (int32_t)i);
    return true;
}

static void copy_settings(tb_tokenizer *t, const tb_vocab *vocab)
{
    t->model = vocab->model;
    t->size = vocab->size;
    t->bos = vocab->bos;
    t->eos = vocab->eos;
    t->unk = vocab->unk;
    t->add_bos = vocab->add_bos;
    t->add_space_prefix = vocab->add_space_prefix;
    t->space_prefix_once = vocab->space_prefix_once;
    t->space_prefix_missing = vocab->space_prefix_missing || vocab->model == TB_VOCAB_BPE;
    t->space_prefix_over_user_defined = vocab->space_prefix_over_user_defined;
    t->remove_extra_whitespaces = vocab->remove_extra_whitespaces;
    t->nfc = vocab->nfc;
    t->ignore_merges = vocab->ignore_merges;
}

// ---- SentencePiece ----

// True when a mark follows another character in the token.
static bool has_inner_mark(tb_text token)
{
    size_t at = 0;
    while (tb_starts_with_mark((tb_text){token.data + at, token.size - at}))
        at += TB_SPACE_MARK_SIZE;
    while (at < token.size && !tb_starts_with_mark((tb_text){token.data + at, token.size - at}))
        at++;
    return at < token.size;
}

// Words are apart where no token reaches from one into the next, the mark between them is a token, and nothing is left
// out.
static bool marks_part_words(const tb_tokenizer *t)
{
    int32_t mark = tb_text_map_find(&t->by_token, TB_SPACE_MARK, TB_SPACE_MARK_SIZE);
    if (mark < 0 || !tb_token_is_plain(t, mark) || (t->merges && t->unknown.id < 0))
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (tb_token_is_plain(t, (int32_t)i) && has_inner_mark(t->tokens[i]))
            return false;
    return true;
}

static bool is_in_lattice(const tb_tokenizer *t, size_t id)
{
    return t->tokens[id].size > 0 &&
           (t->normalizer ? tb_token_is_plain(t, (int32_t)id) : t->kinds[id] == TB_TOKEN_NORMAL);
}

static tb_code index_lattice(tb_tokenizer *t, tb_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < t->size; i++)
        count += is_in_lattice(t, i);
    tb_prefix_entry *entries = tb_arena_array(&t->arena, count, sizeof *entries);
    if (!entries)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu tokens", count);
    count = 0;
    for (size_t i = 0; i < t->size; i++)
        if (is_in_lattice(t, i)) {
            entries[count++] = (tb_prefix_entry){t->tokens[i], (int32_t)i};
            t->worst_score = fmin(t->worst_score, (double)t->scores[i]);
        }
    tb_prefix_index_init(&t->lattice_tokens, entries, count);
    return TB_OK;
}

static tb_code copy_charsmap(tb_tokenizer *t, const tb_vocab *vocab, tb_error *err)
{
    size_t size = t->model == TB_VOCAB_BPE ? 0 : vocab->charsmap.size;
    char *copy = tb_arena_text(&t->arena, vocab->charsmap.data, size);
    return copy ? tb_charsmap_init(&t->charsmap, (tb_text){copy, size}, err)
                : tb_fail(err, TB_ENOMEM, "no memory for a character map of %zu bytes", size);
}

tb_code tb_tokenizer_normalize(tb_normalized *scratch, tb_text *text, const tb_tokenizer *tokenizer, bool begins,
                               bool ends, tb_error *err)
{
    tb_code rc = TB_OK;
    scratch->keeps_start = true;
    if (!tokenizer->normalizer && !tokenizer->nfc && tokenizer->charsmap.unit_count == 0)
        return TB_OK;
    if (tokenizer->normalizer) {
        rc = tb_normalizer_run(scratch, tokenizer->normalizer, *text, begins, ends, err);
    } else {
        tb_str_reset(&scratch->text);
        scratch->text.limit = SIZE_MAX / 4;
        rc = tokenizer->nfc ? tb_form_append(&scratch->text, *text, TB_NFC, err)
                            : tb_charsmap_append(&scratch->text, &tokenizer->charsmap, *text, err);
    }
    *text = (tb_text){tb_str_get(&scratch->text), scratch->text.size};
    return rc;
}

// ---- a tokenizer.json's steps ----

static tb_code read_steps(tb_tokenizer *t, const json_t *steps, tb_error *err)
{
    const json_t *unk = json_object_get(steps, "unk_token");
    t->unknown.id =
        json_is_string(unk) ? tb_text_map_find(&t->by_token, json_string_value(unk), json_string_length(unk)) : -1;
    t->unknown.fused = json_is_true(json_object_get(steps, "fuse_unk"));
    if (json_is_string(unk) && t->unknown.id < 0)
        return tb_fail(err, TB_EFORMAT, "the unknown token '%.64s' is not in the vocabulary", json_string_value(unk));
    tb_code rc = tb_normalizer_new(&t->normalizer, json_object_get(steps, "normalizer"), err);
    if (!rc)
        rc = tb_pretokenizer_from_json(&t->pretokenizer, json_object_get(steps, "pre_tokenizer"), err);
    if (!rc && tb_pretokenizer_has_bytes(t->pretokenizer) != (t->model == TB_VOCAB_BPE))
        rc = tb_fail(err, TB_EUNSUPPORTED, "a vocabulary %s ByteLevel among its steps is not supported",
                     t->model == TB_VOCAB_BPE ? "of bytes without" : "of characters with");
    return rc;
}

static tb_code parse_steps(tb_tokenizer *t, tb_text text, tb_error *err)
{
    json_error_t error;
    json_t *steps = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &error);
    if (!steps && json_error_code(&error) == json_error_out_of_memory)
        return tb_fail(err, TB_ENOMEM, "no memory for the tokenizer's steps");
    if (!steps)
        return tb_fail(err, TB_EFORMAT, "the tokenizer's steps are not JSON: %s", error.text);
    tb_code rc = read_steps(t, steps, err);
    json_decref(steps);
    return rc;
}

static tb_code make_steps(tb_tokenizer *t, const tb_vocab *vocab, tb_error *err)
{
    if (vocab->steps.size)
        return parse_steps(t, vocab->steps, err);
    if (t->model == TB_VOCAB_BPE)
        return tb_pretokenizer_new(&t->pretokenizer, vocab->pre, err);
    t->unknown = (tb_unknown_rule){t->unk, true};
    return TB_OK;
}

// ---- making ----

static tb_code make(tb_tokenizer *t, const tb_vocab *vocab, tb_error *err)
{
    copy_settings(t, vocab);
    if (!copy_arrays(t, vocab) || !copy_tokens(t, vocab) || !make_pieces(t) || !index_tokens(t))
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", vocab->size);
    find_byte_tokens(t, vocab);
    find_ends(t, vocab);
    t->unknown.id = -1;
    tb_code rc = copy_charsmap(t, vocab, err);
    if (!rc)
        rc = make_steps(t, vocab, err);
    if (!rc)
        rc = index_added(&t->added, t, false, err);
    if (!rc)
        rc = index_added(&t->added_normalized, t, true, err);
    bool by_scores =
        t->model == TB_VOCAB_UNIGRAM || (t->model == TB_VOCAB_SPM && !t->normalizer && !vocab->merge_count);
    if (!rc && !by_scores)
        rc = tb_merges_new(&t->merges, vocab->merges, vocab->merge_count, &t->by_token, err);
    if (!rc && t->model == TB_VOCAB_UNIGRAM)
        rc = index_lattice(t, err);
    t->marks_lead = !rc && t->model == TB_VOCAB_SPM && marks_part_words(t);
    return rc;
}

tb_code tb_tokenizer_new(tb_tokenizer **out, const tb_vocab *vocab, tb_error *err)
{
    *out = NULL;
    tb_code rc = check_vocab(vocab, err);
    if (rc)
        return rc;
    tb_tokenizer *t = tb_new(tb_tokenizer);
    if (!t)
        return tb_fail(err, TB_ENOMEM, "no memory for a tokenizer");
    rc = make(t, vocab, err);
    if (rc)
        tb_tokenizer_free(t);
    else
        *out = t;
    return rc;
}

void tb_tokenizer_free(tb_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    tb_merges_free(tokenizer->merges);
    tb_normalizer_free(tokenizer->normalizer);
    tb_pretokenizer_free(tokenizer->pretokenizer);
    tb_arena_clear(&tokenizer->arena);
    tb_free(tokenizer);
}

// ---- asking ----

size_t tb_tokenizer_size(const tb_tokenizer *tokenizer)
{
    return tokenizer->size;
}

int32_t tb_tokenizer_bos(const tb_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tb_tokenizer_eos(const tb_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tb_tokenizer_adds_bos(const tb_tokenizer *tokenizer)
{
    return tokenizer->add_bos;
}

static bool in_vocabulary(const tb_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->size;
}

bool tb_tokenizer_ends_turn(const tb_tokenizer *tokenizer, int32_t id)
{
    return in_vocabulary(tokenizer, id) && tokenizer->ends_turn[id];
}

tb_text tb_tokenizer_token(const tb_tokenizer *tokenizer, int32_t id)
{
    return in_vocabulary(tokenizer, id) ? tokenizer->tokens[id] : (tb_text){"", 0};
}

int32_t tb_tokenizer_find(const tb_tokenizer *tokenizer, tb_text token)
{
    return tb_text_map_find(&tokenizer->by_token, token.data, token.size);
}
