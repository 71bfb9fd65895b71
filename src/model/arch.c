// The families. A new one is a row here, and a switch in the forward pass only when it needs
// something that none before it had.
#include "model/settings.h"

#include <stdio.h>
#include <string.h>

static const tb_arch archs[] = {
    // Llama 1–3, Mistral, SmolLM2. GGUF stores their query and key rows permuted so that RoPE turns
    // neighbours; a file that does not says so in twobit.rope_pairs.
    {.name = "llama"},
    {.name = "qwen2", .rope_halves = true, .needs_qkv_bias = true},
    {.name = "qwen3", .rope_halves = true, .has_head_norms = true},
    {.name = "smollm3", .unrotated_period = 4},
    {.name = "mistral3"}, // rows of queries and keys permuted, as those of Llama
    {.name = "phi3", .rope_halves = true},
    {
        .name = "gemma3",
        .activation = TB_GELU_TANH,
        .rope_halves = true,
        .has_head_norms = true,
        .has_post_norms = true,
        .scales_embedding = true,
        .global_period = 6,
        .odd_scale_blocks = 62,
        .near_rope_base = 10000.0,
    },
    {
        .name = "gemma2",
        .activation = TB_GELU_TANH,
        .rope_halves = true,
        .has_post_norms = true,
        .scales_embedding = true,
        .global_period = 2,
        .default_reach = 4096,
        .attention_cap = 50,
        .final_cap = 30,
        .odd_scale_blocks = 46,
    },
    {.name = "qwen2moe", .rope_halves = true, .needs_qkv_bias = true, .has_experts = true},
    {.name = "qwen3moe", .rope_halves = true, .has_head_norms = true, .has_experts = true, .shares_to_one = true},
    {
        .name = "gpt-oss",
        .activation = TB_CLAMPED,
        .rope_halves = true,
        .global_period = 2,
        .has_experts = true,
        .shares_to_one = true,
        .has_sink_logits = true,
        .splits_pairs = true,
        .ffn_norm = "post_attention_norm",
    },
    {
        .name = "qwen3next",
        .rope_halves = true,
        .has_head_norms = true,
        .has_experts = true,
        .shares_to_one = true,
        .ffn_norm = "post_attention_norm",
        .gate = TB_GATE_ELEMENT,
        .gate_source = TB_GATE_OF_HEADS,
    },
    {
        .name = "afmoe",
        .rope_halves = true,
        .has_head_norms = true,
        .has_post_norms = true,
        .scales_embedding = true,
        .global_period = 4,
        .rotates_near_only = true,
        .has_experts = true,
        .shares_to_one = true,
        .gating = TB_GATING_SIGMOID,
        .gate = TB_GATE_ELEMENT,
    },
    {
        .name = "mimo2",
        .rope_halves = true,
        .near_rope_base = 10000.0,
        .has_experts = true,
        .shares_to_one = true,
        .gating = TB_GATING_SIGMOID,
        .values_differ = true,
        .may_have_sinks = true,
    },
    {.name = "twobit", .rope_halves = true, .varies = true},
    {.name = "gemma3n", .lacks = "per-layer embeddings"},
    {.name = "llama4", .lacks = "a mixture of experts"},
};

enum { ARCHS = sizeof archs / sizeof archs[0] };

const tb_arch *tb_arch_find(tb_text name)
{
    for (size_t i = 0; i < ARCHS; i++)
        if (strlen(archs[i].name) == name.size && memcmp(archs[i].name, name.data, name.size) == 0)
            return &archs[i];
    return NULL;
}

void tb_arch_list(char *out, size_t capacity)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ARCHS && used < capacity; i++)
        if (!archs[i].lacks)
            used += (size_t)snprintf(out + used, capacity - used, "%s%s", used ? ", " : "", archs[i].name);
}
