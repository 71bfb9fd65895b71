// Chat templates: an input is a template, and behind its first NUL, if it has one, the JSON of the
// variables. What comes out is not looked at; that it comes, within the limits, is.
#include <stdint.h>
#include <string.h>

#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\0', size) : NULL;
    tb_text source = {text, end ? (size_t)(end - text) : size};
    tb_text context = {"{\"messages\": []}", 16};
    if (end)
        context = (tb_text){end + 1, size - source.size - 1};
    tb_template *tmpl;
    tb_error err;
    tb_prompt prompt = {0};
    if (tb_template_new(&tmpl, source, &err) == TB_OK)
        tb_template_render(&prompt, tmpl, &(tb_template_input){{"{}", 2}, context, 0}, &err);
    tb_template_free(tmpl);
    tb_prompt_clear(&prompt);
    return 0;
}
