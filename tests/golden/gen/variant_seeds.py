#!/usr/bin/env python3
"""GGUF files of a few kilobytes with variants of attention, seeds for fuzzing.

    pip install gguf numpy
    variant_seeds.py tests/fuzz/corpus/model
"""
import sys
from pathlib import Path

import gguf
import numpy as np

VOCAB, WIDTH, FFN, HEADS, KV_HEADS, SIZE = 8, 8, 4, 2, 1, 4
SEEDS = {
    "twobit_sink": dict(normalizer="sink", gate="elem", kv_bias="kv", norm="qk", registers=2),
    "twobit_elastic": dict(normalizer="elastic", gate="value", kv_bias="k", norm="dyntanh"),
    "twobit_softpick": dict(normalizer="softpick", gate="input-free", norm="headwise", ffn="geglu"),
    "twobit_clip": dict(normalizer="clip", gate="head", norm="ss", registers=1),
    "twobit_sigmoid": dict(normalizer="sigmoid", gate="shared", norm="sandwich"),
}
GATES = {"elem": (HEADS * SIZE, WIDTH), "value": (KV_HEADS * SIZE, WIDTH), "head": (HEADS, WIDTH),
         "shared": (SIZE, WIDTH), "input-free": (HEADS * SIZE,)}


def shapes(choice):
    norm = choice["norm"]
    wide = (1,) if norm == "ss" else (WIDTH,)
    yield "token_embd.weight", (VOCAB, WIDTH)
    if choice.get("registers"):
        yield "registers.weight", (choice["registers"], WIDTH)

    def stream_norm(stem):
        yield f"{stem}.weight", wide
        if norm == "dyntanh":
            yield f"{stem}.alpha", (1,)
            yield f"{stem}.bias", (WIDTH,)

    yield from stream_norm("output_norm")
    yield from stream_norm("blk.0.attn_norm")
    yield from stream_norm("blk.0.ffn_norm")
    of_block = {"attn_q": (HEADS * SIZE, WIDTH), "attn_k": (KV_HEADS * SIZE, WIDTH), "attn_v": (KV_HEADS * SIZE, WIDTH),
                "attn_output": (WIDTH, HEADS * SIZE), "ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH),
                "ffn_down": (WIDTH, FFN), "attn_gate": GATES[choice["gate"]]}
    if norm == "qk":
        of_block |= {"attn_q_norm": (SIZE,), "attn_k_norm": (SIZE,)}
    if norm == "headwise":
        of_block |= {"attn_head_norm": (HEADS * SIZE,)}
    if norm == "sandwich":
        of_block |= {"post_attention_norm": (WIDTH,), "post_ffw_norm": (WIDTH,)}
    of_block |= {"sink": {"attn_sinks": (HEADS,)}, "elastic": {"attn_tau": (HEADS,)}}.get(choice["normalizer"], {})
    if "kv_bias" in choice:
        of_block["attn_sink_k"] = (KV_HEADS, SIZE)
    if choice.get("kv_bias") == "kv":
        of_block["attn_sink_v"] = (KV_HEADS, SIZE)
    for stem, shape in of_block.items():
        yield f"blk.0.{stem}.weight", shape


def write(path, choice, rng):
    out = gguf.GGUFWriter(path, "twobit")
    sizes = {"block_count": 1, "context_length": 16, "embedding_length": WIDTH, "feed_forward_length": FFN,
             "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS}
    for key, value in sizes.items():
        out.add_uint32(f"twobit.{key}", value)
    out.add_float32("twobit.attention.layer_norm_rms_epsilon", 1e-5)
    for key, value in choice.items():
        key = f"twobit.{'attention.' if key in ('normalizer', 'gate', 'kv_bias') else ''}{key}"
        out.add_uint32(key, value) if isinstance(value, int) else out.add_string(key, value)
    for name, shape in shapes(choice):
        out.add_tensor(name, rng.standard_normal(shape).astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    rng = np.random.default_rng(16)
    for name, choice in SEEDS.items():
        write(Path(sys.argv[1]) / name, choice, rng)


if __name__ == "__main__":
    main()
