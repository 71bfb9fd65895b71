#!/usr/bin/env python3
"""A forward pass in NumPy, in double precision, one equation per line: the reference of
twobit's. It knows the families that twobit knows, and shares no code with it.

    pip install gguf numpy
    forward_reference.py tiny tests/golden/models          # random models of every family
    forward_reference.py mini tests/fuzz/corpus/model      # the same families, as small as they go
    forward_reference.py real MODEL.gguf OUT.npy [IDS]     # logits of a real file, thinned out

`tiny` writes for every family NAME.gguf, NAME/ (the same weights as a Hugging Face folder)
and NAME.logits.npy for the token ids in ids.npy. `real` writes every 193rd logit after every
third token of IDS (comma-separated; a default is there).
"""
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize

REAL_IDS = [788, 5249, 282, 4649, 314, 260, 4052, 28, 564, 346, 325, 2036, 281, 260, 3384, 30, 657, 1194]
REAL_ROWS, REAL_COLUMNS = slice(0, None, 3), slice(0, None, 193)


@dataclass
class Net:
    """Everything the forward pass needs. Weights are under GGUF names without '.weight'."""
    blocks: int
    heads: int
    kv_heads: int
    head_size: int
    eps: float
    activation: str = "silu"
    halves: bool = True          # RoPE pairs (i, i + n/2); else (2i, 2i + 1)
    base: float = 10000.0
    local_base: float = 0.0      # of windowed blocks; 0: base
    scale: float = 1.0           # of positions, in blocks that use `base`
    factors: np.ndarray = None   # frequencies are divided by them
    rope_size: int = 0           # how much of a head turns; 0: all
    yarn: tuple = None           # factor and original context
    magnitude: float = 1.0       # what turns is multiplied by it
    window: int = 0
    windowed: list = None        # per block
    rotated: list = None         # per block
    query_scale: float = 0.0
    growth: tuple = (0.0, 1)     # rate and length: scores grow with ln(1 + position // length)
    attention_cap: float = 0.0   # 0: none
    final_cap: float = 0.0
    embedding_scale: float = 1.0
    weights: dict = field(default_factory=dict)


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def yarn(frequency, base, factor, original):
    """YaRN, its two borders in numbers of turns 32 and 1."""
    pairs = len(frequency)
    low, high = (pairs * np.log(original / (2 * np.pi * turns)) / np.log(base) for turns in (32, 1))
    low, high = max(np.floor(low), 0), min(np.ceil(high), 2 * pairs - 1)
    ramp = np.clip((np.arange(pairs) - low) / (high - low), 0, 1)
    return frequency * (1 - ramp) + frequency / factor * ramp


def rope(x, net, local):
    """x[tokens][heads][head_size]"""
    size = net.rope_size or net.head_size
    pairs = size // 2
    x, rest = x[..., :size], x[..., size:]
    frequency = (net.local_base if local and net.local_base else net.base) ** (-np.arange(pairs) / pairs)
    if not (local and net.local_base):
        frequency = frequency * net.scale
        if net.factors is not None:
            frequency = frequency / net.factors
        if net.yarn:
            frequency = yarn(frequency, net.base, *net.yarn)
    angle = np.arange(len(x))[:, None, None] * frequency
    first, second = (x[..., :pairs], x[..., pairs:]) if net.halves else (x[..., 0::2], x[..., 1::2])
    turned = first * np.cos(angle) - second * np.sin(angle), first * np.sin(angle) + second * np.cos(angle)
    turned = np.concatenate(turned, -1) if net.halves else np.stack(turned, -1).reshape(x.shape)
    return np.concatenate([net.magnitude * turned, rest], -1)


def cap(x, limit):
    return limit * np.tanh(x / limit) if limit else x


def activate(x, kind):
    if kind == "gelu":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))
    return x / (1 + np.exp(-x))


def attention(x, net, i):
    w, n = net.weights, net.head_size

    def project(name, heads):
        y = x @ w[f"blk.{i}.attn_{name}"].T + w.get(f"blk.{i}.attn_{name}.bias", 0)
        return y.reshape(len(x), heads, n)

    q, k, v = project("q", net.heads), project("k", net.kv_heads), project("v", net.kv_heads)
    if f"blk.{i}.attn_q_norm" in w:
        q, k = norm(q, w[f"blk.{i}.attn_q_norm"], net.eps), norm(k, w[f"blk.{i}.attn_k_norm"], net.eps)
    if net.rotated[i]:
        q, k = rope(q, net, net.windowed[i]), rope(k, net, net.windowed[i])
    k, v = (np.repeat(t, net.heads // net.kv_heads, axis=1) for t in (k, v))
    rate, length = net.growth
    q = q * (1 + rate * np.log(1 + np.arange(len(x)) // length))[:, None, None]
    scores = cap(np.einsum("qhn,khn->hqk", q, k) * net.query_scale, net.attention_cap)
    distance = np.arange(len(x))[:, None] - np.arange(len(x))[None, :]
    seen = (distance >= 0) & ((distance < net.window) | (not net.windowed[i]))
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hqk,khn->qhn", weights, v).reshape(len(x), -1)
    return mixed @ w[f"blk.{i}.attn_output"].T + w.get(f"blk.{i}.attn_output.bias", 0)


def ffn(x, net, i):
    w = net.weights
    gate = x @ w[f"blk.{i}.ffn_gate"].T + w.get(f"blk.{i}.ffn_gate.bias", 0)
    up = x @ w[f"blk.{i}.ffn_up"].T + w.get(f"blk.{i}.ffn_up.bias", 0)
    return (activate(gate, net.activation) * up) @ w[f"blk.{i}.ffn_down"].T + w.get(f"blk.{i}.ffn_down.bias", 0)


def forward(net, ids):
    w = net.weights
    x = w["token_embd"][ids].astype(np.float64) * net.embedding_scale
    for i in range(net.blocks):
        y = attention(norm(x, w[f"blk.{i}.attn_norm"], net.eps), net, i)
        x = x + (norm(y, w[f"blk.{i}.post_attention_norm"], net.eps) if f"blk.{i}.post_attention_norm" in w else y)
        y = ffn(norm(x, w[f"blk.{i}.ffn_norm"], net.eps), net, i)
        x = x + (norm(y, w[f"blk.{i}.post_ffw_norm"], net.eps) if f"blk.{i}.post_ffw_norm" in w else y)
    head = w.get("output", w["token_embd"])
    return cap(norm(x, w["output_norm"], net.eps) @ head.astype(np.float64).T, net.final_cap)


# ---- real GGUF files ----

def read_gguf(path):
    reader = GGUFReader(path)

    def get(name, absent=None):
        entry = reader.fields.get(name)
        return entry.contents() if entry else absent

    arch = get("general.architecture")
    number = lambda name, absent=None: get(f"{arch}.{name}", absent)
    blocks, heads, width = number("block_count"), number("attention.head_count"), number("embedding_length")
    head_size = number("attention.key_length", width // heads)
    window = number("attention.sliding_window", 0)
    gemma = arch == "gemma3"
    net = Net(blocks=blocks, heads=heads, kv_heads=number("attention.head_count_kv", heads), head_size=head_size,
              eps=number("attention.layer_norm_rms_epsilon"), activation="gelu" if gemma else "silu",
              halves=arch not in ("llama", "smollm3"), base=number("rope.freq_base", 10000.0),
              local_base=10000.0 if gemma else 0.0, window=window,
              windowed=[bool(window) and not (gemma and i % 6 == 5) for i in range(blocks)],
              rotated=[arch != "smollm3" or i % 4 != 3 for i in range(blocks)], query_scale=head_size ** -0.5,
              embedding_scale=np.sqrt(width) if gemma else 1.0)
    for t in reader.tensors:
        values = dequantize(t.data, t.tensor_type).astype(np.float64 if "token_embd" not in t.name else np.float32)
        net.weights[t.name.removesuffix(".weight")] = values
    net.factors = net.weights.pop("rope_freqs", None)
    return net


# ---- tiny random models ----

IDS, VOCAB, WIDTH, FFN = 40, 96, 48, 56


def llama3_factors(pairs, base, factor, low, high, original):
    wave = 2 * np.pi * base ** (np.arange(pairs) / pairs)
    smooth = np.clip((original / wave - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


def sizes(blocks=2, heads=4, kv_heads=2, head_size=12):
    return dict(blocks=blocks, heads=heads, kv_heads=kv_heads, head_size=head_size)


# Factors of longrope, which the 40 tokens need the second of.
SHORT, LONG = np.array([1.0, 1.25, 1.5, 1.5, 1.75, 2.0]), np.array([1.0, 1.5, 2.5, 4.0, 8.0, 12.0])

# Per family: sizes, what the weights have, and the two kinds of metadata.
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
FAMILIES = {
    "llama": dict(arch="llama", type="llama", store="F16", vocabulary=True,
                  biases=("q", "k", "v", "output", "gate", "up", "down"),
                  config=dict(attention_bias=True, mlp_bias=True, rope_theta=10000.0)),
    "llama3": dict(arch="llama", type="llama", store="BF16", tied=True, net=dict(base=500000.0), llama3=True,
                   config=dict(rope_theta=500000.0, rope_scaling=dict(rope_type="llama3", **LLAMA3))),
    "mistral": dict(arch="llama", type="mistral", store="F16", net=dict(window=7),
                    config=dict(sliding_window=7, rope_theta=10000.0)),
    "smollm3": dict(arch="smollm3", type="smollm3", store="BF16", tied=True, sizes=sizes(blocks=4, kv_heads=1),
                    net=dict(base=50000.0), unrotated=4,
                    config=dict(no_rope_layers=[1, 1, 1, 0], rope_theta=50000.0, use_sliding_window=False)),
    "qwen2": dict(arch="qwen2", type="qwen2", store="F16", tied=True, biases=("q", "k", "v"), net=dict(base=1e6),
                  config=dict(rope_theta=1e6, use_sliding_window=False, sliding_window=8, max_window_layers=1)),
    "qwen3": dict(arch="qwen3", type="qwen3", store="F32", head_norms=True, net=dict(base=1e6),
                  sizes=sizes(blocks=1, heads=4, kv_heads=1, head_size=16), config=dict(rope_theta=1e6)),
    "gemma3": dict(arch="gemma3", type="gemma3_text", store="BF16", tied=True, head_norms=True, post_norms=True,
                   sizes=sizes(blocks=7, heads=2, kv_heads=1, head_size=16), period=6,
                   net=dict(base=1e6, local_base=10000.0, window=9, scale=1 / 8, activation="gelu",
                            query_scale=24 ** -0.5, embedding_scale=WIDTH ** 0.5),
                   config=dict(rope_theta=1e6, rope_local_base_freq=10000.0, sliding_window=9,
                               rope_scaling=dict(rope_type="linear", factor=8.0), query_pre_attn_scalar=24,
                               hidden_activation="gelu_pytorch_tanh")),
    "gemma2": dict(arch="gemma2", type="gemma2", store="BF16", tied=True, post_norms=True,
                   sizes=sizes(blocks=3, heads=2, kv_heads=1, head_size=16), period=2,
                   net=dict(window=9, activation="gelu", embedding_scale=WIDTH ** 0.5, attention_cap=3.0, final_cap=5.0),
                   config=dict(rope_theta=10000.0, sliding_window=9, query_pre_attn_scalar=16,
                               attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
                               hidden_activation="gelu_pytorch_tanh")),
    "phi3": dict(arch="phi3", type="phi3", store="F16", fused=True, sizes=sizes(heads=3, kv_heads=1, head_size=16),
                 net=dict(rope_size=12, magnitude=np.sqrt(1 + np.log(64 / 16) / np.log(16)), factors=LONG),
                 longrope=True,
                 config=dict(rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=16,
                             rope_scaling=dict(rope_type="longrope", short_factor=SHORT.tolist(),
                                               long_factor=LONG.tolist()))),
    "mistral3": dict(arch="mistral3", type="ministral3", store="BF16",
                     net=dict(base=1e6, yarn=(4.0, 20), growth=(0.1, 20)),
                     config=dict(sliding_window=None, head_dim=12, rope_parameters=dict(
                         rope_type="yarn", rope_theta=1e6, factor=4.0, original_max_position_embeddings=20, beta_fast=32.0,
                         beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1))),
}

NAMES_HF = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
NAMES_FUSED = NAMES_HF | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
NAMES_GEMMA = NAMES_HF | {
    "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def exact(x):
    """Rounded so that F16 and BF16 both hold it: eight bits of mantissa, no small exponents."""
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x8000) & np.uint32(0xFFFF0000)
    values = bits.view(np.float32)
    return np.where(np.abs(values) < 2.0 ** -14, 0, values).astype(np.float64)


def tiny_net(row, rng):
    s = row.get("sizes", sizes())
    net = Net(eps=1e-5, **s, **row.get("net", {}))
    net.query_scale = net.query_scale or net.head_size ** -0.5
    net.windowed = [bool(net.window) and (i + 1) % row.get("period", 1 << 30) != 0 for i in range(net.blocks)]
    net.rotated = [(i + 1) % row.get("unrotated", 1 << 30) != 0 for i in range(net.blocks)]
    if row.get("llama3"):
        net.factors = llama3_factors(net.head_size // 2, net.base, *LLAMA3.values()).astype(np.float32)
    matrix = lambda rows, cols: exact(rng.standard_normal((rows, cols)) * 1.5 / np.sqrt(cols))
    # Gemma's folders hold weight − 1: the difference must be exact as well.
    vector = lambda n: 1 + exact(np.round(rng.standard_normal(n) * 0.25 * 64) / 64)
    q, k = s["heads"] * s["head_size"], s["kv_heads"] * s["head_size"]
    w = net.weights
    w["token_embd"] = matrix(VOCAB, WIDTH) * (1 if row.get("post_norms") else 4)
    w["output_norm"] = vector(WIDTH)
    if not row.get("tied"):
        w["output"] = matrix(VOCAB, WIDTH) * 2
    for i in range(net.blocks):
        shapes = {"attn_q": (q, WIDTH), "attn_k": (k, WIDTH), "attn_v": (k, WIDTH), "attn_output": (WIDTH, q),
                  "ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH), "ffn_down": (WIDTH, FFN)}
        for name, shape in shapes.items():
            w[f"blk.{i}.{name}"] = matrix(*shape)
            if name.split("_")[1] in row.get("biases", ()):
                w[f"blk.{i}.{name}.bias"] = exact(rng.standard_normal(shape[0]) * 0.5)
        norms = {"attn_norm": WIDTH, "ffn_norm": WIDTH}
        if row.get("head_norms"):
            norms |= {"attn_q_norm": s["head_size"], "attn_k_norm": s["head_size"]}
        if row.get("post_norms"):
            norms |= {"post_attention_norm": WIDTH, "post_ffw_norm": WIDTH}
        for name, n in norms.items():
            w[f"blk.{i}.{name}"] = vector(n)
    return net


def adjacent(x, heads):
    """Rows reordered so that RoPE's halves become neighbours, as GGUF files of Llama have them."""
    return x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def add_vocabulary(out):
    """A SentencePiece vocabulary of letters and a few merges, and a chat template."""
    pieces = ["\u2581"] + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    merges = ["\u2581t", "he", "\u2581the", "in", "an", "\u2581a", "nd", "\u2581and", "er", "re", "on", "at", "en"]
    tokens = ["<unk>", "<s>", "</s>"] + merges + pieces
    kinds = [gguf.TokenType.UNKNOWN] + 2 * [gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 3)
    unused = VOCAB - len(tokens)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens + [f"<unused{i}>" for i in range(unused)])
    out.add_token_scores([0.0] * 3 + [-float(i) for i in range(VOCAB - 3)])
    out.add_token_types(kinds + [gguf.TokenType.UNUSED] * unused)
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_pad_token_id(0xFFFFFFFF)  # as writers say that there is none
    out.add_chat_template("{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}")


FUSED = {"attn_qkv": ("attn_q", "attn_k", "attn_v"), "ffn_up": ("ffn_gate", "ffn_up")}


def fuse(net):
    """Weights with q, k and v in one matrix, gate and up in another."""
    weights = {n: x for n, x in net.weights.items() if not any(n.endswith("." + p) for ps in FUSED.values() for p in ps)}
    for i in range(net.blocks):
        for whole, parts in FUSED.items():
            weights[f"blk.{i}.{whole}"] = np.concatenate([net.weights[f"blk.{i}.{part}"] for part in parts])
    return weights


def write_rope_gguf(out, row, net):
    if row.get("longrope"):
        out.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        out.add_rope_scaling_orig_ctx_len(16)
        out.add_rope_scaling_attn_factors(net.magnitude)
        out.add_tensor("rope_factors_long.weight", LONG[:net.rope_size // 2].astype(np.float32))
        out.add_tensor("rope_factors_short.weight", SHORT[:net.rope_size // 2].astype(np.float32))
    elif net.factors is not None:
        out.add_tensor("rope_freqs.weight", net.factors)
    if net.rope_size:
        out.add_rope_dimension_count(net.rope_size)
    if net.yarn:
        out.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        out.add_rope_scaling_factor(net.yarn[0])
        out.add_rope_scaling_orig_ctx_len(net.yarn[1])
        out.add_float32(f"{row['arch']}.rope.scaling.yarn_log_multiplier", 1.0)


def write_tiny_gguf(path, row, net):
    out = GGUFWriter(path, row["arch"])
    out.add_block_count(net.blocks)
    out.add_context_length(64)
    out.add_embedding_length(WIDTH)
    out.add_feed_forward_length(FFN)
    out.add_head_count(net.heads)
    out.add_head_count_kv(net.kv_heads)
    out.add_layer_norm_rms_eps(net.eps)
    out.add_rope_freq_base(net.base)
    if net.head_size * net.heads != WIDTH:
        out.add_key_length(net.head_size)
        out.add_value_length(net.head_size)
    if net.window:
        out.add_sliding_window(net.window)
    if row["arch"] == "gemma3":
        out.add_float32("gemma3.attention.scale", net.query_scale)
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(1 / net.scale)
    if row.get("vocabulary"):
        add_vocabulary(out)
    if net.attention_cap:
        out.add_attn_logit_softcapping(net.attention_cap)
        out.add_final_logit_softcapping(net.final_cap)
    if net.growth[0]:
        out.add_float32(f"{row['arch']}.attention.temperature_scale", net.growth[0])
    write_rope_gguf(out, row, net)
    for name, x in (fuse(net) if row.get("fused") else net.weights).items():
        if row["arch"] in ("llama", "smollm3", "mistral3") and (".attn_q" in name or ".attn_k" in name):
            x = adjacent(x, net.heads if ".attn_q" in name else net.kv_heads)
        stored = x.astype(np.float16 if x.ndim == 2 and row["store"] != "F32" else np.float32)
        out.add_tensor(name if name.endswith(".bias") else name + ".weight", stored)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def name_hf(name, row):
    ending = ".weight"
    if name.endswith(".bias"):
        name, ending = name.removesuffix(".bias"), ".bias"
    outer = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    if name in outer:
        return outer[name] + ending
    _, block, stem = name.split(".")
    names = NAMES_GEMMA if row.get("post_norms") else NAMES_FUSED if row.get("fused") else NAMES_HF
    return f"model.layers.{block}.{names[stem]}{ending}"


def stored_bytes(x, store):
    if store == "BF16":
        return (x.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return x.astype({"F16": "<f2", "F32": "<f4"}[store]).tobytes()


def write_tokenizer_files(path):
    """Byte-level BPE of letters as Qwen's folders have it, and a chat template."""
    step = dict(add_prefix_space=False, trim_offsets=False, use_regex=False)
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")
    merges = [["\u0120", "t"], ["h", "e"], ["\u0120t", "he"], ["a", "n"], ["an", "d"], ["\u0120", "and"]]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["\u0120"]
    tokens = letters + ["".join(m) for m in merges]
    added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    split = dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False)
    tokenizer = dict(
        version="1.0", normalizer=dict(type="NFC"), post_processor=dict(type="ByteLevel", **step),
        added_tokens=[dict(id=len(tokens) + i, content=text, **flags) for i, text in enumerate(added)],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, dict(type="ByteLevel", **step)]),
        decoder=dict(type="ByteLevel", **step),
        model=dict(type="BPE", dropout=None, unk_token=None, byte_fallback=False, ignore_merges=False,
                   vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    config = dict(add_bos_token=False, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                  chat_template="{% for m in messages %}<|im_start|>{{ m['role'] }}{% endfor %}")
    (path / "tokenizer.json").write_text(json.dumps(tokenizer) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps(config) + "\n")


def write_tiny_folder(path, row, net):
    path.mkdir(exist_ok=True)
    config = dict(model_type=row["type"], hidden_size=WIDTH, intermediate_size=FFN, num_hidden_layers=net.blocks,
                  num_attention_heads=net.heads, num_key_value_heads=net.kv_heads, vocab_size=VOCAB,
                  max_position_embeddings=64, rms_norm_eps=net.eps, tie_word_embeddings=bool(row.get("tied")),
                  hidden_act="gelu_pytorch_tanh" if net.activation == "gelu" else "silu", **row["config"])
    if net.head_size * net.heads != WIDTH:
        config["head_dim"] = net.head_size
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if row["type"] == "qwen2":
        write_tokenizer_files(path)
    header, data = {}, b""
    for name, x in (fuse(net) if row.get("fused") else net.weights).items():
        if row.get("post_norms") and name.endswith("norm"):
            x = x - 1
        piece = stored_bytes(x, row["store"])
        end = len(data) + len(piece)
        header[name_hf(name, row)] = dict(dtype=row["store"], shape=list(x.shape), data_offsets=[len(data), end])
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)


def make_tiny(folder):
    ids = np.random.default_rng(2).integers(0, VOCAB, IDS).astype(np.int32)
    np.save(folder / "ids.npy", ids)
    for seed, (name, row) in enumerate(FAMILIES.items()):
        net = tiny_net(row, np.random.default_rng(100 + seed))
        logits = forward(net, ids)
        assert np.isfinite(logits).all()
        np.save(folder / f"{name}.logits.npy", logits.astype(np.float32))
        write_tiny_gguf(folder / f"{name}.gguf", row, net)
        write_tiny_folder(folder / name, row, net)
        print(name, "logits", logits.std(), "largest", np.abs(logits).max())


def make_mini(folder):
    """Seeds for fuzzing: GGUF files of a few kilobytes."""
    global VOCAB, WIDTH, FFN
    VOCAB, WIDTH, FFN = 8, 4, 3
    for name, row in FAMILIES.items():
        row = row | dict(sizes=sizes(blocks=2, heads=2, kv_heads=1, head_size=4), vocabulary=False)
        net = tiny_net(row, np.random.default_rng(1))
        net.rope_size = min(net.rope_size, 2)
        write_tiny_gguf(folder / name, row, net)


def main():
    if sys.argv[1] == "tiny":
        make_tiny(Path(sys.argv[2]))
    elif sys.argv[1] == "mini":
        make_mini(Path(sys.argv[2]))
    else:
        ids = [int(i) for i in sys.argv[4].split(",")] if len(sys.argv) > 4 else REAL_IDS
        logits = forward(read_gguf(sys.argv[2]), ids)
        np.save(sys.argv[3], logits[REAL_ROWS, REAL_COLUMNS].astype(np.float32))


if __name__ == "__main__":
    main()
