"""How long a sequence takes with one worker and with two: `portfolio add-tasks --workers N`, each time anew, in turns.

    OMP_NUM_THREADS=1 python benchmarks/side_by_side.py

Every run is the command as users start it: a process that loads torch and the base, and so does each worker. A worker has
one thread, so that two of them need two cores, and nothing else should run on them. That all make the same adapters, to the
bit, is checked on the way. About 6 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from portfolio.portfolio import Portfolio
from portfolio.tasks.demo import demo_sequence

HERE = Path(__file__).parent
CLI = HERE.parent / "cli.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="default 5, quick 1")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers to compare")
    parser.add_argument("--sequence", default=str(demo_sequence()), help="a file or a shipped name")
    parser.add_argument("--quick", action="store_true", help="a rough look")
    chosen = parser.parse_args()
    figures = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/side_by_side.py",
        "date": date.today().isoformat(),
        "sequence": Path(chosen.sequence).parent.name or chosen.sequence,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "seconds": _rounds(chosen.sequence, chosen.workers, chosen.rounds or (1 if chosen.quick else 5)),
    }
    print(page(figures))
    output = chosen.output or (None if chosen.quick else HERE / "results")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "side_by_side.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (output / "side_by_side.md").write_text(page(figures), encoding="utf-8")


def page(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    seconds = {int(workers): np.array(times) for workers, times in figures["seconds"].items()}
    fewest = min(seconds)
    lines = [
        "# Learning a sequence with several workers",
        "",
        f"- made by `{figures['command']}`: `portfolio add-tasks {figures['sequence']} --workers N --threads 1`",
        f"- {figures['cores']} cores, Python {figures['python']}; load average before {figures['load']}",
        "- the time that passes, start of the processes and loading of the base included; median and quartiles; "
        f"{len(seconds[fewest])} rounds in turns; all made the same adapters",
        "",
        "| workers | seconds | share of the time of the fewest |",
        "|---|---|---|",
    ]
    for workers, times in sorted(seconds.items()):
        lines.append(f"| {workers} | {_spread(times)} | {_spread(times / seconds[fewest])} |")
    return "\n".join(lines) + "\n"


def _rounds(sequence: str, workers: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """For each number of workers the seconds of each round."""
    seconds: dict[str, list[float]] = {str(number): [] for number in workers}
    made: set[tuple[str, ...]] = set()
    for _ in range(rounds):
        for number in workers:
            work = Path(tempfile.mkdtemp(prefix="side-by-side-"))
            portfolio = Portfolio.init(work / "p")
            began = time.perf_counter()
            _run("-p", work / "p", "add-tasks", sequence, "--workers", number, "--threads", 1)
            seconds[str(number)].append(time.perf_counter() - began)
            made.add(tuple(adapter.digest for adapter in portfolio.snapshot().adapters))
            portfolio.close()
            shutil.rmtree(work)
            print(f"{number} workers: {seconds[str(number)][-1]:.1f} s", file=sys.stderr)
    if len(made) != 1:
        sys.exit(f"expected the same adapters from any number of workers, got {len(made)} different sets")
    return seconds


def _run(*arguments: object) -> None:
    command = [sys.executable, str(CLI), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")


def _spread(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.3g} ({low:.3g}–{high:.3g})"


if __name__ == "__main__":
    main()
