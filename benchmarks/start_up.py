"""How long commands take from the prompt to their last line, on portfolios of 10, 1,000 and 10,000 tasks.

    OMP_NUM_THREADS=1 python benchmarks/start_up.py --work DIR

The portfolios are synthetic (`synthetic_portfolio.py`) and are made under DIR if they are not there: those of 10 and 1,000
tasks with every step of their results, as grown ones have them, that of 10,000 with the last. Each command is a process of
its own; all of a round run one after the other, so that a noisy minute hits each. Below: the clock and the processor time
of the process and its threads, medians; and what a first `predict` spends it on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # before this file's directory, whose routing.py hides the package

Figures = dict[str, Any]

SIZES = (10, 1_000, 10_000)
GROWN_UP_TO = 1_000  # tasks up to which all steps are there: they are half the square of the tasks
TASK = "synthetic-00003"
COMMANDS = {
    "portfolio --help": ["--help"],
    "tasks": ["tasks"],
    "report": ["report"],
    "show NAME": ["show", TASK],
    "rules": ["rules"],
    'predict "text"': ["predict", "where is my parcel"],
}
AIMS = {"portfolio --help": 0.3, "tasks": 0.6, "report": 0.6}  # seconds, up to 1,000 tasks

# What a predict spends: the steps in order, as one program that prints the processor time after each.
PREDICT = """
import json, sys, time
marks = [("python", time.process_time())]
def done(what): marks.append((what, time.process_time()))
import torch; done("import torch")
import transformers, transformers.modeling_utils; done("import transformers")
import portfolio.answering; done("import the rest")
from portfolio.hosting.base import load_base
base = load_base("minilm"); done("load the base")
from portfolio.portfolio import Portfolio
opened = Portfolio.open(sys.argv[1], base=base); opened.engine(); done("open the portfolio, with its router")
opened.predict(["where is my parcel"]); done("answer")
opened.predict(["where is my other parcel"]); done("answer again")
took = {name: now - before for (_, before), (name, now) in zip(marks, marks[1:])}
print(json.dumps({"python": marks[0][1], **took}))
"""


def main() -> None:
    settings = _settings()
    sizes, rounds = ((10, 1_000), 3) if settings.quick else (SIZES, 9)
    portfolios = {size: _portfolio(settings.work, size) for size in sizes}
    cases: dict[str, list[str]] = {
        "python -c pass": ["-c", "pass"],
        "import portfolio": ["-c", "import portfolio"],
        "portfolio --help": [str(ROOT / "cli.py"), "--help"],
    }
    for size, directory in portfolios.items():
        for name, arguments in COMMANDS.items():
            if name not in cases:
                cases[f"{name}, {size:,} tasks"] = [str(ROOT / "cli.py"), "-p", str(directory), *arguments]
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, arguments in cases.items():
            took = run(arguments)
            if number:  # the round before the first warms up
                runs[name].append(took)
        print(f"round {number} of {rounds}", file=sys.stderr)
    figures = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/start_up.py --work DIR",
        "date": date.today().isoformat(),
        "data": "synthetic",
        "machine": {
            "cpu": platform.machine(),
            "cores": os.cpu_count(),
            "threads": 1,
            "load": [round(one, 1) for one in os.getloadavg()],
        },
        "python": platform.python_version(),
        "rounds": rounds,
        "seconds": {
            name: {
                "clock": statistics.median(clock for clock, _ in took),
                "processor": statistics.median(processor for _, processor in took),
                "fastest": min(clock for clock, _ in took),
            }
            for name, took in runs.items()
        },
        "predict": {str(size): _predict(directory, rounds) for size, directory in portfolios.items()},
    }
    print(_page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "start_up.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "start_up.md").write_text(_page(figures), encoding="utf-8")


def _portfolio(work: Path, size: int) -> Path:
    directory = work / str(size)
    if not (directory / "portfolio.db").exists():
        from synthetic_portfolio import make_synthetic

        print(f"making a portfolio of {size:,} tasks", file=sys.stderr)
        make_synthetic(directory, size, every_step=size <= GROWN_UP_TO)
    return directory


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=_environment()
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    clock = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.decode()
    return clock, used.ru_utime + used.ru_stime


def _predict(directory: Path, rounds: int) -> Figures:
    """Processor seconds of each step, medians."""
    command = [sys.executable, "-c", PREDICT, str(directory)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=_environment()).stdout)
        for _ in range(min(rounds, 5))
    ]
    return {step: statistics.median(run[step] for run in runs) for step in runs[0]}


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def _page(figures: Figures) -> str:
    lines = [
        "# Start-up",
        "",
        f"Synthetic portfolios. `{figures['command']}`; {figures['machine']['cpu']}, Python {figures['python']}, "
        f"one thread, {figures['rounds']} rounds.",
        "",
        "| command | seconds by the clock | fastest | of the processor | aim |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, took in figures["seconds"].items():
        command, _, tasks = name.partition(", ")
        aim = AIMS.get(command) if tasks != f"{SIZES[-1]:,} tasks" else None
        wanted = "" if aim is None else f"< {aim}"
        lines.append(f"| {name} | {took['clock']:.2f} | {took['fastest']:.2f} | {took['processor']:.2f} | {wanted} |")
    sizes = list(figures["predict"])
    lines += [
        "",
        "| processor seconds of a first `predict` | " + " | ".join(f"{int(size):,} tasks" for size in sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    for step in figures["predict"][sizes[0]]:
        lines.append(f"| {step} | " + " | ".join(f"{figures['predict'][size][step]:.2f}" for size in sizes) + " |")
    return "\n".join([*lines, ""])


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="directory of the portfolios, which are made if need be"
    )
    parser.add_argument("--quick", action="store_true", help="a rough look, up to 1,000 tasks; nothing is written")
    parser.add_argument("--output", type=Path, help="directory for the figures; by default benchmarks/results")
    settings = parser.parse_args()
    settings.work = settings.work.absolute()
    settings.output = settings.output or (None if settings.quick else ROOT / "benchmarks" / "results")
    return settings


if __name__ == "__main__":
    main()
