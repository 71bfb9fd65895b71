// Inside agent: keys that must not be written anywhere.
#ifndef TB_AGENT_SECRETS_H
#define TB_AGENT_SECRETS_H

#include "base/base.h"

// Overwrites with '*' whatever in a text, or a JSON text, is the value of LLM_API_KEY or MINDRA_API_KEY. Values of
// fewer than 8 characters are left: they are what local servers are given for a key, and parts of ordinary words.
tb_code tb_hide_secrets(tb_str *text, tb_error *err);

#endif
