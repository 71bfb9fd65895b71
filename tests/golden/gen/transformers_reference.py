#!/usr/bin/env python3
"""Hugging Face's own transformers on the tiny models of forward_reference.py.

    pip install torch transformers     # made with torch 2.6.0 and transformers 5.24.0
    transformers_reference.py tests/golden/models

It says how far its logits, in double precision, are from those that NumPy gave. For every variant below it writes
variants/NAME.json as transformers writes a config.json; where the variant computes something else than its
family's folder does, also variants/NAME.logits.npy and variants/NAME.older.json, with the keys of older versions. The
weights of a variant are those of the folder FAMILY, which is NAME up to the first dash.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, Gemma3Config, Mistral3Config

FAMILIES = ["llama", "llama3", "mistral", "smollm3", "qwen2", "qwen3", "gemma3", "gemma2", "phi3", "mistral3"]

SHORT = [1.0, 1.25, 1.5, 1.5, 1.75, 2.0]
LONG = [1.0, 1.5, 2.5, 4.0, 8.0, 12.0]

# None: the family's own settings.
VARIANTS = {name: None for name in FAMILIES} | {
    "llama-linear": dict(rope_scaling=dict(rope_type="linear", factor=4.0)),
    "llama-dynamic": dict(rope_scaling=dict(rope_type="dynamic", factor=4.0), max_position_embeddings=24),
    "llama-yarn": dict(rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=20)),
    "llama-yarn_all": dict(rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=400,
                                             beta_fast=16, beta_slow=2, mscale=0.7, mscale_all_dim=0.3,
                                             truncate=False)),
    "llama-yarn_factor": dict(rope_scaling=dict(rope_type="yarn", factor=4.0, attention_factor=1.25,
                                                original_max_position_embeddings=100)),
    "llama-longrope": dict(rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=16,
                                             short_factor=SHORT, long_factor=LONG)),
    "llama-longrope_short": dict(rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=48,
                                                   short_factor=SHORT, long_factor=LONG, attention_factor=1.1)),
    "mistral-unwindowed": dict(sliding_window=None),
    "smollm3-window": dict(use_sliding_window=True, sliding_window=6),
    "qwen2-window": dict(use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3-window": dict(use_sliding_window=True, sliding_window=5, max_window_layers=0),
    "gemma3-pattern": dict(sliding_window_pattern=3, query_pre_attn_scalar=16),
    "gemma3-seeing": None,  # the settings of a text model inside those of one that sees
    "mistral3-seeing": None,
    "mistral-seeing": None,
    "gemma2-uncapped": dict(attn_logit_softcapping=None, final_logit_softcapping=None),
    "phi3-short": dict(original_max_position_embeddings=48),
    "phi3-plain": dict(sliding_window=7, rope_scaling={}),
}


def older_config(folder, changes):
    settings = json.loads((folder / "config.json").read_text()) | dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    return settings | changes


def make_config(settings):
    settings = dict(settings)
    rope = settings.pop("rope_scaling", {})
    config = AutoConfig.for_model(**settings)
    config.rope_parameters.get("full_attention", config.rope_parameters).update(rope)
    return config


def load(folder, config):
    return AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float64,
                                                attn_implementation="eager").eval()


def logits(model, ids):
    with torch.no_grad():
        return model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()


def distance(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def main():
    root = Path(sys.argv[1])
    variants = root / "variants"
    variants.mkdir(exist_ok=True)
    ids = np.load(root / "ids.npy")
    for name, changes in VARIANTS.items():
        family = name.split("-")[0]
        settings = older_config(root / family, changes or {})
        config = make_config(settings)
        result = logits(load(root / family, config), ids)
        apart = distance(result, np.load(root / f"{family}.logits.npy"))
        print(f"{name}: {apart:.2g} from NumPy's logits of {family}")
        if changes is None:
            assert apart < 1e-5
        else:
            assert apart > 1e-3
            np.save(variants / f"{name}.logits.npy", result.astype(np.float32))
            (variants / f"{name}.older.json").write_text(json.dumps(settings, indent=1) + "\n")
        if name.endswith("-seeing"):
            seeing = Gemma3Config if family == "gemma3" else Mistral3Config
            config = seeing(text_config=config, bos_token_id=1, eos_token_id=2)
        (variants / f"{name}.json").write_text(config.to_json_string())


if __name__ == "__main__":
    main()
