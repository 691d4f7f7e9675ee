"""What one more task costs when there are 10, 100 or 1,000 already; what it costs to remove it; what a report costs.

    PORTFOLIO_DATA=DIR python benchmarks/growth.py            # --quick: 10 and 100 tasks, two rounds

The tasks that are there are synthetic (synthetic_portfolio.py), with 100 test rows and 50 validation rows each and the results
of every step; they are made once and kept under `--work`. The task that comes is real: the banking intents of CLINC150, 20
rows each, two epochs. Every size has its turn in every round. Times are processor time of one thread; the base is loaded
before. Above 256 class means the router keeps its fit until a tenth of its rows came and went: "anew" is an addition that
makes it again, "a neighbour" measures without one of the synthetic tasks, which lies among the others as a real one would.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
from growth_page import page
from synthetic_portfolio import Shape, make_synthetic

import portfolio.composing
import portfolio.growth
import portfolio.learning
import portfolio.remeasuring
from portfolio import Portfolio, TrainingConfig
from portfolio.asking import asker
from portfolio.calibrating import calibrated_router, totals_without, wishes_of
from portfolio.champions import champions_of
from portfolio.evaluation import SomeRows, look_at
from portfolio.hosting.base import MINILM, Base, load_base
from portfolio.known import KnownTasks
from portfolio.remeasuring import remeasure
from portfolio.store.store import Store
from portfolio.tasks.recipe import Recipe

SIZES = (10, 100, 1000)
SHAPE = Shape(validation=50, test=100)
NEW, TRAINING = "banking", TrainingConfig(epochs=2)
ROWS = {"train": 20, "validation": 5, "test": 10}  # of each intent
WORK = Path.home() / ".cache" / "adapter-portfolio" / "growth"
# Where each stage of a change is done.
STAGES: dict[str, list[tuple[Any, str]]] = {
    "reading": [(Recipe, "read")],
    "base passes": [(portfolio.learning, "prepare"), (portfolio.learning, "predict_logits")],
    "training": [(portfolio.composing, "train_adapter")],
    "router": [(portfolio.growth, "calibrated_router")],
    "measuring": [(portfolio.growth, "remeasure")],
    "commit": [(Store, "commit_task"), (Store, "commit_removal")],
}
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="10 and 100 tasks, two rounds")
    parser.add_argument("--work", type=Path, default=WORK, help="where the synthetic portfolios are kept between runs")
    parser.add_argument("--output", type=Path, help="a directory for growth.json and growth.md")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sizes, rounds = (SIZES[:2], 2) if chosen.quick else (SIZES, chosen.rounds)
    files = _files(chosen.work)
    base = load_base(MINILM)
    roots = {size: _portfolio(chosen.work, size, base) for size in sizes}
    for root in roots.values():
        _changed(root, base, files)  # what no cache holds yet is made now
    measured: dict[int, list[Figures]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size, root in roots.items():
            measured[size].append(_changed(root, base, files))
            print(
                f"round {number + 1} of {rounds}, {size} tasks: {measured[size][-1]['add']['total']:.1f} s", flush=True
            )
    figures = {
        "command": "python benchmarks/growth.py",
        "date": date.today().isoformat(),
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": 1, "load": os.getloadavg()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "rounds": rounds,
        "sizes": {
            str(size): _median(measured[size])
            | {"anew": _changed(root, base, files, anew=True)["add"], "neighbour": _neighbour(root, base)}
            for size, root in roots.items()
        },
        "every_round": {str(size): rows for size, rows in measured.items()},
    }
    print(page(figures))
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / "growth.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (chosen.output / "growth.md").write_text(page(figures), encoding="utf-8")


def _files(work: Path) -> dict[str, Path]:
    """The splits of the task that comes."""
    sequence = Path(__file__).parents[1] / "data" / "sequences" / "clinc150-domains.toml"
    from portfolio.tasks.sequences import read_sequence

    intents = set(next(task.labels for task in read_sequence(sequence).tasks if task.name == NEW))
    work.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, rows in ROWS.items():
        taken: Counter[str] = Counter()
        files[split] = work / f"{NEW}.{split}.jsonl"
        with files[split].open("w", encoding="utf-8") as into:
            for line in (
                Path(os.environ["PORTFOLIO_DATA"], "clinc150", f"{split}.jsonl").read_text("utf-8").splitlines(True)
            ):
                label = json.loads(line)["label"]
                if label in intents and taken[label] < rows:
                    taken[label] += 1
                    into.write(line)
    return files


def _portfolio(work: Path, size: int, base: Base) -> Path:
    """Of so many synthetic tasks, made unless it is there."""
    root = work / f"{size}-tasks"
    if not root.exists():
        print(f"making {size} synthetic tasks", flush=True)
        unfinished = work / f"{size}-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_synthetic(unfinished, size, shape=SHAPE, base=base, every_step=True)
        unfinished.rename(root)
    here = Portfolio.open(root, base=base)
    if NEW in [task.name for task in here.tasks()]:  # an earlier run was interrupted
        here.remove_task(NEW)
    return root


def _changed(root: Path, base: Base, files: dict[str, Path], anew: bool = False) -> Figures:
    """Open the portfolio, add the task, report, remove it: seconds of each.

    Args:
        anew: as where a tenth of the router's rows came since its fit.
    """
    if anew:
        shutil.rmtree(root / "cache", ignore_errors=True)  # an earlier run may have fitted to this task, too
    here = Portfolio.open(root, base=base)
    _, opening = _timed(here.engine)
    stale = 0.0 if anew else 0.1
    with mock.patch("routing.kept_space.STALE_SHARE", stale), _watched() as stages:
        _, adding = _timed(lambda: here.add_task(NEW, *files.values(), training=TRAINING))
    _, reporting = _timed(lambda: Portfolio.open(root).report())
    with _watched() as removing_stages:
        _, removing = _timed(lambda: here.remove_task(NEW))
    return {
        "opening": opening,
        "add": stages.figures(adding),
        "report": reporting,
        "remove": removing_stages.figures(removing),
    }


def _neighbour(root: Path, base: Base) -> Figures:
    """Measure without one of the tasks that are there, as its removal would; nothing is committed."""
    engine = Portfolio.open(root, base=base).engine()
    snapshot, store = engine.refresh().snapshot, engine.store
    gone = snapshot.tasks[len(snapshot.tasks) // 2]
    staying = [task for task in snapshot.tasks if task is not gone]
    figures: Figures = {}
    for tasks in (snapshot.tasks, staying):
        known = KnownTasks(store, tasks, champions_of(snapshot))
        totals = totals_without(engine, snapshot, [task for task in snapshot.tasks if task not in tasks])
        router, _, _ = calibrated_router(engine, totals, known, wishes_of(snapshot))
        ask = asker(engine, snapshot, lambda task: None)
        with _watched() as stages:
            _, seconds = _timed(partial(remeasure, store, "-", known, router, ask))
        figures = {"seconds": seconds, "rows": len(tasks) * SHAPE.test, "looked_at": stages.looked_at}
    return figures


@dataclass(slots=True)
class Stages:
    """Processor time by stage, and how many test rows were looked at."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    looked_at: int = 0

    def figures(self, total: float) -> Figures:
        stages = {**self.seconds, "rest": total - sum(self.seconds.values())}
        return {"total": total, "stages": stages, "looked_at": self.looked_at}


@contextlib.contextmanager
def _watched() -> Iterator[Stages]:
    """While it lasts, the functions of all stages are timed."""
    stages = Stages()

    def counting(some: Iterator[SomeRows], *of_what: Any) -> Any:
        def counted() -> Iterator[SomeRows]:
            for one in some:
                stages.looked_at += len(one.rows)
                yield one

        return look_at(counted(), *of_what)

    with contextlib.ExitStack() as stack:
        for stage, places in STAGES.items():
            for owner, name in places:
                stack.enter_context(mock.patch.object(owner, name, _clocked(getattr(owner, name), stage, stages)))
        stack.enter_context(mock.patch.object(portfolio.remeasuring, "look_at", counting))
        yield stages


def _clocked(work: Callable[..., Any], stage: str, stages: Stages) -> Callable[..., Any]:
    def clocked(*positional: Any, **named: Any) -> Any:
        result, seconds = _timed(lambda: work(*positional, **named))
        stages.seconds[stage] += seconds
        return result

    return clocked


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def _median(rounds: list[Any]) -> Any:
    """Of the same shape as one round."""
    if isinstance(rounds[0], dict):
        return {key: _median([one[key] for one in rounds]) for key in rounds[0]}
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
