"""How long `promote`, `rollback` and the other verbs take on a portfolio of 1,000 adapters with 5 versions each.

    python benchmarks/releases.py --work DIR

The portfolio is synthetic and is made under DIR if it is not there (about 2 GB). Every round promotes a version that passed its
gate and takes it back, once as commands from the prompt, each a process of its own, and once in a process that has the
portfolio open; beside it what else an engineer would type at night. Medians by the clock and of the processor, in seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

from start_up import run

from benchmarks.measuring import machine

Figures = dict[str, Any]
ROOT = Path(__file__).parents[1]
TASK = "synthetic-00003"
AIM_S = 1.0  # of a rollback


def main() -> None:
    settings = _settings()
    directory = settings.work / f"{settings.tasks}x{settings.versions}"
    _make(directory, settings.tasks, settings.versions)
    rounds = 3 if settings.quick else settings.rounds
    typed: dict[str, list[tuple[float, float]]] = {}
    within: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds + 1):
        for name, took in (*_typed(directory), *_within(directory)):
            kept = typed if name.startswith("portfolio") else within
            if number:  # the round before the first warms up
                kept.setdefault(name, []).append(took)
        print(f"round {number} of {rounds}", file=sys.stderr)
    figures = {
        "command": "python benchmarks/releases.py --work DIR",
        "date": date.today().isoformat(),
        "tasks": settings.tasks,
        "versions_each": settings.versions,
        "rounds": rounds,
        "machine": machine(1),
        "typed": {name: _medians(took) for name, took in typed.items()},
        "within": {name: _medians(took) for name, took in within.items()},
    }
    print(_page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "releases.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "releases.md").write_text(_page(figures), encoding="utf-8")


def _make(directory: Path, tasks: int, versions: int) -> None:
    from synthetic_portfolio import Shape, make_synthetic
    from synthetic_versions import add_versions, let_pass

    from portfolio.store.store import Store

    if not (directory / "portfolio.db").exists():
        print(f"making a portfolio of {tasks:,} tasks with {versions} versions each", file=sys.stderr)
        make_synthetic(directory, tasks, shape=Shape(rank=8))
    store = Store.open(directory)
    if len(store.snapshot(history=False).adapters) < tasks * versions:
        add_versions(store, versions)
    let_pass(store, TASK, 2)


def _typed(directory: Path) -> list[tuple[str, tuple[float, float]]]:
    """Each a process of its own."""
    commands = {
        "promote": ["promote", f"{TASK}@2"],
        "rollback": ["rollback", TASK],
        "disable": ["disable", TASK],
        "enable": ["enable", TASK],
        "history NAME": ["history", TASK],
        "at DATE": ["at", "2100-01-01"],
        "tasks": ["tasks"],
        "show NAME": ["show", TASK],
    }
    place = [str(ROOT / "cli.py"), "-p", str(directory)]
    return [(f"portfolio {name}", run([*place, *arguments])) for name, arguments in commands.items()]


def _within(directory: Path) -> list[tuple[str, tuple[float, float]]]:
    """In a process that has the portfolio open; no model is loaded."""
    from portfolio.portfolio import Portfolio

    releases = Portfolio.open(directory).releases
    verbs: dict[str, Callable[[], object]] = {
        "promote": lambda: releases.promote(f"{TASK}@2"),
        "rollback": lambda: releases.rollback(TASK),
        "promote by force, not made ready": lambda: releases.promote(f"{TASK}@3", force="benchmark"),
        "rollback of that": lambda: releases.rollback(TASK),
        "disable": lambda: releases.disable(TASK),
        "enable": lambda: releases.enable(TASK),
    }
    return [(name, _timed(verb)) for name, verb in verbs.items()]


def _timed(verb: Callable[[], object]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    verb()
    return time.perf_counter() - clock, time.process_time() - processor


def _medians(took: list[tuple[float, float]]) -> Figures:
    clocks, processors = zip(*took, strict=True)
    return {
        "clock": statistics.median(clocks),
        "slowest": max(clocks),
        "processor": statistics.median(processors),
    }


def _page(figures: Figures) -> str:
    lines = [
        "# Releases",
        "",
        f"Synthetic: {figures['tasks']:,} adapters with {figures['versions_each']} versions each, {figures['rounds']} rounds; "
        f"`{figures['command']}`; {figures['machine']['cpu']}, {figures['machine']['cores']} cores.",
        "",
        "| | seconds by the clock | slowest round | of the processor | aim |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, took in (*figures["typed"].items(), *((f"{k}, in Python", v) for k, v in figures["within"].items())):
        aim = f"< {AIM_S:g}" if "rollback" in name else ""
        lines.append(f"| {name} | {took['clock']:.2f} | {took['slowest']:.2f} | {took['processor']:.2f} | {aim} |")
    return "\n".join(lines) + "\n"


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="directory of the portfolio, which is made if need be")
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a rough look; nothing is written")
    parser.add_argument("--output", type=Path, help="directory for the figures; by default benchmarks/results")
    settings = parser.parse_args()
    if settings.output is None and not settings.quick:
        settings.output = ROOT / "benchmarks" / "results"
    return settings


if __name__ == "__main__":
    main()
