"""The portfolios that `end_to_end.py` asks, made once and kept.

Their router is calibrated as ever; their adapters learn for one epoch from a few rows of each class, as time does not depend
on what they know. How often the base is asked for a second look does depend on the router, and is stated with each figure.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.synthetic_portfolio import make_synthetic
from portfolio import Portfolio, TrainingConfig
from portfolio.hosting.base import Base
from portfolio.tasks.files import read_split
from portfolio.tasks.sequences import TaskSpec, read_sequence
from portfolio.tasks.shipped import find_sequence

PER_CLASS = 60  # rows; of CLINC150 there are 100
TRAINING = TrainingConfig(epochs=1)


def grown(work: Path, sequence: str | Path, base: Base) -> Portfolio:
    """The portfolio of a sequence, gone on with where it was left."""
    spec = read_sequence(find_sequence(sequence))
    directory = work / spec.name
    exists = (directory / "portfolio.db").exists()
    portfolio = Portfolio.open(directory, base=base) if exists else Portfolio.init(directory, base)
    here = {task.name for task in portfolio.tasks()}
    for task in spec.tasks:
        if task.name not in here:
            print(f"growing {directory}: {task.name}", file=sys.stderr)
            portfolio.add_task(task.name, _few_rows(task, work / "rows"), training=TRAINING)
    return portfolio


def synthetic(work: Path, tasks: int, base: Base) -> Portfolio:
    """A portfolio of so many made-up tasks."""
    directory = work / f"synthetic-{tasks}"
    if not (directory / "portfolio.db").exists():
        print(f"making {directory}", file=sys.stderr)
        make_synthetic(directory, tasks, base=base).close()
    return Portfolio.open(directory, base=base)


def test_texts(sequence: str | Path) -> dict[str, list[str]]:
    """Of each task on single texts those of its test split."""
    found: dict[str, list[str]] = {}
    for task in read_sequence(find_sequence(sequence)).tasks:
        split = read_split(str(task.test), "test", task.columns, dict(task.where))
        if split.pairs is None:
            found[task.name] = list(split.texts)
    return found


def threes_of_a_label(sequence: str | Path, seed: int) -> list[str]:
    """Three test texts of one label after each other, again and again: as real as each, and as long as a sentence."""
    dice, threes = np.random.default_rng(seed), []
    for task in read_sequence(find_sequence(sequence)).tasks:
        split = read_split(str(task.test), "test", task.columns, dict(task.where))
        by_label: dict[str, list[str]] = defaultdict(list)
        for text, label in zip(split.texts, split.labels, strict=True):
            by_label[label].append(text)
        threes += [
            " ".join(some[start : start + 3]) for some in by_label.values() for start in range(0, len(some) - 2, 3)
        ]
    return [threes[row] for row in dice.permutation(len(threes))]


def _few_rows(task: TaskSpec, folder: Path) -> Path:
    """A file of some training rows of each class; it stays, as test rows that are held out of it are read again."""
    split = read_split(task.train, "train", task.columns, dict(task.where))
    rows: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(split.labels):
        rows[label].append(row)
    dice = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.name}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in sorted(int(row) for some in rows.values() for row in dice.permutation(some)[:PER_CLASS]):
            said = {"text": split.texts[row], "label": split.labels[row]}
            pair = {} if split.pairs is None else {"text_pair": split.pairs[row]}
            file.write(json.dumps(said | pair) + "\n")
    return path
