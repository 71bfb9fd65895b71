// Metadata and tensors that do not fit: each is refused with a sentence that names it.
#include "edited_model.h"
#include "model_files.h"
#include "rounding.h"
#include "temp_folder.h"

#include "model/weights.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

typedef struct refusal {
    const char *base; // tiny model that is edited
    model_edit edit;
    tb_code code;
    const char *part; // of the message
} refusal;

static void expect_refusals(const refusal *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tb_model *model;
        tb_error err = {0};
        const char *path = temp_path("edited.gguf");
        write_edited(path, tiny_path(list[i].base), &list[i].edit, 1);
        tb_code code = tb_model_open(&model, path, NULL, &err);
        if (code != list[i].code || !strstr(err.message, list[i].part))
            fail_msg("'%s' of %s: code %d, \"%s\" lacks \"%s\"", list[i].edit.name, list[i].base, code, err.message,
                     list[i].part);
        assert_null(model);
    }
}

#define EXPECT(list) expect_refusals(list, sizeof(list) / sizeof(list)[0])

static void model_open__refuses_bad_sizes(void **state)
{
    (void)state;
    static const refusal list[] = {
        {"llama.gguf", {SET_U32, "llama.block_count", 0, NULL}, TB_EFORMAT, "llama.block_count"},
        {"llama.gguf", {SET_U32, "llama.block_count", 1e6, NULL}, TB_EFORMAT, "llama.block_count"},
        {"llama.gguf", {SET_TEXT, "llama.block_count", 0, "two"}, TB_EFORMAT, "llama.block_count"},
        {"llama.gguf", {DROP_KEY, "llama.block_count", 0, NULL}, TB_EFORMAT, "llama.block_count"},
        {"llama.gguf", {DROP_KEY, "llama.attention.head_count", 0, NULL}, TB_EFORMAT, "llama.attention.head_count"},
        {"llama.gguf", {SET_U32, "llama.attention.head_count", 5, NULL}, TB_EFORMAT, "share"},
        {"qwen2.gguf", {SET_U32, "qwen2.attention.head_count", 10, NULL}, TB_EFORMAT, "not a multiple"},
        {"llama.gguf", {SET_U32, "llama.attention.head_count_kv", 0, NULL}, TB_EFORMAT, "head_count_kv"},
        {"llama.gguf", {SET_U32, "llama.attention.head_count_kv", 3, NULL}, TB_EFORMAT, "share"},
        {"llama.gguf", {SET_U32, "llama.attention.key_length", 13, NULL}, TB_EFORMAT, "is odd"},
        {"llama.gguf", {SET_U32, "llama.attention.value_length", 10, NULL}, TB_EUNSUPPORTED, "values of 10"},
        {"llama.gguf", {SET_U32, "llama.embedding_length", 4294967295., NULL}, TB_EFORMAT, "embedding_length"},
        {"llama.gguf", {SET_U32, "llama.embedding_length", 96, NULL}, TB_EFORMAT, "token_embd.weight"},
        {"llama.gguf", {SET_U32, "llama.feed_forward_length", 57, NULL}, TB_EFORMAT, "ffn_gate.weight"},
        {"llama.gguf", {SET_U32, "llama.context_length", 0, NULL}, TB_EFORMAT, "context_length"},
        {"llama.gguf", {SET_F32, "llama.attention.layer_norm_rms_epsilon", -1, NULL}, TB_EFORMAT, "epsilon"},
        {"llama.gguf", {SET_F32, "llama.attention.layer_norm_rms_epsilon", NAN, NULL}, TB_EFORMAT, "epsilon"},
        {"llama.gguf", {SET_F32, "llama.rope.freq_base", INFINITY, NULL}, TB_EFORMAT, "freq_base"},
        {"llama.gguf", {SET_U32, "llama.rope.dimension_count", 14, NULL}, TB_EFORMAT, "between 1 and 12"},
        {"llama.gguf", {SET_U32, "llama.rope.dimension_count", 5, NULL}, TB_EFORMAT, "an odd number"},
    };
    EXPECT(list);
}

// A size may be said once for every layer; where layers differ the sentence says so.
static void model_open__takes_sizes_per_layer(void **state)
{
    (void)state;
    static const uint32_t heads[] = {4, 4}, kv_heads[] = {2, 2}, ffn[] = {56, 56}, odd_heads[] = {4, 2},
                          none[] = {2, 0};
    static const model_edit equal[] = {
        {SET_NUMBERS, "llama.attention.head_count", 2, heads},
        {SET_NUMBERS, "llama.attention.head_count_kv", 2, kv_heads},
        {SET_NUMBERS, "llama.feed_forward_length", 2, ffn},
    };
    static const refusal unequal[] = {
        {"llama.gguf", {SET_NUMBERS, "llama.attention.head_count", 2, odd_heads}, TB_EUNSUPPORTED, "layers of '"},
        {"llama.gguf", {SET_NUMBERS, "llama.attention.head_count_kv", 2, none}, TB_EUNSUPPORTED, "is 2 in one and 0"},
        {"llama.gguf",
         {SET_NUMBERS, "llama.feed_forward_length", 2, odd_heads},
         TB_EUNSUPPORTED,
         "feed_forward_length"},
        {"llama.gguf", {SET_NUMBERS, "llama.feed_forward_length", 0, none}, TB_EFORMAT, "feed_forward_length"},
    };
    write_edited(temp_path("edited.gguf"), tiny_path("llama.gguf"), equal, 3);
    tb_model *model = open_model(temp_path("edited.gguf"), 1);
    assert_int_equal(tb_model_config(model)->kv_heads, 2);
    assert_int_equal(tb_model_config(model)->ffn_width, 56);
    tb_model_close(model);
    EXPECT(unequal);
}

static void model_open__refuses_what_it_lacks_by_name(void **state)
{
    (void)state;
    static const refusal list[] = {
        {"llama.gguf", {DROP_KEY, "general.architecture", 0, NULL}, TB_EFORMAT, "general.architecture"},
        {"llama.gguf", {SET_TEXT, "general.architecture", 0, "mamba"}, TB_EUNSUPPORTED, "llama, qwen2"},
        {"llama.gguf", {SET_TEXT, "general.architecture", 0, "llama4"}, TB_EUNSUPPORTED, "mixture of experts"},
        {"llama.gguf", {SET_U32, "llama.expert_count", 8, NULL}, TB_EUNSUPPORTED, "mixture of experts"},
        {"llama.gguf", {SET_F32, "llama.final_logit_softcapping", -30, NULL}, TB_EFORMAT, "softcapping"},
        {"llama.gguf", {SET_F32, "llama.attention.temperature_scale", NAN, NULL}, TB_EFORMAT, "temperature_scale"},
        {"llama.gguf", {SET_BOOL, "llama.attention.causal", 0, NULL}, TB_EUNSUPPORTED, "embeddings, not text"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "ntk"}, TB_EUNSUPPORTED, "'ntk'"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "yarn"}, TB_EFORMAT, "rope.scaling.factor"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "dynamic"}, TB_EFORMAT, "rope.scaling.factor"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "longrope"}, TB_EFORMAT, "rope_factors_short.weight"},
        {"llama.gguf", {SET_F32, "llama.rope.scaling.factor", -4, NULL}, TB_EFORMAT, "not a positive number"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "linear"}, TB_EFORMAT, "rope.scaling.factor"},
        {"llama.gguf", {SET_TEXT, "llama.rope.scaling.type", 0, "llama3"}, TB_EFORMAT, "rope.scaling.factor"},
        {"llama.gguf", {SET_TEXT, "twobit.rope_pairs", 0, "thirds"}, TB_EFORMAT, "rope_pairs"},
        {"llama.gguf", {SET_FLAGS, "llama.twobit.rope_blocks", 0, "101"}, TB_EFORMAT, "rope_blocks"},
        {"gemma3.gguf", {SET_FLAGS, "gemma3.attention.sliding_window_pattern", 0, "1"}, TB_EFORMAT, "list of 7"},
        {"llama.gguf", {SET_TEXT, "tokenizer.ggml.model", 0, "rwkv"}, TB_EUNSUPPORTED, "'rwkv'"},
        {"qwen2.gguf", {SET_TEXT, "tokenizer.ggml.model", 0, "gpt2"}, TB_EFORMAT, "tokenizer.ggml.tokens"},
    };
    EXPECT(list);
}

static void model_open__refuses_senseless_mixtures(void **state)
{
    (void)state;
    static const refusal list[] = {
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_count", 0, NULL}, TB_EFORMAT, "not between 1"},
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_count", 1u << 30, NULL}, TB_EFORMAT, "not between 1"},
        {"qwen3_moe.gguf", {DROP_KEY, "qwen3moe.expert_count", 0, NULL}, TB_EFORMAT, "expert_count"},
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_count", 7, NULL}, TB_EFORMAT, "'blk.0.ffn_gate_inp.weight'"},
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_used_count", 7, NULL}, TB_EFORMAT, "7 experts, but there are 6"},
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_used_count", 0, NULL}, TB_EFORMAT, "not between 1"},
        {"qwen3_moe.gguf",
         {SET_U32, "qwen3moe.expert_feed_forward_length", 25, NULL},
         TB_EFORMAT,
         "'blk.0.ffn_gate.0.weight'"},
        {"qwen3_moe.gguf",
         {SET_U32, "qwen3moe.expert_gating_func", 4, NULL},
         TB_EUNSUPPORTED,
         "router of another kind"},
        {"qwen3_moe.gguf", {SET_F32, "qwen3moe.expert_weights_scale", -1, NULL}, TB_EFORMAT, "expert_weights_scale"},
        {"qwen3_moe.gguf", {SET_U32, "qwen3moe.expert_group_count", 8, NULL}, TB_EUNSUPPORTED, "in groups"},
        {"qwen3_moe.gguf", {DROP_TENSOR, "blk.1.ffn_gate_inp.weight", 0, NULL}, TB_EFORMAT, "'blk.1.ffn_gate.weight'"},
        {"qwen3_moe.gguf", {DROP_TENSOR, "blk.1.ffn_down.2.weight", 0, NULL}, TB_EFORMAT, "'blk.1.ffn_down.2.weight'"},
        {"qwen2_moe.gguf",
         {DROP_TENSOR, "blk.0.ffn_up_shexp.weight", 0, NULL},
         TB_EFORMAT,
         "'blk.0.ffn_up_shexp.weight'"},
        {"qwen2_moe.gguf",
         {DROP_KEY, "qwen2moe.expert_shared_feed_forward_length", 0, NULL},
         TB_EUNSUPPORTED,
         "shexp.weight' that the architecture"},
        {"gpt_oss.gguf", {DROP_TENSOR, "blk.0.attn_sinks.weight", 0, NULL}, TB_EFORMAT, "'blk.0.attn_sinks.weight'"},
        {"llama.gguf", {ADD_VECTOR, "blk.0.attn_sinks.weight", 4, NULL}, TB_EUNSUPPORTED, "'blk.0.attn_sinks.weight'"},
        {"llama.gguf", {SET_U32, "llama.expert_count", 8, NULL}, TB_EUNSUPPORTED, "mixture of experts"},
    };
    EXPECT(list);
}

static void model_open__refuses_senseless_additions(void **state)
{
    (void)state;
    static const uint32_t two_heads[] = {1, 2}, odd_heads[] = {2, 3, 2}, no_heads[] = {1, 0, 1};
    static const refusal list[] = {
        {"qwen3_next.gguf", {ADD_VECTOR, "blk.1.ssm_conv1d.weight", 4, NULL}, TB_EUNSUPPORTED, "block 1"},
        {"qwen3_next.gguf", {SET_TEXT, "qwen3next.twobit.query_gate", 0, "head of group"}, TB_EFORMAT, "attn_q.weight"},
        {"qwen3.gguf", {SET_TEXT, "qwen3.twobit.query_gate", 0, "elem of group"}, TB_EFORMAT, "attn_q.weight"},
        {"qwen3.gguf", {SET_TEXT, "qwen3.twobit.query_gate", 0, "some"}, TB_EUNSUPPORTED, "'some'"},
        {"mimo_v2_flash.gguf", {SET_NUMBERS, "mimo2.attention.head_count_kv", 2, two_heads}, TB_EFORMAT, "list of 3"},
        {"mimo_v2_flash.gguf", {SET_NUMBERS, "mimo2.attention.head_count_kv", 3, odd_heads}, TB_EFORMAT, "2 and 3 key"},
        {"mimo_v2_flash.gguf", {SET_NUMBERS, "mimo2.attention.head_count_kv", 3, no_heads}, TB_EFORMAT, "0 key heads"},
        {"mimo_v2_flash.gguf", {SET_U32, "mimo2.attention.value_length", 24, NULL}, TB_EUNSUPPORTED, "values of 24"},
        {"mimo_v2_flash.gguf", {SET_U32, "mimo2.attention.value_length", 8, NULL}, TB_EFORMAT, "attn_v.weight"},
        {"mimo_v2_flash.gguf",
         {ADD_VECTOR, "blk.0.attn_sinks.weight", 5, NULL},
         TB_EFORMAT,
         "'blk.0.attn_sinks.weight'"},
        {"mimo_v2_flash.gguf", {SET_F32, "mimo2.attention.value_scale", 0, NULL}, TB_EFORMAT, "value_scale"},
        {"afmoe.gguf", {DROP_TENSOR, "blk.0.attn_gate.weight", 0, NULL}, TB_EFORMAT, "'blk.0.attn_gate.weight'"},
        {"llama.gguf", {SET_U32, "llama.twobit.registers", 3, NULL}, TB_EFORMAT, "'registers.weight'"},
        {"llama.gguf", {ADD_VECTOR, "registers.weight", 48, NULL}, TB_EUNSUPPORTED, "'registers.weight'"},
        {"llama.gguf", {SET_U32, "llama.twobit.sink_keys", 3, NULL}, TB_EFORMAT, "'blk.0.attn_sink_k.weight'"},
        {"llama.gguf", {SET_U32, "llama.twobit.sink_keys", 1 << 20, NULL}, TB_EFORMAT, "more than 1024"},
        {"llama.gguf",
         {ADD_VECTOR, "blk.0.attn_sink_k.weight", 24, NULL},
         TB_EUNSUPPORTED,
         "'blk.0.attn_sink_k.weight'"},
        {"llama.gguf", {SET_F32, "llama.embedding_scale", -2, NULL}, TB_EFORMAT, "embedding_scale"},
    };
    EXPECT(list);
}

// Three things are called a sink. This one takes its share of every row and gives nothing.
static void model_open__binds_sink_logits_per_head(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("gpt_oss.gguf"), 1);
    tb_linears linears = tb_model_linears(model, 0);
    assert_non_null(model->blocks[0].sink_logits);
    assert_int_equal(linears.count, 4 + 5 * 3);
    assert_string_equal(linears.at[tb_linears_find(linears, TB_LINEAR_DOWN, 3)].name, "blk.0.ffn_down.3.weight");
    assert_int_equal(linears.at[tb_linears_find(linears, TB_LINEAR_DOWN, 3)].matrix.type, TB_TYPE_MXFP4);
    assert_non_null(linears.at[tb_linears_find(linears, TB_LINEAR_DOWN, 3)].bias);
    tb_model_close(model);
}

static void model_open__refuses_missing_and_unused_tensors(void **state)
{
    (void)state;
    static const refusal list[] = {
        {"llama.gguf", {DROP_TENSOR, "token_embd.weight", 0, NULL}, TB_EFORMAT, "token_embd.weight"},
        {"llama.gguf", {DROP_TENSOR, "output_norm.weight", 0, NULL}, TB_EFORMAT, "output_norm.weight"},
        {"llama.gguf", {DROP_TENSOR, "blk.1.ffn_down.weight", 0, NULL}, TB_EFORMAT, "'blk.1.ffn_down.weight'"},
        {"llama.gguf", {DROP_TENSOR, "blk.1.attn_norm.weight", 0, NULL}, TB_EFORMAT, "'blk.1.attn_norm.weight'"},
        {"qwen2.gguf", {DROP_TENSOR, "blk.0.attn_k.bias", 0, NULL}, TB_EFORMAT, "'blk.0.attn_k.bias'"},
        {"qwen3.gguf", {DROP_TENSOR, "blk.0.attn_k_norm.weight", 0, NULL}, TB_EFORMAT, "attn_k_norm"},
        {"gemma3.gguf", {DROP_TENSOR, "blk.6.post_ffw_norm.weight", 0, NULL}, TB_EFORMAT, "post_ffw_norm"},
        {"llama.gguf", {ADD_VECTOR, "blk.0.attn_sinks.weight", 4, NULL}, TB_EUNSUPPORTED, "blk.0.attn_sinks.weight"},
        {"llama.gguf", {ADD_VECTOR, "blk.0.attn_q_norm.weight", 12, NULL}, TB_EUNSUPPORTED, "attn_q_norm"},
        {"llama.gguf", {ADD_VECTOR, "blk.2.attn_norm.weight", 48, NULL}, TB_EUNSUPPORTED, "blk.2.attn_norm"},
        {"llama.gguf", {ADD_VECTOR, "blk.0.ffn_gate.scale", 1, NULL}, TB_EUNSUPPORTED, "blk.0.ffn_gate.scale"},
        {"llama.gguf", {ADD_VECTOR, "mtp.weight", 1, NULL}, TB_EUNSUPPORTED, "mtp.weight"},
        {"qwen2.gguf", {ADD_VECTOR, "blk.1.attn_output.bias", 47, NULL}, TB_EFORMAT, "attn_output.bias"},
        {"llama.gguf", {ADD_VECTOR, "rope_freqs.weight", 5, NULL}, TB_EFORMAT, "rope_freqs.weight"},
        {"llama3.gguf", {FILL_VECTOR, "rope_freqs.weight", 0, NULL}, TB_EFORMAT, "not positive"},
        {"llama3.gguf", {ADD_VECTOR, "rope_factors_long.weight", 6, NULL}, TB_EFORMAT, "rope_factors_short.weight"},
        {"llama.gguf", {ADD_VECTOR, "rope_factors_short.weight", 5, NULL}, TB_EFORMAT, "vector of 6 numbers"},
        {"llama.gguf",
         {RENAME_TENSOR, "blk.0.attn_norm.weight", 0, "blk.0.attn_norm.weights"},
         TB_EFORMAT,
         "attn_norm"},
    };
    EXPECT(list);
}

static void model_open__refuses_unknown_cpu_level(void **state)
{
    (void)state;
    tb_model *model;
    tb_error err;
    tb_model_options options = {.cpu = "mmx"};
    assert_int_equal(tb_model_open(&model, tiny_path("llama.gguf"), &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "'mmx'"));
    assert_int_equal(tb_model_open(&model, temp_path("absent.gguf"), NULL, &err), TB_EIO);
}

// Logits of the last of 20 tokens. Returns how far rounding may put them from those of another pass.
static double edited_logits(float *out, const char *base, const model_edit *edits, size_t n)
{
    const char *path = temp_path("edited.gguf");
    write_edited(path, tiny_path(base), edits, n);
    tb_model *model = open_model(path, 1);
    tb_seq *seq = new_seq(model, 20, 0, TB_KV_CACHE_F32);
    int32_t *ids = random_ids(20, 96, 1);
    float *all = push_all(seq, ids, 20);
    memcpy(out, all + 19 * 96, 96 * sizeof *out);
    double rounding = rounding_of_passes(tb_model_config(model), 20, 96);
    tb_free(ids), tb_free(all);
    tb_seq_free(seq);
    tb_model_close(model);
    return rounding;
}

// Each of these keys changes the result, and the value that is meant when it is absent does not.
static void settings__that_count_change_the_logits(void **state)
{
    (void)state;
    static const struct {
        const char *base;
        model_edit changes, same;
    } list[] = {
        {"llama.gguf", {SET_TEXT, "twobit.rope_pairs", 0, "halves"}, {SET_TEXT, "twobit.rope_pairs", 0, "adjacent"}},
        {"llama.gguf",
         {SET_U32, "llama.attention.sliding_window", 5, NULL},
         {SET_U32, "llama.attention.sliding_window", 20, NULL}},
        {"smollm3.gguf",
         {SET_FLAGS, "smollm3.twobit.rope_blocks", 0, "1111"},
         {SET_FLAGS, "smollm3.twobit.rope_blocks", 0, "1110"}},
        {"llama.gguf", {SET_F32, "llama.rope.freq_base", 5000, NULL}, {DROP_KEY, "llama.rope.freq_base", 0, NULL}},
        {"gemma3.gguf",
         {SET_F32, "gemma3.rope.freq_base_swa", 9000, NULL},
         {SET_F32, "gemma3.rope.freq_base_swa", 10000, NULL}},
        {"gemma3.gguf",
         {SET_U32, "gemma3.attention.sliding_window_pattern", 3, NULL},
         {SET_U32, "gemma3.attention.sliding_window_pattern", 6, NULL}},
        {"gemma3.gguf",
         {SET_FLAGS, "gemma3.attention.sliding_window_pattern", 0, "1101111"},
         {SET_FLAGS, "gemma3.attention.sliding_window_pattern", 0, "1111101"}},
        {"qwen3.gguf", {SET_F32, "qwen3.attention.scale", 0.125, NULL}, {SET_F32, "qwen3.attention.scale", 0.25, NULL}},
        {"llama3.gguf", {FILL_VECTOR, "rope_freqs.weight", 1, NULL}, {DROP_KEY, "general.none", 0, NULL}},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        float base[96], changed[96], same[96];
        double rounding = edited_logits(base, list[i].base, NULL, 0);
        edited_logits(changed, list[i].base, &list[i].changes, 1);
        edited_logits(same, list[i].base, &list[i].same, 1);
        assert_memory_equal(base, same, sizeof base);
        if (distance(changed, base, 96) <= rounding)
            fail_msg("'%s' changes nothing", list[i].changes.name);
    }
}

static void fill_affine(tb_packed *packed, size_t rows, size_t cols)
{
    tb_rng rng;
    assert_int_equal(tb_packed_init(packed, TB_TYPE_AFFINE, rows, cols, 2, 32, NULL), TB_OK);
    tb_rng_init(&rng, 1, 0);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++)
            tb_packed_set_code(packed, r, c, (unsigned)tb_rng_below(&rng, 4));
        for (size_t g = 0; g < tb_matrix_groups(&packed->view); g++) {
            tb_packed_set_zero(packed, r, g, 1 + (unsigned)tb_rng_below(&rng, 2));
            packed->coefs[r * tb_matrix_groups(&packed->view) + g] = tb_half_from_float(0.15f);
        }
    }
}

// A matrix stored as planes is bound like any other and gives what its values give.
static void planes__run_as_the_values_they_stand_for(void **state)
{
    (void)state;
    tb_packed planes, values;
    float expected[96], logits[96];
    fill_affine(&planes, 56, 48);
    assert_int_equal(tb_packed_init(&values, TB_TYPE_F32, 56, 48, 0, 0, NULL), TB_OK);
    for (size_t r = 0; r < 56; r++)
        tb_matrix_decode_row((float *)values.data + r * 48, &planes.view, r);
    const model_edit as_values = {REPLACE_MATRIX, "blk.1.ffn_up.weight", 0, &values.view};
    const model_edit as_planes = {REPLACE_MATRIX, "blk.1.ffn_up.weight", 0, &planes.view};
    edited_logits(expected, "qwen2.gguf", &as_values, 1);
    double rounding = edited_logits(logits, "qwen2.gguf", &as_planes, 1); // one kernel sums as another does not
    assert_true(distance(logits, expected, 96) <= rounding);
    tb_packed_clear(&planes), tb_packed_clear(&values);
}

static void questions__are_answered(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 2);
    const tb_config *config = tb_model_config(model);
    assert_string_equal(tb_model_architecture(model), "gemma3");
    assert_int_equal(config->blocks, 7);
    assert_int_equal(config->head_size, 16);
    assert_int_equal(tb_model_vocab_size(model), 96);
    assert_int_equal(tb_model_context_length(model), 64);
    assert_true(tb_model_head_is_tied(model));
    assert_ptr_equal(tb_model_head(model)->data, tb_model_embedding(model)->data);
    // 96·48 + 48 + 7·(2·32·48 + 2·16·48 + 3·48·56 + 4·48 + 2·16)
    assert_int_equal(tb_model_parameters(model), 4608 + 48 + 7 * (3072 + 1536 + 8064 + 192 + 32));
    assert_float_equal(tb_model_linear_bits(model), 16, 0);
    assert_int_equal(tb_model_linear(model, 3, TB_LINEAR_DOWN)->matrix.cols, 56);
    assert_string_equal(tb_model_linear(model, 0, TB_LINEAR_O)->stem, "attn_output");
    assert_string_equal(tb_model_linear(model, 3, TB_LINEAR_O)->name, "blk.3.attn_output.weight");
    assert_int_equal(tb_model_linear(model, 0, TB_LINEAR_UP)->input, TB_INPUT_FFN);
    assert_null(tb_model_tokenizer(model));
    assert_int_equal(tb_model_chat_template(model).size, 0);
    assert_int_equal(tb_model_compute(model)->threads, 2);
    assert_string_equal(tb_version(), TB_VERSION);
    tb_model_close(model);
    tb_model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_open__refuses_bad_sizes),
        cmocka_unit_test(model_open__takes_sizes_per_layer),
        cmocka_unit_test(model_open__refuses_what_it_lacks_by_name),
        cmocka_unit_test(model_open__refuses_senseless_mixtures),
        cmocka_unit_test(model_open__refuses_senseless_additions),
        cmocka_unit_test(model_open__binds_sink_logits_per_head),
        cmocka_unit_test(model_open__refuses_missing_and_unused_tensors),
        cmocka_unit_test(model_open__refuses_unknown_cpu_level),
        cmocka_unit_test(settings__that_count_change_the_logits),
        cmocka_unit_test(planes__run_as_the_values_they_stand_for),
        cmocka_unit_test(questions__are_answered),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
