// The variants of attention, against plain loops in double precision and against the trainer's own forward pass, which
// shares no code with the model's.
#include "model_files.h"
#include "temp_folder.h"
#include "variant_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edited_model.h"
#include "forward_ref.h"
#include "rounding.h"

enum { TOKENS = 41, RANDOM = 40 };

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// Every variant by itself, then random mixtures of them.
static bool next_shape(tb_lm_shape *out, size_t index, tb_rng *rng)
{
    *out = variant_plain;
    const size_t counts[] = {TB_LM_NORMALIZERS, TB_LM_GATES, TB_LM_KV_BIASES, TB_LM_NORMS, TB_LM_FFNS, 3, 2};
    static const size_t registers[] = {0, 1, 5};
    size_t choice[7] = {0}, all = 0;
    for (size_t i = 0; i < 7; i++) {
        if (index >= all && index < all + counts[i])
            choice[i] = index - all;
        all += counts[i];
    }
    for (size_t i = 0; index >= all && i < 7; i++)
        choice[i] = tb_rng_below(rng, counts[i]);
    out->normalizer = (tb_lm_normalizer)choice[0];
    out->gate = (tb_lm_gate)choice[1];
    out->kv_bias = (tb_lm_kv_bias)choice[2];
    out->norm = (tb_lm_norm_kind)choice[3];
    out->ffn = (tb_lm_ffn)choice[4];
    out->registers = registers[choice[5]];
    out->reach = choice[6] ? 7 : 0;
    out->biases = index % 2;
    out->tied = index % 3 == 0;
    return index < all + RANDOM;
}

static double bound_of(const tb_model *model, size_t count)
{
    const tb_config *c = tb_model_config(model);
    return rounding_of_passes(c, c->registers + TOKENS + 1, count);
}

// Cross-entropy of each next token, summed.
static double loss_of(const float *logits, const int32_t *ids, size_t vocab)
{
    double loss = 0;
    for (size_t t = 0; t + 1 < TOKENS; t++) {
        const float *row = logits + t * vocab;
        double top = row[0], sum = 0;
        for (size_t i = 1; i < vocab; i++)
            top = fmax(top, (double)row[i]);
        for (size_t i = 0; i < vocab; i++)
            sum += exp((double)row[i] - top);
        loss += top + log(sum) - (double)row[ids[t + 1]];
    }
    return loss;
}

static double trained_loss(tb_lm *lm, const int32_t *ids)
{
    int32_t targets[TOKENS];
    tb_lm_loss loss;
    for (size_t t = 0; t < TOKENS; t++)
        targets[t] = t + 1 < TOKENS ? ids[t + 1] : -1;
    tb_lm_batch batch = {ids, targets, 1, TOKENS};
    OK(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, false, 1, NULL, &err));
    return loss.sum;
}

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

static void check_file(const char *path, tb_lm *lm, const int32_t *ids, const char *what)
{
    tb_model *model = open_model(path, 2);
    size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
    double *expected = tb_alloc_array(n, sizeof *expected), bound = bound_of(model, n);
    float *rounded = tb_alloc_array(n, sizeof *rounded);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids, TOKENS);
    assert_true(ref_forward(expected, model, ids, TOKENS, NULL));
    for (size_t i = 0; i < n; i++)
        rounded[i] = (float)expected[i];
    double off = distance(logits, rounded, n), loss = loss_of(logits, ids, vocab), trained = trained_loss(lm, ids);
    if (!(off <= bound))
        fail_msg("%s: logits differ by %g, more than %g", what, off, bound);
    if (!(fabs(loss - trained) <= 2 * TOKENS * bound * (double)largest(rounded, n)))
        fail_msg("%s: the loss is %.8g, the trainer's %.8g", what, loss, trained);
    tb_free(logits), tb_free(rounded), tb_free(expected);
    tb_seq_free(seq);
    tb_model_close(model);
}

static void variant__agrees_with_plain_loops_and_with_the_trainer(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 0);
    tb_lm_shape shape;
    for (size_t i = 0; next_shape(&shape, i, &rng); i++) {
        tb_lm *lm = variant_new(&shape, i);
        int32_t *ids = random_ids(TOKENS, shape.vocab, i);
        variant_write_gguf(temp_path("variant.gguf"), lm);
        check_file(temp_path("variant.gguf"), lm, ids, variant_text(&shape));
        variant_write_folder("variant", lm);
        check_file(temp_path("variant"), lm, ids, variant_text(&shape));
        tb_free(ids);
        tb_lm_free(lm);
    }
}

// In pieces, after a cut, as a fork, block by block.
static void variant__is_the_same_however_it_is_computed(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 17, 0);
    tb_lm_shape shape;
    for (size_t i = 0; next_shape(&shape, i, &rng); i++) {
        tb_lm *lm = variant_new(&shape, i);
        int32_t *ids = random_ids(TOKENS, shape.vocab, i);
        variant_write_gguf(temp_path("variant.gguf"), lm);
        tb_model *model = open_model(temp_path("variant.gguf"), 3);
        size_t vocab = shape.vocab, n = TOKENS * vocab;
        tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32), *cut = new_seq(model, TOKENS, 3, TB_KV_CACHE_F32),
               *fork;
        float *logits = push_all(seq, ids, TOKENS), *pieces = tb_alloc_array(n, sizeof *pieces);
        tb_free(push_all(cut, ids + 20, 9)); // another text, all of which is forgotten
        assert_int_equal(tb_seq_truncate(cut, 0), 0);
        for (size_t t = 0; t < TOKENS; t++)
            OK(tb_seq_push_all(cut, ids + t, 1, pieces + t * vocab, &err));
        if (!(distance(pieces, logits, n) <= 2 * bound_of(model, n)))
            fail_msg("%s: pieces differ by %g", variant_text(&shape), distance(pieces, logits, n));
        assert_int_equal(tb_seq_truncate(cut, 11), 11);
        OK(tb_seq_fork(&fork, cut, &err));
        OK(tb_seq_push(fork, ids + 11, 1, &err));
        assert_memory_equal(tb_seq_logits(fork), pieces + 11 * vocab, vocab * sizeof *pieces);
        tb_states states;
        OK(tb_states_init(&states, model, ids, 1, TOKENS, &err));
        for (size_t b = 0; b < shape.blocks; b++)
            OK(tb_states_run_block(&states, model, b, NULL, NULL, &err));
        OK(tb_states_logits(pieces, model, states.x + states.registers * states.stride, states.stride, TOKENS, &err));
        assert_true(distance(pieces, logits, n) <= 2 * bound_of(model, n));
        tb_states_clear(&states);
        tb_free(logits), tb_free(pieces), tb_free(ids);
        tb_seq_free(seq), tb_seq_free(cut), tb_seq_free(fork);
        tb_model_close(model);
        tb_lm_free(lm);
    }
}

// Registers are rows that a stream never drops.
static void variant__streams_with_its_registers(void **state)
{
    (void)state;
    enum { SINKS = 2, WINDOW = 9 };
    tb_rng rng;
    tb_rng_init(&rng, 18, 0);
    tb_lm_shape shape;
    for (size_t i = 0; next_shape(&shape, i, &rng); i++) {
        if (shape.reach)
            continue;
        tb_lm *lm = variant_new(&shape, i);
        int32_t *ids = random_ids(TOKENS, shape.vocab, i);
        variant_write_gguf(temp_path("variant.gguf"), lm);
        tb_model *model = open_model(temp_path("variant.gguf"), 1);
        size_t n = TOKENS * shape.vocab;
        tb_seq *seq;
        tb_seq_options options = {.keep_sinks = SINKS, .window = WINDOW, .kv_cache = TB_KV_CACHE_F32};
        OK(tb_seq_new(&seq, model, &options, &err));
        float *logits = push_all(seq, ids, TOKENS), *rounded = tb_alloc_array(n, sizeof *rounded);
        double *expected = tb_alloc_array(n, sizeof *expected);
        assert_true(ref_forward_stream(expected, model, ids, TOKENS, shape.registers + SINKS, WINDOW));
        for (size_t k = 0; k < n; k++)
            rounded[k] = (float)expected[k];
        double off = distance(logits, rounded, n);
        if (!(off <= 2 * bound_of(model, n)))
            fail_msg("%s: a stream differs by %g", variant_text(&shape), off);
        tb_free(logits), tb_free(rounded), tb_free(expected), tb_free(ids);
        tb_seq_free(seq);
        tb_model_close(model);
        tb_lm_free(lm);
    }
}

// A budget is one of tokens: registers stay besides, and change nothing where no token goes.
static void variant__evicts_no_register(void **state)
{
    (void)state;
    tb_lm_shape shape = variant_plain;
    shape.registers = 5;
    tb_lm *lm = variant_new(&shape, 1);
    variant_write_gguf(temp_path("variant.gguf"), lm);
    tb_model *model = open_model(temp_path("variant.gguf"), 1);
    int32_t *ids = random_ids(TOKENS, shape.vocab, 1);
    size_t n = TOKENS * shape.vocab;
    tb_seq *plain = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32), *all, *few;
    tb_seq_options options = {
        .context = TOKENS, .kv_cache = TB_KV_CACHE_F32, .eviction = TB_EVICT_KEYDIFF, .budget = TOKENS};
    OK(tb_seq_new(&all, model, &options, &err));
    options.budget = 3;
    OK(tb_seq_new(&few, model, &options, &err));
    float *of_plain = push_all(plain, ids, TOKENS), *of_all = push_all(all, ids, TOKENS);
    float *of_few = push_all(few, ids, TOKENS);
    assert_true(distance(of_all, of_plain, n) < 1e-5);
    assert_true(distance(of_few, of_plain, 3 * shape.vocab) < 1e-5);
    assert_true(distance(of_few, of_plain, n) > 1e-3);
    tb_free(of_plain), tb_free(of_all), tb_free(of_few), tb_free(ids);
    tb_seq_free(plain), tb_seq_free(all), tb_seq_free(few);
    tb_model_close(model);
    tb_lm_free(lm);
}

// Pages of keys may be skipped; learned keys and logits are in none.
static void variant__skips_no_learned_key(void **state)
{
    (void)state;
    enum { LONG = 400 };
    const double mass = 1e-6;
    for (size_t i = 0; i < 3; i++) {
        tb_lm_shape shape = variant_plain;
        shape.context = LONG;
        shape.kv_bias = i < 2 ? TB_LM_KV_BIAS_KV : TB_LM_KV_BIAS_NONE;
        shape.normalizer = i > 0 ? TB_LM_SINK : TB_LM_SOFTMAX;
        shape.registers = i;
        tb_lm *lm = variant_new(&shape, 1);
        variant_write_gguf(temp_path("variant.gguf"), lm);
        tb_model *model = open_model(temp_path("variant.gguf"), 1);
        int32_t *ids = random_ids(LONG, shape.vocab, 1);
        size_t n = LONG * shape.vocab;
        tb_seq *plain = new_seq(model, LONG, 0, TB_KV_CACHE_F32), *skipping;
        tb_seq_options options = {.context = LONG, .kv_cache = TB_KV_CACHE_F32, .skip_mass = mass};
        OK(tb_seq_new(&skipping, model, &options, &err));
        float *a = push_all(plain, ids, LONG), *b = push_all(skipping, ids, LONG);
        // What is left out weighs at most `mass` of a row, and the values that it mixes are of the order of the others.
        double bound = rounding_of_passes(tb_model_config(model), LONG, n) + 100 * mass;
        if (!(distance(b, a, n) <= bound))
            fail_msg("%s: skipping differs by %g, more than %g", variant_text(&shape), distance(b, a, n), bound);
        tb_free(a), tb_free(b), tb_free(ids);
        tb_seq_free(plain), tb_seq_free(skipping);
        tb_model_close(model);
        tb_lm_free(lm);
    }
}

// ---- identities ----

static tb_param *param_of(tb_lm *lm, size_t block, const char *stem)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%zu.%s.weight", block, stem);
    return tb_params_find(tb_lm_params(lm), name);
}

static void fill(tb_lm *lm, const char *stem, double value)
{
    for (size_t b = 0; b < tb_lm_get_shape(lm)->blocks; b++) {
        tb_param *p = param_of(lm, b, stem);
        for (size_t i = 0; i < p->rows * p->cols; i++)
            tb_param_set(tb_lm_params(lm), p, i, value);
    }
}

static void multiply(tb_lm *lm, const char *stem, double factor)
{
    for (size_t b = 0; b < tb_lm_get_shape(lm)->blocks; b++) {
        tb_param *p = param_of(lm, b, stem);
        for (size_t i = 0; i < p->rows * p->cols; i++)
            tb_param_set(tb_lm_params(lm), p, i, factor * tb_param_get(tb_lm_params(lm), p, i));
    }
}

// The weights that both have.
static void copy_weights(tb_lm *to, tb_lm *from)
{
    tb_params *a = tb_lm_params(to), *b = tb_lm_params(from);
    for (size_t i = 0; i < tb_params_count(b); i++) {
        const tb_param *p = tb_params_at(b, i);
        tb_param *q = tb_params_find(a, p->name);
        for (size_t k = 0; q && k < p->rows * p->cols; k++)
            tb_param_set(a, q, k, tb_param_get(b, p, k));
    }
}

static float *logits_of(tb_lm *lm, const int32_t *ids)
{
    variant_write_gguf(temp_path("variant.gguf"), lm);
    tb_model *model = open_model(temp_path("variant.gguf"), 1);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids, TOKENS);
    tb_seq_free(seq);
    tb_model_close(model);
    return logits;
}

// How far apart two models are.
static double apart(tb_lm *a, tb_lm *b)
{
    int32_t *ids = random_ids(TOKENS, variant_plain.vocab, 3);
    float *x = logits_of(a, ids), *y = logits_of(b, ids);
    double d = distance(x, y, TOKENS * variant_plain.vocab);
    tb_free(ids), tb_free(x), tb_free(y);
    return d;
}

static tb_lm *with(tb_lm *plain, tb_lm_normalizer normalizer, tb_lm_gate gate, tb_lm_kv_bias kv_bias)
{
    tb_lm_shape shape = variant_plain;
    shape.normalizer = normalizer;
    shape.gate = gate;
    shape.kv_bias = kv_bias;
    tb_lm *lm = variant_new(&shape, 9);
    copy_weights(lm, plain);
    return lm;
}

static void variants__are_plain_attention_where_they_should_be(void **state)
{
    (void)state;
    tb_lm *plain = variant_new(&variant_plain, 4),
          *one = with(plain, TB_LM_SOFTMAX1, TB_LM_GATE_NONE, TB_LM_KV_BIAS_NONE);
    tb_lm *sink = with(plain, TB_LM_SINK, TB_LM_GATE_NONE, TB_LM_KV_BIAS_NONE);
    tb_lm *clip = with(plain, TB_LM_CLIP, TB_LM_GATE_NONE, TB_LM_KV_BIAS_NONE);
    tb_lm *key = with(plain, TB_LM_SOFTMAX, TB_LM_GATE_NONE, TB_LM_KV_BIAS_K);
    const double close = 1e-5;
    fill(sink, "attn_sinks", 0);
    assert_true(apart(sink, one) < close);
    fill(sink, "attn_sinks", -1e4);
    assert_true(apart(sink, plain) < close);
    assert_true(apart(one, plain) > 1e-3);
    fill(key, "attn_sink_k", 0); // a key of zeros without a value has the score 0
    assert_true(apart(key, one) < close);
    assert_true(apart(clip, plain) > 1e-3);
    for (tb_lm_gate gate = TB_LM_GATE_HEAD; gate < TB_LM_GATES; gate++) {
        tb_lm *gated = with(plain, TB_LM_SOFTMAX, gate, TB_LM_KV_BIAS_NONE);
        fill(gated, "attn_gate", 0); // half of everything
        multiply(gated, "attn_output", 2);
        assert_true(apart(gated, plain) < close);
        tb_lm_free(gated);
    }
    tb_lm_free(plain), tb_lm_free(one), tb_lm_free(sink), tb_lm_free(clip), tb_lm_free(key);
}

// A learned logit, a learned key with a value, and first tokens that stay are three things.
static void three_sinks__are_three_models(void **state)
{
    (void)state;
    tb_lm *plain = variant_new(&variant_plain, 4);
    tb_lm *logit = with(plain, TB_LM_SINK, TB_LM_GATE_NONE, TB_LM_KV_BIAS_NONE);
    tb_lm *key = with(plain, TB_LM_SOFTMAX, TB_LM_GATE_NONE, TB_LM_KV_BIAS_KV);
    int32_t *ids = random_ids(TOKENS, variant_plain.vocab, 3);
    size_t n = TOKENS * variant_plain.vocab;
    float *of_plain = logits_of(plain, ids), *of_logit = logits_of(logit, ids), *of_key = logits_of(key, ids);
    variant_write_gguf(temp_path("variant.gguf"), plain);
    tb_model *model = open_model(temp_path("variant.gguf"), 1);
    tb_seq *seq;
    tb_seq_options options = {.keep_sinks = 2, .window = 8, .kv_cache = TB_KV_CACHE_F32};
    OK(tb_seq_new(&seq, model, &options, &err));
    float *of_kept = push_all(seq, ids, TOKENS);
    const float *all[] = {of_plain, of_logit, of_key, of_kept};
    for (size_t a = 0; a < 4; a++)
        for (size_t b = a + 1; b < 4; b++)
            assert_true(distance(all[a], all[b], n) > 1e-3);
    // A kept token counts only once the window has left it behind; the others count from the first token on.
    assert_true(distance(of_plain, of_kept, 8 * variant_plain.vocab) < 1e-5);
    assert_true(distance(of_plain, of_logit, variant_plain.vocab) > 1e-3);
    tb_free(of_plain), tb_free(of_logit), tb_free(of_key), tb_free(of_kept), tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
    tb_lm_free(plain), tb_lm_free(logit), tb_lm_free(key);
}

// What goes to a learned key or logit is missing in what a probe is shown.
static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    (void)at;
    (void)head;
    double *sums = user, sum = 0;
    size_t keys = 0;
    for (size_t i = 0; i < count; keys += pieces[i++].count)
        for (size_t k = 0; k < pieces[i].count; k++)
            sum += (double)pieces[i].weights[k];
    assert_int_equal(keys, position + 1);
    sums[0] = fmin(sums[0], sum);
    sums[1] = fmax(sums[1], sum);
}

static void probe__sees_what_tokens_get(void **state)
{
    (void)state;
    tb_lm *plain = variant_new(&variant_plain, 4);
    int32_t *ids = random_ids(TOKENS, variant_plain.vocab, 3);
    for (tb_lm_normalizer kind = 0; kind < TB_LM_NORMALIZERS; kind++)
        for (tb_lm_kv_bias bias = 0; bias < TB_LM_KV_BIASES; bias++) {
            tb_lm *lm = with(plain, kind, TB_LM_GATE_NONE, bias);
            double sums[] = {INFINITY, 0};
            variant_write_gguf(temp_path("variant.gguf"), lm);
            tb_model *model = open_model(temp_path("variant.gguf"), 1);
            tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
            tb_probe probe = {.attention_row = see_row, .user = sums};
            tb_seq_set_probe(seq, &probe);
            tb_free(push_all(seq, ids, TOKENS));
            bool whole = kind == TB_LM_SOFTMAX && bias == TB_LM_KV_BIAS_NONE;
            assert_true(whole ? sums[0] > 1 - 1e-5 && sums[1] < 1 + 1e-5 : sums[0] < 1 - 1e-3);
            tb_seq_free(seq);
            tb_model_close(model);
            tb_lm_free(lm);
        }
    tb_free(ids);
    tb_lm_free(plain);
}

// ---- refusals ----

static void model_open__refuses_variants_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        model_edit edit;
        tb_code code;
        const char *says;
    } list[] = {
        {{SET_TEXT, "twobit.attention.normalizer", 0, "entmax"}, TB_EUNSUPPORTED, "'entmax'"},
        {{SET_TEXT, "twobit.attention.normalizer", 0, "elastic"}, TB_EFORMAT, "'blk.0.attn_tau.weight'"},
        {{SET_TEXT, "twobit.attention.normalizer", 0, "softmax"}, TB_EUNSUPPORTED, "'blk.0.attn_sinks.weight'"},
        {{SET_TEXT, "twobit.attention.normalizer", 0, "softmax1"}, TB_EUNSUPPORTED, "'blk.0.attn_sinks.weight'"},
        {{SET_TEXT, "twobit.attention.gate", 0, "both"}, TB_EUNSUPPORTED, "'both'"},
        {{SET_TEXT, "twobit.attention.gate", 0, "head"}, TB_EFORMAT, "'blk.0.attn_gate.weight'"},
        {{SET_TEXT, "twobit.attention.gate", 0, "none"}, TB_EUNSUPPORTED, "'blk.0.attn_gate.weight'"},
        {{SET_TEXT, "twobit.attention.kv_bias", 0, "v"}, TB_EUNSUPPORTED, "'v'"},
        {{SET_TEXT, "twobit.attention.kv_bias", 0, "k"}, TB_EUNSUPPORTED, "'blk.0.attn_sink_v.weight'"},
        {{SET_TEXT, "twobit.attention.kv_bias", 0, "none"}, TB_EUNSUPPORTED, "'blk.0.attn_sink_"},
        {{SET_TEXT, "twobit.norm", 0, "layer"}, TB_EUNSUPPORTED, "'layer'"},
        {{SET_TEXT, "twobit.norm", 0, "qk"}, TB_EFORMAT, "'blk.0.attn_q_norm.weight'"},
        {{SET_TEXT, "twobit.norm", 0, "ss"}, TB_EFORMAT, "'output_norm.weight'"},
        {{SET_TEXT, "twobit.ffn", 0, "relu"}, TB_EUNSUPPORTED, "'relu'"},
        {{SET_U32, "twobit.registers", 0, NULL}, TB_EUNSUPPORTED, "'registers.weight'"},
        {{SET_U32, "twobit.registers", 4, NULL}, TB_EFORMAT, "'registers.weight'"},
        {{SET_U32, "twobit.registers", 5000, NULL}, TB_EFORMAT, "more than 1024"},
        {{SET_U32, "twobit.attention.dropout", 1, NULL}, TB_EUNSUPPORTED, "'twobit.attention.dropout'"},
        {{SET_F32, "twobit.attention.clip_alpha", 4, NULL}, TB_EFORMAT, "does not go with"},
        {{SET_F32, "twobit.attention.sigmoid_bias", NAN, NULL}, TB_EFORMAT, "does not go with"},
        {{DROP_TENSOR, "blk.1.attn_sinks.weight", 0, NULL}, TB_EFORMAT, "'blk.1.attn_sinks.weight'"},
        {{DROP_TENSOR, "blk.1.attn_sink_k.weight", 0, NULL}, TB_EFORMAT, "'blk.1.attn_sink_k.weight'"},
        {{ADD_VECTOR, "blk.0.attn_tau.weight", 4, NULL}, TB_EUNSUPPORTED, "'blk.0.attn_tau.weight'"},
    };
    tb_lm_shape shape = variant_plain;
    shape.normalizer = TB_LM_SINK;
    shape.gate = TB_LM_GATE_ELEM;
    shape.kv_bias = TB_LM_KV_BIAS_KV;
    shape.registers = 3;
    tb_lm *lm = variant_new(&shape, 1);
    variant_write_gguf(temp_path("variant.gguf"), lm);
    tb_model_close(open_model(temp_path("variant.gguf"), 1));
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        tb_model *model;
        write_edited(temp_path("edited.gguf"), temp_path("variant.gguf"), &list[i].edit, 1);
        tb_code rc = tb_model_open(&model, temp_path("edited.gguf"), NULL, &err);
        if (rc != list[i].code || !strstr(err.message, list[i].says))
            fail_msg("%s: %d, \"%s\" lacks \"%s\"", list[i].edit.name, rc, err.message, list[i].says);
    }
    tb_lm_free(lm);
}

static void folder__refuses_keys_it_does_not_know(void **state)
{
    (void)state;
    static const char *const list[][2] = {
        {"\"attention_sink\": true", "'attention_sink'"},
        {"\"normalizer\": 3", "'normalizer'"},
        {"\"gate\": \"both\"", "'both'"},
        {"\"registers\": -1", "'registers'"},
        {"\"clip_alpha\": \"4\"", "'clip_alpha'"},
    };
    tb_lm *lm = variant_new(&variant_plain, 1);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char config[1024];
        tb_model *model;
        variant_write_folder("variant", lm);
        int size = snprintf(config, sizeof config,
                            "{\"model_type\": \"twobit\", \"num_hidden_layers\": 2, \"max_position_embeddings\": 64, "
                            "\"hidden_size\": 32, \"intermediate_size\": 48, \"vocab_size\": 40, "
                            "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 8, %s}",
                            list[i][0]);
        temp_write("variant/config.json", config, (size_t)size);
        assert_true(tb_model_open(&model, temp_path("variant"), NULL, &err) != TB_OK);
        if (!strstr(err.message, list[i][1]))
            fail_msg("\"%s\" lacks \"%s\"", err.message, list[i][1]);
    }
    tb_lm_free(lm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variant__agrees_with_plain_loops_and_with_the_trainer),
        cmocka_unit_test(variant__is_the_same_however_it_is_computed),
        cmocka_unit_test(variant__streams_with_its_registers),
        cmocka_unit_test(variant__evicts_no_register),
        cmocka_unit_test(variant__skips_no_learned_key),
        cmocka_unit_test(variants__are_plain_attention_where_they_should_be),
        cmocka_unit_test(three_sinks__are_three_models),
        cmocka_unit_test(probe__sees_what_tokens_get),
        cmocka_unit_test(model_open__refuses_variants_it_does_not_know),
        cmocka_unit_test(folder__refuses_keys_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
