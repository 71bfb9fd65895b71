// Attention in the manner of FlashAttention: queries walk over the keys in runs, and what they keep of those
// behind them is a part, the softmax so far and its mix of values. No scores outlive their run.
//
//     of each run:  top' = max(top, scores),  mixed·e^(top − top') + Σ e^(score − top')·value,  sum likewise
//     at the end:   out = Σ e^(top_i − top)·mixed_i / Σ e^(top_i − top)·sum_i  over the parts i
//
// A tile of rows walks over all its keys: one part. For a few rows, of which there is little else to divide among
// threads, the keys are divided: into parts that depend on their number only. A sink's logit is one part more, without
// a mix. Results do not depend on the number of threads.
//
// Who wants to see the weights makes every row walk a second time, with the sum known.
#include "model/attention.h"

#include <string.h>

#include "model/attention_skip.h"
#include "model/attention_sweep.h"
#include "model/attention_weighed.h"

enum {
    TILE = 16,        // rows: enough for BLAS, few enough that their scores stay in cache
    FEWEST_TILE = 4,  // rows, below which each walks by itself
    PARTS = 16,       // most that the keys of one row are divided into: more threads than a token keeps busy elsewhere
    LEAST_PART = 512, // keys that are worth a thread
    MOST_PARTS = PARTS + 1, // with the keys that are always read, where others may be skipped
};

// The softmax over some keys.
typedef struct softmax {
    float top, sum; // largest score; Σ e^(score − top); −∞ and 0 where there are no keys
} softmax;

// What the queries of a sweep keep of the keys behind them.
typedef struct part {
    softmax *state;  // [queries]
    float *mixed;    // [queries][padded head_size]: Σ e^(score − top)·value
    uint32_t *pages; // [2]: that it came by, and that it skipped
} part;

// ---- scratch ----

static size_t group_of(const tb_config *config)
{
    return config->heads / config->kv_heads;
}

static size_t part_floats(const tb_config *config, size_t queries)
{
    return queries * tb_padded(config->head_size) + tb_padded(queries * sizeof(softmax) / sizeof(float) + 2);
}

static part get_part(float *at, const tb_config *config, size_t queries)
{
    part p = {.mixed = at, .state = (softmax *)(void *)(at + queries * tb_padded(config->head_size))};
    p.pages = (uint32_t *)(void *)(p.state + queries);
    return p;
}

// Of one thread.
typedef struct scratch {
    float *sweep;  // tb_sweep_scratch
    float *scores; // [tile queries][TB_SWEEP_KEYS]
    float *part;   // of a tile
    float *rows;   // [group][padded capacity]: whole rows of weights, for probes; of excesses, for pages
    float *skip;   // tb_skip_scratch
} scratch;

static size_t thread_scratch(const tb_config *config, size_t capacity)
{
    size_t queries = group_of(config) * TILE;
    return tb_sweep_scratch(config, TILE) + queries * TB_SWEEP_KEYS + part_floats(config, queries) +
           group_of(config) * tb_padded(capacity) + tb_skip_scratch(config);
}

static scratch get_scratch(const tb_attention *a, size_t worker)
{
    size_t queries = group_of(a->config) * TILE;
    scratch s;
    s.sweep = a->scratch + worker * thread_scratch(a->config, a->scratch_capacity);
    s.scores = s.sweep + tb_sweep_scratch(a->config, TILE);
    s.part = s.scores + queries * TB_SWEEP_KEYS;
    s.rows = s.part + part_floats(a->config, queries);
    s.skip = s.rows + group_of(a->config) * tb_padded(a->scratch_capacity);
    return s;
}

// Behind that of the threads lie the parts of few rows, and behind those what may be skipped by the rows of a tile.
static size_t few_parts(const tb_config *config)
{
    return (FEWEST_TILE - 1) * config->kv_heads * MOST_PARTS;
}

static part get_few_part(const tb_attention *a, size_t row, size_t kv_head, size_t index)
{
    size_t at = (row * a->config->kv_heads + kv_head) * MOST_PARTS + index, group = group_of(a->config);
    float *first = a->scratch + a->compute->threads * thread_scratch(a->config, a->scratch_capacity);
    return get_part(first + at * part_floats(a->config, group), a->config, group);
}

static tb_kv_range *get_ranges(const tb_attention *a)
{
    size_t threads = a->compute->threads * thread_scratch(a->config, a->scratch_capacity);
    return (tb_kv_range *)(void *)(a->scratch + threads +
                                   few_parts(a->config) * part_floats(a->config, group_of(a->config)));
}

size_t tb_attention_scratch(const tb_config *config, tb_weighing_kind weighing, bool redistributes, size_t capacity,
                            size_t threads)
{
    size_t parts = few_parts(config) * part_floats(config, group_of(config));
    size_t ranges = tb_padded(TILE * config->kv_heads * sizeof(tb_kv_range) / sizeof(float));
    size_t walking = threads * thread_scratch(config, capacity) + parts + ranges;
    size_t weighed = tb_weighed_scratch(config, capacity, threads);
    if (weighing != TB_SOFTMAX)
        return weighed;
    return redistributes && weighed > walking ? weighed : walking;
}

// ---- walking ----

// What a head has before any key: its sink, where there is one.
static softmax begin_softmax(const tb_attention *a, size_t head)
{
    return a->sink_logits ? (softmax){a->sink_logits[head], 1} : (softmax){-INFINITY, 0};
}

// Takes the scores x[n] of further keys in, which become their weights. Returns what the mix so far is to be
// multiplied by.
static float add_scores(softmax *s, const tb_kernels *kernels, float *x, size_t n)
{
    float most = kernels->max_f32(x, n), top = most > s->top ? most : s->top;
    float kept = s->sum == 0 ? 0 : tb_exp(s->top - top);
    *s = (softmax){top, kept * s->sum + kernels->exp_f32(x, top, n)};
    return kept;
}

// Scores of a run become weights, 0 where a query does not see the key.
static void weigh_run(const tb_sweep *sweep, const tb_run *run, float *scores, size_t stride, const part *p)
{
    size_t n = sweep->a->config->head_size;
    for (size_t q = 0; q < tb_sweep_count(sweep); q++) {
        tb_kv_range seen = tb_sweep_see(sweep, run, q);
        float *x = scores + q * stride, *mixed = p->mixed + q * tb_padded(n);
        memset(x, 0, seen.begin * sizeof *x);
        memset(x + seen.end, 0, (run->count - seen.end) * sizeof *x);
        if (seen.begin == seen.end)
            continue;
        float kept = add_scores(&p->state[q], &sweep->a->compute->kernels, x + seen.begin, seen.end - seen.begin);
        for (size_t i = 0; i < n && kept != 1; i++)
            mixed[i] *= kept;
    }
}

static void begin_part(const part *p, const tb_sweep *sweep)
{
    for (size_t q = 0; q < tb_sweep_count(sweep); q++)
        p->state[q] = (softmax){.top = -INFINITY};
    memset(p->mixed, 0, tb_sweep_count(sweep) * tb_padded(sweep->a->config->head_size) * sizeof(float));
    p->pages[0] = p->pages[1] = 0;
}

// Walks over keys [begin, end).
static void walk(const part *p, const tb_sweep *sweep, size_t begin, size_t end, float *scores)
{
    for (size_t key = begin; key < end;) {
        tb_run run = tb_seen_get_run(&sweep->seen, key, end - key < TB_SWEEP_KEYS ? end - key : TB_SWEEP_KEYS);
        tb_sweep_score(sweep, &run, scores, TB_SWEEP_KEYS);
        weigh_run(sweep, &run, scores, TB_SWEEP_KEYS, p);
        tb_sweep_mix(sweep, &run, scores, TB_SWEEP_KEYS, p->mixed);
        key += run.count;
    }
}

// Joins what query `index` of each of the parts has kept, and the sink of its head, to its result.
static softmax join(const tb_attention *a, size_t row, size_t head, const part *parts, size_t count, size_t index)
{
    size_t n = a->config->head_size;
    float *out = a->out + row * a->stride + head * n;
    softmax sink = begin_softmax(a, head), all = sink;
    for (size_t i = 0; i < count; i++)
        all.top = parts[i].state[index].top > all.top ? parts[i].state[index].top : all.top;
    all.sum = sink.sum == 0 ? 0 : tb_exp(sink.top - all.top);
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        softmax state = parts[i].state[index];
        float share = state.sum == 0 ? 0 : tb_exp(state.top - all.top);
        all.sum += share * state.sum;
        a->compute->kernels.axpy_f32(out, share, parts[i].mixed + index * tb_padded(n), n);
    }
    for (size_t i = 0; i < n && all.sum > 0; i++)
        out[i] /= all.sum;
    return all;
}

// ---- whole rows ----

// Scores of the heads that share a KV head, in one row, at scores + head·stride.
static void score_heads(tb_sweep *sweep, const tb_attention *a, size_t kv_head, size_t row, const scratch *s)
{
    tb_sweep_init(sweep, a, kv_head, row, 1, TB_SWEEP_KERNELS, s->sweep);
    for (size_t key = 0; key < sweep->seen.count;) {
        tb_run run = tb_seen_get_run(&sweep->seen, key, TB_SWEEP_KEYS);
        tb_sweep_score(sweep, &run, s->rows + key, tb_padded(a->scratch_capacity));
        key += run.count;
    }
}

// The weights [count] of the heads that share a KV head, summed into those of the first.
static void sum_weights(const tb_sweep *sweep, float *scores, size_t stride)
{
    const tb_attention *a = sweep->a;
    const tb_kernels *kernels = &a->compute->kernels;
    size_t count = sweep->seen.count;
    for (size_t g = 0; g < sweep->group; g++) {
        softmax all = begin_softmax(a, tb_sweep_head(sweep, g));
        float *x = scores + g * stride;
        add_scores(&all, kernels, x, count);
        for (size_t i = 0; i < count; i++)
            x[i] /= all.sum;
        if (g > 0)
            kernels->axpy_f32(scores, 1, x, count);
    }
}

static bool observes(const tb_kv_head *head, size_t position)
{
    return head->policy->observes && head->policy->observes(head, position);
}

static void observe_heads(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    scratch s = get_scratch(a, worker);
    for (size_t kv_head = begin; kv_head < end; kv_head++)
        for (size_t row = 0; row < a->rows; row++) {
            tb_kv_head *head = &a->kv->heads[kv_head];
            size_t position = (size_t)a->positions[row];
            tb_sweep sweep;
            if (!observes(head, position))
                continue;
            score_heads(&sweep, a, kv_head, row, &s);
            sum_weights(&sweep, s.rows, tb_padded(a->scratch_capacity));
            head->policy->observe(head, position, s.rows, sweep.seen.rows[0].end); // it has one segment
        }
}

void tb_attention_observe(const tb_attention *a)
{
    bool wanted = false;
    for (size_t h = 0; h < a->config->kv_heads && !wanted; h++)
        for (size_t row = 0; row < a->rows && !wanted; row++)
            wanted = observes(&a->kv->heads[h], (size_t)a->positions[row]);
    if (wanted)
        tb_parallel(a->compute->threads, a->config->kv_heads, 1, observe_heads, (void *)(uintptr_t)a);
}

// ---- probe ----

static bool is_shown(const tb_attention *a)
{
    return a->probe && a->probe->attention_row;
}

// Shows the weights [keys] of a whole row, which are scores still.
static void show_row(const tb_sweep *sweep, size_t worker, size_t query, softmax all, float *weights)
{
    const tb_attention *a = sweep->a;
    const tb_seen *seen = &sweep->seen;
    tb_attention_piece pieces[TB_KV_SEGMENTS];
    a->compute->kernels.exp_f32(weights, all.top, seen->count);
    for (size_t i = 0; i < seen->count; i++)
        weights[i] /= all.sum;
    size_t count = tb_seen_get_pieces(pieces, seen, weights);
    const tb_probe_place at = {.block = a->block, .span = a->span, .worker = worker};
    size_t position = (size_t)a->positions[tb_sweep_row(sweep, query)];
    a->probe->attention_row(a->probe->user, &at, tb_sweep_head(sweep, query), position, pieces, count);
}

// Shows the rows of the heads that share a KV head, whose softmaxes are all[group] with `step` between them.
static void show_heads(const tb_attention *a, size_t kv_head, size_t row, const softmax *all, size_t step,
                       size_t worker)
{
    scratch s = get_scratch(a, worker);
    tb_sweep sweep;
    score_heads(&sweep, a, kv_head, row, &s);
    for (size_t g = 0; g < sweep.group; g++)
        show_row(&sweep, worker, g, all[g * step], s.rows + g * tb_padded(a->scratch_capacity));
}

// ---- a few rows ----

// Keys are divided into equal parts of whole runs; the last may be shorter, those behind it are empty.
static tb_kv_range divide(tb_kv_range keys, size_t index)
{
    size_t count = keys.end - keys.begin, parts = (count + LEAST_PART - 1) / LEAST_PART;
    parts = parts < 1 ? 1 : parts < PARTS ? parts : PARTS;
    size_t each = (count + parts - 1) / parts, runs = (each + TB_SWEEP_KEYS - 1) / TB_SWEEP_KEYS;
    size_t begin = index * runs * TB_SWEEP_KEYS, end = begin + runs * TB_SWEEP_KEYS;
    return (tb_kv_range){keys.begin + (begin < count ? begin : count), keys.begin + (end < count ? end : count)};
}

typedef struct few_job {
    const tb_attention *a;
    const tb_kv_range *skippable; // [rows][kv_heads]: keys that may be skipped; none: begin = end; NULL: none at all
    size_t first,
        parts; // of every row and KV head: parts first … first + parts − 1; those behind a row's last are empty
} few_job;

static tb_kv_range get_skippable(const few_job *job, size_t row, size_t kv_head)
{
    return job->skippable ? job->skippable[row * job->a->config->kv_heads + kv_head] : (tb_kv_range){0, 0};
}

// How many parts the keys of the rows are divided into. Where some of a row's may be skipped, the others are part 0.
static size_t most_parts(const few_job *job)
{
    const tb_attention *a = job->a;
    size_t most = 1;
    for (size_t i = 0; i < a->rows * a->config->kv_heads; i++) {
        tb_seen seen;
        size_t row = i / a->config->kv_heads, kv_head = i % a->config->kv_heads, parts = 1;
        tb_seen_init(&seen, a, kv_head, (size_t)a->positions[row], (size_t)a->positions[row]);
        tb_kv_range skipped = get_skippable(job, row, kv_head);
        bool skips = skipped.begin < skipped.end;
        tb_kv_range keys = skips ? skipped : (tb_kv_range){0, seen.count};
        while (divide(keys, parts).begin < keys.end)
            parts++;
        most = parts + skips > most ? parts + skips : most;
    }
    return most;
}

// The logarithm of what a query has summed up over the keys that are always read, its sink included.
static double sum_read(const tb_attention *a, size_t head, softmax read)
{
    softmax sink = begin_softmax(a, head);
    double top = fmax((double)read.top, (double)sink.top);
    return top + log((double)read.sum * exp((double)read.top - top) + (double)sink.sum * exp((double)sink.top - top));
}

static bool is_any_skipped(const float *excess, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        if (excess[i] <= 0)
            return true;
    return false;
}

// Walks over the pages of keys [begin, end) in `range` but for those that are skipped. `read` are the queries'
// softmaxes over the keys that are always read.
static void walk_pages(const part *p, const tb_sweep *sweep, tb_kv_range range, size_t begin, size_t end,
                       const softmax *read, const scratch *s)
{
    size_t pages = (end - begin) / TB_KV_PAGE, stride = tb_padded(sweep->a->scratch_capacity);
    for (size_t g = 0; g < sweep->group && pages > 0; g++) {
        float *excess = s->rows + g * stride;
        double sum = sum_read(sweep->a, tb_sweep_head(sweep, g), read[g]);
        tb_skip_weigh(excess, sweep, g, range, begin, end, sum, sweep->a->skip, s->skip);
        for (size_t i = 0; i < pages && g > 0; i++)
            s->rows[i] = excess[i] > s->rows[i] ? excess[i] : s->rows[i];
        if (!is_any_skipped(s->rows, pages))
            break;
    }
    p->pages[0] = (uint32_t)pages;
    for (size_t i = 0, count; i < pages; i += count) {
        bool skipped = s->rows[i] <= 0;
        for (count = 1; i + count < pages && (s->rows[i + count] <= 0) == skipped;)
            count++;
        size_t first = begin + i * TB_KV_PAGE;
        if (skipped)
            p->pages[1] += (uint32_t)count;
        else
            walk(p, sweep, first, first + count * TB_KV_PAGE, s->scores);
    }
}

static void walk_part(const part *p, const tb_sweep *sweep, size_t index, tb_kv_range range, const part *first,
                      const scratch *s)
{
    tb_kv_range all = {0, sweep->seen.count};
    begin_part(p, sweep);
    if (range.begin == range.end) {
        tb_kv_range keys = divide(all, index);
        walk(p, sweep, keys.begin, keys.end, s->scores);
    } else if (index == 0) {
        walk(p, sweep, 0, range.begin, s->scores);
        walk(p, sweep, range.end, sweep->seen.count, s->scores);
    } else {
        tb_kv_range keys = divide(range, index - 1);
        walk_pages(p, sweep, range, keys.begin, keys.end, first->state, s);
    }
}

static void walk_parts(void *user, size_t begin, size_t end, size_t worker)
{
    const few_job *job = user;
    const tb_attention *a = job->a;
    scratch s = get_scratch(a, worker);
    for (size_t i = begin; i < end; i++) {
        size_t index = job->first + i % job->parts, kv_head = i / job->parts % a->config->kv_heads;
        size_t row = i / job->parts / a->config->kv_heads;
        part p = get_few_part(a, row, kv_head, index), first = get_few_part(a, row, kv_head, 0);
        tb_sweep sweep;
        tb_sweep_init(&sweep, a, kv_head, row, 1, TB_SWEEP_KERNELS, s.sweep);
        walk_part(&p, &sweep, index, get_skippable(job, row, kv_head), &first, &s);
    }
}

// Of the heads that share a KV head, in one row.
static void join_parts(void *user, size_t begin, size_t end, size_t worker)
{
    const few_job *job = user;
    const tb_attention *a = job->a;
    for (size_t i = begin; i < end; i++) {
        size_t row = i / a->config->kv_heads, kv_head = i % a->config->kv_heads, group = group_of(a->config);
        part parts[MOST_PARTS];
        for (size_t k = 0; k < job->parts; k++)
            parts[k] = get_few_part(a, row, kv_head, k);
        for (size_t g = 0; g < group; g++)
            parts[0].state[g] = join(a, row, kv_head * group + g, parts, job->parts, g);
        if (is_shown(a))
            show_heads(a, kv_head, row, parts[0].state, 1, worker);
    }
}

static void count_pages(const tb_attention *a, size_t parts)
{
    for (size_t i = 0; i < a->rows * a->config->kv_heads * parts; i++) {
        size_t row = i / parts / a->config->kv_heads, kv_head = i / parts % a->config->kv_heads;
        const uint32_t *pages = get_few_part(a, row, kv_head, i % parts).pages;
        a->kv->heads[kv_head].pages_met += pages[0];
        a->kv->heads[kv_head].pages_skipped += pages[1];
    }
}

static void attend_few(const tb_attention *a, const tb_kv_range *skippable)
{
    size_t threads = a->compute->threads, heads = a->rows * a->config->kv_heads;
    few_job all = {a, skippable, 0, 0}, begin = all, rest = all;
    all.parts = most_parts(&all);
    // Where keys may be skipped, those that are always read say which.
    begin.parts = rest.first = skippable ? 1 : all.parts;
    rest.parts = all.parts - begin.parts;
    tb_parallel(threads, heads * begin.parts, 1, walk_parts, &begin);
    tb_parallel(threads, heads * rest.parts, 1, walk_parts, &rest);
    tb_parallel(is_shown(a) ? threads : 1, heads, 1, join_parts, &all);
    count_pages(a, all.parts);
}

// ---- many rows ----

static void attend_tile(const tb_attention *a, size_t kv_head, size_t first_row, size_t worker)
{
    size_t left = a->rows - first_row, rows = left < TILE ? left : TILE;
    scratch s = get_scratch(a, worker);
    part p = get_part(s.part, a->config, group_of(a->config) * TILE);
    tb_sweep sweep;
    tb_sweep_init(&sweep, a, kv_head, first_row, rows, TB_SWEEP_PRODUCTS, s.sweep);
    begin_part(&p, &sweep);
    walk(&p, &sweep, 0, sweep.seen.count, s.scores);
    for (size_t q = 0; q < tb_sweep_count(&sweep); q++)
        p.state[q] = join(a, tb_sweep_row(&sweep, q), tb_sweep_head(&sweep, q), &p, 1, q);
    for (size_t i = 0; i < rows && is_shown(a); i++)
        show_heads(a, kv_head, first_row + i, p.state + i, rows, worker);
}

static void attend_tiles(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    size_t tiles = (a->rows + TILE - 1) / TILE;
    for (size_t i = begin; i < end; i++)
        attend_tile(a, i / tiles, i % tiles * TILE, worker);
}

static void attend_all(const tb_attention *a)
{
    size_t tiles = (a->rows + TILE - 1) / TILE;
    if (a->rows < FEWEST_TILE)
        attend_few(a, NULL);
    else
        tb_parallel(a->compute->threads, a->config->kv_heads * tiles, 1, attend_tiles, (void *)(uintptr_t)a);
}

// ---- rows that may skip keys ----

static tb_attention rows_of(const tb_attention *a, size_t first, size_t most)
{
    tb_attention some = *a;
    some.query += first * a->stride;
    some.pinned_query = a->pinned_query ? a->pinned_query + first * a->stride : NULL;
    some.out += first * a->stride;
    some.positions += first;
    some.rows = tb_min_size(a->rows - first, most);
    return some;
}

// Takes keys [begin, end) into the softmax of a sweep of one query.
static void sum_keys(softmax *sum, const tb_sweep *sweep, size_t begin, size_t end, float *scores)
{
    tb_run run = tb_seen_get_run(&sweep->seen, begin, end - begin);
    tb_sweep_score(sweep, &run, scores, TB_SWEEP_KEYS);
    add_scores(sum, &sweep->a->compute->kernels, scores, run.count);
}

// The keys that a row may skip; none where looking for them promises nothing. A page is skipped in all heads that share
// it or in none, so that the first of them says; the first page and the newest keys, which have most of a row, stand
// for all that is read.
static tb_kv_range find_skippable(const tb_attention *a, size_t kv_head, size_t row, const scratch *s)
{
    tb_sweep sweep;
    softmax read = {.top = -INFINITY};
    tb_sweep_init(&sweep, a, kv_head, row, 1, TB_SWEEP_KERNELS, s->sweep);
    tb_kv_range range = tb_skip_range(&sweep.seen);
    if (range.begin == range.end)
        return range;
    sweep.group = 1;
    sum_keys(&read, &sweep, 0, range.begin, s->scores);
    sum_keys(&read, &sweep, sweep.seen.count - TB_KV_PAGE, sweep.seen.count, s->scores);
    double sum = sum_read(a, sweep.first_head, read);
    if (tb_skip_promises(&sweep, 0, range, sum, a->skip, s->skip))
        return range;
    a->kv->heads[kv_head].pages_met += (range.end - range.begin) / TB_KV_PAGE;
    return (tb_kv_range){0, 0};
}

static void find_ranges(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    scratch s = get_scratch(a, worker);
    for (size_t kv_head = begin; kv_head < end; kv_head++)
        for (size_t row = 0; row < a->rows; row++)
            get_ranges(a)[row * a->config->kv_heads + kv_head] = find_skippable(a, kv_head, row, &s);
}

// Rows [first, end) skip nothing.
static void attend_plainly(const tb_attention *a, size_t first, size_t end)
{
    tb_attention some = rows_of(a, first, end - first);
    if (first < end)
        attend_all(&some);
}

// Rows of which some skip keys go few by few: each skips what it would skip if it came alone. Between them as many as
// can go together.
static void attend_skipping(const tb_attention *a)
{
    const size_t few = FEWEST_TILE - 1, heads = a->config->kv_heads;
    const tb_kv_range *ranges = get_ranges(a);
    size_t plain = 0; // rows from here on skip nothing
    for (size_t first = 0; first < a->rows; first += TILE) {
        tb_attention tile = rows_of(a, first, TILE);
        bool skips = false;
        tb_parallel(a->compute->threads, heads, 1, find_ranges, &tile);
        for (size_t i = 0; i < tile.rows * heads; i++)
            skips = skips || ranges[i].begin < ranges[i].end;
        if (!skips)
            continue;
        attend_plainly(a, plain, first);
        plain = first + tile.rows;
        for (size_t row = 0; row < tile.rows; row += few) {
            tb_attention some = rows_of(&tile, row, few);
            attend_few(&some, ranges + row * heads);
        }
    }
    attend_plainly(a, plain, a->rows);
}

void tb_attention_run(const tb_attention *a)
{
    if (a->weighing != TB_SOFTMAX || a->redistribution)
        tb_weighed_run(a);
    else if (a->skip > 0)
        attend_skipping(a);
    else
        attend_all(a);
}
