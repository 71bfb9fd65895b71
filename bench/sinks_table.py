#!/usr/bin/env python3
"""Prints the tables of docs/attention-sinks.md from the objects of bench/sinks, as Markdown.

usage: sinks_table.py RESULTS"""
import json
import pathlib
import sys


def load(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def percent(value):
    return f"{100 * value:.1f} %"


def number(value):
    if value is None:
        return "∞"
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}" if size < 100 else f"{value:.0f}"


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def describe_channel(massive):
    channels = massive["channels"]
    if not channels:
        return "none"
    c = channels[0]
    return f"{c['channel']}: {number(c['value'])}" + ("" if c["first_token"] else " (not at the first token)")


def describe_weights(weights):
    shown = [f"({w['block']}, {w['row']}, {w['column']})" for w in weights["weights"][:3]]
    return ", ".join(shown) + (" …" if len(weights["weights"]) > 3 else "") if shown else "none"


def describe_others(positions, tokens=3):
    found = [t for t in positions["tokens"] if t["sinks"]][:tokens]
    return ", ".join(f"{t['token']} ({t['sinks']} of {t['seen']})" for t in found) or "none"


def geometry_of(folder):
    """(what, value) of the rows on directions, for one model."""
    value, measured = load(folder, "value")["value"], load(folder, "geometry")
    geometry = measured["geometry"]
    sinks = [h for block in value["heads"] for h in block if h["role"] != "reads"]
    keys = [k for block in geometry["key_cos"] for k in block]
    middle, last = geometry["stages"][len(geometry["stages"]) // 2], geometry["stages"][-1]
    if sinks:
        still, cos, slow = (median([h[k] for h in sinks]) for k in ("still_cos", "query_cos", "slow_cos"))
        yield "I3: cos(q, k_0) before RoPE, behind it, of that slow pairs; heads with a sink", f"{still:.2f}, {cos:.2f}, {slow:.2f}"
    yield "I8: sequences", str(measured["sequences"])
    yield "cos of a key with their mean: first token, others", (
        f"{median([k['first'] for k in keys]):.2f}, {median([k['rest'] for k in keys]):.2f}")
    yield "rank correlation of −cos and weight: median, least, most", (
        f"{median([k['spearman'] for k in keys]):.2f}, {min(k['spearman'] for k in keys):.2f}, {max(k['spearman'] for k in keys):.2f}")
    yield "largest direction of the stream at half depth; without the first token", (
        f"{percent(middle['top_share'])}; {percent(middle['rest_top_share'])}")
    yield "stable rank of what attention adds: median, least", (
        f"{median([u['stable_rank'] for u in geometry['attention_updates']]):.2f}, "
        f"{min(u['stable_rank'] for u in geometry['attention_updates']):.2f}")
    yield "an earlier token moved: others at the end, times; position 0 hidden", (
        f"{last['response']:.4f}; {last['response_hidden']:.4f}")


def rows_of(folder):
    """(what, value) of each row, for one model."""
    measured, massive = load(folder, "map"), load(folder, "massive")["massive"]
    figures, heads = measured["map"], load(folder, "heads")["heads"]
    entropy, positions = load(folder, "entropy")["entropy"], load(folder, "positions")["positions"]
    stream = [b["sites"]["stream"] for b in entropy["blocks"]]
    sinks = [h for h in heads if h["alpha_0"] > measured["epsilon"]]
    roles = [h["role"] for h in heads]
    yield "sequences × T, BOS", f"{measured['sequences']} × {measured['ctx']}, {'yes' if measured['bos'] else 'no'}"
    yield "I1: Sink_0", percent(figures["sink_0"])
    yield "Sink_0, random tokens", percent(load(folder, "map-random")["map"]["sink_0"])
    yield "Sink_0, one token repeated", percent(load(folder, "map-repeat")["map"]["sink_0"])
    yield "Sink_*", percent(figures["sink_any"])
    yield "mean α_0 (uniform 0.0741)", f"{figures['alpha_0']:.3f}"
    yield "first-token share", percent(figures["first_share"])
    yield "first token has the most", percent(figures["argmax_first"])
    yield "I2: rule", massive["rule"]
    yield "largest activation", number(massive["largest"])
    yield "its channel", describe_channel(massive)
    yield "emergence, stable, halved (stages)", (f"{massive['emergence']}, {massive['stable_first']}–{massive['stable_last']}, "
                                                 f"{massive['dissipation'] or 'never'}")
    yield "I3: median ‖v_0‖ ratio of heads with a sink", f"{median([h['value_ratio'] for h in sinks]):.3f}" if sinks else "-"
    yield "no-op, mixed, broadcast, reading heads", ", ".join(
        str(roles.count(r)) for r in ("no-op", "mixed", "broadcast", "reads"))
    yield "dormant heads", str(sum(h["dormant"] for h in heads))
    yield "I4: entropy of its largest", percent(entropy["entropy_share"])
    yield "kurt_tok of the stream, most: first token, others", (
        f"{number(max(s['kurt_tok_first'] for s in stream))}, {number(max(s['kurt_tok_rest'] for s in stream))}")
    yield "kurt_tensor, kurt_rms of the stream, most", (
        f"{number(max(s['kurt_tensor'] for s in stream))}, {number(max(s['kurt_rms'] for s in stream))}")
    yield "outlier channels by 6, by 6 σ", f"{len(entropy['outliers_6'])}, {len(entropy['outliers_6_sigma'])}"
    yield "I5: super weights (block, row, column)", describe_weights(load(folder, "super"))
    yield "I7: class", positions["class"]
    yield "other sinks: token id (times of seen)", describe_others(positions)
    yield from geometry_of(folder)


def ablation_of(folder):
    """(what, value) of each experiment, for one model."""
    for row in load(folder, "ablate")["ablate"]["rows"]:
        what = f"{row['id']} {row['name']}".strip()
        if not row["ran"]:
            yield what, "-"
        elif row["identical"] and row["id"]:
            yield what, "same bits"
        else:
            sink = f", Sink_0 {percent(row['sink_0'])}" if "sink_0" in row else ""
            if row["id"] == "move":
                sink += f", α of T/4 {row['alpha_moved']:.2f}"
            ppl = f"perplexity {number(row['perplexity'])}" if not row["id"] else f"× {number(row['ratio'])}"
            yield what, f"{ppl}, max {number(row['largest'])}{sink}"


def print_table(folders, rows):
    columns = [dict(rows(f)) for f in folders]
    print("| | " + " | ".join(f.name for f in folders) + " |")
    print("|---" * (len(folders) + 1) + "|")
    for what in columns[0]:
        print(f"| {what} | " + " | ".join(c[what] for c in columns) + " |")


def main():
    results = pathlib.Path(sys.argv[1])
    folders = sorted((f for f in results.iterdir() if (f / "ablate.json").exists()), key=lambda f: f.name.lower())
    if folders:
        print_table(folders, rows_of)
        print()
        print_table(folders, ablation_of)


main()
