// Inside agent: the part of YAML that registries of applications are written in.
#ifndef TB_AGENT_YAML_SUBSET_H
#define TB_AGENT_YAML_SUBSET_H

#include "base/base.h"

struct json_t; // jansson's, included by the .c files

// Reads one document, which `what` names in messages ("'apps.yaml'"), as JSON: block mappings, three deep at most,
// become objects; sequences, of scalars in blocks or the empty "[]", arrays; plain scalars that are decimal integers
// become integers, all others strings, as quoted ones and folded ones (">-") do. Anything else of YAML is TB_EFORMAT
// with line and column. The value is an object. Release with json_decref.
tb_code tb_yaml_read(struct json_t **out, tb_text text, const char *what, tb_error *err);

#endif
