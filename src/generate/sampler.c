// From logits to the next token. The chain works on a list of candidates that only shrinks;
// what orders it is a heap, because a step seldom wants more than a few of the best out of a
// vocabulary of 100,000. Equal candidates are ordered by id, so that runs repeat exactly.
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_PENALTY_WINDOW = 64 };

typedef struct candidate {
    int32_t id;
    float logit;
    double p;   // probability among the candidates, where a step asked for it
    double key; // what the heap orders by: larger comes first
} candidate;

struct tb_sampler {
    const tb_model *model;
    tb_sampler_options options;
    int32_t *bias_ids; // copies of the caller's
    float *bias_values;
    tb_rng rng;
    candidate *list; // [vocab]
    size_t count;
    uint32_t *seen; // [vocab] how often in the penalty window; all 0 between calls
};

// ---- options ----

static bool is_share(double p)
{
    return p >= 0 && p <= 1;
}

static tb_code check_options(const tb_sampler_options *o, size_t vocab, tb_error *err)
{
    if (!(o->temperature >= 0) || isinf(o->temperature))
        return tb_fail(err, TB_EINVAL, "temperature %g is not a number from 0 on", o->temperature);
    const struct {
        const char *name;
        double p;
    } shares[] = {{"top-p", o->top_p}, {"min-p", o->min_p}, {"typical-p", o->typical_p}};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        if (!is_share(shares[i].p))
            return tb_fail(err, TB_EINVAL, "%s %g is not between 0 and 1", shares[i].name, shares[i].p);
    if (!(o->repeat_penalty >= 0) || isinf(o->repeat_penalty) || !isfinite(o->presence_penalty) ||
        !isfinite(o->frequency_penalty))
        return tb_fail(err, TB_EINVAL, "a penalty is not a finite number, or the one for repetition is negative");
    for (size_t i = 0; i < o->bias_count; i++) {
        if (o->bias_ids[i] < 0 || (size_t)o->bias_ids[i] >= vocab)
            return tb_fail(err, TB_EINVAL, "biased token %" PRId32 " is outside the vocabulary of %zu", o->bias_ids[i],
                           vocab);
        if (isnan(o->bias_values[i]) || o->bias_values[i] == INFINITY)
            return tb_fail(err, TB_EINVAL, "the bias of token %" PRId32 " is not a number or infinite", o->bias_ids[i]);
    }
    return TB_OK;
}

// Tokens that are never picked because they end a text; their ids in ends[], where that is not NULL.
static size_t find_ends(int32_t *ends, const tb_sampler *sampler)
{
    size_t n = 0;
    for (size_t id = 0; sampler->options.no_end && id < tb_model_vocab_size(sampler->model); id++) {
        if (!tb_model_is_end(sampler->model, (int32_t)id))
            continue;
        if (ends)
            ends[n] = (int32_t)id;
        n++;
    }
    return n;
}

static tb_code allocate(tb_sampler *sampler, tb_error *err)
{
    tb_sampler_options *o = &sampler->options;
    size_t vocab = tb_model_vocab_size(sampler->model), given = o->bias_count;
    o->bias_count += find_ends(NULL, sampler);
    sampler->list = tb_alloc_array(vocab, sizeof *sampler->list);
    sampler->seen = tb_alloc_array(vocab, sizeof *sampler->seen);
    sampler->bias_ids = tb_alloc_array(o->bias_count, sizeof *sampler->bias_ids);
    sampler->bias_values = tb_alloc_array(o->bias_count, sizeof *sampler->bias_values);
    if (!sampler->list || !sampler->seen || !sampler->bias_ids || !sampler->bias_values)
        return tb_fail(err, TB_ENOMEM, "no memory to sample from a vocabulary of %zu", vocab);
    for (size_t i = 0; i < given; i++) {
        sampler->bias_ids[i] = o->bias_ids[i];
        sampler->bias_values[i] = o->bias_values[i];
    }
    find_ends(sampler->bias_ids + given, sampler);
    for (size_t i = given; i < o->bias_count; i++)
        sampler->bias_values[i] = -INFINITY;
    return TB_OK;
}

tb_code tb_sampler_new(tb_sampler **out, const tb_model *model, const tb_sampler_options *options, tb_error *err)
{
    *out = NULL;
    tb_code rc = check_options(options, tb_model_vocab_size(model), err);
    if (rc)
        return rc;
    tb_sampler *sampler = tb_new(tb_sampler);
    if (!sampler)
        return tb_fail(err, TB_ENOMEM, "no memory for a sampler");
    sampler->model = model;
    sampler->options = *options;
    if (!options->penalty_window)
        sampler->options.penalty_window = DEFAULT_PENALTY_WINDOW;
    tb_rng_init(&sampler->rng, options->seed, 0);
    rc = allocate(sampler, err);
    if (rc) {
        tb_sampler_free(sampler);
        return rc;
    }
    *out = sampler;
    return TB_OK;
}

void tb_sampler_free(tb_sampler *sampler)
{
    if (!sampler)
        return;
    tb_free(sampler->list);
    tb_free(sampler->seen);
    tb_free(sampler->bias_ids);
    tb_free(sampler->bias_values);
    tb_free(sampler);
}

// ---- the heap ----

static bool comes_first(const candidate *a, const candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

static void sift(candidate *heap, size_t count, size_t i)
{
    candidate moving = heap[i];
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && comes_first(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_first(&heap[child], &moving))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

static void build_heap(candidate *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(heap, count, i);
}

// Moves the first candidate behind the heap, which shrinks; returns it.
static const candidate *pop(candidate *heap, size_t *count)
{
    candidate first = heap[0];
    heap[0] = heap[--*count];
    heap[*count] = first;
    if (*count)
        sift(heap, *count, 0);
    return &heap[*count];
}

// ---- the chain ----

static double largest_logit(const tb_sampler *s)
{
    double top = -INFINITY;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].logit > top)
            top = s->list[i].logit;
    return top;
}

// Probabilities of the candidates at a temperature.
static void find_probabilities(tb_sampler *s, double temperature)
{
    double top = largest_logit(s), sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->list[i].p = exp(((double)s->list[i].logit - top) / temperature);
        sum += s->list[i].p;
    }
    for (size_t i = 0; i < s->count; i++)
        s->list[i].p /= sum;
}

// Keeps the candidates that come first until they hold `share` of the probability, `most` at the most.
static void keep_first(tb_sampler *s, double share, size_t most)
{
    size_t left = s->count, kept = 0;
    double sum = 0;
    build_heap(s->list, left);
    while (left && kept < most && sum < share) {
        sum += pop(s->list, &left)->p;
        kept++;
    }
    memmove(s->list, s->list + left, kept * sizeof *s->list); // last popped first
    s->count = kept;
}

static void keep_top_k(tb_sampler *s)
{
    if (s->options.top_k == 0 || s->options.top_k >= s->count)
        return;
    for (size_t i = 0; i < s->count; i++) {
        s->list[i].key = s->list[i].logit;
        s->list[i].p = 0;
    }
    keep_first(s, INFINITY, s->options.top_k);
}

// Locally typical sampling (Meister et al., arXiv 2202.00666): the candidates whose
// information is nearest to the entropy.
static void keep_typical(tb_sampler *s)
{
    if (s->options.typical_p <= 0 || s->options.typical_p >= 1)
        return;
    find_probabilities(s, 1);
    double entropy = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].p > 0)
            entropy -= s->list[i].p * log(s->list[i].p);
    for (size_t i = 0; i < s->count; i++)
        s->list[i].key = s->list[i].p > 0 ? -fabs(-log(s->list[i].p) - entropy) : -INFINITY;
    keep_first(s, s->options.typical_p, s->count);
}

static void keep_top_p(tb_sampler *s)
{
    if (s->options.top_p <= 0 || s->options.top_p >= 1)
        return;
    find_probabilities(s, 1);
    for (size_t i = 0; i < s->count; i++)
        s->list[i].key = s->list[i].logit;
    keep_first(s, s->options.top_p, s->count);
}

static void keep_min_p(tb_sampler *s)
{
    if (s->options.min_p <= 0)
        return;
    double least = largest_logit(s) + log(s->options.min_p);
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].logit >= least)
            s->list[kept++] = s->list[i];
    s->count = kept;
}

static int32_t draw(tb_sampler *s)
{
    find_probabilities(s, s->options.temperature);
    double u = tb_rng_uniform(&s->rng), sum = 0;
    int32_t last = s->list[0].id; // of those that are possible, in case rounding leaves sum below u
    for (size_t i = 0; i < s->count; i++) {
        if (s->list[i].p <= 0)
            continue;
        last = s->list[i].id;
        sum += s->list[i].p;
        if (u < sum)
            break;
    }
    return last;
}

static int32_t greedy(const tb_sampler *s)
{
    size_t best = 0;
    for (size_t i = 1; i < s->count; i++)
        if (s->list[i].logit > s->list[best].logit)
            best = i;
    return s->list[best].id;
}

// ---- penalties ----

static void penalize(tb_sampler *s, const tb_seq *seq)
{
    const tb_sampler_options *o = &s->options;
    double repeat = o->repeat_penalty > 0 ? o->repeat_penalty : 1;
    if (repeat == 1 && o->presence_penalty == 0 && o->frequency_penalty == 0)
        return;
    size_t length = tb_seq_length(seq) - tb_seq_dropped(seq),
           n = length < o->penalty_window ? length : o->penalty_window;
    const int32_t *tokens = tb_seq_tokens(seq) + length - n;
    for (size_t i = 0; i < n; i++)
        s->seen[tokens[i]]++;
    for (size_t i = 0; i < n; i++) {
        uint32_t times = s->seen[tokens[i]];
        if (times == 0)
            continue; // done already
        double logit = s->list[tokens[i]].logit;
        logit = logit > 0 ? logit / repeat : logit * repeat;
        logit -= o->presence_penalty + times * o->frequency_penalty;
        s->list[tokens[i]].logit = (float)logit;
        s->seen[tokens[i]] = 0;
    }
}

// ---- picking ----

static tb_code list_candidates(tb_sampler *s, const tb_seq *seq, tb_error *err)
{
    const float *logits = tb_seq_logits(seq);
    if (tb_seq_model(seq) != s->model)
        return tb_fail(err, TB_EINVAL, "the sequence belongs to another model than the sampler");
    if (!logits)
        return tb_fail(err, TB_EINVAL, "the sequence has no logits: push a token first");
    s->count = tb_model_vocab_size(s->model);
    for (size_t i = 0; i < s->count; i++) {
        if (!isfinite(logits[i]))
            return tb_fail(err, TB_EINVAL, "the model is broken: the logit of token %zu is %g", i, (double)logits[i]);
        s->list[i] = (candidate){.id = (int32_t)i, .logit = logits[i]};
    }
    for (size_t i = 0; i < s->options.bias_count; i++)
        s->list[s->bias_ids[i]].logit += s->bias_values[i];
    return TB_OK;
}

tb_code tb_sampler_pick(int32_t *token, tb_sampler *sampler, const tb_seq *seq, tb_error *err)
{
    tb_code rc = list_candidates(sampler, seq, err);
    if (rc)
        return rc;
    penalize(sampler, seq);
    if (largest_logit(sampler) == -INFINITY)
        return tb_fail(err, TB_EINVAL, "the biases forbid every token");
    if (sampler->options.temperature == 0) {
        *token = greedy(sampler);
        return TB_OK;
    }
    keep_top_k(sampler);
    keep_typical(sampler);
    keep_top_p(sampler);
    keep_min_p(sampler);
    *token = draw(sampler);
    return TB_OK;
}
