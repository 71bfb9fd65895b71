// Renders cases for render_reference.py: each line of standard input is a JSON object with `template`, `context` (JSON
// text) and `now`; each line of standard output one with `text` and `own`, the stretches of it that the template itself
// has written (byte offsets, begin and end by turns), or with `error` and `code`.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

static tb_text string_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return (tb_text){json_string_value(value), json_string_length(value)};
}

static json_t *own_stretches(const tb_prompt *prompt)
{
    json_t *list = json_array();
    for (size_t i = 0; i < prompt->own_count; i++) {
        json_array_append_new(list, json_integer((json_int_t)prompt->own[i].begin));
        json_array_append_new(list, json_integer((json_int_t)prompt->own[i].end));
    }
    return list;
}

static json_t *render(const json_t *request)
{
    tb_template *tmpl = NULL;
    tb_prompt prompt = {0};
    tb_error err = {0};
    time_t now = (time_t)json_integer_value(json_object_get(request, "now"));
    tb_code rc = tb_template_new(&tmpl, string_of(request, "template"), &err);
    if (!rc)
        rc = tb_template_render(&prompt, tmpl, &(tb_template_input){{"{}", 2}, string_of(request, "context"), now},
                                &err);
    json_t *answer = json_object();
    if (rc)
        json_object_set_new(answer, "code", json_integer(rc));
    json_object_set_new(answer, rc ? "error" : "text",
                        rc ? json_string(err.message) : json_stringn(tb_str_get(&prompt.text), prompt.text.size));
    if (!rc)
        json_object_set_new(answer, "own", own_stretches(&prompt));
    tb_prompt_clear(&prompt);
    tb_template_free(tmpl);
    return answer;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    while ((n = getline(&line, &capacity, stdin)) > 0) {
        json_t *request = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
        if (!request) {
            fprintf(stderr, "a request is not JSON\n");
            return 1;
        }
        json_t *answer = render(request);
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(answer);
        json_decref(request);
    }
    free(line);
    return 0;
}
