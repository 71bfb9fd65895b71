// The records that the official harness finds by two regular expressions,
//
//   ^\[(PASS|FAIL)\]\s+\((\d+)pt\)\s+(.+?)(?:\s{2,}\((.+)\))?\s*$      over a check and the lines behind it
//   ^SCORE:\s*([\d.]+)\s+PASS:\s*(True|False)\s+\((\d+)/(\d+)\)        over one line
//
// found by walking. A check reaches to the next line that starts with "[PASS]", "[FAIL]" or "SCORE:". Where it does not
// match, the line behind it is passed over unread: so it is there, and so it must be here.
#include "agent/verdict.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lines.h"

// Digits of a weight or a sum of them. A text of a gigabyte has no more than 1e8 checks, whose sum then fits 64 bits;
// what has more digits is no result.
enum { MOST_DIGITS = 11, MOST_SCORE = 63 };

typedef struct parser {
    tb_verdict *out;
    tb_text rest; // lines that are not yet read
    tb_str record;
    size_t capacity;
    tb_error *err;
} parser;

void tb_verdict_init(tb_verdict *out, tb_verdict_status status, const char *error)
{
    *out = (tb_verdict){.status = status, .error = error};
}

void tb_verdict_clear(tb_verdict *verdict)
{
    tb_arena_clear(&verdict->arena);
    *verdict = (tb_verdict){0};
}

const char *tb_verdict_status_name(tb_verdict_status status)
{
    static const char *const names[] = {
        [TB_VERDICT_ERROR] = "ERROR",
        [TB_VERDICT_FAIL] = "FAIL",
        [TB_VERDICT_PASS] = "PASS",
        [TB_VERDICT_SKIP] = "SKIP",
    };
    return names[status];
}

// ---- small matches: each takes what it matches from the front of *text ----

static bool take_word(tb_text *text, const char *word)
{
    if (!tb_starts_with(*text, word))
        return false;
    *text = tb_text_from(*text, strlen(word));
    return true;
}

// The number of characters taken.
static size_t take_spaces(tb_text *text)
{
    size_t n, count = 0;
    for (; (n = tb_space_size(*text)) > 0; count++)
        *text = tb_text_from(*text, n);
    return count;
}

static tb_text take_all(tb_text *text, const char *characters)
{
    size_t n = 0;
    while (n < text->size && text->data[n] && strchr(characters, text->data[n]))
        n++;
    tb_text taken = {text->data, n};
    *text = tb_text_from(*text, n);
    return taken;
}

static tb_text take_digits(tb_text *text)
{
    return take_all(text, "0123456789");
}

// A number that was matched; sets the error of the result where it is none that can be used.
static uint64_t number_of(tb_text digits, tb_verdict *out)
{
    uint64_t value = 0;
    if (digits.size > MOST_DIGITS)
        out->error = "a number in the verifier's output is too large";
    for (size_t i = 0; i < digits.size && digits.size <= MOST_DIGITS; i++)
        value = 10 * value + (uint64_t)(digits.data[i] - '0');
    return value;
}

static double real_of(tb_text text, tb_verdict *out)
{
    char copy[MOST_SCORE + 1];
    size_t n = tb_min_size(text.size, MOST_SCORE);
    memcpy(copy, text.data, n);
    copy[n] = '\0';
    char *end;
    double value = strtod(copy, &end);
    if (text.size > MOST_SCORE || *end || end == copy || !isfinite(value))
        out->error = "the score in the verifier's output is no number";
    return value;
}

// ---- checks ----

static bool starts_check(tb_text line)
{
    return tb_starts_with(line, "[PASS]") || tb_starts_with(line, "[FAIL]");
}

static tb_code append_line(parser *p, tb_text line)
{
    tb_code rc = p->record.size ? tb_str_append(&p->record, "\n", 1, p->err) : TB_OK;
    return rc ? rc : tb_str_append(&p->record, line.data, line.size, p->err);
}

// Gathers a check's line and those behind it that belong to it.
static tb_code gather(parser *p, tb_text first)
{
    tb_str_reset(&p->record);
    tb_code rc = append_line(p, first);
    for (tb_text ahead = p->rest, line; !rc && tb_next_line(&line, &ahead); p->rest = ahead) {
        line = tb_strip(line);
        if (starts_check(line) || tb_starts_with(line, "SCORE:"))
            break;
        rc = append_line(p, line);
    }
    return rc;
}

// Cuts "label  (detail)" at the first two blanks or more that are followed by a parenthesis, where the last character
// closes one and something stands between. `text` is stripped.
static void split_label(tb_text *label, tb_text *detail, tb_text text)
{
    *label = text;
    *detail = (tb_text){"", 0};
    for (size_t at = 0; at < text.size;) {
        tb_text behind = tb_text_from(text, at);
        size_t spaces = take_spaces(&behind);
        if (spaces >= 2 && behind.size > 2 && behind.data[0] == '(' && text.data[text.size - 1] == ')') {
            *label = (tb_text){text.data, at};
            *detail = tb_strip((tb_text){behind.data + 1, behind.size - 2});
            return;
        }
        at = spaces ? text.size - behind.size : at + 1;
    }
}

static tb_code add_check(parser *p, const tb_check *check)
{
    tb_verdict *v = p->out;
    if (v->check_count == p->capacity) {
        size_t capacity = 2 * p->capacity + 16;
        tb_check *grown = tb_arena_array(&v->arena, capacity, sizeof *grown);
        if (!grown)
            return tb_fail(p->err, TB_ENOMEM, "no memory for the checks");
        if (v->check_count)
            memcpy(grown, v->checks, v->check_count * sizeof *grown);
        v->checks = grown;
        p->capacity = capacity;
    }
    tb_check *copy = &v->checks[v->check_count];
    *copy = *check;
    copy->label.data = tb_arena_text(&v->arena, check->label.data, check->label.size);
    copy->detail.data = tb_arena_text(&v->arena, check->detail.data, check->detail.size);
    if (!copy->label.data || !copy->detail.data)
        return tb_fail(p->err, TB_ENOMEM, "no memory for the checks");
    v->check_count++;
    return TB_OK;
}

static bool match_check(tb_check *check, tb_text text, tb_verdict *out)
{
    *check = (tb_check){.passed = tb_starts_with(text, "[PASS]")};
    text = tb_text_from(text, strlen("[PASS]"));
    if (!take_spaces(&text) || !take_word(&text, "("))
        return false;
    tb_text digits = take_digits(&text);
    if (!digits.size || !take_word(&text, "pt)") || !take_spaces(&text) || !text.size)
        return false;
    check->weight = number_of(digits, out);
    split_label(&check->label, &check->detail, text);
    return true;
}

static tb_code read_check(parser *p, tb_text first)
{
    tb_check check;
    tb_text passed_over;
    tb_code rc = gather(p, first);
    if (rc)
        return rc;
    tb_text record = tb_strip((tb_text){p->record.data, p->record.size});
    if (match_check(&check, record, p->out))
        return add_check(p, &check);
    tb_next_line(&passed_over, &p->rest);
    return TB_OK;
}

// ---- the score ----

static void read_score(tb_verdict *out, tb_text line)
{
    tb_text score, earned, total;
    if (!take_word(&line, "SCORE:"))
        return;
    take_spaces(&line);
    score = take_all(&line, "0123456789.");
    if (!score.size || !take_spaces(&line) || !take_word(&line, "PASS:"))
        return;
    take_spaces(&line);
    bool all_pass = take_word(&line, "True");
    if ((!all_pass && !take_word(&line, "False")) || !take_spaces(&line) || !take_word(&line, "("))
        return;
    earned = take_digits(&line);
    if (!earned.size || !take_word(&line, "/"))
        return;
    total = take_digits(&line);
    if (!total.size || !take_word(&line, ")"))
        return;
    out->has_score = true;
    out->all_pass = all_pass;
    out->score = real_of(score, out);
    out->earned = number_of(earned, out);
    out->total = number_of(total, out);
}

static void sum_up(tb_verdict *v)
{
    v->all_pass = v->check_count > 0;
    for (size_t i = 0; i < v->check_count; i++) {
        v->total += v->checks[i].weight;
        v->earned += v->checks[i].passed ? v->checks[i].weight : 0;
        v->all_pass = v->all_pass && v->checks[i].passed;
    }
    v->score = v->total ? (double)v->earned / (double)v->total : 0;
}

// What cannot be a result leaves nothing of one but the reason.
static void finish(tb_verdict *v)
{
    if (v->error) {
        const char *error = v->error;
        tb_verdict_clear(v);
        tb_verdict_init(v, TB_VERDICT_ERROR, error);
        return;
    }
    if (!v->has_score)
        sum_up(v);
    v->status = v->all_pass ? TB_VERDICT_PASS : v->check_count ? TB_VERDICT_FAIL : TB_VERDICT_ERROR;
}

tb_code tb_verdict_parse(tb_verdict *out, tb_text printed, tb_error *err)
{
    *out = (tb_verdict){0};
    tb_str utf8 = {0};
    parser p = {.out = out, .err = err};
    tb_code rc = tb_append_as_utf8(&utf8, printed, err);
    p.rest = (tb_text){tb_str_get(&utf8), utf8.size};
    for (tb_text line; !rc && tb_next_line(&line, &p.rest);) {
        line = tb_strip(line);
        if (starts_check(line))
            rc = read_check(&p, line);
        else
            read_score(out, line);
    }
    if (rc)
        tb_verdict_clear(out);
    else
        finish(out);
    tb_str_clear(&p.record);
    tb_str_clear(&utf8);
    return rc;
}

// ---- the result file ----

static json_t *make_text(tb_text text)
{
    return json_stringn(text.data, text.size);
}

static json_t *make_checks(const tb_verdict *v)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < v->check_count; i++) {
        const tb_check *c = &v->checks[i];
        json_array_append_new(checks,
                              json_pack("{s:o, s:I, s:b, s:o}", "label", make_text(c->label), "weight",
                                        (json_int_t)c->weight, "passed", c->passed, "detail", make_text(c->detail)));
    }
    return checks;
}

json_t *tb_verdict_json(const tb_verdict *v, const char *task_id)
{
    const char *status = tb_verdict_status_name(v->status);
    if (!v->ended)
        return json_pack("{s:s, s:s, s:f, s:o, s:s?}", "task_id", task_id, "status", status, "score", v->score,
                         "checks", make_checks(v), "error", v->error);
    return json_pack("{s:s, s:s, s:f, s:I, s:I, s:b, s:o, s:i, s:s?}", "task_id", task_id, "status", status, "score",
                     v->score, "earned", (json_int_t)v->earned, "total", (json_int_t)v->total, "all_pass", v->all_pass,
                     "checks", make_checks(v), "returncode", v->returncode, "error", v->error);
}
