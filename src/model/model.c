// Opening and closing of models, and what the outside may ask of them.
#include "model/prefix.h"
#include "model/weights.h"

#include <string.h>

const char *tb_version(void)
{
    return TB_VERSION;
}

static tb_code init_compute(tb_model *model, const tb_model_options *options, tb_error *err)
{
    tb_cpu cpu = tb_cpu_detect();
    if (options && options->cpu) {
        tb_cpu highest;
        if (!tb_cpu_parse(&highest, options->cpu))
            return tb_fail(err, TB_EINVAL, "'%s' is no CPU level (native, scalar, avx2, avx512, vnni)", options->cpu);
        cpu &= highest;
    }
    return tb_compute_init(&model->compute, cpu, options ? options->threads : 0, err);
}

// A file without a tokenizer is fine; one whose tokens have no embedding is not.
static tb_code load_tokenizer(tb_model *model, tb_error *err)
{
    tb_code rc = tb_model_load_tokenizer(&model->tokenizer, model->checkpoint, err);
    size_t tokens = rc || !model->tokenizer ? 0 : tb_tokenizer_size(model->tokenizer);
    if (tokens > tb_model_vocab_size(model))
        rc = tb_fail(err, TB_EFORMAT, "the tokenizer of '%s' has %zu tokens, its embedding only %zu rows",
                     tb_checkpoint_path(model->checkpoint), tokens, tb_model_vocab_size(model));
    return rc;
}

// The file's own prefix, that of another file, or none.
static tb_code load_prefix(tb_model *model, const char *which, tb_error *err)
{
    const tb_checkpoint *from = model->checkpoint;
    if (which && strcmp(which, "none") == 0)
        return TB_OK;
    tb_code rc = TB_OK;
    if (which && strcmp(which, "auto") != 0) {
        rc = tb_checkpoint_open(&model->prefix_file, which, err);
        from = model->prefix_file;
    }
    if (!rc)
        rc = tb_prefix_read(&model->prefix, from, &model->settings, err);
    if (!rc && model->prefix.count)
        rc = tb_prefix_check_source(&model->prefix, model->checkpoint, tb_checkpoint_path(from), err);
    if (!rc && model->prefix_file && !model->prefix.count)
        rc = tb_fail(err, TB_EFORMAT, "'%s' has no prefix", which);
    return rc;
}

static tb_code load(tb_model *model, const char *path, const char *prefix, tb_error *err)
{
    tb_code rc = tb_checkpoint_open(&model->checkpoint, path, err);
    if (!rc)
        rc = tb_checkpoint_check_planes(model->checkpoint, err);
    if (!rc)
        rc = tb_settings_read(&model->settings, &model->arena, model->checkpoint, err);
    if (!rc)
        rc = tb_model_bind(model, err);
    if (!rc)
        rc = load_tokenizer(model, err);
    if (!rc)
        rc = load_prefix(model, prefix, err);
    if (rc)
        return rc;
    model->chat_template = (tb_text){"", 0};
    return tb_checkpoint_get_text(&model->chat_template, model->checkpoint, "tokenizer.chat_template", false, err);
}

tb_code tb_model_open(tb_model **out, const char *path, const tb_model_options *options, tb_error *err)
{
    *out = NULL;
    tb_model *model = tb_new(tb_model);
    if (!model)
        return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    tb_code rc = init_compute(model, options, err);
    if (!rc)
        rc = load(model, path, options ? options->prefix_kv : NULL, err);
    if (rc) {
        tb_model_close(model);
        return rc;
    }
    *out = model;
    return TB_OK;
}

void tb_model_close(tb_model *model)
{
    if (!model)
        return;
    tb_tokenizer_free(model->tokenizer);
    tb_checkpoint_close(model->prefix_file);
    tb_checkpoint_close(model->checkpoint);
    tb_arena_clear(&model->arena);
    tb_free(model);
}

// ---- questions ----

const char *tb_model_architecture(const tb_model *model)
{
    return model->settings.arch->name;
}

size_t tb_model_vocab_size(const tb_model *model)
{
    return model->settings.config.vocab;
}

size_t tb_model_context_length(const tb_model *model)
{
    return model->settings.config.context;
}

uint64_t tb_model_parameters(const tb_model *model)
{
    return model->parameters;
}

const tb_config *tb_model_config(const tb_model *model)
{
    return &model->settings.config;
}

const tb_checkpoint *tb_model_checkpoint(const tb_model *model)
{
    return model->checkpoint;
}

const tb_tokenizer *tb_model_tokenizer(const tb_model *model)
{
    return model->tokenizer;
}

const tb_compute *tb_model_compute(const tb_model *model)
{
    return &model->compute;
}

tb_text tb_model_chat_template(const tb_model *model)
{
    return model->chat_template;
}

const float *tb_model_norm(const tb_model *model, size_t block, tb_linear_input input)
{
    const tb_block *b = &model->blocks[block];
    return input == TB_INPUT_ATTENTION ? b->attention_norm : input == TB_INPUT_FFN ? b->ffn_norm : NULL;
}

size_t tb_model_get_turns(double *frequencies, bool *halves, const tb_model *model, size_t block, size_t length)
{
    const tb_settings *s = &model->settings;
    const tb_rope *rope = s->near[block] ? &s->near_rope : &s->rope;
    if (!s->rotated[block])
        return 0;
    tb_rope_get_frequencies(frequencies, rope, length);
    *halves = rope->halves;
    return rope->pairs;
}

bool tb_model_can_fold(const tb_model *model)
{
    const tb_arch *arch = model->settings.arch;
    const tb_config *config = &model->settings.config;
    return config->experts == 0 && config->value_size == config->head_size && arch->norm == TB_NORM_RMS &&
           !arch->has_mix_norms && !arch->has_sink_values;
}

tb_linears tb_model_linears(const tb_model *model, size_t block)
{
    return model->blocks[block].linears;
}

size_t tb_model_linear_count(const tb_model *model)
{
    return model->linear_count;
}

const tb_linear *tb_model_linear(const tb_model *model, size_t block, tb_linear_kind kind)
{
    tb_linears linears = model->blocks[block].linears;
    return &linears.at[tb_linears_find(linears, kind, 0)];
}

const tb_matrix *tb_model_embedding(const tb_model *model)
{
    return &model->embedding;
}

const tb_matrix *tb_model_head(const tb_model *model)
{
    return &model->head;
}

bool tb_model_head_is_tied(const tb_model *model)
{
    return model->tied;
}

double tb_model_linear_bits(const tb_model *model)
{
    double bits = 0, weights = 0;
    for (size_t b = 0; b < model->settings.config.blocks; b++) {
        tb_linears linears = model->blocks[b].linears;
        for (size_t i = 0; i < linears.count; i++) {
            const tb_matrix *m = &linears.at[i].matrix;
            bits += tb_matrix_bits(m);
            weights += (double)m->rows * (double)m->cols;
        }
    }
    return bits / weights;
}

// ---- tokens ----

static tb_code need_tokenizer(const tb_model *model, tb_error *err)
{
    if (model->tokenizer)
        return TB_OK;
    return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer", tb_checkpoint_path(model->checkpoint));
}

tb_code tb_model_tokenize(const tb_model *model, const char *text, size_t size, unsigned flags, int32_t **ids,
                          size_t *count, tb_error *err)
{
    *ids = NULL;
    *count = 0;
    tb_ids list = {0};
    unsigned encode =
        (flags & TB_TOKENIZE_BOS ? TB_ENCODE_BOS : 0) | (flags & TB_TOKENIZE_SPECIAL ? TB_ENCODE_SPECIAL : 0);
    tb_code rc = need_tokenizer(model, err);
    if (!rc)
        rc = tb_encode(&list, model->tokenizer, (tb_text){text, size}, encode, err);
    if (!rc && flags & TB_TOKENIZE_BOS)
        rc = tb_model_begin_text(&list, model, err);
    if (rc) {
        tb_ids_clear(&list);
        return rc;
    }
    *ids = list.data;
    *count = list.size;
    return TB_OK;
}

void tb_free_ids(int32_t *ids)
{
    tb_free(ids);
}

tb_code tb_model_detokenize(const tb_model *model, const int32_t *ids, size_t count, bool special, char **text,
                            size_t *size, tb_error *err)
{
    *text = NULL;
    *size = 0;
    tb_str bytes = {0};
    tb_code rc = need_tokenizer(model, err);
    if (!rc)
        rc = tb_decode(&bytes, model->tokenizer, ids, count, special, err);
    if (!rc)
        rc = tb_str_append(&bytes, "", 0, err); // so that there is a NUL even when nothing was printed
    if (rc) {
        tb_str_clear(&bytes);
        return rc;
    }
    *text = bytes.data;
    *size = bytes.size;
    return TB_OK;
}

void tb_free_text(char *text)
{
    tb_free(text);
}

bool tb_model_is_end(const tb_model *model, int32_t id)
{
    return model->tokenizer && tb_tokenizer_ends_turn(model->tokenizer, id);
}
