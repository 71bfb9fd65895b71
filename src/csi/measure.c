// Monte Carlo: frames in units, units in rounds. A round is worked on by all threads; then its
// units are added in their order, and the stop rule is asked after each. Units behind the one
// that stops are thrown away, so that the result depends on neither threads nor rounds.
#include <string.h>

#include "csi/link.h"

// Enough for all threads of a large machine to have work, few enough to throw away.
enum { ROUND_UNITS_PER_THREAD = 2 };

typedef struct measurement {
    const tb_csi_link *link;
    const tb_csi_point *point;
    tb_csi_receive_fn receive;
    void *user;
    size_t receiver_count;
    const tb_csi_measure_options *options;
    size_t first_unit;     // of this round
    tb_csi_batch *batches; // [threads]
    tb_csi_tally *units;   // [round][receiver_count]
} measurement;

static void work_on_units(void *user, size_t begin, size_t end, size_t worker)
{
    const measurement *m = user;
    tb_csi_batch *batch = &m->batches[worker];
    for (size_t unit = begin; unit < end; unit++) {
        uint64_t first = (uint64_t)(m->first_unit + unit) * TB_CSI_UNIT_FRAMES, left = m->options->frames - first;
        batch->count = 0;
        tb_csi_batch_draw(batch, m->link, m->point, first,
                          left < TB_CSI_UNIT_FRAMES ? (size_t)left : TB_CSI_UNIT_FRAMES);
        for (size_t i = 0; i < m->receiver_count; i++) {
            tb_csi_tally *tally = &m->units[unit * m->receiver_count + i];
            *tally = (tb_csi_tally){0};
            m->receive(m->user, batch, i, worker);
            tb_csi_tally_batch(tally, batch, m->link);
        }
    }
}

static void add(tb_csi_tally *sum, const tb_csi_tally *unit)
{
    sum->frames += unit->frames;
    sum->bits += unit->bits;
    sum->bit_errors += unit->bit_errors;
    sum->frame_errors += unit->frame_errors;
    sum->bit_errors_squared += unit->bit_errors_squared;
    sum->error += unit->error;
    sum->power += unit->power;
    sum->error_squared += unit->error_squared;
    sum->error_power += unit->error_power;
    sum->power_squared += unit->power_squared;
}

static bool is_tight(const tb_csi_tally *tallies, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++) {
        tb_csi_score score = tb_csi_tally_score(&tallies[i]);
        if (score.nmse_ci > tolerance * score.nmse || score.ber_ci > tolerance * score.ber)
            return false;
    }
    return true;
}

// Adds the units of a round; true when the point is done.
static bool add_round(tb_csi_tally *tallies, const measurement *m, size_t units)
{
    for (size_t unit = 0; unit < units; unit++) {
        for (size_t i = 0; i < m->receiver_count; i++)
            add(&tallies[i], &m->units[unit * m->receiver_count + i]);
        if (m->options->tolerance > 0 && m->first_unit + unit > 0 &&
            is_tight(tallies, m->receiver_count, m->options->tolerance))
            return true;
    }
    return false;
}

static tb_code run_rounds(tb_csi_tally *tallies, measurement *m, size_t round, tb_error *err)
{
    const tb_csi_measure_options *o = m->options;
    size_t total = (size_t)((o->frames + TB_CSI_UNIT_FRAMES - 1) / TB_CSI_UNIT_FRAMES);
    for (m->first_unit = 0; m->first_unit < total; m->first_unit += round) {
        size_t units = total - m->first_unit < round ? total - m->first_unit : round;
        if (tb_report_progress(o->report, "simulate", (double)(m->first_unit * TB_CSI_UNIT_FRAMES), (double)o->frames,
                               "frames"))
            return tb_fail(err, TB_ECANCELLED, "the simulation was stopped");
        tb_parallel(o->threads, units, 1, work_on_units, m);
        if (add_round(tallies, m, units))
            break;
    }
    return TB_OK;
}

tb_code tb_csi_measure(tb_csi_tally *tallies, const tb_csi_link *link, const tb_csi_point *point,
                       tb_csi_receive_fn receive, void *user, size_t receiver_count,
                       const tb_csi_measure_options *options, tb_error *err)
{
    memset(tallies, 0, receiver_count * sizeof *tallies);
    tb_code rc = tb_csi_point_check(point, err);
    if (rc)
        return rc;
    size_t round = ROUND_UNITS_PER_THREAD * options->threads;
    measurement m = {link, point, receive, user, receiver_count, options, 0, NULL, NULL};
    m.batches = tb_alloc_array(options->threads, sizeof *m.batches);
    m.units = tb_alloc_array(round * receiver_count, sizeof *m.units);
    if (!m.batches || !m.units)
        rc = tb_fail(err, TB_ENOMEM, "no memory for the simulation");
    for (size_t i = 0; !rc && i < options->threads; i++)
        rc = tb_csi_batch_init(&m.batches[i], link, TB_CSI_UNIT_FRAMES, err);
    if (!rc)
        rc = run_rounds(tallies, &m, round, err);
    for (size_t i = 0; m.batches && i < options->threads; i++)
        tb_csi_batch_clear(&m.batches[i]);
    tb_free(m.batches);
    tb_free(m.units);
    return rc;
}
