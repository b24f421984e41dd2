"""The figures to reach, measured: prints each scenario beside its target, and keeps what was measured in a history.

    python tests/bench/figures.py                     # measure every scenario, 3 repeats of 10 s, and add it to the history
    python tests/bench/figures.py --part workers      # two workers, an idle service (idle), freshness (fresh), or memory
    python tests/bench/figures.py --part flat         # beside a slow sink for ten minutes (flat), or in foul weather (soak)
    python tests/bench/figures.py --history           # what was measured here before
    python tests/bench/figures.py -- --tls            # with further options of `forkstream bench`

It asserts nothing: a figure depends on the machine, so it is compared with those of the same machine alone. pytest does
not collect it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).with_name("history.jsonl")
COLUMNS = ("drain", "backup-plain", "backup", "search", "replay", "checkout", "all")
OPTIONS = ["--all", "--repeats", "3", "--duration", "10s", "--no-profile", "--json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", action="store_true", help="print the history and measure nothing")
    parser.add_argument("--note", default="", help="what this measurement is about")
    parser.add_argument("options", nargs="*", help="options of `forkstream bench`")
    parser.add_argument("--part", choices=PARTS, help="measure this instead of the table")
    asked = parser.parse_args()
    if asked.part:
        for line in PARTS[asked.part](asked.options):
            print(line)
        return
    if not asked.history:
        report = measured(asked.options)
        entry = entry_of(report, asked.note)
        with HISTORY.open("a") as history:
            history.write(json.dumps(entry) + "\n")
        print_targets(report)
    print_history()


def measured(options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "forkstream", "bench", *OPTIONS, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def one(options: list[str]) -> dict[str, Any]:
    """Measure one scenario once; gives its repeat."""
    command = [sys.executable, "-m", "forkstream", "bench", "--no-profile", "--json", "--repeats", "1", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)["measurements"][0]["repeats"][0]
    return found


def workers(options: list[str]) -> Iterator[str]:
    """CPU a message with two workers, beside one; taken in turns, since the machine's own load changes."""
    runs = [(one(["all", *options]), one(["all", "--workers", "2", *options])) for _ in range(3)]
    ratios = sorted(two["cpu_us"] / alone["cpu_us"] for alone, two in runs)
    yield f"CPU a message, two workers beside one: {ratios[1]:.2f} (of {ratios[0]:.2f} to {ratios[2]:.2f}), target ≤ 1.10"


def fresh(options: list[str]) -> Iterator[str]:
    """The age of documents at half of what the machine can index."""
    age = ["--set", "forks.search.batch.max_age=250ms"]
    most = one(["search", *options])["settled_per_s"]
    latency = one(["search", *age, "--rate", f"{most / 2:.0f}/s", "--duration", "20s", *options])["latency"]
    yield f"search with max_age 250ms at {most / 2:,.0f}/s, half of saturation: p99 {latency['p99']:.2f} s, target < 1 s"


def idle(options: list[str]) -> Iterator[str]:
    """Four forks with nothing to do: a message now and then, so that something can be seen to be settled."""
    found = one(["all", "--rate", "3/m", "--warm-up", "10s", "--duration", "60s", *options])
    asked = found["requests"].get("requests", 0.0) * found["settled"] / found["seconds"]
    receives = found["empty_receives"] / found["seconds"]
    yield f"idle with four forks: {found['cpu_share']:.2%} of a core, target ≤ 1 %"
    yield f"  {receives * 20:.1f} empty polls each 20 s, target ≤ 4; {asked * 60:.0f} requests a minute in all, 12 messages' own included"


def flat(options: list[str]) -> Iterator[str]:
    """Memory beside a sink that takes a tenth of what comes."""
    slow = ["--sink-latency", "4s", "--warm-up", "60s", "--duration", "10m"]
    found = one(["backup", *slow, *options])
    growth, rss = found["rss_growth"] * 60 / 2**20, found["largest_rss"] / 2**20
    yield f"backup into a slow sink: {rss:.0f} MiB at most, target ≤ 150; growing {growth:+.2f} MiB a minute, target 0"


def soak(options: list[str]) -> Iterator[str]:
    """The four forks in foul weather: slow answers, throttles, errors, lost connections, entries that fail one by one."""
    weather = ["--latency", "10ms", "--errors", "0.01", "--throttle", "0.01"]
    found = one(["all", "--rate", "500/s", "--warm-up", "3m", "--duration", "20m", *weather, *options])
    each, settled = found["settled"] / 4, found["settled"]
    written = {name: found["requests"].get(name, 0.0) * settled / each for name in ("documents", "items", "sent")}
    yield f"{settled:,} messages in {found['seconds'] / 60:.0f} minutes; {found['requests']['faults'] * settled:,.0f} faults"
    yield f"  written for each that is deleted: {', '.join(f'{name} {share:.3f}' for name, share in written.items())}; target ≥ 1"
    # what a lost answer brought stays hidden for as long as a receive hides it, two minutes at most, and comes again
    lost = found["repeated"] / found["seconds"] * 120
    yield f"  received again {found['repeated']:,}; hidden after the drain {found['left_behind']}, of lost answers ≤ {lost:.0f}"
    yield f"  waiting at the end {found['backlog']:,}; refused by the stub {found['refused']}, target 0"
    growth, rss = found["rss_growth"] * 60 / 2**20, found["largest_rss"] / 2**20
    yield f"  {rss:.0f} MiB at most, target ≤ 150; growing {growth:+.2f} MiB a minute, target 0"
    ages = found["latency"]
    yield f"  age: p50 {ages['p50']:.2f} s, p99 {ages['p99']:.2f} s, most {ages['most']:.1f} s"


PARTS = {"workers": workers, "fresh": fresh, "idle": idle, "flat": flat, "soak": soak}


def entry_of(report: dict[str, Any], note: str) -> dict[str, Any]:
    """What is worth keeping of a report: a line of the history."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    figures = {
        found["title"]: {
            "cpu_us": [round(one["cpu_us"], 1) for one in found["repeats"]],
            "settled_per_s": [round(one["settled_per_s"]) for one in found["repeats"]],
            "rss_mib": round(max(one["largest_rss"] for one in found["repeats"]) / 2**20),
            "waited": round(max(one["waited_share"] or 0.0 for one in found["repeats"]), 2),
        }
        for found in report["measurements"]
    }
    machine = report["machine"]
    return {
        "at": report["at"],
        "commit": commit.strip(),
        "note": note,
        "machine": f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}",
        "command": report["command"],
        "figures": figures,
    }


def print_targets(report: dict[str, Any]) -> None:
    print(f"{'scenario':14}{'CPU µs':>10}{'target':>10}{'msg/s/core':>12}{'target':>10}{'RSS MiB':>9}")
    for found in report["measurements"]:
        cpu = middle([one["cpu_us"] for one in found["repeats"]])
        target = found["target"]
        wanted = (f"≤ {target['cpu_us']:g}", f"≥ {target['per_core']:,}") if target else ("", "")
        rss = max(one["largest_rss"] for one in found["repeats"]) / 2**20
        print(f"{found['title']:14}{cpu:10.1f}{wanted[0]:>10}{1e6 / cpu:12,.0f}{wanted[1]:>10}{rss:9.0f}")
    print()


def print_history() -> None:
    """CPU µs a message by scenario, one line a measurement; the machine's own load in brackets."""
    if not HISTORY.exists():
        print("no history yet")
        return
    print(f"{'at':18}{'commit':10}" + "".join(f"{name:>14}" for name in COLUMNS) + "  waited  note")
    for line in HISTORY.read_text().splitlines():
        entry = json.loads(line)
        figures = entry["figures"]
        cells = [f"{middle(figures[name]['cpu_us']):14.1f}" if name in figures else f"{'':14}" for name in COLUMNS]
        waited = max((one["waited"] for one in figures.values()), default=0.0)
        print(f"{entry['at'][:16]:18}{entry['commit']:10}{''.join(cells)}  {waited:6.0%}  {entry['note']}")


def middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    main()
