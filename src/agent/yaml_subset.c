// libyaml's events, of which each is either something we know or an error at its place. What events do not tell, such
// as the difference between ">" and ">-", is looked up in the text at their marks.
#include "agent/yaml_subset.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST_DEPTH = 3, SAFE_DIGITS = 18 }; // the document, its applications, one of them; digits that fit 64 bits

typedef struct reader {
    yaml_parser_t parser;
    tb_text text;
    const char *what;
    tb_error *err;
} reader;

static tb_code fail_at(const reader *r, yaml_mark_t mark, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Marks count lines and columns from 0, people from 1.
static tb_code fail_at(const reader *r, yaml_mark_t mark, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tb_fail(r->err, TB_EFORMAT, "%s, line %zu, column %zu: %s", r->what, mark.line + 1, mark.column + 1, text);
}

static tb_code fail_parser(const reader *r)
{
    if (r->parser.error == YAML_MEMORY_ERROR)
        return tb_fail(r->err, TB_ENOMEM, "no memory to read %s", r->what);
    return fail_at(r, r->parser.problem_mark, "%s", r->parser.problem ? r->parser.problem : "not YAML");
}

static tb_code fail_memory(const reader *r)
{
    return tb_fail(r->err, TB_ENOMEM, "no memory to read %s", r->what);
}

// The next event, which must be deleted.
static tb_code next_event(yaml_event_t *event, reader *r)
{
    return yaml_parser_parse(&r->parser, event) ? TB_OK : fail_parser(r);
}

// The byte where a mark stands; marks count characters. Nothing here is large enough for the walk to matter.
static tb_text text_at(const reader *r, yaml_mark_t mark)
{
    size_t at = 0;
    for (size_t n = 0; n < mark.index && at < r->text.size; n++) {
        uint32_t code_point;
        size_t bytes = tb_utf8_decode(&code_point, r->text.data + at, r->text.size - at);
        at += bytes ? bytes : 1;
    }
    return (tb_text){r->text.data + at, r->text.size - at};
}

// ---- scalars ----

static bool is_integer(tb_text text)
{
    size_t sign = text.size > 0 && text.data[0] == '-';
    if (text.size == sign || text.size - sign > SAFE_DIGITS)
        return false;
    for (size_t i = sign; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static tb_code check_style(const reader *r, const yaml_event_t *event)
{
    yaml_scalar_style_t style = event->data.scalar.style;
    if (event->data.scalar.anchor || event->data.scalar.tag)
        return fail_at(r, event->start_mark, "anchors and tags are not read");
    if (style == YAML_LITERAL_SCALAR_STYLE)
        return fail_at(r, event->start_mark, "a literal block is not read; use '>-'");
    if (style == YAML_FOLDED_SCALAR_STYLE) {
        tb_text at = text_at(r, event->start_mark);
        bool strips = at.size > 2 && at.data[1] == '-' && strchr(" \r\n", at.data[2]);
        return strips ? TB_OK : fail_at(r, event->start_mark, "of folded blocks only '>-' is read");
    }
    if (event->start_mark.line != event->end_mark.line)
        return fail_at(r, event->start_mark, "a scalar of several lines is not read; use '>-'");
    if (style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.length == 0)
        return fail_at(r, event->start_mark, "a value is missing");
    return TB_OK;
}

static tb_text scalar_text(const yaml_event_t *event)
{
    return (tb_text){(const char *)event->data.scalar.value, event->data.scalar.length};
}

static tb_code read_scalar(json_t **out, const reader *r, const yaml_event_t *event)
{
    tb_code rc = check_style(r, event);
    if (rc)
        return rc;
    tb_text text = scalar_text(event);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    *out = plain && is_integer(text) ? json_integer(strtoll(text.data, NULL, 10)) : json_stringn(text.data, text.size);
    return *out ? TB_OK : fail_memory(r);
}

// ---- sequences ----

static tb_code read_items(json_t *items, reader *r, bool flow)
{
    for (;;) {
        yaml_event_t event;
        json_t *item = NULL;
        tb_code rc = next_event(&event, r);
        if (rc)
            return rc;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end && (flow || event.type != YAML_SCALAR_EVENT))
            rc =
                fail_at(r, event.start_mark,
                        flow ? "of sequences in one line only '[]' is read" : "an item of a sequence must be a scalar");
        else if (!end)
            rc = read_scalar(&item, r, &event);
        yaml_event_delete(&event);
        if (!rc && !end && json_array_append_new(items, item))
            rc = fail_memory(r);
        if (rc || end)
            return rc;
    }
}

static tb_code read_sequence(json_t **out, reader *r, const yaml_event_t *start)
{
    if (start->data.sequence_start.anchor || start->data.sequence_start.tag)
        return fail_at(r, start->start_mark, "anchors and tags are not read");
    *out = json_array();
    return *out ? read_items(*out, r, start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE) : fail_memory(r);
}

// ---- mappings ----

static tb_code read_mapping(json_t **out, reader *r, const yaml_event_t *start, size_t depth);

static tb_code read_value(json_t **out, reader *r, const yaml_event_t *event, size_t depth)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(out, r, event);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(out, r, event);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(out, r, event, depth);
    default:
        return fail_at(r, event->start_mark, "aliases are not read");
    }
}

// A key stands first in its line: there is no "? key".
static tb_code check_key(const reader *r, const yaml_event_t *event, const json_t *mapping)
{
    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(r, event->start_mark, "a key must be a scalar");
    tb_code rc = check_style(r, event);
    if (rc)
        return rc;
    if (event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE)
        return fail_at(r, event->start_mark, "a key must be a plain or quoted scalar");
    yaml_mark_t line = event->start_mark;
    tb_text at = text_at(r, line);
    for (size_t i = 0; i < line.column; i++)
        if (at.data[-1 - (ptrdiff_t)i] != ' ')
            return fail_at(r, line, "a key must be the first in its line");
    tb_text name = scalar_text(event);
    if (json_object_getn(mapping, name.data, name.size))
        return fail_at(r, line, "the key '%.*s' stands there twice", (int)tb_min_size(name.size, 80), name.data);
    return TB_OK;
}

static tb_code read_member(json_t *mapping, reader *r, const yaml_event_t *key, size_t depth)
{
    yaml_event_t event;
    json_t *value = NULL;
    tb_code rc = next_event(&event, r);
    if (rc)
        return rc;
    rc = read_value(&value, r, &event, depth);
    yaml_event_delete(&event);
    tb_text name = scalar_text(key);
    if (!rc && json_object_setn_new(mapping, name.data, name.size, value))
        return fail_memory(r);
    if (rc)
        json_decref(value);
    return rc;
}

static tb_code read_mapping(json_t **out, reader *r, const yaml_event_t *start, size_t depth)
{
    if (start->data.mapping_start.anchor || start->data.mapping_start.tag)
        return fail_at(r, start->start_mark, "anchors and tags are not read");
    if (start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
        return fail_at(r, start->start_mark, "a mapping in braces is not read");
    if (depth == MOST_DEPTH)
        return fail_at(r, start->start_mark, "mappings stand more than %d deep", MOST_DEPTH);
    *out = json_object();
    if (!*out)
        return fail_memory(r);
    for (;;) {
        yaml_event_t event;
        tb_code rc = next_event(&event, r);
        if (rc)
            return rc;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        if (!end)
            rc = check_key(r, &event, *out);
        if (!end && !rc)
            rc = read_member(*out, r, &event, depth + 1);
        yaml_event_delete(&event);
        if (rc || end)
            return rc;
    }
}

// ---- the document ----

// Consumes an event that must be of this type.
static tb_code expect(reader *r, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    tb_code rc = next_event(&event, r);
    if (rc)
        return rc;
    bool explicit_start = event.type == YAML_DOCUMENT_START_EVENT && !event.data.document_start.implicit;
    bool explicit_end = event.type == YAML_DOCUMENT_END_EVENT && !event.data.document_end.implicit;
    if (event.type != type || explicit_start || explicit_end)
        rc = fail_at(r, event.start_mark, "%s", otherwise);
    yaml_event_delete(&event);
    return rc;
}

static tb_code read_document(json_t **out, reader *r)
{
    static const char markers[] = "there must be one document, without markers and directives";
    yaml_event_t event;
    tb_code rc = expect(r, YAML_STREAM_START_EVENT, markers);
    if (!rc)
        rc = expect(r, YAML_DOCUMENT_START_EVENT, markers);
    if (!rc)
        rc = next_event(&event, r);
    if (rc)
        return rc;
    rc = event.type == YAML_MAPPING_START_EVENT ? read_mapping(out, r, &event, 0)
                                                : fail_at(r, event.start_mark, "the document must be a mapping");
    yaml_event_delete(&event);
    if (!rc)
        rc = expect(r, YAML_DOCUMENT_END_EVENT, markers);
    return rc ? rc : expect(r, YAML_STREAM_END_EVENT, markers);
}

// libyaml would take other encodings too, and its marks would then count what we cannot find.
static tb_code check_encoding(tb_text text, const char *what, tb_error *err)
{
    size_t valid = tb_utf8_valid_prefix(text.data, text.size);
    return valid == text.size ? TB_OK : tb_fail(err, TB_EFORMAT, "%s is not UTF-8 at byte %zu", what, valid);
}

tb_code tb_yaml_read(json_t **out, tb_text text, const char *what, tb_error *err)
{
    reader r = {.text = text, .what = what, .err = err};
    *out = NULL;
    tb_code rc = check_encoding(text, what, err);
    if (rc)
        return rc;
    if (!yaml_parser_initialize(&r.parser))
        return fail_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.data, text.size);
    rc = read_document(out, &r);
    yaml_parser_delete(&r.parser);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
