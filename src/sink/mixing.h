// How much later tokens move where one embedding does. Private to sink.
#ifndef TB_SINK_MIXING_H
#define TB_SINK_MIXING_H

#include "sink/sequences.h"

// Fills stages[blocks + 1].
tb_code tb_sink_mixing_measure(tb_sink_mix *stages, const tb_model *model, const tb_sink_sequences *sequences,
                               const tb_sink_options *options, tb_error *err);

#endif
