#!/usr/bin/env python3
"""Tiny random mixtures of experts, and attention with gates and sinks, with their logits by transformers.

    pip install gguf numpy safetensors torch transformers==5.24.0
    mixture_reference.py tiny tests/golden/models
    mixture_reference.py mini tests/fuzz/corpus/model      # GGUF files of a few kilobytes, seeds for fuzzing

With `tiny`, for every family NAME/ is the folder as transformers writes it, NAME.gguf the same weights as llama.cpp's converter
lays them out, and NAME.logits.npy the logits in double precision for the ids in ids.npy. gpt_oss-mxfp4/ has the
weights of gpt_oss in the layout of the published model. The folders gated_elem/, gated_head/, memory/ and sink_keys/
hold what transformers has no class for: its Qwen3 and Llama, with gates put in by hooks, with embeddings in front of
the text, and with keys and values in the cache before it.
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

COMMON = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=96,
              intermediate_size=40, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
MIXTURE = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24)
FAMILIES = {
    "qwen2_moe": MIXTURE | dict(shared_expert_intermediate_size=56, mlp_only_layers=[1]),
    "qwen3_moe": MIXTURE | dict(num_experts_per_tok=3, head_dim=12, norm_topk_prob=True),
    "gpt_oss": dict(num_local_experts=5, num_experts_per_tok=3, head_dim=16, sliding_window=9, intermediate_size=32,
                    rope_parameters=dict(rope_type="yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                                         original_max_position_embeddings=16, rope_theta=150000.0)),
    "qwen3_next": MIXTURE | dict(shared_expert_intermediate_size=56, head_dim=16, norm_topk_prob=True,
                                 layer_types=["full_attention"] * 2),
    "afmoe": MIXTURE | dict(head_dim=12, num_hidden_layers=4, num_dense_layers=1, num_shared_experts=2, route_scale=1.5,
                            mup_enabled=True, sliding_window=9, global_attn_every_n_layers=3),
}
FAMILIES["mimo_v2_flash"] = dict(
    n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=24, num_hidden_layers=3, head_dim=20, v_head_dim=12,
    num_attention_heads=4, num_key_value_heads=1, sliding_window=9, routed_scaling_factor=1.25,
    layer_types=["full_attention", "sliding_attention", "full_attention"], attention_value_scale=0.707,
    rope_parameters={kind: dict(rope_type="default", rope_theta=theta, partial_rotary_factor=0.334)
                     for kind, theta in (("full_attention", 5000000.0), ("sliding_attention", 10000.0))})
ARCHS = {"mimo_v2_flash": "mimo2", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "qwen3_next": "qwen3next", "afmoe": "afmoe",
         "gpt_oss": "gpt-oss"}
REDUCED_NORMS = ("qwen3_next",)  # 1 is added to their weights
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def exact(x):
    """Rounded so that F16 and BF16 both hold it."""
    x = x.to(torch.bfloat16).to(torch.float64)
    return torch.where(x.abs() < 2.0 ** -14, torch.zeros_like(x), x)


def random_weights(model, seed):
    rng = torch.Generator().manual_seed(seed)
    normal = lambda shape: torch.randn(shape, generator=rng, dtype=torch.float64)
    for name, p in list(model.named_parameters()) + [x for x in model.named_buffers() if "correction" in x[0]]:
        if ".experts." in name and model.config.model_type == "gpt_oss" and not name.endswith("bias"):
            codes = torch.randint(0, 16, p.shape, generator=rng)
            powers = torch.randint(-6, -3, (p.shape[0], p.shape[1] // 32, 1, p.shape[2]), generator=rng)
            values = (FP4[codes % 8] * torch.where(codes < 8, 1.0, -1.0)).to(torch.float64)
            values = values.reshape(p.shape[0], -1, 32, p.shape[2]) * 2.0 ** powers
            p.data = values.reshape(p.shape)
        elif "norm" in name:
            p.data = (model.config.model_type not in REDUCED_NORMS) + torch.round(normal(p.shape) * 16) / 64
        elif "embed_tokens" in name:
            p.data = exact(normal(p.shape) * 2)
        elif p.dim() == 1 or name.endswith("bias"):
            p.data = exact(normal(p.shape) * 0.5)
        else:
            p.data = exact(normal(p.shape) * 1.5 / p.shape[-1] ** 0.5)


def make_config(family):
    return AutoConfig.for_model(family, **(COMMON | FAMILIES[family]))


def reference(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()


# ---- GGUF, as llama.cpp's converter writes it ----

STEMS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp",
         "mlp.shared_expert_gate": "ffn_gate_inp_shexp", "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
         "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
         "mlp.router.gate": "ffn_gate_inp", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
         "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
         "self_attn.gate_proj": "attn_gate", "pre_mlp_layernorm": "ffn_norm", "post_mlp_layernorm": "post_ffw_norm"}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def gguf_tensors(family, weights):
    """Names and arrays; experts stacked."""
    stacks = {}
    for name, x in weights.items():
        x = x.to(torch.float64).numpy() + (family in REDUCED_NORMS and "norm" in name)
        if name in OUTER:
            yield OUTER[name], x
            continue
        block, stem = name.removeprefix("model.layers.").split(".", 1)
        if stem in ("self_attn.sinks", "self_attn.attention_sink_bias"):
            yield f"blk.{block}.attn_sinks.weight", x
        elif stem in ("mlp.expert_bias", "mlp.gate.e_score_correction_bias"):
            yield f"blk.{block}.exp_probs_b.bias", x
        elif stem.startswith("mlp.experts.") and family != "gpt_oss":
            expert, kind, _ = stem.removeprefix("mlp.experts.").split(".")
            stacks.setdefault(f"blk.{block}.ffn_{kind.removesuffix('_proj')}_exps.weight", {})[int(expert)] = x
        elif stem.startswith("mlp.experts.gate_up_proj"):
            bias = stem.endswith("_bias")
            x = x if bias else x.transpose(0, 2, 1)  # [experts][2·hidden][width]
            for first, kind in enumerate(("gate", "up")):
                yield f"blk.{block}.ffn_{kind}_exps.{'bias' if bias else 'weight'}", x[:, first::2]
        elif stem.startswith("mlp.experts.down_proj"):
            bias = stem.endswith("_bias")
            yield f"blk.{block}.ffn_down_exps.{'bias' if bias else 'weight'}", x if bias else x.transpose(0, 2, 1)
        else:
            stem, ending = stem.rsplit(".", 1)
            gguf_stem = STEMS[stem]
            if family in ("gpt_oss", "qwen3_next", "afmoe") and stem == "post_attention_layernorm":
                gguf_stem = "post_attention_norm"
            if gguf_stem == "ffn_gate_inp_shexp":
                x = x[0]
            yield f"blk.{block}.{gguf_stem}.{ending}", x
    for name, parts in stacks.items():
        yield name, np.stack([parts[i] for i in range(len(parts))])


def write_gguf(path, family, config, weights):
    arch = ARCHS[family]
    out = gguf.GGUFWriter(path, arch)
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    mimo = family == "mimo_v2_flash"
    near = [kind == "sliding_attention" for kind in getattr(config, "layer_types", None) or []]
    out.add_head_count_kv([config.num_key_value_heads * (2 if x else 1) for x in near] if mimo
                          else config.num_key_value_heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_freq_base(config.rope_parameters.get("full_attention", config.rope_parameters)["rope_theta"])
    if getattr(config, "head_dim", None):
        out.add_key_length(config.head_dim)
        out.add_value_length(config.v_head_dim if mimo else config.head_dim)
    if mimo:
        out.add_float32("mimo2.attention.value_scale", config.attention_value_scale)
        out.add_rope_dimension_count(int(config.head_dim * 0.334))
        out.add_float32("mimo2.rope.freq_base_swa", 10000.0)
        out.add_sliding_window(config.sliding_window)
        out.add_sliding_window_pattern(near)
        out.add_expert_weights_scale(config.routed_scaling_factor)
        out.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    out.add_expert_count(config.num_experts if hasattr(config, "num_experts") else config.num_local_experts)
    out.add_expert_used_count(config.num_experts_per_tok)
    width = config.intermediate_size if family == "gpt_oss" else config.moe_intermediate_size
    out.add_expert_feed_forward_length(width)
    if hasattr(config, "shared_expert_intermediate_size"):
        out.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    if family == "qwen3_next":
        out.add_rope_dimension_count(config.head_dim // 4)
    if family == "afmoe":
        out.add_expert_shared_feed_forward_length(config.num_shared_experts * config.moe_intermediate_size)
        out.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        out.add_expert_weights_scale(config.route_scale)
        out.add_expert_weights_norm(True)
        out.add_sliding_window(config.sliding_window)
        out.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    if family == "gpt_oss":
        out.add_sliding_window(config.sliding_window)
        out.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        out.add_rope_scaling_factor(config.rope_parameters["factor"])
        out.add_rope_scaling_orig_ctx_len(config.rope_parameters["original_max_position_embeddings"])
    for name, x in gguf_tensors(family, weights):
        small = x.ndim == 1 or name.endswith(".bias") or "ffn_gate_inp" in name
        if family == "gpt_oss" and "_exps.weight" in name:
            codes = gguf.quants.quantize(np.ascontiguousarray(x.astype(np.float32)), gguf.GGMLQuantizationType.MXFP4)
            assert (gguf.quants.dequantize(codes, gguf.GGMLQuantizationType.MXFP4) == x).all(), name
            out.add_tensor(name, codes, raw_dtype=gguf.GGMLQuantizationType.MXFP4)
        else:
            out.add_tensor(name, np.ascontiguousarray(x.astype(np.float32 if small else np.float16)))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


# ---- gpt-oss as it was published ----

def pack(x):
    """[experts][rows][cols] of FP4 times powers of two, as bytes of two neighbours and exponents."""
    units = x.reshape(*x.shape[:2], -1, 32)
    top = units.abs().amax(-1)
    exponent = torch.where(top > 0, torch.floor(torch.log2(torch.clamp(top, min=1e-30))) - 2, torch.zeros_like(top))
    scaled = units * 2.0 ** -exponent[..., None]
    codes = (scaled.abs()[..., None] - FP4).abs().argmin(-1)
    assert (FP4[codes] == scaled.abs()).all()
    codes = codes + 8 * (scaled < 0)
    return (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8), (exponent + 127).to(torch.uint8)


def write_published(path, folder):
    path.mkdir(exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn"])
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {}
    for name, x in load_file(folder / "model.safetensors").items():
        if ".experts." in name and not name.endswith("bias"):
            weights[name + "_blocks"], weights[name + "_scales"] = pack(x.to(torch.float64).transpose(1, 2))
        else:
            weights[name] = x
    save_file({name: x.contiguous() for name, x in weights.items()}, path / "model.safetensors")


def make_mini(root):
    small = dict(hidden_size=32, vocab_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=8)
    for seed, family in enumerate(FAMILIES):
        experts = "num_local_experts" if family == "gpt_oss" else "num_experts"
        settings = COMMON | FAMILIES[family] | small | {experts: 2, "num_experts_per_tok": 1}
        if family != "gpt_oss":
            settings |= dict(moe_intermediate_size=4, intermediate_size=4)
        if family in ("qwen2_moe", "qwen3_next"):
            settings |= dict(shared_expert_intermediate_size=4)
        config = AutoConfig.for_model(family, **settings)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float64)
        random_weights(model, seed)
        with tempfile.TemporaryDirectory() as folder:
            model.to(torch.bfloat16).save_pretrained(folder)
            write_gguf(root / family, family, config, load_file(Path(folder) / "model.safetensors"))


# ---- what no class has ----

def gated(model, kind):
    """Makes a Qwen3 one whose query matrix has a gate behind the rows of every group of heads: gives every attention a
    gate of its own, and returns the weights in that layout."""
    config, weights = model.config, dict(model.state_dict())
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    rows = heads * (size if kind == "elem" else 1)
    rng = torch.Generator().manual_seed(7)
    for i, layer in enumerate(model.model.layers):
        gate = exact(torch.randn(rows, config.hidden_size, generator=rng, dtype=torch.float64) * 1.5 / 8)
        seen = {}

        def see(module, inputs, seen=seen):
            seen["x"] = inputs[0]

        def multiply(module, inputs, seen=seen, gate=gate):
            a = torch.sigmoid(seen["x"] @ gate.T)
            a = a if kind == "elem" else a.repeat_interleave(size, dim=-1)
            return (inputs[0] * a,)

        layer.self_attn.q_proj.register_forward_pre_hook(see)
        layer.self_attn.o_proj.register_forward_pre_hook(multiply)
        name = f"model.layers.{i}.self_attn.q_proj.weight"
        q = weights[name].reshape(groups, -1, config.hidden_size)
        weights[name] = torch.cat([q, gate.reshape(groups, -1, config.hidden_size)], 1).reshape(-1, config.hidden_size)
    return weights


def write_folder(path, config, weights, changes):
    path.mkdir(exist_ok=True)
    settings = json.loads(config.to_json_string()) | changes
    (path / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    save_file({name: x.to(torch.bfloat16).contiguous() for name, x in weights.items()}, path / "model.safetensors")


def make_additions(root, ids):
    ids = torch.from_numpy(ids.astype(np.int64))[None]
    save = lambda name, logits: np.save(root / f"{name}.logits.npy", logits[0].numpy().astype(np.float32))
    new = lambda kind, seed, **more: plain_model(kind, seed, **more)
    for seed, kind in enumerate(("elem", "head")):
        model = new("qwen3", 20 + seed, head_dim=16)
        weights = gated(model, kind)
        with torch.no_grad():
            save(f"gated_{kind}", model(ids).logits)
        key = {"elem": "elementwise_attn_output_gate", "head": "headwise_attn_output_gate"}[kind]
        write_folder(root / f"gated_{kind}", model.config, weights, {key: True})

    model = new("llama", 22)
    memory = exact(torch.randn(5, 64, generator=torch.Generator().manual_seed(8), dtype=torch.float64) * 2)
    with torch.no_grad():
        x = torch.cat([memory[None], model.model.embed_tokens(ids)], 1)
        save("memory", model(inputs_embeds=x).logits[:, 5:])
    write_folder(root / "memory", model.config, dict(model.state_dict()) | {"model.memory_tokens": memory},
                 dict(num_memory_tokens=5))

    model = new("qwen3", 23, head_dim=16)
    rng, cache, weights = torch.Generator().manual_seed(9), DynamicCache(config=model.config), dict(model.state_dict())
    for i, layer in enumerate(model.model.layers):
        k, v = (exact(torch.randn(3, 2, 16, generator=rng, dtype=torch.float64)) for _ in range(2))
        weights[f"model.layers.{i}.self_attn.param_sink_key"] = k
        weights[f"model.layers.{i}.self_attn.param_sink_value"] = v
        cache.update(layer.self_attn.k_norm(k).transpose(0, 1)[None], v.transpose(0, 1)[None], i)
    with torch.no_grad():
        save("sink_keys", model(ids, cache=cache, position_ids=torch.arange(ids.shape[1])[None]).logits)
    write_folder(root / "sink_keys", model.config, weights, dict(param_sink_number=3))


def plain_model(kind, seed, **more):
    config = AutoConfig.for_model(kind, **(COMMON | more))
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float64, attn_implementation="eager").eval()
    random_weights(model, seed)
    return model


def make_tiny(root):
    ids = np.load(root / "ids.npy")
    for seed, family in enumerate(FAMILIES):
        config = make_config(family)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float64)
        random_weights(model, seed)
        shutil.rmtree(root / family, ignore_errors=True)
        model.to(torch.bfloat16).save_pretrained(root / family)
        (root / family / "generation_config.json").unlink(missing_ok=True)
        logits = reference(root / family, ids)
        np.save(root / f"{family}.logits.npy", logits.astype(np.float32))
        write_gguf(root / f"{family}.gguf", family, config, load_file(root / family / "model.safetensors"))
        print(family, "logits", logits.std(), "largest", np.abs(logits).max())
    make_additions(root, ids)
    write_published(root / "gpt_oss-mxfp4", root / "gpt_oss")


def main():
    make = {"tiny": make_tiny, "mini": make_mini}[sys.argv[1]]
    make(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
