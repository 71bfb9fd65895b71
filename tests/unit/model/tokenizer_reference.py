#!/usr/bin/env python3
"""Token ids of random texts, beside those that Hugging Face's own library gives.

    pip install tokenizers
    tokenizer_reference.py build/twobit FOLDER [--seed N] [--count N]

FOLDER has a tokenizer.json. The texts mix scripts, emoji, marks, white space and the folder's special tokens.
"""
import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
POOLS = [LETTERS, "ABCÄÖÜß", "0123456789", "  \t\n\r\u00a0\u3000", "'\"!?.,;:-_/\\()[]{}<>|@#$%^&*+=~`", "äöüéèñçøåæœ",
         "日本語中文漢字한국어", "абвгд ЖЗИ", "عربي", "हिन्दी", "🙂👍🏽👨‍👩‍👧", "e\u0301a\u0308", "\u200b\u200d\ufeff\u2028",
         "ǅⅣ½²", "𝔘𝔫𝔦"]
SIZE = 20000


def random_word(r):
    if r.random() < 0.4:
        return "".join(r.choice(r.choice(POOLS)) for _ in range(r.randint(1, 6)))
    return "".join(r.choice(r.choice(POOLS) if r.random() < 0.2 else LETTERS) for _ in range(r.randint(1, 9)))


def random_text(r, special):
    text = ""
    while len(text) < SIZE:
        kind = r.random()
        if kind < 0.04:
            text += r.choice(special)
        elif kind < 0.3:
            text += " " * r.choice([1, 1, 1, 2, 3, 7])
        else:
            text += random_word(r)
    return text


def ids_of_twobit(program, folder, text):
    command = [program, "tokenize", folder, "--text", "-", "--special", "--no-bos", "--json"]
    return json.loads(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)["ids"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(Path(args.folder) / "tokenizer.json"))
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()] + ["'s", "'LL", "I'M"]
    different = 0
    for i in range(args.count):
        text = random_text(random.Random(f"{args.seed} {i}"), special)
        ours, theirs = ids_of_twobit(args.program, args.folder, text), tokenizer.encode(text, add_special_tokens=False).ids
        if ours != theirs:
            different += 1
            at = next((k for k, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            print(f"text {i} differs at token {at}: {ours[at:at + 8]} instead of {theirs[at:at + 8]}")
    print(f"{args.count} texts, {different} differ")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
