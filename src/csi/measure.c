// Monte Carlo: frames in units, units in rounds. In a round each process takes `share` units that
// follow one another, divides them among its threads, and shows them to the other processes. Then
// all units are added in their order, and the stop rule is asked after each. Units behind the one
// that stops are thrown away, so that the result depends on neither threads, processes nor rounds,
// nor on where a measurement that was killed went on.
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
    size_t most_share;     // units of a process in a round
    size_t first_unit;     // of this process in this round
    tb_csi_batch *batches; // [threads]
    tb_csi_tally *units;   // [ranks][share][receiver_count]
    tb_csi_tally *own;     // [share][receiver_count], inside of them
} measurement;

static void work_on_units(void *user, size_t begin, size_t end, size_t worker)
{
    const measurement *m = user;
    tb_csi_batch *batch = &m->batches[worker];
    for (size_t unit = begin; unit < end; unit++) {
        uint64_t first = (uint64_t)(m->first_unit + unit) * TB_CSI_UNIT_FRAMES, left = m->options->frames - first;
        batch->count = 0;
        tb_csi_batch_draw(batch, m->link, &m->points[m->state.point], first,
                          left < TB_CSI_UNIT_FRAMES ? (size_t)left : TB_CSI_UNIT_FRAMES);
        for (size_t i = 0; i < m->receiver_count; i++) {
            tb_csi_tally *tally = &m->own[unit * m->receiver_count + i];
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
    sum->csi_bits += unit->csi_bits;
    sum->csi_bit_errors += unit->csi_bit_errors;
    sum->csi_bit_errors_squared += unit->csi_bit_errors_squared;
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
    if (!path || !tb_ranks_is_first(m->options->ranks))
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

// All processes begin where the first one does.
static tb_code share_state(measurement *m, tb_error *err)
{
    tb_ranks *ranks = m->options->ranks;
    if (!ranks)
        return TB_OK;
    size_t count = ranks->count, rank = ranks->rank, each = m->state.count;
    size_t(*places)[2] = tb_alloc_array(count, sizeof *places);
    tb_csi_tally *tallies = tb_alloc_array(count, each * sizeof *tallies);
    tb_code rc = places && tallies ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu processes", count);
    if (!rc) {
        places[rank][0] = m->state.point;
        places[rank][1] = m->state.units;
        memcpy(tallies + rank * each, m->state.tallies, each * sizeof *tallies);
    }
    rc = tb_ranks_meet(ranks, rc, places, sizeof *places, err);
    if (!rc)
        rc = tb_ranks_meet(ranks, rc, tallies, each * sizeof *tallies, err);
    if (!rc) {
        m->state.point = places[0][0];
        m->state.units = places[0][1];
        memcpy(m->state.tallies, tallies, each * sizeof *tallies);
    }
    tb_free(tallies);
    tb_free(places);
    return rc;
}

// Saves the state, unless that was done a moment ago and nobody asks to stop.
static tb_code keep(measurement *m, bool stop, tb_error *err)
{
    double now = tb_clock_seconds();
    tb_code rc = TB_OK;
    bool keeps = m->options->state_path && tb_ranks_is_first(m->options->ranks);
    if (keeps && (stop || now - m->saved_at >= pause_seconds)) {
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

// Works on this process's share of a round that ends before unit `end`.
static tb_code work_on_share(measurement *m, size_t share, size_t end, tb_error *err)
{
    tb_code rc = keep(m, wants_stop(m), err);
    if (rc)
        return rc;
    size_t before = tb_ranks_rank(m->options->ranks) * share;
    m->first_unit = tb_min_size(m->state.units + before, end);
    m->own = m->units + before * m->receiver_count;
    tb_parallel(m->options->threads, tb_min_size(share, end - m->first_unit), 1, work_on_units, m);
    return TB_OK;
}

static tb_code measure_point(measurement *m, tb_error *err)
{
    const tb_csi_measure_options *o = m->options;
    tb_csi_tally *tallies = m->state.tallies + m->state.point * m->receiver_count;
    size_t total = (size_t)((o->frames + TB_CSI_UNIT_FRAMES - 1) / TB_CSI_UNIT_FRAMES);
    size_t ranks = tb_ranks_count(o->ranks);
    bool done = false;
    while (!done && m->state.units < total) {
        size_t left = total - m->state.units, share = tb_min_size(m->most_share, (left + ranks - 1) / ranks);
        size_t units = tb_min_size(share * ranks, left);
        tb_code rc = work_on_share(m, share, m->state.units + units, err);
        rc = tb_ranks_meet(o->ranks, rc, m->units, share * m->receiver_count * sizeof *m->units, err);
        if (rc)
            return rc;
        done = add_round(tallies, m, units);
        m->state.units += units;
    }
    m->state.units = 0;
    m->state.point++;
    return TB_OK;
}

// The share of all is what suits the process with the most threads.
static tb_code agree_on_share(measurement *m, tb_error *err)
{
    tb_ranks *ranks = m->options->ranks;
    size_t count = tb_ranks_count(ranks), most = 0;
    size_t *threads = tb_alloc_array(count, sizeof *threads);
    tb_code rc = threads ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu processes", count);
    if (!rc)
        threads[tb_ranks_rank(ranks)] = m->options->threads;
    rc = tb_ranks_meet(ranks, rc, threads, sizeof *threads, err);
    for (size_t i = 0; !rc && i < count; i++)
        most = threads[i] > most ? threads[i] : most;
    tb_free(threads);
    m->most_share = ROUND_UNITS_PER_THREAD * most;
    return rc;
}

static tb_code prepare(measurement *m, tb_error *err)
{
    size_t threads = m->options->threads, ranks = tb_ranks_count(m->options->ranks);
    for (size_t i = 0; i < m->point_count; i++) {
        tb_code rc = tb_csi_point_check(&m->points[i], err);
        if (rc)
            return rc;
    }
    tb_code rc = agree_on_share(m, err);
    if (rc)
        return rc;
    m->batches = tb_alloc_array(threads, sizeof *m->batches);
    m->units = tb_alloc_array(ranks * m->most_share * m->receiver_count, sizeof *m->units);
    if (!m->batches || !m->units)
        rc = tb_fail(err, TB_ENOMEM, "no memory for the measurement");
    for (size_t i = 0; !rc && i < threads; i++)
        rc = tb_csi_batch_init(&m->batches[i], m->link, TB_CSI_UNIT_FRAMES, err);
    if (!rc)
        rc = resume(m, err);
    return rc ? rc : share_state(m, err);
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
                     .saved_at = -INFINITY}; // the first save shows early that there can be one
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
