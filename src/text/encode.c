// From text to tokens: added tokens are cut out, what lies between them is normalised and
// goes to the algorithm of the vocabulary.
#include "text/added.h"
#include "text/spm.h"
#include "text/tokenizer.h"
#include "text/unigram.h"

#include <string.h>

// One call of tb_encode.
typedef struct encoder {
    const tb_tokenizer *tokenizer;
    tb_ids *ids;
    tb_merger merger;
    tb_presplit *split;       // of a pre-tokenizer
    tb_lattice lattice;       // unigram
    tb_text text;             // all of it
    tb_control control;       // where it may hold control tokens …
    tb_normalized normalized; // a stretch
    tb_normalized part;       // a part of it that may or may not hold control tokens
    tb_stretch *in_normal;    // … and where the normalised stretch may: [control.count] at most
    tb_str marked;            // a stretch with a space in front or, for SentencePiece, with marks for spaces
    const char *normal_start; // where the normalised text starts; NULL while another stretch is being encoded
} encoder;

// ---- pieces of a pre-tokenizer ----

static tb_code encode_characters(encoder *e, tb_text text, tb_error *err)
{
    return e->tokenizer->model == TB_VOCAB_SPM ? tb_spm_encode(e->ids, e->tokenizer, text, &e->merger, err)
                                               : tb_unigram_encode(e->ids, e->tokenizer, text, &e->lattice, err);
}

static tb_code encode_piece(void *user, tb_text piece, tb_error *err)
{
    encoder *e = user;
    const tb_tokenizer *t = e->tokenizer;
    int32_t whole = t->ignore_merges ? tb_text_map_find(&t->whole_pieces, piece.data, piece.size) : -1;
    if (whole >= 0)
        return tb_ids_push(e->ids, whole, err);
    if (t->model == TB_VOCAB_BPE)
        return tb_bpe_encode(e->ids, t->merges, t->byte_ids, t->unknown, piece, &e->merger, err);
    return encode_characters(e, piece, err);
}

static tb_code encode_pieces(encoder *e, tb_text text, tb_error *err)
{
    return tb_presplit_run(e->split, text, text.data == e->normal_start, encode_piece, e, err);
}

static tb_code encode_bpe(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    if (!prefix)
        return encode_pieces(e, text, err);
    tb_str_reset(&e->marked);
    tb_code rc = tb_str_append_text(&e->marked, " ", err);
    if (!rc)
        rc = tb_str_append(&e->marked, text.data, text.size, err);
    return rc ? rc : encode_pieces(e, (tb_text){e->marked.data, e->marked.size}, err);
}

// ---- SentencePiece ----

// Writes `text` with its spaces as marks.
static tb_code mark_spaces(tb_str *out, tb_text text, bool prefix, bool squeeze, tb_error *err)
{
    tb_code rc = TB_OK;
    if (prefix)
        rc = tb_str_append_text(out, TB_SPACE_MARK, err);
    while (!rc && text.size > 0) {
        const char *space = memchr(text.data, ' ', text.size);
        size_t n = space ? (size_t)(space - text.data) : text.size;
        rc = tb_str_append(out, text.data, n, err);
        text = (tb_text){text.data + n, text.size - n};
        if (rc || !space)
            break;
        size_t run = 0;
        while (run < text.size && text.data[run] == ' ')
            run++;
        for (size_t i = 0; i < (squeeze ? 1 : run) && !rc; i++)
            rc = tb_str_append_text(out, TB_SPACE_MARK, err);
        text = (tb_text){text.data + run, text.size - run};
    }
    return rc;
}

static tb_text trim_spaces(tb_text text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text = (tb_text){text.data + 1, text.size - 1};
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

static tb_code encode_sentencepiece(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    bool squeeze = e->tokenizer->remove_extra_whitespaces;
    if (squeeze) {
        text = trim_spaces(text);
        if (text.size == 0)
            return TB_OK;
    }
    tb_str_reset(&e->marked);
    tb_code rc = mark_spaces(&e->marked, text, prefix, squeeze, err);
    tb_text marked = {e->marked.data, e->marked.size};
    return rc ? rc : encode_characters(e, marked, err);
}

// Tokenizes a normalised stretch without added tokens; `prefix`: a space may be due in front of it.
static tb_code encode_plain(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    if (t->normalizer)
        return encode_pieces(e, text, err);
    if (t->space_prefix_missing && text.size > 0 && text.data[0] == ' ')
        prefix = false;
    return t->model == TB_VOCAB_BPE ? encode_bpe(e, text, prefix, err) : encode_sentencepiece(e, text, prefix, err);
}

// ---- between added tokens ----

// True when a token is part of the text around it as far as the space prefix goes.
static bool is_part_of_text(const tb_tokenizer *t, int32_t id)
{
    return id >= 0 && t->space_prefix_over_user_defined && t->kinds[id] == TB_TOKEN_USER_DEFINED;
}

typedef tb_code (*stretch_fn)(encoder *e, tb_text text, bool prefix, tb_error *err);

// Cuts the added tokens of `index` out of a text and gives what lies between them to `fn`;
// `prefix`: a space is due in front of the text.
static tb_code encode_between(encoder *e, const tb_prefix_index *index, tb_text text, const tb_control *control,
                              bool prefix, stretch_fn fn, tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    tb_code rc = TB_OK;
    for (size_t at = 0, from = 0; from < text.size && !rc;) {
        tb_added match = tb_added_find(t, index, text, from, at, control);
        tb_text stretch = {text.data + at, match.begin > at ? match.begin - at : 0};
        bool only_prefix = stretch.size == 0 && prefix && is_part_of_text(t, match.id);
        if (stretch.size > 0 || only_prefix)
            rc = fn(e, stretch, prefix, err);
        if (!rc && match.id >= 0 && match.begin < match.end) // not one whose text an earlier one has swallowed
            rc = tb_ids_push(e->ids, match.id, err);
        prefix = t->add_space_prefix && !t->space_prefix_once && !is_part_of_text(t, match.id);
        from = match.own_end;
        at = match.end;
    }
    return rc;
}

// Where the normalised text may hold control tokens, when `text` may where e->control says it: its parts are normalised
// one by one. Behind a place where that differs from the whole (a mark that joins the letter before it) none are looked
// for.
static tb_code find_control(tb_control *out, encoder *e, tb_text text, tb_text normal, tb_error *err)
{
    tb_control control = e->control;
    control.offset = (size_t)(text.data - e->text.data);
    size_t end = 0, done = 0;
    *out = (tb_control){.stretches = e->in_normal};
    for (size_t at = 0; at < text.size; at = end) {
        const tb_stretch *next = tb_control_find(&control, at);
        bool inside = next && next->begin <= control.offset + at;
        end = next ? (inside ? next->end : next->begin) - control.offset : text.size;
        end = end < text.size ? end : text.size;
        tb_text part = {text.data + at, end - at};
        tb_code rc = tb_tokenizer_normalize(&e->part, &part, e->tokenizer, at == 0, end == text.size, err);
        if (rc)
            return rc;
        size_t size = part.size, same = 0;
        while (same < size && done + same < normal.size && part.data[same] == normal.data[done + same])
            same++;
        if (inside && same > 0)
            e->in_normal[out->count++] = (tb_stretch){done, done + same};
        if (same < size)
            return TB_OK;
        done += size;
    }
    return TB_OK;
}

static tb_code encode_stretch(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    bool first = text.data == e->text.data;
    tb_text normal = text;
    tb_code rc = tb_tokenizer_normalize(&e->normalized, &normal, t, true, true, err);
    e->normal_start = first && e->normalized.keeps_start ? normal.data : NULL;
    if (rc || t->added_normalized.count == 0 || text.size == 0)
        return rc ? rc : encode_plain(e, normal, prefix, err);
    tb_control control;
    rc = find_control(&control, e, text, normal, err);
    return rc ? rc : encode_between(e, &t->added_normalized, normal, &control, prefix, encode_plain, err);
}

tb_code tb_encode_within(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, const tb_stretch *stretches,
                         size_t count, unsigned flags, tb_error *err)
{
    encoder e = {.tokenizer = tokenizer, .ids = ids, .text = text, .control = {.stretches = stretches, .count = count}};
    e.marked.limit = SIZE_MAX / 4;
    e.in_normal = tb_alloc_array(count, sizeof *e.in_normal);
    size_t before = ids->size;
    tb_code rc = e.in_normal ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to tokenize a text");
    if (!rc && (flags & TB_ENCODE_BOS) && tokenizer->add_bos)
        rc = tb_ids_push(ids, tokenizer->bos, err);
    if (!rc && tokenizer->pretokenizer)
        rc = tb_presplit_new(&e.split, tokenizer->pretokenizer, err);
    if (!rc)
        rc = encode_between(&e, &tokenizer->added, text, &e.control, tokenizer->add_space_prefix, encode_stretch, err);
    if (rc)
        ids->size = before;
    tb_presplit_free(e.split);
    tb_merger_clear(&e.merger);
    tb_lattice_clear(&e.lattice);
    tb_normalized_clear(&e.normalized);
    tb_normalized_clear(&e.part);
    tb_str_clear(&e.marked);
    tb_free(e.in_normal);
    return rc;
}

tb_code tb_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, unsigned flags, tb_error *err)
{
    const tb_stretch whole = {0, text.size};
    return tb_encode_within(ids, tokenizer, text, &whole, flags & TB_ENCODE_SPECIAL ? 1 : 0, flags, err);
}
