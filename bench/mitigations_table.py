#!/usr/bin/env python3
"""Prints the table of bench/mitigations as Markdown: means over seeds, and their standard deviation where there are several.

usage: mitigations_table.py RESULTS"""
import json
import pathlib
import statistics
import sys

# Below this share of heads with a sink, the reference has none that could be taken away.
LEAST_SINK = 0.05


def load(run, name):
    return json.loads((run / f"{name}.json").read_text())


def held_out(run):
    """The loss on what training held out: "held out    1.2345 nats per token, …"."""
    for line in (run / "train.txt").read_text().splitlines():
        if line.startswith("held out"):
            return float(line.split()[2])
    return None


def largest_over_median(massive):
    return max(stage["top"][0] / stage["median"] for stage in massive["stages"] if stage["median"])


def measure(run):
    """A row of one run; None where a measurement was refused."""
    plain, sinks, massive = load(run, "float")["nll"], load(run, "map"), load(run, "massive")
    row = {"loss": held_out(run)}
    for key, title in (("sink_0", "Sink_0"), ("alpha_0", "α_0"), ("entropy_share", "entropy share")):
        row[title] = sinks and sinks["map"][key]
    row["max |h|"] = massive and massive["massive"]["largest"]
    row["max/median"] = massive and largest_over_median(massive["massive"])
    for name, title in (("w4", "Δ W4"), ("w3", "Δ W3"), ("w2", "Δ W2"), ("kv2", "Δ KV2"), ("kv2-sinks", "Δ KV2, 4 kept")):
        measured = load(run, name)
        row[title] = measured and measured["nll"] - plain
    return row


def show(values):
    if None in values:
        return "–"
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.3g}"
    return f"{mean:.3g} ± {statistics.stdev(values):.1g}"


def main(results):
    rows = {}
    for run in sorted(results.iterdir()):
        if (run / "kv2-sinks.json").exists():
            name, seed = run.name.rsplit("-", 1)
            rows.setdefault(name, {})[seed] = measure(run)
    if not rows:
        sys.exit("mitigations_table: nothing has been measured")
    columns = list(next(iter(next(iter(rows.values())).values())))
    print(f"| row | seeds | {' | '.join(columns)} |")
    print("| --- | " + "---: | " * (len(columns) + 1))
    for name, seeds in rows.items():
        cells = [show([run[column] for run in seeds.values()]) for column in columns]
        print(f"| {name} | {len(seeds)} | {' | '.join(cells)} |")
    reference = rows.get("softmax")
    if reference:
        sink = statistics.mean(run["Sink_0"] for run in reference.values())
        if sink < LEAST_SINK:
            print(f"\nSoftmax itself has Sink_0 = {100 * sink:.1f} %: too small or too short to study.")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
