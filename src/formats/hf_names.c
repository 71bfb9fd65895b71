// Names of tensors: "model.layers.7.self_attn.q_proj.weight" is "blk.7.attn_q.weight".
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

// Stems within a block. The two columns differ where Gemma's sandwich puts other norms at the same name.
static const struct {
    const char *hf, *gguf, *sandwich;
} block_stems[] = {
    {"input_layernorm", "attn_norm", "attn_norm"},      {"post_attention_layernorm", "ffn_norm", "post_attention_norm"},
    {"pre_feedforward_layernorm", NULL, "ffn_norm"},    {"post_feedforward_layernorm", NULL, "post_ffw_norm"},
    {"self_attn.q_proj", "attn_q", "attn_q"},           {"self_attn.k_proj", "attn_k", "attn_k"},
    {"self_attn.v_proj", "attn_v", "attn_v"},           {"self_attn.o_proj", "attn_output", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate", "ffn_gate"},          {"mlp.up_proj", "ffn_up", "ffn_up"},
    {"mlp.down_proj", "ffn_down", "ffn_down"},
};

// Those of families with a mixture of experts.
static const struct {
    const char *hf, *gguf;
} mixture_stems[] = {
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.router", "ffn_gate_inp"},
    {"mlp.router.gate", "ffn_gate_inp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"pre_mlp_layernorm", "ffn_norm"},
    {"post_mlp_layernorm", "post_ffw_norm"},
    {"self_attn.gate_proj", "attn_gate"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
};

// Those of families whose matrices are fused.
static const struct {
    const char *hf, *gguf;
} fused_stems[] = {{"self_attn.qkv_proj", "attn_qkv"}, {"mlp.gate_up_proj", "ffn_up"}};

// Names within a block that have no ending of their own.
static const struct {
    const char *hf, *gguf;
} block_names[] = {
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"mlp.experts.gate_up_proj_blocks", "ffn_gate_up_exps.weight"},
    {"mlp.experts.gate_up_proj_bias", "ffn_gate_up_exps.bias"},
    {"mlp.experts.down_proj", "ffn_down_exps.weight"},
    {"mlp.experts.down_proj_blocks", "ffn_down_exps.weight"},
    {"mlp.experts.down_proj_bias", "ffn_down_exps.bias"},
    {"mlp.expert_bias", "exp_probs_b.bias"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"self_attn.sinks", "attn_sinks.weight"},
    {"self_attn.attention_sink_bias", "attn_sinks.weight"},
    {"self_attn.param_sink_key", "attn_sink_k.weight"},
    {"self_attn.param_sink_value", "attn_sink_v.weight"},
};

// Names outside of blocks, without the prefix of the text model.
static const struct {
    const char *hf, *gguf;
} outer_names[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"memory_tokens", "registers.weight"},
};

// Moves *name behind `prefix` if it starts so.
static bool drop_prefix(const char **name, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*name, prefix, n) != 0)
        return false;
    *name += n;
    return true;
}

// Moves *name behind the prefix of the text model: "model.", or in models with a vision tower
// "language_model.model." and the newer "model.language_model.". The head may have none.
static void drop_model_prefix(const char **name, bool sees)
{
    if (sees && drop_prefix(name, "language_model."))
        drop_prefix(name, "model.");
    else if (drop_prefix(name, "model.") && sees)
        drop_prefix(name, "language_model.");
}

// Frequencies, which are computed from the config instead.
static bool is_buffer(const char *name)
{
    static const char buffer[] = ".rotary_emb.inv_freq";
    size_t size = strlen(name);
    return size > strlen(buffer) && strcmp(name + size - strlen(buffer), buffer) == 0;
}

static bool is_vision(const char *name)
{
    static const char *const vision[] = {"vision_tower.", "multi_modal_projector."};
    drop_prefix(&name, "model.");
    for (size_t i = 0; i < sizeof vision / sizeof vision[0]; i++)
        if (strncmp(name, vision[i], strlen(vision[i])) == 0)
            return true;
    return false;
}

// NULL: not known.
static const char *find_stem(tb_text stem, const tb_hf_family *family)
{
    for (size_t i = 0; i < sizeof block_stems / sizeof block_stems[0]; i++)
        if (tb_text_is(stem, block_stems[i].hf))
            return family->sandwich_norms ? block_stems[i].sandwich
                   : family->ffn_norm && strcmp(block_stems[i].hf, "post_attention_layernorm") == 0
                       ? family->ffn_norm
                       : block_stems[i].gguf;
    for (size_t i = 0; family->fused && i < sizeof fused_stems / sizeof fused_stems[0]; i++)
        if (tb_text_is(stem, fused_stems[i].hf))
            return fused_stems[i].gguf;
    for (size_t i = 0; family->experts && i < sizeof mixture_stems / sizeof mixture_stems[0]; i++)
        if (tb_text_is(stem, mixture_stems[i].hf))
            return mixture_stems[i].gguf;
    return NULL;
}

// The number in "mlp.experts.7.up_proj", which goes behind the stem in GGUF, as digits of *stem; empty for others.
// Leaves "mlp.up_proj" in `plain`.
static tb_text take_expert(char plain[TB_HF_NAME_SIZE], tb_text *stem, const tb_hf_family *family)
{
    static const char prefix[] = "mlp.experts.";
    size_t size = strlen(prefix), digits;
    if (!family->experts || stem->size < size || memcmp(stem->data, prefix, size) != 0)
        return (tb_text){NULL, 0};
    tb_text number = {stem->data + size, 0};
    digits = strspn(number.data, "0123456789");
    if (digits < 1 || digits > 4 || (digits > 1 && number.data[0] == '0') || number.data[digits] != '.')
        return (tb_text){NULL, 0};
    number.size = digits;
    size_t rest = stem->size - size - digits;
    int written = snprintf(plain, TB_HF_NAME_SIZE, "mlp%.*s", (int)rest, number.data + digits);
    *stem = (tb_text){plain, (size_t)written < TB_HF_NAME_SIZE ? (size_t)written : 0};
    return number;
}

// "7.self_attn.q_proj.weight"
static bool translate_block(char out[TB_HF_NAME_SIZE], const char *name, const tb_hf_family *family)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < 1 || digits > 6 || (digits > 1 && name[0] == '0') || name[digits] != '.')
        return false;
    const char *stem = name + digits + 1;
    const char *suffix = strrchr(stem, '.');
    for (size_t i = 0; i < sizeof block_names / sizeof block_names[0]; i++)
        if (strcmp(stem, block_names[i].hf) == 0) {
            snprintf(out, TB_HF_NAME_SIZE, "blk.%.*s.%s", (int)digits, name, block_names[i].gguf);
            return true;
        }
    if (!suffix || (strcmp(suffix, ".weight") != 0 && strcmp(suffix, ".bias") != 0))
        return false;
    char plain[TB_HF_NAME_SIZE];
    tb_text whole = {stem, (size_t)(suffix - stem)}, expert = take_expert(plain, &whole, family);
    const char *gguf = find_stem(whole, family);
    if (gguf)
        snprintf(out, TB_HF_NAME_SIZE, "blk.%.*s.%s%s%.*s%s", (int)digits, name, gguf, expert.size ? "." : "",
                 (int)expert.size, expert.size ? expert.data : "", suffix);
    return gguf != NULL;
}

tb_hf_name tb_hf_translate_name(char out[TB_HF_NAME_SIZE], const char *name, const tb_hf_model *model)
{
    if (model->family->varies) {
        snprintf(out, TB_HF_NAME_SIZE, "%s", name);
        return strlen(name) < TB_HF_NAME_SIZE ? TB_HF_NAME_KNOWN : TB_HF_NAME_UNKNOWN;
    }
    if (is_buffer(name))
        return TB_HF_NAME_SKIPPED;
    if (model->sees && is_vision(name))
        return TB_HF_NAME_LEFT_OUT;
    drop_model_prefix(&name, model->sees);
    if (drop_prefix(&name, "layers."))
        return translate_block(out, name, model->family) ? TB_HF_NAME_KNOWN : TB_HF_NAME_UNKNOWN;
    for (size_t i = 0; i < sizeof outer_names / sizeof outer_names[0]; i++)
        if (strcmp(name, outer_names[i].hf) == 0) {
            snprintf(out, TB_HF_NAME_SIZE, "%s", outer_names[i].gguf);
            return TB_HF_NAME_KNOWN;
        }
    return TB_HF_NAME_UNKNOWN;
}

// ---- the way back ----

// "7.attn_q.weight"
static bool llama_block_name(char out[TB_LLAMA_NAME_SIZE], const char *name)
{
    int digits = (int)strspn(name, "0123456789");
    const char *stem = name + digits + 1, *suffix = strrchr(name, '.');
    if (digits < 1 || name[digits] != '.' || suffix < stem)
        return false;
    for (size_t i = 0; i < sizeof block_stems / sizeof block_stems[0]; i++)
        if (block_stems[i].gguf && tb_text_is((tb_text){stem, (size_t)(suffix - stem)}, block_stems[i].gguf))
            return snprintf(out, TB_LLAMA_NAME_SIZE, "model.layers.%.*s.%s%s", digits, name, block_stems[i].hf,
                            suffix) < TB_LLAMA_NAME_SIZE;
    return false;
}

bool tb_llama_name(char out[TB_LLAMA_NAME_SIZE], const char *gguf)
{
    if (drop_prefix(&gguf, "blk."))
        return llama_block_name(out, gguf);
    for (size_t i = 0; i < sizeof outer_names / sizeof outer_names[0]; i++)
        if (strcmp(gguf, outer_names[i].gguf) == 0) {
            bool head = strcmp(gguf, "output.weight") == 0;
            snprintf(out, TB_LLAMA_NAME_SIZE, "%s%s", head ? "" : "model.", outer_names[i].hf);
            return true;
        }
    return false;
}
