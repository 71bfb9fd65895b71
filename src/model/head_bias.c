#include "model/head_bias.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

// ---- plans ----

tb_code tb_head_biases_check(const tb_kv_plan *plan, const tb_config *config, tb_error *err)
{
    if (!isfinite(plan->sink_bias))
        return tb_fail(err, TB_EINVAL, "the bias of the first token is not a finite number");
    for (size_t i = 0; i < plan->head_bias_count; i++) {
        const tb_head_bias *b = &plan->head_biases[i];
        if (b->block >= config->blocks || b->head >= config->heads)
            return tb_fail(err, TB_EINVAL, "there is no head %zu in block %zu; the model has %zu blocks of %zu heads",
                           b->head, b->block, config->blocks, config->heads);
        if (!isfinite((float)b->bias))
            return tb_fail(err, TB_EINVAL,
                           "the bias of the first token in head %zu of block %zu is not a finite number", b->head,
                           b->block);
    }
    return TB_OK;
}

void tb_head_biases_fill(float *out, const tb_kv_plan *plan, size_t first_block, size_t blocks, size_t heads)
{
    for (size_t i = 0; i < blocks * heads; i++)
        out[i] = plan->sink_bias;
    for (size_t i = 0; i < plan->head_bias_count; i++) {
        const tb_head_bias *b = &plan->head_biases[i];
        if (b->block >= first_block && b->block - first_block < blocks)
            out[(b->block - first_block) * heads + b->head] += (float)b->bias;
    }
}

// ---- files ----

double tb_sink_bias_of(double gamma)
{
    // e^−1000 is 0 as a float, and scores stay far away from that.
    const double lowest = -1000;
    return gamma > 0 ? fmax(log(gamma), lowest) : lowest;
}

// Up to `most` words of a line, without its comment; returns how many there are, most + 1 where there are more.
static size_t split_line(tb_text *words, size_t most, tb_text line)
{
    const char *blanks = " \t\r";
    size_t count = 0;
    for (size_t i = 0; i < line.size && line.data[i] != '#';) {
        size_t begin = i;
        while (i < line.size && line.data[i] != '#' && !strchr(blanks, line.data[i]))
            i++;
        if (i == begin) {
            i++;
            continue;
        }
        if (count == most)
            return most + 1;
        words[count++] = (tb_text){line.data + begin, i - begin};
    }
    return count;
}

enum { WORDS = 3, MOST_WORD = 32 };

static tb_code read_line(tb_head_bias *out, const tb_text words[WORDS], tb_error *err)
{
    char copies[WORDS][MOST_WORD] = {{0}};
    uint64_t block = 0, head = 0;
    double gamma = 0;
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].size >= MOST_WORD)
            return tb_fail(err, TB_EINVAL, "'%.*s…' is too long for a number", MOST_WORD, words[i].data);
        memcpy(copies[i], words[i].data, words[i].size);
    }
    tb_code rc = tb_parse_count(&block, copies[0], err);
    if (!rc)
        rc = tb_parse_count(&head, copies[1], err);
    if (!rc)
        rc = tb_parse_real(&gamma, copies[2], err);
    if (!rc && !(gamma >= 0 && gamma <= TB_MOST_GAMMA))
        rc = tb_fail(err, TB_EINVAL, "%g is no factor; it is at least 0 and at most %g", gamma, TB_MOST_GAMMA);
    *out = (tb_head_bias){(size_t)block, (size_t)head, tb_sink_bias_of(gamma)};
    return rc;
}

static int by_head(const void *a, const void *b)
{
    const tb_head_bias *x = a, *y = b;
    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return (x->head > y->head) - (x->head < y->head);
}

static tb_code check_twice(tb_head_bias *list, size_t count, const char *name, tb_error *err)
{
    qsort(list, count, sizeof *list, by_head);
    for (size_t i = 1; i < count; i++)
        if (by_head(&list[i - 1], &list[i]) == 0)
            return tb_fail(err, TB_EFORMAT, "'%s' names head %zu of block %zu twice", name, list[i].head,
                           list[i].block);
    return TB_OK;
}

static size_t count_lines(tb_text text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    return lines;
}

// Reads the lines of a text into list[lines].
static tb_code read_lines(tb_head_bias *list, size_t *count, tb_text text, const char *name, tb_error *err)
{
    const char *end = text.data + text.size, *next;
    size_t number = 1;
    for (const char *at = text.data; at < end; at = next, number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        tb_text words[WORDS];
        next = newline ? newline + 1 : end;
        size_t n = split_line(words, WORDS, (tb_text){at, (size_t)((newline ? newline : end) - at)});
        if (n == 0)
            continue;
        if (n != WORDS)
            return tb_fail(err, TB_EFORMAT, "line %zu of '%s' is not a block, a head and a factor", number, name);
        tb_code rc = read_line(&list[*count], words, err);
        if (rc)
            return tb_fail_context(err, TB_EFORMAT, "line %zu of '%s'", number, name);
        ++*count;
    }
    return check_twice(list, *count, name, err);
}

tb_code tb_head_gammas_parse(tb_head_bias **out, size_t *count, tb_text text, const char *name, tb_error *err)
{
    *count = 0;
    *out = tb_alloc_array(count_lines(text), sizeof **out);
    tb_code rc = *out ? read_lines(*out, count, text, name, err)
                      : tb_fail(err, TB_ENOMEM, "no memory for the factors of '%s'", name);
    if (rc) {
        tb_free(*out);
        *out = NULL;
        *count = 0;
    }
    return rc;
}
