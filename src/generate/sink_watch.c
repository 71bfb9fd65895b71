// One row of the pass counts, that of the last token: each head of each block keeps its figures in a place of its own,
// so that rows may be shown by any thread, and sums come in one order.
#include "generate/sink_watch.h"

#include <math.h>

typedef struct head_sight {
    double mass, entropy;
} head_sight;

struct tb_sink_watch {
    tb_seq *seq;
    tb_probe probe;
    size_t sinks;      // positions that count as sinks
    size_t position;   // of the row to look at
    size_t heads, all; // of a block, of all
    head_sight *sight; // [all]
    double largest;
};

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    tb_sink_watch *w = user;
    head_sight sight = {0};
    if (position != w->position)
        return;
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < pieces[p].count; i++) {
            double weight = (double)pieces[p].weights[i];
            sight.mass += tb_attention_piece_position(&pieces[p], i) < w->sinks ? weight : 0;
            sight.entropy -= weight > 0 ? weight * log(weight) : 0;
        }
    w->sight[at->block * w->heads + head] = sight;
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    tb_sink_watch *w = user;
    size_t last = rows->rows - 1;
    if ((size_t)rows->positions[last] != w->position)
        return;
    if (at->block == SIZE_MAX)
        w->largest = 0;
    for (size_t i = 0; i < rows->cols; i++)
        w->largest = fmax(w->largest, fabs((double)rows->x[last * rows->stride + i]));
}

// The tokens that the memory keeps at the beginning of the text, or else the first one; registers are in front of them.
static size_t count_sinks(const tb_config *config, const tb_seq_options *memory)
{
    size_t sinks = config->registers + memory->keep_sinks;
    return sinks ? sinks : 1;
}

tb_code tb_sink_watch_new(tb_sink_watch **out, tb_seq *seq, const tb_seq_options *memory, tb_error *err)
{
    const tb_config *config = tb_model_config(tb_seq_model(seq));
    tb_sink_watch *w = tb_new(tb_sink_watch);
    *out = w;
    if (!w)
        return tb_fail(err, TB_ENOMEM, "no memory to watch attention");
    w->seq = seq;
    w->probe = (tb_probe){.attention_row = see_row, .residual = see_residual, .user = w};
    w->sinks = count_sinks(config, memory);
    w->heads = config->heads;
    w->all = config->blocks * config->heads;
    w->sight = tb_alloc_array(w->all, sizeof *w->sight);
    if (!w->sight)
        return tb_fail(err, TB_ENOMEM, "no memory to watch %zu heads", w->all);
    tb_seq_set_probe(seq, &w->probe);
    return TB_OK;
}

void tb_sink_watch_free(tb_sink_watch *watch)
{
    if (!watch)
        return;
    tb_seq_set_probe(watch->seq, NULL);
    tb_free(watch->sight);
    tb_free(watch);
}

void tb_sink_watch_aim(tb_sink_watch *watch, size_t length)
{
    watch->position = tb_model_config(tb_seq_model(watch->seq))->registers + length - 1;
}

void tb_sink_watch_get(tb_sink_sight *out, const tb_sink_watch *watch)
{
    *out = (tb_sink_sight){.largest = watch->largest};
    for (size_t i = 0; i < watch->all; i++) {
        out->mass += watch->sight[i].mass / (double)watch->all;
        out->entropy += watch->sight[i].entropy / (double)watch->all;
    }
}
