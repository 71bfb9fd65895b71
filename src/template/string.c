// Strings: made, joined, cut and escaped, with the origin of each byte.
#include <string.h>

#include "template/run.h"
#include "template/unicode.h"

static tb_string make_string(tb_piece text)
{
    return (tb_string){text, tb_unicode_count(text), NULL};
}

tb_string tb_string_constant(tb_text text)
{
    return make_string(tb_piece_of(text, TB_FROM_TEMPLATE));
}

tb_value tb_string_borrow(tb_render *run, tb_piece text)
{
    tb_render_work(run, 1 + text.size / TB_BYTES_COPIED_PER_STEP);
    tb_string *s = tb_render_alloc(run, sizeof *s);
    if (!s)
        return tb_missing();
    *s = make_string(text);
    return tb_string_value(s);
}

tb_value tb_string_new(tb_render *run, tb_piece text)
{
    char *copy = tb_render_alloc(run, text.size);
    char *origins = text.origins ? tb_render_alloc(run, text.size) : NULL;
    if (!copy || (text.origins && !origins))
        return tb_missing();
    if (text.size)
        memcpy(copy, text.data, text.size);
    if (origins)
        memcpy(origins, text.origins, text.size);
    return tb_string_borrow(run, (tb_piece){copy, text.size, origins, text.origin});
}

// ---- joining ----

static void put_origins(char *out, tb_piece text)
{
    if (text.origins)
        memcpy(out, text.origins, text.size);
    else
        memset(out, text.origin, text.size);
}

// A tail that begins with `text`.
static tb_tail *new_tail(tb_render *run, tb_piece text, size_t capacity)
{
    tb_render_work(run, text.size / TB_BYTES_COPIED_PER_STEP);
    tb_tail *tail = tb_render_alloc(run, sizeof *tail + capacity);
    if (!tail)
        return NULL;
    *tail = (tb_tail){.used = text.size, .capacity = capacity};
    memcpy(tail->data, text.data, text.size);
    return tail;
}

// Room for `left` and `right` behind each other, `left` already there; with origins where they are of several.
static tb_tail *room_to_append(tb_render *run, const tb_string *left, tb_piece right)
{
    tb_piece a = left->text;
    tb_tail *tail = left->tail;
    bool is_end = tail && a.data + a.size == tail->data + tail->used && tail->capacity - tail->used >= right.size;
    if (!is_end) // what has grown once will grow again
        tail = new_tail(run, a, tail ? 2 * (a.size + right.size) : a.size + right.size);
    bool of_one = !a.origins && !right.origins && a.origin == right.origin;
    if (!tail || of_one || tail->origins)
        return tail;
    tb_render_work(run, a.size / TB_BYTES_COPIED_PER_STEP);
    tail->origins = tb_render_alloc(run, tail->capacity);
    if (!tail->origins)
        return NULL;
    put_origins(tail->origins, a);
    return tail;
}

tb_value tb_string_concat(tb_render *run, tb_value left, tb_value right)
{
    if (run->rc)
        return tb_missing();
    const tb_string *a = left.as.string, *b = right.as.string;
    if (a->text.size == 0 || b->text.size == 0)
        return tb_string_value(a->text.size ? a : b);
    tb_render_work(run, 1 + b->text.size / TB_BYTES_COPIED_PER_STEP);
    tb_string *s = tb_render_alloc(run, sizeof *s);
    tb_tail *tail = s ? room_to_append(run, a, b->text) : NULL;
    if (!tail)
        return tb_missing();
    memcpy(tail->data + tail->used, b->text.data, b->text.size);
    if (tail->origins)
        put_origins(tail->origins + tail->used, b->text);
    tail->used += b->text.size;
    tb_piece whole = {tail->data, a->text.size + b->text.size, tail->origins, a->text.origin};
    *s = (tb_string){whole, a->length + b->length, tail};
    return tb_string_value(s);
}

// ---- cutting and escaping ----

tb_value tb_string_cut(tb_render *run, tb_value string, size_t start, size_t end)
{
    tb_piece text = tb_value_text(string);
    if (run->rc)
        return tb_missing();
    bool ascii = string.as.string->length == text.size;
    size_t from = ascii ? start : tb_unicode_offset(text, start);
    tb_piece rest = tb_piece_behind(text, from);
    size_t size = ascii ? end - start : tb_unicode_offset(rest, end - start);
    tb_render_work(run, ascii ? 0 : 1 + (from + size) / TB_BYTES_COPIED_PER_STEP);
    return tb_string_borrow(run, tb_piece_cut(rest, 0, size));
}

tb_value tb_string_escape(tb_render *run, tb_value string)
{
    if (tb_value_is_markup(string) || run->rc)
        return string;
    tb_piece text = tb_value_text(string);
    size_t mark = tb_render_begin(run), from = 0;
    tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    for (size_t i = 0; i < text.size && !run->rc; i++) {
        char c = text.data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        if (!entity)
            continue;
        tb_render_write(run, tb_piece_cut(text, from, i - from));
        tb_render_printf(run, tb_piece_origin_at(text, i), "%s", entity);
        from = i + 1;
    }
    tb_render_write(run, tb_piece_behind(text, from));
    string = tb_render_take(run, mark);
    string.variant = TB_VALUE_MARKUP;
    return string;
}
