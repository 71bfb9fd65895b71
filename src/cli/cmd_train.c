// twobit train: a small transformer from a text.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/number_text.h"
#include "cli/plot.h"
#include "cli/train_plot.h"
#include "cli/train_text.h"
#include "train/train.h"

typedef struct train_args {
    const char *output, *plot;
    const char *attn, *gate, *kv_bias, *norm, *ffn, *loss, *optimizer, *weights, *store;
    uint64_t layers, dim, heads, kv_heads, head_size, ffn_dim, ctx, window, registers, vocab;
    uint64_t steps, batch, measure_every, patience, probe_every, checkpoint_every;
    double rate, warmup, decay, clip, hold_out, clip_alpha, rope_base;
    bool biases, untied, no_bos;
} train_args;

static const train_args defaults = {
    .attn = "softmax",
    .gate = "none",
    .kv_bias = "none",
    .norm = "rms",
    .ffn = "swiglu",
    .loss = "plain",
    .optimizer = "adamw",
    .weights = "float",
    .store = "f32",
    .layers = 4,
    .dim = 256,
    .heads = 4,
    .ctx = 256,
    .steps = 2000,
    .batch = 16,
    .checkpoint_every = 100,
    .patience = 8,
    .rate = 1e-3,
    .warmup = 0.05,
    .decay = 0.1,
    .clip = 1,
    .hold_out = 0.05,
    .clip_alpha = 4,
    .rope_base = 10000,
};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(train_args, output), "DIR", 0, 0, "folder to write the model to"},
    {"layers", 0, TB_OPTION_COUNT, offsetof(train_args, layers), "N", 1, 1024, "blocks"},
    {"dim", 0, TB_OPTION_COUNT, offsetof(train_args, dim), "N", 1, 1 << 16, "width of the residual stream"},
    {"heads", 0, TB_OPTION_COUNT, offsetof(train_args, heads), "N", 1, 1024, "heads of queries"},
    {"kv-heads", 0, TB_OPTION_COUNT, offsetof(train_args, kv_heads), "N", 0, 1024,
     "heads of keys and values; 0: as many as --heads"},
    {"head-size", 0, TB_OPTION_COUNT, offsetof(train_args, head_size), "N", 0, 1 << 16,
     "elements of a head; 0: --dim divided by --heads"},
    {"ffn-dim", 0, TB_OPTION_COUNT, offsetof(train_args, ffn_dim), "N", 0, 1 << 20,
     "width of the FFN; 0: 8/3 of --dim, up to a multiple of 16"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(train_args, ctx), "N", 2, 1 << 20, "tokens of a window"},
    {"vocab", 0, TB_OPTION_COUNT, offsetof(train_args, vocab), "N", 0, 1 << 20,
     "tokens of a BPE learned from the text; 0: bytes"},
    {"steps", 0, TB_OPTION_COUNT, offsetof(train_args, steps), "N", 1, 1 << 30, "steps at most"},
    {"batch", 0, TB_OPTION_COUNT, offsetof(train_args, batch), "N", 1, 1 << 16, "windows of a step"},
    {"attn", 0, TB_OPTION_TEXT, offsetof(train_args, attn), "NAME", 0, 0,
     "softmax, softmax1, sink, clip, sigmoid, relu, softpick or elastic"},
    {"clip-alpha", 0, TB_OPTION_REAL, offsetof(train_args, clip_alpha), "A", 0, 1e6, "alpha of --attn clip"},
    {"gate", 0, TB_OPTION_TEXT, offsetof(train_args, gate), "NAME", 0, 0,
     "none, head, elem, value, shared or input-free"},
    {"kv-bias", 0, TB_OPTION_TEXT, offsetof(train_args, kv_bias), "NAME", 0, 0,
     "none, k (a learned key) or kv (a learned key and value)"},
    {"registers", 0, TB_OPTION_COUNT, offsetof(train_args, registers), "R", 0, 1024,
     "learned vectors in front of every text"},
    {"norm", 0, TB_OPTION_TEXT, offsetof(train_args, norm), "NAME", 0, 0, "rms, ss, headwise, qk, sandwich or dyntanh"},
    {"ffn", 0, TB_OPTION_TEXT, offsetof(train_args, ffn), "NAME", 0, 0, "swiglu or geglu"},
    {"window", 0, TB_OPTION_COUNT, offsetof(train_args, window), "N", 0, 1 << 20,
     "positions that a query sees; 0: all before it"},
    {"biases", 0, TB_OPTION_FLAG, offsetof(train_args, biases), NULL, 0, 0, "for queries, keys and values"},
    {"untied", 0, TB_OPTION_FLAG, offsetof(train_args, untied), NULL, 0, 0, "a head of its own beside the embedding"},
    {"rope-base", 0, TB_OPTION_REAL, offsetof(train_args, rope_base), "B", 1, 1e12, "base of RoPE's frequencies"},
    {"weights", 0, TB_OPTION_TEXT, offsetof(train_args, weights), "KIND", 0, 0,
     "float, or ternary: trained as -s, 0 or s"},
    {"store", 0, TB_OPTION_TEXT, offsetof(train_args, store), "TYPE", 0, 0,
     "f32, or f16: what the model is written in"},
    {"loss", 0, TB_OPTION_TEXT, offsetof(train_args, loss), "NAME", 0, 0, "plain, tweo or zloss"},
    {"optimizer", 0, TB_OPTION_TEXT, offsetof(train_args, optimizer), "NAME", 0, 0, "sgd, adamw, muon or orthoadam"},
    {"rate", 0, TB_OPTION_REAL, offsetof(train_args, rate), "R", 0, 100, "the highest learning rate"},
    {"warmup", 0, TB_OPTION_REAL, offsetof(train_args, warmup), "S", 0, 1,
     "share of the steps on the way to it; then it falls to 0 as a cosine does"},
    {"decay", 0, TB_OPTION_REAL, offsetof(train_args, decay), "D", 0, 100, "weight decay of matrices"},
    {"clip", 0, TB_OPTION_REAL, offsetof(train_args, clip), "G", 0, 1e9, "norm of a step's gradient at most"},
    {"hold-out", 0, TB_OPTION_REAL, offsetof(train_args, hold_out), "S", 0, 0.9,
     "share of the text, its end, that is measured with and not learned from"},
    {"measure-every", 0, TB_OPTION_COUNT, offsetof(train_args, measure_every), "N", 0, 1 << 30,
     "steps between two measurements; 0: a fortieth of all"},
    {"patience", 0, TB_OPTION_COUNT, offsetof(train_args, patience), "N", 0, 1 << 30,
     "end when so many measurements bring nothing better; 0: never"},
    {"probe-every", 0, TB_OPTION_COUNT, offsetof(train_args, probe_every), "N", 0, 1 << 30,
     "steps between two looks at sinks and activations; 0: none"},
    {"checkpoint-every", 0, TB_OPTION_COUNT, offsetof(train_args, checkpoint_every), "N", 1, 1 << 30,
     "steps between two saved states"},
    {"no-bos", 0, TB_OPTION_FLAG, offsetof(train_args, no_bos), NULL, 0, 0, "no token in front of windows and texts"},
    {"plot", 0, TB_OPTION_TEXT, offsetof(train_args, plot), "FILE", 0, 0,
     "draw the losses, and what probes saw (.svg, .png)"},
    {0},
};

static const char *const examples[] = {
    "twobit train stories.txt -o stories --vocab 2048 --steps 3000",
    "a model that tells such stories; killed, the same command goes on",
    "twobit run stories -p \"Once upon a time\"",
    "the folder opens like any model",
    "twobit train text.txt -o gated --gate elem --probe-every 50 --plot gated.svg",
    "gated attention, and a picture of when a sink emerges, if one does",
    NULL,
};

// The place of a word in a list.
static tb_code find_word(int *out, tb_cli *cli, const char *option, const char *word, const char *const *names,
                         int count, tb_error *err)
{
    tb_str list = {0};
    for (*out = 0; *out < count; ++*out)
        if (strcmp(names[*out], word) == 0)
            return TB_OK;
    for (int i = 0; i < count; i++)
        tb_str_printf(&list, NULL, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", names[i]);
    tb_code rc =
        tb_fail_usage(cli, err, "unknown value '%s' of option '--%s'; use %s", word, option, tb_str_get(&list));
    tb_str_clear(&list);
    return rc;
}

static const char *const weight_names[] = {"float", "ternary"};
static const char *const store_names[] = {"f32", "f16"};

static tb_code parse_words(tb_lm_training *t, tb_cli *cli, const train_args *args, tb_error *err)
{
    int normalizer = 0, gate = 0, kv_bias = 0, norm = 0, ffn = 0, penalty = 0, optimizer = 0, weights = 0, store = 0;
    const struct {
        int *out;
        const char *option, *word;
        const char *const *names;
        int count;
    } words[] = {{&normalizer, "attn", args->attn, tb_lm_normalizer_names, TB_LM_NORMALIZERS},
                 {&gate, "gate", args->gate, tb_lm_gate_names, TB_LM_GATES},
                 {&kv_bias, "kv-bias", args->kv_bias, tb_lm_kv_bias_names, TB_LM_KV_BIASES},
                 {&norm, "norm", args->norm, tb_lm_norm_names, TB_LM_NORMS},
                 {&ffn, "ffn", args->ffn, tb_lm_ffn_names, TB_LM_FFNS},
                 {&penalty, "loss", args->loss, tb_lm_penalty_names, TB_LM_PENALTIES},
                 {&optimizer, "optimizer", args->optimizer, tb_optimizer_names, TB_OPTIMIZERS},
                 {&weights, "weights", args->weights, weight_names, 2},
                 {&store, "store", args->store, store_names, 2}};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < sizeof words / sizeof words[0]; i++)
        rc = find_word(words[i].out, cli, words[i].option, words[i].word, words[i].names, words[i].count, err);
    t->shape.normalizer = (tb_lm_normalizer)normalizer;
    t->shape.gate = (tb_lm_gate)gate;
    t->shape.kv_bias = (tb_lm_kv_bias)kv_bias;
    t->shape.norm = (tb_lm_norm_kind)norm;
    t->shape.ffn = (tb_lm_ffn)ffn;
    t->shape.ternary = weights == 1;
    t->half = store == 1;
    t->penalty = (tb_lm_penalty)penalty;
    t->optimizer = (tb_optimizer_kind)optimizer;
    return rc;
}

static void parse_numbers(tb_lm_training *t, const tb_cli *cli, const train_args *args)
{
    tb_lm_shape *s = &t->shape;
    s->width = (size_t)args->dim;
    s->blocks = (size_t)args->layers;
    s->heads = (size_t)args->heads;
    s->kv_heads = args->kv_heads ? (size_t)args->kv_heads : s->heads;
    s->head_size = args->head_size ? (size_t)args->head_size : s->width / s->heads;
    s->ffn_width = args->ffn_dim ? (size_t)args->ffn_dim : tb_round_up(s->width * 8 / 3, 16);
    s->context = (size_t)args->ctx;
    s->registers = (size_t)args->registers;
    s->reach = (size_t)args->window;
    s->vocab = args->vocab ? (size_t)args->vocab : 257;
    s->clip_alpha = args->clip_alpha;
    s->rope_base = args->rope_base;
    s->norm_epsilon = 1e-5;
    s->tied = !args->untied;
    s->biases = args->biases;
    t->seed = cli->common.seed;
    t->steps = args->steps;
    t->batch = (size_t)args->batch;
    t->rate = args->rate;
    t->warmup = args->warmup;
    t->decay = args->decay;
    t->clip = args->clip;
    t->measure_every = args->measure_every ? args->measure_every : (args->steps + 39) / 40;
    t->patience = args->patience;
    t->probe_every = args->probe_every;
    t->checkpoint_every = args->checkpoint_every;
    t->threads = tb_cli_threads(cli);
    t->report = &cli->report;
}

static tb_code parse(tb_lm_training *t, tb_cli *cli, const train_args *args, tb_error *err)
{
    if (cli->operands.count == 0)
        return tb_fail_usage(cli, err, "the text is missing");
    if (!args->output)
        return tb_fail_usage(cli, err, "option '--output' is missing");
    tb_code rc = parse_words(t, cli, args, err);
    if (rc)
        return rc;
    parse_numbers(t, cli, args);
    rc = tb_lm_shape_check(&t->shape, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc && args->plot)
        rc = tb_plot_check(args->plot, err);
    if (!rc && tb_path_exists(args->output))
        rc = tb_fail(err, TB_EIO, "'%s' is there already; remove it or choose another name", args->output);
    return rc;
}

static uint64_t count_weights(const tb_lm_shape *shape)
{
    tb_lm *lm;
    uint64_t weights = 0;
    if (tb_lm_new(&lm, shape, TB_SINGLE, 0, NULL) != TB_OK)
        return 0;
    for (size_t i = 0; i < tb_params_count(tb_lm_params(lm)); i++) {
        const tb_param *p = tb_params_at(tb_lm_params(lm), i);
        weights += p->rows * p->cols;
    }
    tb_lm_free(lm);
    return weights;
}

static void tell_begin(const tb_cli *cli, const tb_lm_training *t, const tb_train_text *text)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], c[TB_NUMBER_TEXT];
    tb_report_note(&cli->report, TB_NOTE_INFO,
                   "training %s weights on %s tokens, %s held out; vocabulary of %zu, seed %" PRIu64,
                   tb_text_of_count(a, count_weights(&t->shape)), tb_text_of_count(b, text->count),
                   tb_text_of_count(c, text->held_count), text->vocab, t->seed);
}

static void print_result(const tb_lm_log *told, const tb_train_text *text, const tb_lm_training *t)
{
    double tokens = (double)(told->own_steps * t->batch * t->shape.context);
    char speed[TB_NUMBER_TEXT];
    printf("steps       %" PRIu64 ", weights of step %" PRIu64 "\n", told->steps, told->best_step);
    printf("loss        %.4f nats per token in the last batch\n", told->loss[told->steps - 1]);
    if (text->held_count >= 2)
        printf("held out    %.4f nats per token, %.4f bits per byte\n", told->held_loss,
               told->held_loss * (double)text->held_count / log(2) / (double)text->held_bytes);
    if (told->own_steps)
        printf("speed       %s tokens/s\n", tb_text_of_real(speed, tokens / told->seconds));
}

static const char tokenizer_config[] = "{\n"
                                       "  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                                       "  \"bos_token\": \"" TB_TRAIN_END "\",\n"
                                       "  \"eos_token\": \"" TB_TRAIN_END "\",\n"
                                       "  \"add_bos_token\": %s,\n"
                                       "  \"clean_up_tokenization_spaces\": false\n"
                                       "}\n";

static tb_code train(tb_lm_training *t, tb_cli *cli, const train_args *args, tb_train_text *text, tb_error *err)
{
    tb_str config = {0};
    tb_code rc = tb_str_printf(&config, err, tokenizer_config, args->no_bos ? "false" : "true");
    if (rc)
        return rc;
    const tb_lm_file files[] = {{"tokenizer.json", {text->tokenizer.data, text->tokenizer.size}},
                                {"tokenizer_config.json", {config.data, config.size}}};
    t->files = files;
    t->file_count = sizeof files / sizeof files[0];
    t->text = (tb_lm_text){text->ids, text->held, text->count, text->held_count, args->no_bos ? -1 : text->end};
    t->shape.vocab = text->vocab;
    t->bos = t->eos = text->end;
    tell_begin(cli, t, text);
    tb_lm_log log;
    rc = tb_lm_train(&log, args->output, t, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        print_result(&log, text, t);
    if (!rc && args->plot)
        rc = tb_train_plot(args->plot, &log, t, err);
    tb_lm_log_clear(&log);
    tb_str_clear(&config);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const train_args *args = untyped;
    tb_lm_training training = {0};
    tb_train_text text;
    tb_compute compute;
    tb_code rc = parse(&training, cli, args, err);
    if (!rc)
        rc = tb_compute_init(&compute, tb_cpu_detect(), training.threads, err); // that BLAS multiplies as it should
    if (!rc)
        rc = tb_train_text_read(&text, cli->operands.items, cli->operands.count, args->hold_out, training.shape.vocab,
                                !args->no_bos, err);
    if (rc)
        return rc;
    rc = train(&training, cli, args, &text, err);
    tb_train_text_clear(&text);
    return rc;
}

const tb_command tb_command_train = {
    .name = "train",
    .summary = "train a small model on a text",
    .usage = "TEXT… -o DIR [options]",
    .examples = examples,
    .notes =
        "Several texts are read as one; \"" TB_TRAIN_END "\" in them separates documents. Interrupted or killed,\n"
        "the same command goes on from DIR.partial to the identical result, on any number of threads. The weights\n"
        "that did best on what was held out are kept. DIR opens in every command; a plain model (softmax, rms,\n"
        "swiglu) also in other programs that know Llama.\n",
    .most_operands = TB_MOST_OPTION_TEXTS,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
