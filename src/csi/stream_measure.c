// Frames one by one, as they come in a slot of the air interface, and how long each takes.
//
// Frames are not waited for: they are processed one behind the other, and a queue is computed from the
// times that they took. Frame i arrives at i/rate; it begins when it is there and the one before is done.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csi/link.h"

enum {
    WARM_UP_FRAMES = 32, // not counted: caches and memory that was never touched
    REPORT_FRAMES = 64,
};

// One receiver's queue.
typedef struct queue {
    double free_at;  // seconds after the first frame's arrival
    double *seconds; // [frames]: how long each took
} queue;

typedef struct stream {
    const tb_csi_source *source;
    tb_csi_receive_fn receive;
    void *user;
    size_t receiver_count;
    const tb_csi_stream_options *options;
    tb_csi_batch batch; // of one frame
    queue *queues;      // [receiver_count]
} stream;

static void take_frame(stream *s, uint64_t index)
{
    s->batch.count = 0;
    if (s->source->file)
        tb_csi_batch_read(&s->batch, s->source->file, (size_t)index);
    else
        tb_csi_batch_draw(&s->batch, s->source->link, &s->source->point, index, 1);
}

static double receive_frame(stream *s, size_t receiver)
{
    double begun = tb_clock_seconds();
    s->receive(s->user, &s->batch, receiver, 0);
    return tb_clock_seconds() - begun;
}

static void warm_up(stream *s)
{
    for (uint64_t i = 0; i < WARM_UP_FRAMES && i < s->options->frames; i++) {
        take_frame(s, i);
        for (size_t k = 0; k < s->receiver_count; k++)
            receive_frame(s, k);
    }
}

// Whether the frame was done before the next one came.
static bool serve(queue *q, uint64_t index, double seconds, double rate)
{
    double arrival = (double)index / rate, begin = fmax(arrival, q->free_at);
    q->seconds[index] = seconds;
    q->free_at = begin + seconds;
    return q->free_at <= (double)(index + 1) / rate;
}

static tb_code run_frames(tb_csi_stream_score *scores, stream *s, tb_error *err)
{
    const tb_csi_stream_options *o = s->options;
    for (uint64_t i = 0; i < o->frames; i++) {
        if (i % REPORT_FRAMES == 0 && tb_report_progress(o->report, "stream", (double)i, (double)o->frames, "frames"))
            return tb_fail(err, TB_ECANCELLED, "the stream was stopped");
        take_frame(s, i);
        for (size_t k = 0; k < s->receiver_count; k++) {
            double seconds = receive_frame(s, k);
            scores[k].seconds += seconds;
            scores[k].missed += !serve(&s->queues[k], i, seconds, o->rate);
            tb_csi_tally_batch(&scores[k].tally, &s->batch, s->source->link);
        }
    }
    return TB_OK;
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The time that a share of all frames did not exceed.
static double quantile(const double *sorted, uint64_t count, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)count);
    return sorted[rank ? rank - 1 : 0];
}

static void summarise(tb_csi_stream_score *score, const queue *q, uint64_t frames)
{
    qsort(q->seconds, (size_t)frames, sizeof *q->seconds, compare_reals);
    score->median = quantile(q->seconds, frames, 0.5);
    score->p99 = quantile(q->seconds, frames, 0.99);
    score->worst = q->seconds[frames - 1];
}

static tb_code prepare(stream *s, tb_error *err)
{
    const tb_csi_stream_options *o = s->options;
    if (!(o->rate > 0))
        return tb_fail(err, TB_EINVAL, "a stream of %g frames per second does not flow", o->rate);
    if (o->frames == 0 || (s->source->file && o->frames > tb_csi_frame_file_count(s->source->file)))
        return tb_fail(err, TB_EINVAL, "there are no %llu frames to stream", (unsigned long long)o->frames);
    s->queues = tb_alloc_array(s->receiver_count, sizeof *s->queues);
    bool complete = s->queues != NULL;
    for (size_t i = 0; complete && i < s->receiver_count; i++) {
        s->queues[i].seconds = tb_alloc_array((size_t)o->frames, sizeof(double));
        complete = s->queues[i].seconds != NULL;
    }
    if (!complete)
        return tb_fail(err, TB_ENOMEM, "no memory for the times of %llu frames", (unsigned long long)o->frames);
    return tb_csi_batch_init(&s->batch, s->source->link, 1, err);
}

tb_code tb_csi_stream_measure(tb_csi_stream_score *scores, const tb_csi_source *source, tb_csi_receive_fn receive,
                              void *user, size_t receiver_count, const tb_csi_stream_options *options, tb_error *err)
{
    stream s = {
        .source = source, .receive = receive, .user = user, .receiver_count = receiver_count, .options = options};
    memset(scores, 0, receiver_count * sizeof *scores);
    tb_code rc = source->file ? TB_OK : tb_csi_point_check(&source->point, err);
    if (!rc)
        rc = prepare(&s, err);
    if (!rc) {
        warm_up(&s);
        rc = run_frames(scores, &s, err);
    }
    for (size_t i = 0; !rc && i < receiver_count; i++)
        summarise(&scores[i], &s.queues[i], options->frames);
    for (size_t i = 0; s.queues && i < receiver_count; i++)
        tb_free(s.queues[i].seconds);
    tb_free(s.queues);
    tb_csi_batch_clear(&s.batch);
    return rc;
}
