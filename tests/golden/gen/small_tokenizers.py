#!/usr/bin/env python3
"""Golden tokenizers: small vocabularies in the formats of Hugging Face and SentencePiece, trained
on the project's own calibration text, and what the libraries of these formats make of texts.

Writes NAME.json or NAME.model, and NAME.txt: one line per text, "TEXT in hex<tab>ids".

    pip install tokenizers sentencepiece
    python3 tests/golden/gen/small_tokenizers.py tests/golden/tokenizers
"""
import json
import random
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = 150
ROOT = Path(__file__).parents[3]
GPT4O_WORDS = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s"
               r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
PATTERNS = {
    "llama3": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "gpt4o": [GPT4O_WORDS % ("*", "+") + "|" + GPT4O_WORDS % ("+", "*") +
              r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"],
}


def corpus():
    text = (ROOT / "share/text/calibration.txt").read_text(encoding="utf-8")[:60000]
    return text.splitlines() + ["Été naïve café déjà vu", "It's we've I'LL don't", "    return x->y[i];", "a  b   c", "12 345 6789"] * 5


def random_texts(seed, specials):
    """Words of the corpus, oddities of white space, digits, marks and scripts, special tokens."""
    rng = random.Random(seed)
    words = " ".join(corpus()).split(" ")
    odd = ["'", "s", "S", "ve", "RE", " ", "  ", "   ", "\n", "\r\n", "\t", "12", "345678", "Ab", "CD", "é", "e\u0301",
           "q\u0323\u0307", "q\u0307\u0323", "!?", "/", "...", "\u017f", "中文", "日本", "한국", "\u1100\u1161", "😀",
           "\u00a0", "\u3000", "\u2028", "नमस्ते", "ﬁ", "x\u0300\u0316" * 9]
    texts = ["", " ", "  a", "a\n\nb"]
    while len(texts) < TEXTS:
        pool = rng.choice([words, odd, odd + words[:50], specials * 3 + odd])
        joint = " " if pool is words else ""
        texts.append(joint.join(rng.choice(pool) for _ in range(rng.randrange(1, 14))))
    return texts


def write(folder, name, texts, encode):
    lines = (f"{text.encode().hex()}\t{' '.join(map(str, encode(text)))}\n" for text in texts)
    (folder / f"{name}.txt").write_text("".join(lines))


def finish(folder, name, tokenizer, seed):
    specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    (folder / f"{name}.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")),
                                         encoding="utf-8")
    write(folder, name, random_texts(seed, specials), lambda text: tokenizer.encode(text).ids)


def byte_level(folder, name, before_bytes, normalizer=None, ignore_merges=False):
    """Byte-level BPE with added tokens of every kind."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(before_bytes)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|start|>"], show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True), AddedToken("<mask>", lstrip=True)])
    tokenizer.add_tokens([AddedToken("whole", single_word=True, normalized=False), AddedToken("e\u0301x", normalized=True),
                          AddedToken("\n\n\n", normalized=False)])
    if ignore_merges:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|start|> $A", special_tokens=[("<|start|>", tokenizer.token_to_id("<|start|>"))])
    finish(folder, name, tokenizer, name)


def characters(folder, name, model, trainer_of, normalizer, metaspace):
    """Models over characters, as files converted from SentencePiece have them."""
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = metaspace or pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(corpus(), trainer_of(["<unk>", "<s>", "</s>"] + byte_tokens))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] not in byte_tokens]
    data["model"]["byte_fallback"] = True
    if not metaspace:
        data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    finish(folder, name, tokenizer, name)


def sentence_piece(folder, name, **options):
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch, "text")
        text.write_text("\n".join(corpus()), encoding="utf-8")
        rules = Path(scratch, "rules")  # NBSP and U+3000 to a space, ﬁ to fi, é of two characters to one
        rules.write_text("A0\t20\n3000\t20\nFB01\t66 69\n65 301\tE9\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / name), vocab_size=700, character_coverage=1.0, minloglevel=2,
            normalization_rule_tsv=str(rules), self_test_sample_size=0, num_threads=1, **options)
    (folder / f"{name}.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))
    write(folder, name, random_texts(name, ["<x>"]), processor.encode)


def main(folder):
    folder.mkdir(exist_ok=True)
    split = pre_tokenizers.Split
    level = pre_tokenizers.ByteLevel
    plain = level(add_prefix_space=False, use_regex=False)
    llama3, gpt4o = ([split(Regex(PATTERNS[name][0]), "isolated"), plain] for name in ("llama3", "gpt4o"))
    byte_level(folder, "bytes-llama3", llama3, ignore_merges=True)
    byte_level(folder, "bytes-gpt4o-nfc", gpt4o, normalizers.NFC())
    byte_level(folder, "bytes-digits", [pre_tokenizers.Digits(True), level(add_prefix_space=False)])
    byte_level(folder, "bytes-coder", [split(Regex(p), "isolated") for p in PATTERNS["coder"]] +
               [pre_tokenizers.Digits(True), plain])
    byte_level(folder, "bytes-regex", [split(Regex(r"[a-z]+\d"), "isolated"), split("ab", "isolated"),
                                       pre_tokenizers.Punctuation(), split(Regex(r"\p{Lu}"), "contiguous"),
                                       level(add_prefix_space=False)])
    byte_level(folder, "bytes-prefix", [level(add_prefix_space=True)])
    characters(folder, "spaces-bpe", models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True),
               lambda special: trainers.BpeTrainer(vocab_size=700, special_tokens=special, limit_alphabet=70, show_progress=False),
               normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None)
    characters(folder, "spaces-unigram", models.Unigram(),
               lambda special: trainers.UnigramTrainer(vocab_size=700, unk_token="<unk>", special_tokens=special, show_progress=False),
               normalizers.NFC(), pre_tokenizers.Metaspace(prepend_scheme="first"))
    sentence_piece(folder, "piece-bpe", model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False,
                   user_defined_symbols=["\n\n", "<x>"])
    sentence_piece(folder, "piece-unigram", model_type="unigram")


main(Path(sys.argv[1]))
