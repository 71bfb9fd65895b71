// Chat templates: a model's own Jinja, interpreted as Hugging Face renders it.
//
// The language is jinja2's in Hugging Face's sandbox: trim_blocks and lstrip_blocks are on, autoescape
// is off, `break`, `continue` and `generation` blocks exist, lists and dicts cannot be changed,
// `tojson` neither sorts nor escapes non-ASCII. Byte for byte the output is that of Python; what
// is not supported is refused with its name and line. docs/templates.md lists the language.
#ifndef TB_TEMPLATE_H
#define TB_TEMPLATE_H

#include <time.h>

#include "base/base.h"

// Immutable and shareable after creation.
typedef struct tb_template tb_template;

// Compiles the text of a template; `source` may be freed afterwards.
// TB_EFORMAT: a syntax error. TB_EUNSUPPORTED: an element of Jinja that is not supported.
// TB_ELIMIT: too long or nested too deeply. Each names the line.
tb_code tb_template_new(tb_template **out, tb_text source, tb_error *err);
void tb_template_free(tb_template *tmpl);

// A rendered text, and which of its bytes the template itself has written.
typedef struct tb_prompt {
    tb_str text;
    tb_stretch *own; // [own_count] in order, apart; the rest comes from the conversation
    size_t own_count;
} tb_prompt; // zeroed: empty

void tb_prompt_clear(tb_prompt *prompt);

// What a template is rendered with: two JSON texts, one object each, whose keys are the template's variables.
typedef struct tb_template_input {
    // What the model brings: bos_token, eos_token and the like.
    tb_text variables;
    // What comes from outside and goes before the model's variables: messages, tools, add_generation_prompt, whatever
    // else the template reads. Hugging Face always defines tools and documents (null when there are none); a caller
    // that wants its bytes does too. Every byte of it stays known as such, the names of tools and roles included; but
    // the roles that every template knows (system, developer, user, assistant, tool, function) are no text of anybody.
    tb_text conversation;
    time_t now; // what strftime_now() shows, in the local time zone
} tb_template_input;

// Renders into `out`, to be cleared by the caller and empty after a failure.
//
// TB_EINVAL: an operation failed as it would in Python, or the template itself refused by
// raise_exception(), whose message is quoted. TB_EFORMAT: the input is not a JSON object.
// TB_EUNSUPPORTED: Python could, twobit does not. TB_ELIMIT: too many steps, too much nesting, memory or
// output. One template may be rendered by several threads at once.
tb_code tb_template_render(tb_prompt *out, const tb_template *tmpl, const tb_template_input *input, tb_error *err);

#endif
