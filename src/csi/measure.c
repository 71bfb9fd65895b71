// Monte Carlo: frames in units, units in rounds. A round is worked on by all threads; then its
// units are added in their order, and the stop rule is asked after each. Units behind the one
// that stops are thrown away, so that the result depends on neither threads nor rounds, nor on
// where a measurement that was killed went on.
#include <math.h>
#include <string.h>

#include "csi/link.h"
#include "csi/measure_state.h"

// Enough for all threads of a large machine to have work, few enough to throw away.
enum { ROUND_UNITS_PER_THREAD = 2 };

// Between two saved states.
static const double pause_seconds = 1;

typedef struct measurement {
    const tb_csi_link *link;
    const tb_csi_point *points;
    size_t point_count;
    tb_csi_receive_fn receive;
    void *user;
    size_t receiver_count;
    const tb_csi_measure_options *options;
    tb_csi_measure_state state; // state.units: where the round begins
    tb_str description;         // of all that decides the result
    double saved_at;
    size_t round;          // units
    tb_csi_batch *batches; // [threads]
    tb_csi_tally *units;   // [round][receiver_count]
} measurement;

static void work_on_units(void *user, size_t begin, size_t end, size_t worker)
{
    const measurement *m = user;
    tb_csi_batch *batch = &m->batches[worker];
    for (size_t unit = begin; unit < end; unit++) {
        uint64_t first = (uint64_t)(m->state.units + unit) * TB_CSI_UNIT_FRAMES, left = m->options->frames - first;
        batch->count = 0;
        tb_csi_batch_draw(batch, m->link, &m->points[m->state.point], first,
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
        if (m->options->tolerance > 0 && m->state.units + unit > 0 &&
            is_tight(tallies, m->receiver_count, m->options->tolerance))
            return true;
    }
    return false;
}

// ---- going on ----

static tb_code describe(measurement *m, tb_error *err)
{
    const tb_csi_measure_options *o = m->options;
    tb_code rc = tb_csi_link_describe(&m->description, m->link, err);
    if (!rc)
        rc = tb_str_printf(&m->description, err,
                           " frames=%llu tolerance=%.17g receivers=%s points=", (unsigned long long)o->frames,
                           o->tolerance, o->receivers ? o->receivers : "");
    for (size_t i = 0; !rc && i < m->point_count; i++)
        rc = tb_str_printf(&m->description, err, " %.17g:%.17g", m->points[i].rho, m->points[i].snr_db);
    return rc;
}

static tb_code resume(measurement *m, tb_error *err)
{
    const char *path = m->options->state_path;
    if (!path)
        return TB_OK;
    tb_code rc = describe(m, err);
    if (rc || !tb_path_exists(path))
        return rc;
    rc = tb_csi_measure_state_load(&m->state, path, tb_str_get(&m->description), err);
    if (!rc)
        tb_report_note(m->options->report, TB_NOTE_INFO, "going on from '%s': point %zu of %zu, frame %zu", path,
                       m->state.point + 1, m->point_count, m->state.units * TB_CSI_UNIT_FRAMES);
    return rc;
}

// Saves the state, unless that was done a moment ago and nobody asks to stop.
static tb_code keep(measurement *m, bool stop, tb_error *err)
{
    double now = tb_clock_seconds();
    tb_code rc = TB_OK;
    if (m->options->state_path && (stop || now - m->saved_at >= pause_seconds)) {
        rc = tb_csi_measure_state_save(m->options->state_path, &m->state, tb_str_get(&m->description), err);
        m->saved_at = tb_clock_seconds();
    }
    if (rc || !stop)
        return rc;
    return tb_fail(err, TB_ECANCELLED, "the measurement was stopped%s",
                   m->options->state_path ? "; the same command goes on with it" : "");
}

// ---- rounds and points ----

static bool wants_stop(const measurement *m)
{
    double frames = (double)m->options->frames, at = (double)(m->state.units * TB_CSI_UNIT_FRAMES);
    return tb_report_progress(m->options->report, "evaluate", (double)m->state.point * frames + at,
                              (double)m->point_count * frames, "frames");
}

static tb_code measure_point(measurement *m, tb_error *err)
{
    const tb_csi_measure_options *o = m->options;
    tb_csi_tally *tallies = m->state.tallies + m->state.point * m->receiver_count;
    size_t total = (size_t)((o->frames + TB_CSI_UNIT_FRAMES - 1) / TB_CSI_UNIT_FRAMES);
    bool done = false;
    while (!done && m->state.units < total) {
        tb_code rc = keep(m, wants_stop(m), err);
        if (rc)
            return rc;
        size_t units = total - m->state.units < m->round ? total - m->state.units : m->round;
        tb_parallel(o->threads, units, 1, work_on_units, m);
        done = add_round(tallies, m, units);
        m->state.units += units;
    }
    m->state.units = 0;
    m->state.point++;
    return TB_OK;
}

static tb_code prepare(measurement *m, tb_error *err)
{
    size_t threads = m->options->threads;
    for (size_t i = 0; i < m->point_count; i++) {
        tb_code rc = tb_csi_point_check(&m->points[i], err);
        if (rc)
            return rc;
    }
    m->batches = tb_alloc_array(threads, sizeof *m->batches);
    m->units = tb_alloc_array(m->round * m->receiver_count, sizeof *m->units);
    tb_code rc = m->batches && m->units ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the measurement");
    for (size_t i = 0; !rc && i < threads; i++)
        rc = tb_csi_batch_init(&m->batches[i], m->link, TB_CSI_UNIT_FRAMES, err);
    return rc ? rc : resume(m, err);
}

tb_code tb_csi_measure(tb_csi_tally *tallies, const tb_csi_link *link, const tb_csi_point *points, size_t point_count,
                       tb_csi_receive_fn receive, void *user, size_t receiver_count,
                       const tb_csi_measure_options *options, tb_error *err)
{
    measurement m = {.link = link,
                     .points = points,
                     .point_count = point_count,
                     .receive = receive,
                     .user = user,
                     .receiver_count = receiver_count,
                     .options = options,
                     .state = {.tallies = tallies, .count = point_count * receiver_count},
                     .saved_at = -INFINITY, // the first save shows early that there can be one
                     .round = ROUND_UNITS_PER_THREAD * options->threads};
    memset(tallies, 0, m.state.count * sizeof *tallies);
    tb_code rc = prepare(&m, err);
    while (!rc && m.state.point < point_count)
        rc = measure_point(&m, err);
    for (size_t i = 0; m.batches && i < options->threads; i++)
        tb_csi_batch_clear(&m.batches[i]);
    tb_free(m.batches);
    tb_free(m.units);
    tb_str_clear(&m.description);
    return rc;
}
