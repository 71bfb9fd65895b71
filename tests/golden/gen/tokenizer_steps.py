#!/usr/bin/env python3
"""Random small tokenizers: steps, models and added tokens put together in every way, and what Hugging Face's library
makes of texts with them.

    pip install tokenizers
    tokenizer_steps.py golden FOLDER             writes FOLDER/steps.jsonl, one tokenizer a line with texts and ids
    tokenizer_steps.py compare build/twobit      the same for many more, against the program
                       [--seed N] [--count N]

A line has "tokenizer" (a whole tokenizer.json), "texts" and "ids". Compared are ids without what a post_processor adds; what
twobit refuses by name is counted and shown.
"""
import argparse
import base64
import collections
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, trainers

GOLDEN_CASES = 60
TEXTS = 8
WORDS = ["hello", "world", "Hello", "we've", "I'LL", "don't", "été", "e\u0301te\u0301", "naïve", "123", "4567", "½", "x²", "中文",
         "日本語", "한국", "\u1100\u1161", "ﬁne", "Ⅳ", "İx", "ǅ", "a_b", "foo-bar", "(x)", "end.", "...", "!?", "$5", "a\u0300\u0316", "😀",
         "नमस्ते", "ß", "ＡＢ", "q\u0323\u0307", "don\u2019t", "x\u200dy", "\ufeffz", "\u0085", "tok", "en", "ab", "abc"]
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", ""]
MARK = "▁"


def text_of(r, extra=()):
    parts = []
    for _ in range(r.randrange(1, 9)):
        parts.append(r.choice(list(extra) * 2 + WORDS) if r.random() < 0.6 or not extra else r.choice(extra))
        parts.append(r.choice(SPACES))
    return ("" if r.random() < 0.7 else r.choice([" ", "  ", "\n"])) + "".join(parts)[: r.randrange(1, 60)]


# ---- steps ----

def charsmap():
    """A SentencePiece table, made by hand: its double array has one rule, "ﬁ" becomes "fi"."""
    units = [0] * 512

    def put(at, value):
        units[at] = value
    key, base = "ﬁ".encode(), 256
    node = 0
    put(node, base << 10)
    at = node ^ base
    for i, byte in enumerate(key):
        at ^= byte
        last = i + 1 == len(key)
        child = base if not last else 1
        put(at, (child << 10) | byte | (0x100 if last else 0))
        at ^= child
    put(at, 1 << 31 | 0)
    trie = b"".join(unit.to_bytes(4, "little") for unit in units)
    return base64.b64encode(len(trie).to_bytes(4, "little") + trie + b"fi\0").decode()


def normalizer(r):
    kinds = [
        lambda: {"type": r.choice(["NFC", "NFD", "NFKC", "NFKD"])},
        lambda: {"type": "Lowercase"},
        lambda: {"type": "StripAccents"},
        lambda: {"type": "Nmt"},
        lambda: {"type": "Strip", "strip_left": r.random() < 0.5, "strip_right": r.random() < 0.5},
        lambda: {"type": "Prepend", "prepend": r.choice([MARK, MARK, "x", " "])},
        lambda: {"type": "Replace", "pattern": {"String": " "}, "content": MARK},
        lambda: {"type": "Replace", "pattern": r.choice([{"Regex": " {2,}"}, {"String": "ab"}, {"Regex": "[0-9]+"}, {"String": "."}]),
                 "content": r.choice([" ", MARK, "", "xy"])},
        lambda: {"type": "BertNormalizer", "clean_text": r.random() < 0.7, "handle_chinese_chars": r.random() < 0.7,
                 "strip_accents": r.choice([None, True, False]), "lowercase": r.random() < 0.5},
        lambda: {"type": "Precompiled", "precompiled_charsmap": charsmap()},
    ]
    return r.choice(kinds)()


def sequence(r, one, kind, members, most, none):
    n = 0 if r.random() < none else r.randrange(1, most + 1)
    if n == 0:
        return None
    if n == 1 and r.random() < 0.7:
        return one(r)
    return {"type": kind, members: [one(r) for _ in range(n)]}


REGEXES = [r"\p{N}{1,3}", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"\s+", r"(?=[A-Z])", r"\p{Lu}", "a|ab", "b?", r"\s+$", "^.", r"'s|'t|'re|'ve", r"\w+", r"\W"]


def splitter(r):
    behavior = r.choice(["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"])
    kinds = [
        lambda: {"type": "Digits", "individual_digits": r.random() < 0.5},
        lambda: {"type": "Punctuation", "behavior": behavior},
        lambda: {"type": "Whitespace"},
        lambda: {"type": "WhitespaceSplit"},
        lambda: {"type": "BertPreTokenizer"},
        lambda: {"type": "CharDelimiterSplit", "delimiter": r.choice(["-", "a", "é"])},
        lambda: {"type": "FixedLength", "length": r.randrange(1, 6)},
        lambda: {"type": "Split", "pattern": {"Regex": r.choice(REGEXES)}, "behavior": behavior, "invert": r.random() < 0.3},
        lambda: {"type": "Split", "pattern": {"String": r.choice([" ", "ab", ".", "é"])}, "behavior": behavior, "invert": r.random() < 0.3},
    ]
    return r.choice(kinds)()


def byte_level(r):
    return {"type": "ByteLevel", "add_prefix_space": r.random() < 0.4, "trim_offsets": True, "use_regex": r.random() < 0.6}


def metaspace(r):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": r.choice(["always", "first", "never"]),
            "split": r.random() < 0.6}


def steps(r, central):
    before = [splitter(r) for _ in range(r.choice([0, 0, 1, 1, 2]))]
    behind = [splitter(r) for _ in range(r.choice([0, 0, 1, 1, 2]))]
    all_steps = before + [central] * (central is not None) + behind
    if not all_steps:
        return None
    return all_steps[0] if len(all_steps) == 1 else {"type": "Sequence", "pretokenizers": all_steps}


# ---- whole tokenizers ----

def added_tokens(r, first_id):
    contents = ["<s>", "</s>", "<i>", "tok", "ab", "é", "e\u0301", "\n\n", "  ", "Hello", "▁x", "<|END|>", "中", "12"]
    tokens = []
    for content in r.sample(contents, r.randrange(1, 6)):
        tokens.append({"id": first_id + len(tokens), "content": content, "single_word": r.random() < 0.2, "lstrip": r.random() < 0.25,
                       "rstrip": r.random() < 0.25, "normalized": r.random() < 0.5, "special": r.random() < 0.5})
    return tokens


def train(r, data, byte_fallback):
    """A BPE model of a few dozen tokens over what the steps give."""
    base = Tokenizer.from_str(json.dumps(data))
    corpus = [text_of(r) for _ in range(60)]
    trainer = trainers.BpeTrainer(vocab_size=r.randrange(40, 110), special_tokens=["<unk>"], show_progress=False,
                                  limit_alphabet=r.randrange(25, 70))
    base.train_from_iterator(corpus, trainer)
    model = json.loads(base.to_str())["model"]
    if byte_fallback:
        present = range(256) if r.random() < 0.6 else r.sample(range(256), 200)
        for byte in present:
            model["vocab"][f"<0x{byte:02X}>"] = len(model["vocab"])
    return model


def unigram(r, byte_fallback):
    tokens = {MARK}
    for _ in range(60):
        text = MARK + text_of(r).replace(" ", MARK)
        at = r.randrange(len(text))
        tokens.add(text[at: at + r.randrange(1, 4)])
    # Of two ways with equal sums rounding decides: no "▁▁" beside "▁".
    tokens = {token for token in tokens if len(token) == 1 or len(set(token)) > 1}
    vocab = [["<unk>", 0.0]] + [[token, -r.uniform(1, 12)] for token in sorted(tokens)]
    if byte_fallback:
        present = range(256) if r.random() < 0.6 else r.sample(range(256), 200)
        vocab += [[f"<0x{byte:02X}>", 0.0] for byte in present]
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": byte_fallback}


def make(r):
    kind = r.choice(["bytes", "bytes", "characters", "characters", "unigram"])
    rewriting = sequence(r, normalizer, "Sequence", "normalizers", 3, 0.25)
    central = byte_level(r) if kind == "bytes" else metaspace(r) if r.random() < 0.6 else None
    if central is None and '"String": " "}' not in json.dumps(rewriting):  # no spaces: twobit could not print the text again
        rewriting = {"type": "Sequence", "normalizers": [n for n in [rewriting] if n] +
                     [{"type": "Prepend", "prepend": MARK}] * (r.random() < 0.6) +
                     [{"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}
    data = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": rewriting,
            "pre_tokenizer": steps(r, central), "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True} if kind == "bytes" else None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {}, "merges": []}}
    byte_fallback = kind != "bytes" and r.random() < 0.4
    if kind == "unigram":
        data["model"] = unigram(r, byte_fallback)
    else:
        data["model"] = train(r, data, byte_fallback)
        data["model"].update(unk_token="<unk>" if r.random() < 0.7 else None, byte_fallback=byte_fallback,
                             ignore_merges=r.random() < 0.2, fuse_unk=r.random() < 0.5)
        if r.random() < 0.2:
            del data["model"]["fuse_unk"]
    data["added_tokens"] = added_tokens(r, len(data["model"]["vocab"]))
    known = data["model"]["vocab"] if kind != "unigram" else {token: i for i, (token, _) in enumerate(data["model"]["vocab"])}
    for token in data["added_tokens"]:  # a token that the model has keeps its id there
        token["id"] = known.get(token["content"], token["id"])
    for at, token in enumerate(t for t in data["added_tokens"] if t["content"] not in known):
        token["id"] = len(known) + at
    return data


def case(seed):
    r = random.Random(seed)
    while True:
        data = make(r)
        try:
            tokenizer = Tokenizer.from_str(json.dumps(data))
        except Exception:  # a combination that the library refuses itself
            continue
        if any(token["normalized"] and tokenizer.normalizer and not tokenizer.normalizer.normalize_str(token["content"])
               for token in data["added_tokens"]):  # which would be found everywhere; twobit refuses it
            continue
        extra = [token["content"] for token in data["added_tokens"]] + ["<unk>"] * (r.random() < 0.2)
        texts, ids = [], []
        while len(texts) < TEXTS:
            text = text_of(r, extra)
            try:
                ids.append(tokenizer.encode(text, add_special_tokens=False).ids)
            except BaseException:  # the library gives up, or panics
                continue
            texts.append(text)
        return data, texts, ids


def write_golden(folder):
    with open(folder / "steps.jsonl", "w", encoding="utf-8") as file:
        for seed in range(GOLDEN_CASES):
            data, texts, ids = case(f"golden {seed}")
            file.write(json.dumps({"tokenizer": data, "texts": texts, "ids": ids}, ensure_ascii=False, separators=(",", ":")) + "\n")


def compare(program, seed, count):
    refused, different = collections.Counter(), 0
    for number in range(count):
        data, texts, ids = case(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
            for text, right in zip(texts, ids):
                run = subprocess.run([program, "tokenize", folder, "--text", "-", "--special", "--no-bos", "--json"],
                                     input=text.encode(), capture_output=True)
                if run.returncode != 0:
                    refused[run.stderr.decode().replace(folder, "FOLDER").strip()] += 1
                    break
                ours = json.loads(run.stdout)["ids"]
                if ours != right:
                    different += 1
                    shown = {key: data[key] for key in ("normalizer", "pre_tokenizer", "added_tokens")}
                    settings = {key: value for key, value in data["model"].items() if key not in ("vocab", "merges")}
                    print(f"{seed} {number}: {text!r}\n  {ours} instead of\n  {right}\n  {json.dumps(shown, ensure_ascii=False)}\n  {settings}")
                    break
    print(f"{count} tokenizers, {different} differ; refused:")
    for message, times in refused.most_common():
        print(f"  {times} {message}")
    return different > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["golden", "compare"])
    parser.add_argument("where", help="FOLDER, or the program")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    if args.what == "compare":
        return compare(args.where, args.seed, args.count)
    return write_golden(Path(args.where))


if __name__ == "__main__":
    sys.exit(main())
