// Which tokens become sinks. Private to sink.
#ifndef TB_SINK_SPOTS_H
#define TB_SINK_SPOTS_H

#include "sink/sink.h"

// What was found at a position of the sequence under way.
typedef struct tb_sink_mark {
    bool massive, relative;        // has a massive activation at some stage, by either rule
    uint32_t heads[TB_SINK_BANDS]; // with α_k > ε, by depth
} tb_sink_mark;

typedef struct tb_sink_spots {
    size_t vocab, places, ctx;          // ids; also those of registers, behind them; positions
    tb_sink_mark *marks;                // [ctx]
    tb_sink_spot *by_token;             // [places], at k ≥ 1; `position` is a sum
    tb_sink_spot first;                 // at k = 0
    size_t *sinks, *massive, *relative; // [ctx]: sequences
} tb_sink_spots;

tb_code tb_sink_spots_init(tb_sink_spots *spots, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err);

// The sequence is done: takes in its marks and forgets them.
void tb_sink_spots_take(tb_sink_spots *spots, const int32_t *tokens);

// `rule` says whose massive activations count.
tb_code tb_sink_spots_finish(tb_sink_positions *out, tb_sink_spots *spots, tb_sink_rule rule, tb_arena *arena,
                             tb_error *err);

#endif
