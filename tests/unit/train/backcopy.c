#include "backcopy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/model.h"

enum {
    WORDS = 64,   // and a BOS
    TRIGGERS = 3, // the first words
    BOS = WORDS,
    VOCAB,
    TEST_WINDOWS = 32,
};

#define TRIGGER_SHARE 0.125 // of the words behind one that is no trigger
#define SHARPNESS 2.0       // deviation of the table's logits: 2.8 nats of entropy, where a flat one has 4.2

// Streams of random numbers beside those of training.
enum { TABLE_STREAM = 1, TEXT_STREAM, TEST_STREAM };

typedef struct table {
    double follows[WORDS][WORDS]; // probability of [word][next]
} table;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

// ---- the text ----

static bool is_trigger(int32_t word)
{
    return word < TRIGGERS;
}

static void make_table(table *t, uint64_t seed)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, TABLE_STREAM);
    memset(t, 0, sizeof *t);
    for (size_t a = 0; a < WORDS; a++) {
        double sum = 0, left = 1;
        for (size_t b = TRIGGERS; b < WORDS; b++)
            sum += t->follows[a][b] = exp(SHARPNESS * tb_rng_normal(&rng));
        for (size_t b = 0; b < TRIGGERS; b++)
            left -= t->follows[a][b] = TRIGGER_SHARE / TRIGGERS;
        for (size_t b = TRIGGERS; b < WORDS; b++)
            t->follows[a][b] *= left / sum;
    }
}

static int32_t draw_next(const table *t, int32_t word, tb_rng *rng)
{
    double at = tb_rng_uniform(rng);
    int32_t next = 0;
    while (next < WORDS - 1 && (at -= t->follows[word][next]) >= 0)
        next++;
    return next;
}

// A word that is no trigger comes first, so that two triggers never meet.
static void draw_text(int32_t *out, size_t n, const table *t, uint64_t seed, uint64_t stream)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, stream);
    out[0] = TRIGGERS + (int32_t)tb_rng_below(&rng, WORDS - TRIGGERS);
    for (size_t i = 1; i < n; i++)
        out[i] = is_trigger(out[i - 1]) ? out[i - 2] : draw_next(t, out[i - 1], &rng);
}

// ---- training ----

static void train(const backcopy_options *o, const table *t, const char *folder)
{
    size_t count = (size_t)o->steps * o->batch * o->length;
    int32_t *text = malloc(count * sizeof *text);
    if (!text)
        give_up("no memory for the text");
    draw_text(text, count, t, o->seed, TEXT_STREAM);
    const tb_lm_training training = {
        .shape = {.vocab = VOCAB,
                  .width = o->width,
                  .blocks = o->blocks,
                  .heads = 1,
                  .kv_heads = 1,
                  .head_size = o->width,
                  .ffn_width = 4 * o->width,
                  .context = o->length,
                  .normalizer = o->normalizer,
                  .rope_base = 10000,
                  .norm_epsilon = 1e-5},
        .text = {.ids = text, .count = count, .first = BOS},
        .seed = o->seed,
        .steps = o->steps,
        .batch = o->batch,
        .rate = o->rate,
        .warmup = 0.05,
        .decay = o->decay,
        .clip = 1,
        .optimizer = o->optimizer,
        .measure_every = o->steps,
        .checkpoint_every = 100,
        .bos = BOS,
        .eos = BOS,
        .threads = 1,
    };
    tb_lm_log log;
    tb_compute compute;
    tb_error err;
    if (tb_compute_init(&compute, tb_cpu_detect(), 1, &err) || // products in this thread alone
        tb_lm_train(&log, folder, &training, &err))
        give_up(err.message);
    tb_lm_log_clear(&log);
    free(text);
}

// ---- looking ----

typedef struct look {
    backcopy_result *result;
    const table *table;
    size_t length;
    int32_t *tokens; // of the window under way: BOS, words
    size_t plain, triggers;
} look;

// A trigger that has a word in front of it.
static bool copies(const look *l, size_t position)
{
    return position > 1 && is_trigger(l->tokens[position]);
}

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    const look *l = user;
    backcopy_block *block = &l->result->blocks[at->block];
    (void)head;
    if (position == 0)
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++) {
            size_t key = pieces[i].positions ? (size_t)pieces[i].positions[k] : pieces[i].first + k;
            double weight = (double)pieces[i].weights[k];
            if (copies(l, position)) {
                block->trigger_first += key == 0 ? weight : 0;
                block->trigger_source += key + 1 == position ? weight : 0;
            } else {
                block->plain_first += key == 0 ? weight : 0;
                block->plain_self += key == position ? weight : 0;
            }
        }
}

// Of the first row, over the mean of the others.
static double first_length(const float *x, size_t stride, size_t rows, size_t n)
{
    double first = 0, others = 0;
    for (size_t t = 0; t < rows; t++) {
        double square = 0;
        for (size_t i = 0; i < n; i++)
            square += (double)x[t * stride + i] * (double)x[t * stride + i];
        *(t ? &others : &first) += sqrt(square);
    }
    return first * (double)(rows - 1) / others;
}

static void see_value(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const look *l = user;
    if (stage == TB_EDIT_VALUE)
        l->result->blocks[at->block].value += first_length(rows->x, rows->stride, rows->rows, rows->cols);
}

static void see_stream(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    const look *l = user;
    if (at->block != SIZE_MAX)
        l->result->blocks[at->block].stream += first_length(rows->x, rows->stride, rows->rows, rows->cols);
}

static double loss_of(const float *logits, int32_t target)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < VOCAB; i++)
        most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < VOCAB; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum) - (double)logits[target];
}

// Of the words behind position 1: the first has no table.
static void score_window(look *l, const float *logits, int32_t behind)
{
    for (size_t t = 1; t < l->length; t++) {
        int32_t word = l->tokens[t], next = t + 1 < l->length ? l->tokens[t + 1] : behind;
        double loss = loss_of(logits + t * VOCAB, next);
        if (copies(l, t))
            l->result->copy += loss, l->triggers++;
        else
            l->result->excess += loss + log(l->table->follows[word][next]), l->plain++;
    }
}

static void look_at_window(look *l, tb_seq *seq, float *logits, const int32_t *words)
{
    tb_error err;
    l->tokens[0] = BOS;
    memcpy(l->tokens + 1, words, (l->length - 1) * sizeof *words);
    tb_seq_truncate(seq, 0);
    if (tb_seq_push_all(seq, l->tokens, l->length, logits, &err))
        give_up(err.message);
    score_window(l, logits, words[l->length - 1]);
}

static void average(look *l, size_t blocks)
{
    backcopy_result *r = l->result;
    r->excess /= (double)l->plain;
    r->copy /= (double)l->triggers;
    for (size_t i = 0; i < blocks; i++) {
        backcopy_block *b = &r->blocks[i];
        b->plain_first /= (double)l->plain;
        b->plain_self /= (double)l->plain;
        b->trigger_first /= (double)l->triggers;
        b->trigger_source /= (double)l->triggers;
        b->value /= TEST_WINDOWS;
        b->stream /= TEST_WINDOWS;
    }
}

static backcopy_result look_at(const backcopy_options *o, const table *t, const char *folder)
{
    backcopy_result result = {0};
    look l = {.result = &result, .table = t, .length = o->length, .tokens = malloc(o->length * sizeof *l.tokens)};
    const tb_probe probe = {.attention_row = see_row, .edit = see_value, .residual = see_stream, .user = &l};
    const tb_seq_options options = {.context = o->length, .batch = o->length, .kv_cache = TB_KV_CACHE_F32};
    int32_t *words = malloc(o->length * sizeof *words);
    float *logits = malloc(o->length * VOCAB * sizeof *logits);
    tb_model *model;
    tb_seq *seq;
    tb_error err;
    if (!l.tokens || !words || !logits)
        give_up("no memory for the windows");
    if (tb_model_open(&model, folder, &(tb_model_options){.threads = 1}, &err) ||
        tb_seq_new(&seq, model, &options, &err))
        give_up(err.message);
    tb_seq_set_probe(seq, &probe);
    for (size_t i = 0; i < TEST_WINDOWS; i++) {
        draw_text(words, o->length, t, o->seed, TEST_STREAM + i);
        look_at_window(&l, seq, logits, words);
    }
    average(&l, o->blocks);
    tb_seq_free(seq);
    tb_model_close(model);
    free(l.tokens);
    free(words);
    free(logits);
    return result;
}

backcopy_result backcopy_run(const backcopy_options *options, const char *folder)
{
    static table t;
    struct stat there;
    make_table(&t, options->seed);
    if (stat(folder, &there) != 0)
        train(options, &t, folder);
    return look_at(options, &t, folder);
}
