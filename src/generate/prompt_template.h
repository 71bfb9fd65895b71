// From a conversation to the text that the model sees: its chat template, with the variables that
// Hugging Face's templates expect.
#ifndef TB_GENERATE_PROMPT_TEMPLATE_H
#define TB_GENERATE_PROMPT_TEMPLATE_H

#include "model/model.h"
#include "template/template.h"

struct json_t;

typedef struct tb_prompt_template tb_prompt_template;

// The template that a checkpoint brings (TB_EINVAL when there is none), or `source` in its place where that is not
// NULL, with the checkpoint's special tokens. A checkpoint may bring two: one for conversations with tools.
tb_code tb_prompt_template_new(tb_prompt_template **out, const tb_checkpoint *checkpoint, const tb_text *source,
                               tb_error *err);

// A template without any checkpoint; `bos` and `eos` may be NULL.
tb_code tb_prompt_template_new_bare(tb_prompt_template **out, tb_text source, const char *bos, const char *eos,
                                    tb_error *err);
void tb_prompt_template_free(tb_prompt_template *tmpl);

// The prompt for a conversation, to be cleared by the caller and empty after a failure: a JSON object with "messages",
// perhaps "tools", and whatever else the template reads, all of which goes before our own variables.
// `generation_prompt`: ends in the beginning of an answer.
tb_code tb_prompt_template_render(tb_prompt *out, const tb_prompt_template *tmpl, const struct json_t *conversation,
                                  bool generation_prompt, tb_error *err);

// Appends the ids of that prompt. Control tokens are recognised in what the template itself has written; with
// `control_everywhere` in what the conversation says, too. A template writes the BOS itself where the model wants
// one. TB_EINVAL when the template makes nothing of the conversation.
tb_code tb_prompt_template_encode(tb_ids *ids, const tb_prompt_template *tmpl, const tb_tokenizer *tokenizer,
                                  const struct json_t *conversation, bool generation_prompt, bool control_everywhere,
                                  tb_error *err);

#endif
