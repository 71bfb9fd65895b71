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

// Appends the rendered text to `out`; on failure `out` is as it was.
//
// `context` is JSON text, one object whose keys are the template's variables: messages, tools,
// add_generation_prompt, bos_token, eos_token, whatever else the template reads. Hugging Face always
// defines tools and documents (null when there are none); a caller that wants its bytes does too.
// `now` is what strftime_now() shows, in the local time zone.
//
// TB_EINVAL: an operation failed as it would in Python, or the template itself refused by
// raise_exception(), whose message is quoted. TB_EFORMAT: `context` is not a JSON object.
// TB_EUNSUPPORTED: Python could, twobit does not. TB_ELIMIT: too many steps, too much nesting, memory or
// output. One template may be rendered by several threads at once.
tb_code tb_template_render(tb_str *out, const tb_template *tmpl, tb_text context, time_t now, tb_error *err);

#endif
