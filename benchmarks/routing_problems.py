"""The portfolios that routers are compared on.

    domains   CLINC150, its ten domains as tasks, with its out-of-scope rows
    intents   CLINC150 as 15 tasks of 10 intents drawn by chance
    sets      17 classification sets as one portfolio

Figures are of the judged rows; thresholds and temperatures come from the calibration rows, which no figure is of. Judged
is the test split, calibration then the validation split; or every second row of the validation split, and the others
calibrate. Of the out-of-scope rows, those of the splits before the judged one calibrate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.routing_data import Features, Float32, Int64, Rows, joined, outside_texts, read_set, rows_of

CLINC150 = "clinc150"
SETS = (
    *("banking77", "cl_agnews", "cl_amazon", "cl_boolqa", "cl_copa", "cl_dbpedia", "cl_mnli", "cl_rte", "cl_yahoo"),
    *(CLINC150, "mr", "sms_spam", "snips", "subj", "trec6", "tweet_emotion", "tweet_irony"),
)
DRAWN_TASKS = 15
OUTSIDE_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most how many rows of each set are used, each class giving its share; None for all."""

    train: int | None
    judged: int | None  # and as many to calibrate

    def __str__(self) -> str:
        most = {"training rows": self.train, "judged rows, and as many to calibrate": self.judged}
        said = [f"at most {rows:,} {name}" for name, rows in most.items() if rows is not None]
        return ("; ".join(said) + " a set") if said else "all rows"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """One data set, ready to be routed."""

    labels: tuple[str, ...]  # what the classes of the rows number
    train: Rows
    calibration: Rows
    judged: Rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """A portfolio to route in, and the rows to route."""

    name: str
    tasks: tuple[str, ...]
    task_of_class: Int64  # (K,)
    train: Rows
    calibration: Rows
    judged: Rows
    outside_calibration: Float32  # (M, d), of texts that no task knows; M may be 0
    outside_judged: Float32
    trunk_width: int  # the leading columns of all features, which the trunk alone decides
    block_width: int  # the columns that each block gives
    upper_share: float  # of the base's blocks, those above the trunk

    def task_of(self, rows: Rows) -> Int64:
        """(N,), the true task of each row."""
        return self.task_of_class[rows.classes]

    def sampled(self, most: int) -> Problem:
        """The same portfolio with at most so many rows to route of each kind, drawn by a fixed seed."""
        dice = np.random.default_rng(0)

        def some(rows: int) -> Int64:
            return np.sort(dice.permutation(rows)[:most])

        return replace(
            self,
            calibration=self.calibration.select(some(len(self.calibration))),
            judged=self.judged.select(some(len(self.judged))),
            outside_calibration=self.outside_calibration[some(len(self.outside_calibration))],
            outside_judged=self.outside_judged[some(len(self.outside_judged))],
        )

    def last_columns(self, width: int) -> Problem:
        """The same portfolio with no more than the last `width` columns of all features."""
        return replace(
            self,
            train=self.train.last_columns(width),
            calibration=self.calibration.last_columns(width),
            judged=self.judged.last_columns(width),
            outside_calibration=self.outside_calibration[:, -width:],
            outside_judged=self.outside_judged[:, -width:],
        )


def read_parts(features: Features, data: Path, name: str, split: str, budget: Budget) -> Parts:
    """A data set whose figures are to be those of `split`, which is `validation` or `test`."""
    task = read_set(data, name)
    train = rows_of(features, task, "train", budget.train)
    if split == "test":
        calibration = rows_of(features, task, "validation", budget.judged)
        judged = rows_of(features, task, "test", budget.judged)
    else:
        both = rows_of(features, task, "validation", None if budget.judged is None else 2 * budget.judged)
        calibration = both.select(np.arange(0, len(both), 2))
        judged = both.select(np.arange(1, len(both), 2))
    return Parts(labels=task.labels, train=train, calibration=calibration, judged=judged)


def domains(features: Features, data: Path, split: str, budget: Budget) -> Problem:
    """CLINC150 by domain, with out-of-scope rows."""
    parts = read_parts(features, data, CLINC150, split, budget)
    intents_of = json.loads((data / CLINC150 / "domains.json").read_text(encoding="utf-8"))
    texts = outside_texts(data / CLINC150 / "oos.jsonl")
    before = OUTSIDE_SPLITS[: OUTSIDE_SPLITS.index(split)]
    calibrating = [text for name in before for text in texts[name]]
    return _problem(
        features,
        f"CLINC150, {len(intents_of)} domains",
        parts,
        intents_of,
        outside_calibration=features.of(f"{CLINC150}.outside", calibrating[: budget.judged]),
        outside_judged=features.of(f"{CLINC150}.outside", texts[split][: budget.judged]),
    )


def drawn_intents(
    features: Features, data: Path, split: str, budget: Budget, seed: int, tasks: int = DRAWN_TASKS
) -> Problem:
    """CLINC150 as tasks of equally many intents, drawn by this seed."""
    parts = read_parts(features, data, CLINC150, split, budget)
    drawn = np.random.default_rng(seed).permutation(np.array(parts.labels)).reshape(tasks, -1)
    intents_of = {f"draw-{number}": intents.tolist() for number, intents in enumerate(drawn)}
    return _problem(features, f"CLINC150, {tasks} tasks of {drawn.shape[1]} random intents", parts, intents_of)


def all_sets(features: Features, data: Path, split: str, budget: Budget) -> Problem:
    """Every set of `SETS` as a task of one portfolio."""
    parts = {name: read_parts(features, data, name, split, budget) for name in SETS}
    labels_of = {name: [f"{name}/{label}" for label in one.labels] for name, one in parts.items()}
    starts = np.cumsum([0, *(len(labels) for labels in labels_of.values())])
    whole = Parts(
        labels=tuple(label for labels in labels_of.values() for label in labels),
        train=joined([one.train for one in parts.values()], starts),
        calibration=joined([one.calibration for one in parts.values()], starts),
        judged=joined([one.judged for one in parts.values()], starts),
    )
    return _problem(features, f"{len(SETS)} classification sets", whole, labels_of)


def _problem(
    features: Features,
    name: str,
    parts: Parts,
    labels_of: Mapping[str, Sequence[str]],
    *,
    outside_calibration: Float32 | None = None,
    outside_judged: Float32 | None = None,
) -> Problem:
    """The parts under tasks that own these labels."""
    task_of = {label: number for number, labels in enumerate(labels_of.values()) for label in labels}
    nothing = parts.train.features[:0]
    return Problem(
        name=name,
        tasks=tuple(labels_of),
        task_of_class=np.array([task_of[label] for label in parts.labels], dtype=np.int64),
        train=parts.train,
        calibration=parts.calibration,
        judged=parts.judged,
        outside_calibration=nothing if outside_calibration is None else outside_calibration,
        outside_judged=nothing if outside_judged is None else outside_judged,
        trunk_width=features.trunk_width,
        block_width=features.block_width,
        upper_share=features.upper_share,
    )
