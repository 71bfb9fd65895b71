// Causal experiments: the same sequences through a model of which one thing is changed, by a probe that edits rows on
// their way. All rows of the result are run on a sequence before the next one comes, so that the untouched model's
// logits are there to compare with.
#include <math.h>
#include <string.h>

#include "sink/columns.h"
#include "sink/experiment.h"
#include "sink/sequences.h"

enum { KEPT = 4 }; // tokens that a stream keeps (C9), as StreamingLLM does

typedef struct laboratory {
    const tb_model *model;
    const tb_config *config;
    const tb_sink_options *options;
    tb_sink_score_fn *score;
    tb_ablation_result *result;
    tb_sink_sequences sequences;
    tb_sink_knowledge known;
    tb_sink_experiment experiment;
    tb_seq *seq, *streams[2]; // plain; without and with kept tokens
    tb_arena arena;
    int32_t *tokens;           // [ctx]: of the sequence under way
    float *logits, *reference; // [ctx][vocab]
    double *nll, *kl;          // [ctx]
    bool *finite;              // [ctx]
    // The row under way.
    tb_ablation *row;
    tb_sink_columns columns;
    tb_sink_head *heads; // [heads] of the block under way
    double *alpha;       // [heads][rows]
    double largest;
} laboratory;

const char *tb_ablation_id(tb_ablation_kind kind)
{
    static const char *const ids[TB_ABLATIONS] = {"",   "C1",  "C2",  "C3",  "C4",   "C5",   "C6",  "C7",
                                                  "C8", "C9a", "C9b", "C10", "C11a", "C11b", "C12", "move"};
    return ids[kind];
}

const char *tb_ablation_name(tb_ablation_kind kind)
{
    static const char *const names[TB_ABLATIONS] = {
        [TB_ABLATE_NOTHING] = "nothing",
        [TB_ABLATE_BOS] = "first token: BOS or not, the other way round",
        [TB_ABLATE_COLUMN] = "position 0 hidden from later queries",
        [TB_ABLATE_VALUE] = "value of position 0 to 0",
        [TB_ABLATE_MASSIVE_ZERO] = "massive activations to 0",
        [TB_ABLATE_MASSIVE_MEAN] = "massive activations to their mean",
        [TB_ABLATE_MEDIAN_ZERO] = "as many median ones to 0",
        [TB_ABLATE_FFN] = "no feed-forward output at position 0",
        [TB_ABLATE_SUPER] = "super weights to 0",
        [TB_ABLATE_WINDOW] = "stream: last T/4 tokens",
        [TB_ABLATE_WINDOW_SINKS] = "stream: first 4 and last T/4 tokens",
        [TB_ABLATE_OTHER_PROMPT] = "key and value of position 0 from another text",
        [TB_ABLATE_DORMANT] = "dormant heads to 0",
        [TB_ABLATE_RANDOM_HEADS] = "as many other heads to 0",
        [TB_ABLATE_RANDOM_TOKEN] = "first token: a random one",
        [TB_ABLATE_MOVE] = "streams of positions 0 and T/4 change places",
    };
    return names[kind];
}

// ---- probes ----

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    laboratory *l = user;
    tb_sink_columns_add(&l->columns, at->worker, head, position, pieces, count);
}

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    laboratory *l = user;
    if (input == TB_INPUT_DOWN)
        tb_sink_experiment_input(&l->experiment, at->block, rows);
}

static void edit(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    laboratory *l = user;
    tb_sink_experiment_edit(&l->experiment, at->block, stage, rows);
}

// Adds a block's heads to the row's sums.
static void take_block(laboratory *l, size_t block)
{
    size_t heads = l->config->heads, ctx = l->sequences.rows, at = l->experiment.target;
    size_t behind = l->config->blocks - l->known.emergence;
    memset(l->heads, 0, heads * sizeof *l->heads);
    memset(l->alpha, 0, heads * ctx * sizeof *l->alpha);
    tb_sink_columns_take(l->heads, l->alpha, NULL, 0, &l->columns, l->options->epsilon);
    double share = 1 / (double)(l->config->blocks * heads * l->sequences.count);
    for (size_t h = 0; h < heads; h++) {
        l->row->sink += share * l->heads[h].sink;
        l->row->anywhere += share * l->heads[h].anywhere;
        l->row->share += share * l->heads[h].share;
        if (block >= l->known.emergence && behind)
            l->row->moved += share * l->alpha[h * ctx + at] * (double)l->config->blocks / (double)behind;
    }
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    laboratory *l = user;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols; c++)
            l->largest = fmax(l->largest, fabs((double)rows->x[t * rows->stride + c]));
    if (at->block != SIZE_MAX && l->row->has_map)
        take_block(l, at->block);
}

// ---- what is known beforehand ----

// The first token at the stage of the emergence.
static void see_mean(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    laboratory *l = user;
    for (size_t c = 0; at->block + 1 == l->known.emergence && c < rows->cols; c++)
        l->known.means[c] += (double)rows->x[c] / (double)l->sequences.count;
}

static tb_code find_means(laboratory *l, tb_error *err)
{
    const tb_probe probe = {.residual = see_mean, .user = l};
    tb_code rc = TB_OK;
    tb_seq_set_probe(l->seq, &probe);
    for (size_t i = 0; i < l->sequences.count && !rc && l->known.emergence; i++) {
        tb_seq_truncate(l->seq, 0);
        rc = tb_seq_push(l->seq, tb_sink_text(&l->sequences, i), 1, err);
    }
    tb_seq_set_probe(l->seq, NULL);
    return rc;
}

static void find_massive(tb_sink_knowledge *k, const tb_sink_result *r)
{
    k->emergence = r->massive.emergence;
    for (size_t i = 0; i < r->massive.channel_count; i++) {
        const tb_sink_channel *c = &r->massive.channels[i];
        bool there = c->begin <= k->emergence && k->emergence < c->end;
        if (c->first && there && 2 * c->tokens >= r->sequences) {
            k->massive[c->channel] = true;
            k->massive_count++;
        }
    }
}

static void find_dormant(tb_sink_knowledge *k, const tb_sink_result *r, uint64_t seed)
{
    size_t all = r->blocks * r->heads;
    tb_rng rng;
    for (size_t i = 0; i < all; i++) {
        k->dormant[i] = r->map.heads[i].share > TB_SINK_DORMANT;
        k->dormant_count += k->dormant[i];
    }
    if (2 * k->dormant_count > all) // there are not as many others
        k->dormant_count = 0;
    tb_rng_init(&rng, seed, 0);
    for (size_t left = k->dormant_count; left > 0;) {
        size_t head = (size_t)tb_rng_below(&rng, all);
        if (k->dormant[head] || k->others[head])
            continue;
        k->others[head] = true;
        left--;
    }
}

static tb_code find_super(laboratory *l, tb_error *err)
{
    tb_sink_knowledge *k = &l->known;
    const tb_super_options options = {.report = l->options->report};
    if (l->config->experts)
        return TB_OK;
    tb_code rc =
        tb_sink_find_super(&k->super, l->model, tb_sink_text(&l->sequences, 0), l->sequences.length, &options, err);
    while (k->super_count < k->super.count && k->super.weights[k->super_count].block < k->emergence)
        k->super_count++;
    return rc;
}

static tb_code learn(laboratory *l, tb_error *err)
{
    tb_sink_knowledge *k = &l->known;
    size_t heads = l->config->blocks * l->config->heads;
    tb_sink_result r;
    k->config = l->config;
    k->massive = tb_arena_array(&l->arena, l->config->width, sizeof *k->massive);
    k->means = tb_arena_array(&l->arena, l->config->width, sizeof *k->means);
    k->dormant = tb_arena_array(&l->arena, heads, sizeof *k->dormant);
    k->others = tb_arena_array(&l->arena, heads, sizeof *k->others);
    if (!k->massive || !k->means || !k->dormant || !k->others)
        return tb_fail(err, TB_ENOMEM, "no memory for the experiments");
    tb_code rc = tb_sink_measure(&r, l->model, TB_SINK_WHAT_MAP | TB_SINK_WHAT_MASSIVE, l->options, err);
    if (!rc) {
        l->result->rule = r.massive.rule;
        find_massive(k, &r);
        find_dormant(k, &r, l->options->seed);
        rc = find_super(l, err);
    }
    tb_sink_result_clear(&r);
    return rc;
}

// ---- a row on a sequence ----

// The tokens of sequence `index` as the row wants them.
static tb_code choose_tokens(laboratory *l, size_t index, tb_error *err)
{
    size_t n = l->sequences.length;
    tb_sink_options options = *l->options;
    tb_sink_sequences other;
    memcpy(l->tokens, tb_sink_text(&l->sequences, index), n * sizeof *l->tokens);
    switch (l->experiment.kind) {
    case TB_ABLATE_BOS:
        options.bos = l->sequences.bos ? TB_SINK_BOS_NEVER : TB_SINK_BOS_ALWAYS;
        break;
    case TB_ABLATE_RANDOM_TOKEN:
        options.seed += options.input != TB_SINK_NATURAL; // by the same one it would be the token that is there
        options.input = TB_SINK_RANDOM;
        options.bos = TB_SINK_BOS_NEVER;
        break;
    default:
        return TB_OK;
    }
    options.sequences = l->sequences.count;
    tb_code rc = tb_sink_sequences_init(&other, l->model, &options, err);
    if (!rc)
        l->tokens[0] = *tb_sink_text(&other, index);
    tb_sink_sequences_clear(&other);
    return rc;
}

static void keep_first(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    laboratory *l = user;
    float *to = stage == TB_EDIT_KEY ? l->experiment.other.keys : l->experiment.other.values;
    if (stage == TB_EDIT_KEY || stage == TB_EDIT_VALUE)
        memcpy(to + at->block * rows->cols, rows->x, rows->cols * sizeof *to);
}

// Keys and values of the first token in front of the next sequence's text.
static tb_code read_other_prompt(laboratory *l, size_t index, tb_error *err)
{
    const tb_probe probe = {.edit = keep_first, .user = l};
    const int32_t *other = tb_sink_text(&l->sequences, (index + 1) % l->sequences.count);
    tb_seq_set_probe(l->seq, &probe);
    tb_seq_truncate(l->seq, 0);
    int32_t kept = l->tokens[0];
    memcpy(l->tokens, other, l->sequences.length * sizeof *l->tokens);
    l->tokens[0] = kept;
    tb_code rc = tb_seq_push(l->seq, l->tokens, l->sequences.length, err);
    memcpy(l->tokens, tb_sink_text(&l->sequences, index), l->sequences.length * sizeof *l->tokens);
    return rc;
}

static tb_seq *seq_of(const laboratory *l)
{
    if (l->experiment.kind == TB_ABLATE_WINDOW)
        return l->streams[0];
    return l->experiment.kind == TB_ABLATE_WINDOW_SINKS ? l->streams[1] : l->seq;
}

// Predictions of the tokens behind positions [begin, end): of position 0 it would be one of the first token alone.
static void score_range(void *user, size_t begin, size_t end, size_t worker)
{
    laboratory *l = user;
    size_t vocab = l->config->vocab;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t t = i + 1;
        l->finite[i] =
            l->score(&l->nll[i], &l->kl[i], l->logits + t * vocab, l->reference + t * vocab, vocab, l->tokens[t + 1]);
    }
}

static void score_sequence(laboratory *l)
{
    size_t n = l->sequences.length - 2, vocab = l->config->vocab;
    tb_ablation *row = l->row;
    tb_parallel(tb_model_compute(l->model)->threads, n, 1, score_range, l);
    for (size_t i = 0; i < n; i++) {
        row->broken += !l->finite[i];
        row->nll += l->finite[i] ? l->nll[i] : 0;
        row->kl += l->finite[i] ? l->kl[i] : 0;
    }
    row->identical &= memcmp(l->logits, l->reference, (n + 2) * vocab * sizeof *l->logits) == 0;
    row->largest += l->largest / (double)l->sequences.count;
}

static tb_code run_row(laboratory *l, size_t index, tb_error *err)
{
    const tb_probe probe = {
        .attention_row = l->row->has_map ? see_row : NULL,
        .linear_input = see_input,
        .edit = edit,
        .residual = see_residual,
        .hidden = l->experiment.kind == TB_ABLATE_COLUMN,
        .user = l,
    };
    tb_seq *seq = seq_of(l);
    tb_code rc = choose_tokens(l, index, err);
    if (!rc && l->experiment.kind == TB_ABLATE_OTHER_PROMPT)
        rc = read_other_prompt(l, index, err);
    if (rc)
        return rc;
    l->largest = 0;
    tb_seq_set_probe(seq, &probe);
    tb_seq_truncate(seq, 0);
    rc = tb_seq_push_all(seq, l->tokens, l->sequences.length, l->logits, err);
    tb_seq_set_probe(seq, NULL);
    if (!rc && l->experiment.kind == TB_ABLATE_NOTHING)
        memcpy(l->reference, l->logits, l->sequences.length * l->config->vocab * sizeof *l->logits);
    if (!rc)
        score_sequence(l);
    return rc;
}

// ---- all rows ----

static bool has_bos(const laboratory *l)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(l->model);
    return l->sequences.bos ? l->options->input == TB_SINK_NATURAL : tokenizer && tb_tokenizer_bos(tokenizer) >= 0;
}

static bool is_stream(tb_ablation_kind kind)
{
    return kind == TB_ABLATE_WINDOW || kind == TB_ABLATE_WINDOW_SINKS;
}

static void begin_rows(laboratory *l)
{
    for (unsigned k = 0; k < TB_ABLATIONS; k++) {
        tb_ablation *row = &l->result->rows[k];
        l->experiment.kind = (tb_ablation_kind)k;
        *row = (tb_ablation){.identical = true, .has_map = !is_stream(l->experiment.kind)};
        row->ran = tb_sink_experiment_objects(&row->objects, &l->experiment);
        if (k == TB_ABLATE_BOS)
            row->ran = has_bos(l);
        if (is_stream(l->experiment.kind))
            row->ran = l->streams[k == TB_ABLATE_WINDOW_SINKS] != NULL;
    }
}

static tb_code run_rows(laboratory *l, tb_error *err)
{
    size_t count = l->sequences.count;
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < TB_ABLATIONS; k++) {
            if (tb_report_progress(l->options->report, "experiments", (double)(i * TB_ABLATIONS + k),
                                   (double)(count * TB_ABLATIONS), "passes"))
                return tb_fail(err, TB_ECANCELLED, "the experiments were stopped");
            l->row = &l->result->rows[k];
            l->experiment.kind = (tb_ablation_kind)k;
            tb_code rc = l->row->ran ? run_row(l, i, err) : TB_OK;
            if (rc)
                return rc;
        }
    return TB_OK;
}

static tb_code finish_rows(tb_ablation_result *r, tb_error *err)
{
    r->predictions = r->sequences * (r->ctx - 2);
    for (unsigned k = 0; k < TB_ABLATIONS; k++) {
        tb_ablation *row = &r->rows[k];
        double finite = (double)(r->predictions - row->broken);
        row->nll = finite > 0 ? row->nll / finite : INFINITY;
        row->kl = finite > 0 ? row->kl / finite : INFINITY;
        row->ratio = exp(row->nll - r->rows[TB_ABLATE_NOTHING].nll);
    }
    if (r->rows[TB_ABLATE_NOTHING].broken)
        return tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
    return TB_OK;
}

// ---- workspace ----

// A model whose positions cannot stream runs without (C9).
static tb_code open_streams(laboratory *l, tb_error *err)
{
    size_t window = l->sequences.length / 4;
    for (size_t i = 0; i < 2; i++) {
        tb_seq_options options = {
            .batch = l->sequences.rows, .kv_cache = TB_KV_CACHE_F32, .keep_sinks = i ? KEPT : 0, .window = window};
        tb_code rc = window < KEPT ? TB_ELIMIT : tb_seq_new(&l->streams[i], l->model, &options, err);
        if (rc)
            l->streams[i] = NULL;
        if (rc == TB_ENOMEM)
            return rc;
    }
    return TB_OK;
}

static tb_code prepare(laboratory *l, tb_error *err)
{
    size_t n = l->sequences.length, rows = l->sequences.rows, heads = l->config->heads, logits;
    bool ok = tb_mul_size(&logits, n, l->config->vocab);
    l->tokens = tb_arena_array(&l->arena, n, sizeof *l->tokens);
    l->logits = ok ? tb_arena_array(&l->arena, logits, sizeof *l->logits) : NULL;
    l->reference = ok ? tb_arena_array(&l->arena, logits, sizeof *l->reference) : NULL;
    l->nll = tb_arena_array(&l->arena, n, sizeof *l->nll);
    l->kl = tb_arena_array(&l->arena, n, sizeof *l->kl);
    l->finite = tb_arena_array(&l->arena, n, sizeof *l->finite);
    l->heads = tb_arena_array(&l->arena, heads, sizeof *l->heads);
    l->alpha = tb_arena_array(&l->arena, heads, rows * sizeof *l->alpha);
    if (!l->tokens || !l->logits || !l->reference || !l->nll || !l->kl || !l->finite || !l->heads || !l->alpha)
        return tb_fail(err, TB_ENOMEM, "no memory for the logits of %zu tokens", n);
    return tb_sink_columns_init(&l->columns, &l->arena, tb_model_compute(l->model)->threads, heads, rows, err);
}

static void laboratory_clear(laboratory *l)
{
    tb_seq_free(l->seq);
    tb_seq_free(l->streams[0]);
    tb_seq_free(l->streams[1]);
    tb_super_result_clear(&l->known.super);
    tb_sink_sequences_clear(&l->sequences);
    tb_arena_clear(&l->arena);
}

tb_code tb_sink_ablate(tb_ablation_result *out, const tb_model *model, const tb_sink_options *options,
                       tb_sink_score_fn *score, tb_error *err)
{
    tb_sink_options resolved = *options;
    resolved.epsilon = options->epsilon > 0 ? options->epsilon : TB_SINK_EPSILON;
    laboratory l = {
        .model = model, .config = tb_model_config(model), .options = &resolved, .score = score, .result = out};
    *out = (tb_ablation_result){0};
    tb_code rc = tb_sink_sequences_init(&l.sequences, model, &resolved, err);
    if (!rc)
        rc = prepare(&l, err);
    if (!rc)
        rc = learn(&l, err);
    if (!rc)
        rc = tb_sink_experiment_init(&l.experiment, &l.arena, &l.known, &l.sequences, err);
    tb_seq_options plain = {.context = l.sequences.length, .batch = l.sequences.rows, .kv_cache = TB_KV_CACHE_F32};
    if (!rc)
        rc = tb_seq_new(&l.seq, model, &plain, err);
    if (!rc)
        rc = find_means(&l, err);
    if (!rc)
        rc = open_streams(&l, err);
    if (!rc) {
        begin_rows(&l);
        rc = run_rows(&l, err);
    }
    out->ctx = l.sequences.length;
    out->registers = l.sequences.registers;
    out->sequences = l.sequences.count;
    out->bos = l.sequences.bos;
    out->epsilon = resolved.epsilon;
    out->emergence = l.known.emergence;
    laboratory_clear(&l);
    return rc ? rc : finish_rows(out, err);
}
