#!/usr/bin/env python3
"""Compares twobit's templates with jinja2, byte for byte, errors included.

usage: render_reference.py RENDER_CASES models|snippets|random|characters [options]

  models      real templates of TWOBIT_SHARED (or ../shared beside the source) with many conversations
  snippets    the stored snippets: that what is stored is what jinja2 gives (--update stores it)
  random      templates made at random (--seed, --count)
  characters  what methods and filters make of every character

RENDER_CASES is the program of render_cases.c. Exits with 77 when jinja2 or the shared folder is absent.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import unicodedata
import warnings

SKIP = 77
ROOT = pathlib.Path(__file__).resolve().parents[3]
SNIPPETS = ROOT / "tests" / "golden" / "templates" / "snippets.jsonl"


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIP)


try:
    import reference
except ImportError as absent:
    skip(f"Python cannot import jinja2 ({absent}): templates are not compared with it")
import conversations


class Subject:
    """twobit: renders lists of (template, context)."""

    def __init__(self, program):
        self.program = program

    def render(self, cases):
        requests = "".join(json.dumps({"template": template, "context": json.dumps(context), "now": reference.NOW}) + "\n"
                           for template, context in cases)
        done = subprocess.run([self.program], input=requests.encode(), stdout=subprocess.PIPE, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(cases):
            print(f"FAILED: the program ended after {len(answers)} of {len(cases)} cases: {cases[len(answers)]!r}")
            sys.exit(1)
        return answers


UNSUPPORTED, LIMIT = 4, 6  # TB_EUNSUPPORTED, TB_ELIMIT: twobit may refuse what Python does, and says so


def difference(answer, text, error):
    """What is wrong with twobit's answer, or None."""
    if text is None:
        return None if "error" in answer else f"Python raises {error!r}, twobit gives {answer['text']!r}"
    if "error" in answer:
        return f"Python gives {text!r}, twobit fails: {answer['error']}"
    if answer["text"] != text:
        return f"Python gives {text!r}\n     twobit gives {answer['text']!r}"
    return None


# Characters that contexts have and templates do not, and that no operation makes into others.
TELLTALES = "日本🙂"


def leaks(template, answer):
    """Whether a character of the conversation counts as the template's."""
    data = answer.get("text", "").encode()
    own = answer.get("own", [])
    places = [(at.start(), at.end()) for c in TELLTALES if c not in template for at in re.finditer(c.encode(), data)]
    return any(begin < end_of and start < end for start, end_of in places for begin, end in zip(own[::2], own[1::2]))


def compare(subject, cases, may_refuse=False):
    """Prints the differences of (name, template, context); returns how many differ, are refused, fail in Python."""
    wrong = refused = raised = 0
    answers = subject.render([(template, context) for _, template, context in cases])
    for (name, template, context), answer in zip(cases, answers):
        text, error = reference.render(template, context)
        if may_refuse and text is not None and answer.get("code") in (UNSUPPORTED, LIMIT):
            refused += 1
            continue
        raised += text is None
        what = difference(answer, text, error)
        if not what and leaks(template, answer):
            what = f"text of the conversation counts as the template's: {answer['text']!r}, {answer['own']}"
        if what:
            wrong += 1
            if wrong <= 20:
                print(f"DIFFERENT: {name!r}\n     {what}")
    return wrong, refused, raised


# ---- real templates ----


def find_shared():
    shared = pathlib.Path(os.environ.get("TWOBIT_SHARED") or ROOT.parent / "shared")
    if not (shared / "data" / "templates").is_dir():
        skip(f"no templates in {shared / 'data'}: real templates are not compared")
    return shared / "data"


def model_templates(data):
    for path in sorted((data / "templates").glob("*.jinja")):
        yield path.name, path.read_bytes().decode()
    for path in sorted((data / "tokenizers").glob("*/tokenizer_config.json")):
        template = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        if template:
            yield path.parent.name, template


def compare_models(subject, _):
    templates = list(model_templates(find_shared()))
    contexts = list(conversations.contexts())
    wrong = raised = 0
    for name, template in templates:
        counts = compare(subject, [(f"{name}: {what}", template, context) for what, context in contexts])
        wrong += counts[0]
        raised += counts[2]
    print(f"{len(templates)} templates of models, {len(contexts)} conversations each: {wrong} differ "
          f"({raised} of {len(templates) * len(contexts)} fail, in Python too)")
    return wrong


# ---- snippets ----


def read_snippets():
    """Lines of the file: comments as text, snippets as [template, output or error] or with a context behind."""
    for line in SNIPPETS.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        yield json.loads(line) if line.startswith("[") else line


def stored_context():
    return json.loads((SNIPPETS.parent / "context.json").read_text(encoding="utf-8"))


def compare_snippets(subject, options):
    """Errors are stored as null: that Python raises and twobit fails. What twobit alone refuses has {"refused": why}."""
    lines, default, wrong = [], stored_context(), 0
    for line in read_snippets():
        if isinstance(line, list):
            template, stored = line[:2]
            text, _ = reference.render(template, line[2] if len(line) > 2 else default)
            if options.update and not isinstance(stored, dict):
                line[1] = text
            elif not isinstance(stored, dict) and stored != text:
                wrong += 1
                print(f"DIFFERENT: {template!r}\n     stored {stored!r}\n     Python gives {text!r}")
            line = json.dumps(line, ensure_ascii=False)
        lines.append(line)
    if options.update:
        SNIPPETS.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    print(f"{sum(line.startswith('[') for line in lines)} snippets: {wrong} differ from jinja2")
    return wrong


# ---- random templates ----


def compare_random(subject, options):
    import random_templates
    source = random_templates.Source(options.seed)
    cases = [(template, template, context) for template, context in (source.case() for _ in range(options.count))]
    wrong, refused, raised = compare(subject, cases, may_refuse=True)
    print(f"seed {options.seed}: {options.count} random templates: {wrong} differ ({raised} fail in Python, too, "
          f"{refused} are refused)")
    return wrong


# ---- characters ----

ABOUT = ("{% for c in s %}{{ [c, c.upper(), c.lower(), c.title(), c.capitalize(), c.isalpha(), c.isalnum(), "
         "c.isdigit(), c.isspace(), c.islower(), c.isupper(), "
         "('a' ~ c)|trim|length, ('x' ~ c ~ 'Σ').lower(), ('Σ' ~ c ~ 'x').lower(), ('xΣ' ~ c ~ 'x').lower(), "
         "('a' ~ c ~ 'b').splitlines()|length, ('a' ~ c ~ 'b')|title] }}{% endfor %}")


def compare_characters(subject, _):
    """What str methods make of every character that Python's Unicode knows."""
    known = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs")]
    chunks = ["".join(known[i:i + 4096]) for i in range(0, len(known), 4096)]
    wrong, _, _ = compare(subject, [(f"from U+{ord(chunk[0]):04X}", ABOUT, {"s": chunk}) for chunk in chunks])
    print(f"{len(known)} characters of Unicode {unicodedata.unidata_version} in {len(chunks)} parts: {wrong} parts differ")
    return wrong


def main():
    os.environ["TZ"] = "UTC"
    warnings.simplefilter("ignore")  # Python's compiler has its doubts about some templates
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("what", choices=["models", "snippets", "random", "characters"])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    action = {"models": compare_models, "snippets": compare_snippets, "random": compare_random,
              "characters": compare_characters}[options.what]
    return 1 if action(Subject(options.program), options) else 0


if __name__ == "__main__":
    sys.exit(main())
