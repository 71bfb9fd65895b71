// Attention that is taken from secondary sinks (tb_redistribution). Private to model.
//
// What a query knows is what decoding would know: the weights of the queries in front of it, each as it was before it
// was changed, and its own not. A token that was seen by few of them is none of the sinks yet: its mean would say where
// those few looked, not what they had no use for.
#ifndef TB_MODEL_REDISTRIBUTION_H
#define TB_MODEL_REDISTRIBUTION_H

#include "model/kv.h"

// TB_EINVAL or TB_EUNSUPPORTED where the plan's makes no sense, or does not go with the rest of it.
tb_code tb_redistribution_check(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err);

// Whether the weights of a block are changed.
bool tb_redistribution_changes(const tb_redistribution *how, const tb_settings *settings, size_t block);

// Changes the weights [n] that a query gave to the tokens at positions first … first + n − 1, of which the last is its
// own. `given` [first + n] is what the tokens were given by the queries before; the weights join it as they were.
// Tokens in front of position `exempt` are no secondary sinks.
void tb_redistribute(float *weights, float *given, size_t first, size_t n, size_t exempt, const tb_redistribution *how);

#endif
