// Unicode's normalization forms: decompose, sort marks, compose. utf8proc knows the characters and composes; the
// order of marks is made here, because utf8proc sorts a run of n marks in up to n² steps.
//
// Characters below some code point are in a form already and never combine with one before them. So
// only stretches of other characters, with the character in front of each, are worked on, and
// what lies between them is copied.
#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

// U+FDFA becomes 18 characters; no decomposition is longer.
enum { MAX_DECOMPOSED = 18 };

// What the forms differ in.
static const struct form_traits {
    uint32_t first_unsettled; // smaller characters are in that form
    unsigned char lead;       // its first byte; those of smaller characters are smaller
    int options;              // of decomposition
    bool composes;
} forms[] = {
    [TB_NFC] = {0x300, 0xCC, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, true},
    [TB_NFD] = {0xC0, 0xC3, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, false},
    [TB_NFKC] = {0xA0, 0xC2, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, true},
    [TB_NFKD] = {0xA0, 0xC2, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, false},
};

// Code points of one stretch.
typedef struct points {
    utf8proc_int32_t *data;
    size_t count, capacity;
} points;

static tb_code points_reserve(points *p, size_t more, tb_error *err)
{
    if (p->count + more <= p->capacity)
        return TB_OK;
    size_t capacity = (p->count + more) * 2;
    utf8proc_int32_t *data = tb_realloc_array(p->data, p->count, capacity, sizeof *data);
    if (!data)
        return tb_fail(err, TB_ENOMEM, "no memory to normalise %zu characters", p->count);
    p->data = data;
    p->capacity = capacity;
    return TB_OK;
}

static tb_code decompose(points *p, tb_text text, int options, tb_error *err)
{
    p->count = 0;
    for (size_t at = 0; at < text.size;) {
        tb_code rc = points_reserve(p, MAX_DECOMPOSED, err);
        if (rc)
            return rc;
        uint32_t c = 0;
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        int boundary = 0;
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, p->data + p->count, MAX_DECOMPOSED, options, &boundary);
        if (n < 0 || n > MAX_DECOMPOSED)
            return tb_fail(err, TB_EUNSUPPORTED, "U+%04X cannot be normalised: %s", (unsigned)c,
                           n < 0 ? utf8proc_errmsg(n) : "its decomposition is too long");
        p->count += (size_t)n;
    }
    return TB_OK;
}

static unsigned combining_class(utf8proc_int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

// A stable counting sort of marks by their class.
static void sort_long_run(utf8proc_int32_t *marks, size_t count, utf8proc_int32_t *scratch)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < count; i++)
        start[(combining_class(marks[i]) & 0xFF) + 1]++;
    for (size_t k = 0; k < 256; k++)
        start[k + 1] += start[k];
    for (size_t i = 0; i < count; i++)
        scratch[start[combining_class(marks[i]) & 0xFF]++] = marks[i];
    memcpy(marks, scratch, count * sizeof *marks);
}

static void sort_short_run(utf8proc_int32_t *marks, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        utf8proc_int32_t mark = marks[i];
        size_t k = i;
        for (; k > 0 && combining_class(marks[k - 1]) > combining_class(mark); k--)
            marks[k] = marks[k - 1];
        marks[k] = mark;
    }
}

// Unicode's canonical order: each run of marks sorted by class, equal ones as they were.
static tb_code order_marks(points *p, tb_error *err)
{
    enum { SHORT = 16 };
    for (size_t begin = 0, end; begin < p->count; begin = end + 1) {
        for (end = begin; end < p->count && combining_class(p->data[end]) > 0;)
            end++;
        size_t count = end - begin;
        if (count <= SHORT) {
            sort_short_run(p->data + begin, count);
            continue;
        }
        tb_code rc = points_reserve(p, count, err);
        if (rc)
            return rc;
        sort_long_run(p->data + begin, count, p->data + p->count); // the scratch lies behind the points
    }
    return TB_OK;
}

static tb_code normalize_stretch(tb_str *out, points *p, tb_text text, const struct form_traits *form, tb_error *err)
{
    tb_code rc = decompose(p, text, form->options, err);
    if (!rc)
        rc = order_marks(p, err);
    if (rc)
        return rc;
    utf8proc_ssize_t n = (utf8proc_ssize_t)p->count;
    if (form->composes)
        n = utf8proc_normalize_utf32(p->data, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    for (utf8proc_ssize_t i = 0; i < n && !rc; i++) {
        char bytes[4];
        rc = tb_str_append(out, bytes, tb_utf8_encode(bytes, (uint32_t)p->data[i]), err);
    }
    return rc;
}

// Bytes at the start of `text` that are settled: valid characters that are in the form and what is not
// UTF-8, without the character to which an unsettled one behind it belongs.
static size_t settled_prefix(tb_text text, const struct form_traits *form)
{
    size_t at = 0, last = 0; // `last`: where the character before `at` starts
    while (at < text.size) {
        uint32_t c;
        size_t n = (unsigned char)text.data[at] < form->lead ? 1 : tb_utf8_decode(&c, text.data + at, text.size - at);
        if (n > 1)
            return at > 0 && tb_utf8_decode(&c, text.data + last, at - last) == at - last ? last : at;
        if ((text.data[at] & 0xC0) != 0x80)
            last = at;
        at++;
    }
    return at;
}

// Bytes of the stretch that starts here: one character of any kind, then unsettled ones.
static size_t stretch_size(tb_text text, const struct form_traits *form)
{
    uint32_t c;
    size_t at = tb_utf8_decode(&c, text.data, text.size), n;
    while ((n = tb_utf8_decode(&c, text.data + at, text.size - at)) && c >= form->first_unsettled)
        at += n;
    return at;
}

tb_code tb_form_append(tb_str *out, tb_text text, tb_form form, tb_error *err)
{
    points p = {0};
    tb_code rc = TB_OK;
    while (text.size > 0 && !rc) {
        size_t settled = settled_prefix(text, &forms[form]);
        rc = tb_str_append(out, text.data, settled, err);
        text = (tb_text){text.data + settled, text.size - settled};
        if (rc || text.size == 0)
            break;
        size_t n = stretch_size(text, &forms[form]);
        rc = normalize_stretch(out, &p, (tb_text){text.data, n}, &forms[form], err);
        text = (tb_text){text.data + n, text.size - n};
    }
    tb_free(p.data);
    return rc;
}
