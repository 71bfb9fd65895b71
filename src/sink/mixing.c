// Four passes over each sequence: as it is and with one embedding moved, each with position 0 to be seen and hidden.
#include "sink/mixing.h"

#include <math.h>
#include <string.h>

// Of the embedding's length: large beside the rounding of activations to eight bits, which some matrices bring, and so
// small that the token is still itself.
#define MOVE 0.1

typedef struct mixing {
    const tb_sink_sequences *sequences;
    size_t width, moved; // moved: position of the embedding
    uint64_t seed, index;
    tb_arena arena;
    float *streams;    // [blocks + 1][rows][width]: as they are
    double *direction; // [width]
    bool moves, hidden;
    tb_sink_mix *stages;
} mixing;

static double length_of(const float *x, const float *origin, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (origin ? (double)origin[i] : 0);
        square += d * d;
    }
    return sqrt(square);
}

static void edit(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    mixing *m = user;
    if (!m->moves || stage != TB_EDIT_RESIDUAL || at->block != SIZE_MAX)
        return;
    float *x = rows->x + m->moved * rows->stride;
    double size = 0, length = length_of(x, NULL, rows->cols);
    tb_rng rng;
    tb_rng_init(&rng, m->seed, m->index);
    for (size_t c = 0; c < rows->cols; c++) {
        m->direction[c] = tb_rng_normal(&rng);
        size += m->direction[c] * m->direction[c];
    }
    for (size_t c = 0; c < rows->cols; c++)
        x[c] += (float)(MOVE * length * m->direction[c] / sqrt(size));
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    mixing *m = user;
    size_t stage = at->block == SIZE_MAX ? 0 : at->block + 1, n = m->width;
    double moves = 0, later = (double)(rows->rows - m->moved - 1);
    for (size_t t = m->moved + 1; t < rows->rows; t++) {
        const float *x = rows->x + t * rows->stride;
        float *plain = m->streams + (stage * m->sequences->rows + t) * n;
        if (!m->moves)
            memcpy(plain, x, n * sizeof *x);
        double length = length_of(plain, NULL, n);
        moves += length > 0 ? length_of(x, plain, n) / length : 0;
    }
    *(m->hidden ? &m->stages[stage].hidden : &m->stages[stage].response) +=
        moves / later / MOVE / (double)m->sequences->count;
}

static tb_code run_sequence(mixing *m, tb_seq *seq, tb_error *err)
{
    tb_code rc = TB_OK;
    for (unsigned pass = 0; pass < 4 && !rc; pass++) {
        m->moves = pass & 1;
        m->hidden = pass & 2;
        const tb_probe probe = {.edit = edit, .residual = see_residual, .hidden = m->hidden, .user = m};
        tb_seq_set_probe(seq, &probe);
        tb_seq_truncate(seq, 0);
        rc = tb_seq_push(seq, tb_sink_text(m->sequences, m->index), m->sequences->length, err);
    }
    tb_seq_set_probe(seq, NULL);
    return rc;
}

tb_code tb_sink_mixing_measure(tb_sink_mix *stages, const tb_model *model, const tb_sink_sequences *sequences,
                               const tb_sink_options *options, tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    size_t length = sequences->length, count;
    mixing m = {.sequences = sequences,
                .width = config->width,
                .moved = sequences->registers + length / 4,
                .seed = options->seed,
                .stages = stages};
    tb_seq *seq = NULL;
    m.streams = tb_mul_size(&count, config->blocks + 1, sequences->rows)
                    ? tb_arena_array(&m.arena, count, config->width * sizeof *m.streams)
                    : NULL;
    m.direction = tb_arena_array(&m.arena, config->width, sizeof *m.direction);
    tb_code rc =
        m.streams && m.direction ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the streams of %zu tokens", length);
    if (!rc)
        rc = tb_seq_new(&seq, model,
                        &(tb_seq_options){.context = length, .batch = sequences->rows, .kv_cache = TB_KV_CACHE_F32},
                        err);
    for (m.index = 0; m.index < sequences->count && !rc; m.index++)
        if (tb_report_progress(options->report, "mixing", (double)m.index, (double)sequences->count, "sequences"))
            rc = tb_fail(err, TB_ECANCELLED, "stopped");
        else
            rc = run_sequence(&m, seq, err);
    tb_seq_free(seq);
    tb_arena_clear(&m.arena);
    return rc;
}
