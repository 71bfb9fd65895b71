// Each stop string is followed by the automaton of Knuth, Morris and Pratt: `matched` is the length
// of its longest beginning that the text so far ends in. The longest of these is what must be held
// back, whatever the pieces were; each byte takes constant time per string, amortised.
#include "generate/stop.h"

#include <string.h>

typedef struct pattern {
    char *text;
    size_t size, matched;
    size_t *borders; // [size] of text[0 … i]: its longest beginning that is also its end, and shorter
} pattern;

struct tb_stop {
    pattern *patterns;
    size_t count;
    tb_str held;
    bool found;
};

// How much is matched when `byte` follows the `matched` bytes at the beginning of the pattern.
static size_t follow(const pattern *p, size_t matched, char byte)
{
    while (matched > 0 && (matched == p->size || p->text[matched] != byte))
        matched = p->borders[matched - 1];
    return p->text[matched] == byte ? matched + 1 : 0;
}

static tb_code init_pattern(pattern *p, const char *text, tb_error *err)
{
    p->size = strlen(text);
    if (p->size == 0)
        return tb_fail(err, TB_EINVAL, "a stop string is empty");
    p->text = tb_dup_text(text, p->size);
    p->borders = tb_alloc_array(p->size, sizeof *p->borders);
    if (!p->text || !p->borders)
        return tb_fail(err, TB_ENOMEM, "no memory for a stop string");
    for (size_t i = 1; i < p->size; i++)
        p->borders[i] = follow(p, p->borders[i - 1], text[i]);
    return TB_OK;
}

tb_code tb_stop_new(tb_stop **out, const char *const *strings, size_t count, tb_error *err)
{
    *out = NULL;
    tb_stop *stop = tb_new(tb_stop);
    if (stop)
        stop->patterns = tb_alloc_array(count, sizeof *stop->patterns);
    tb_code rc = stop && stop->patterns ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for stop strings");
    for (size_t i = 0; !rc && i < count; i++) {
        stop->count++;
        rc = init_pattern(&stop->patterns[i], strings[i], err);
    }
    if (rc) {
        tb_stop_free(stop);
        return rc;
    }
    *out = stop;
    return TB_OK;
}

void tb_stop_free(tb_stop *stop)
{
    if (!stop)
        return;
    for (size_t i = 0; i < stop->count; i++) {
        tb_free(stop->patterns[i].text);
        tb_free(stop->patterns[i].borders);
    }
    tb_free(stop->patterns);
    tb_str_clear(&stop->held);
    tb_free(stop);
}

// Follows every pattern by a byte. Returns the longest that is complete now, 0 when none is; *open is
// the longest beginning of a pattern at the end of the text.
static size_t step(tb_stop *stop, char byte, size_t *open)
{
    size_t complete = 0;
    *open = 0;
    for (size_t i = 0; i < stop->count; i++) {
        pattern *p = &stop->patterns[i];
        p->matched = follow(p, p->matched, byte);
        if (p->matched == p->size && p->size > complete)
            complete = p->size;
        if (p->matched > *open)
            *open = p->matched;
    }
    return complete;
}

// Appends what was held back except its last `kept` bytes.
static tb_code release(tb_stop *stop, tb_str *out, size_t kept, tb_error *err)
{
    size_t n = stop->held.size - kept;
    tb_code rc = tb_str_append(out, stop->held.data, n, err);
    if (rc || n == 0)
        return rc;
    memmove(stop->held.data, stop->held.data + n, kept + 1);
    stop->held.size = kept;
    return TB_OK;
}

tb_code tb_stop_push(tb_stop *stop, tb_str *out, const char *text, size_t size, bool *found, tb_error *err)
{
    size_t open = stop->held.size, complete = 0, taken = 0;
    while (taken < size && !complete && !stop->found)
        complete = step(stop, text[taken++], &open);
    tb_code rc = tb_str_append(&stop->held, text, taken, err);
    if (!rc)
        rc = release(stop, out, complete ? complete : open, err);
    if (complete) {
        stop->found = true;
        tb_str_reset(&stop->held);
    }
    *found = stop->found;
    return rc;
}

tb_code tb_stop_finish(tb_stop *stop, tb_str *out, tb_error *err)
{
    tb_code rc = release(stop, out, 0, err);
    for (size_t i = 0; i < stop->count; i++)
        stop->patterns[i].matched = 0;
    tb_str_reset(&stop->held);
    stop->found = false;
    return rc;
}
