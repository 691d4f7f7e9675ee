"""Measure every task under the router as it is now: one row of both results matrices.

What is kept of a task for this is no text: the router's features of its validation and test rows, their labels, and
what its own adapter said. A row that goes to its own task needs no model again. A row that goes astray is wrong for
certain unless the other task knows its label; only then is the other adapter asked.

What became of every row is kept beside the scores, so that a report can say which rows a task lost, and to whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import DamagedBlob
from portfolio.outcomes import NOBODY, UNASKED, Bool, Float32, Int8, Int32, Outcomes, TaskOutcomes
from portfolio.records import UNKNOWN_LABEL, Cell
from routing.cascade import Cascade
from routing.decision import Choices

LED_BY = 16  # tasks named for a row that went astray, to find its own among them

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationSet:
    """What is kept of a task's validation and test rows."""

    validation_features: Float32  # (V, router features)
    test_features: Float32  # (N, router features)
    test_labels: Int64  # (N,), numbers of the task's labels, or UNKNOWN_LABEL
    test_predictions: Int64  # (N,), of the task's own adapter
    baseline: float  # accuracy of always saying the most frequent label of train

    def to_bytes(self) -> bytes:
        """Safetensors; equal sets give equal bytes."""
        return save(
            {
                "validation_features": self.validation_features,
                "test_features": self.test_features,
                "test_labels": self.test_labels,
                "test_predictions": self.test_predictions,
                "baseline": np.array([self.baseline], dtype=np.float64),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EvaluationSet:
        """What `to_bytes` wrote.

        Raises:
            DamagedBlob: the bytes are anything else.
        """
        try:
            tensors = load(data)
            baseline = float(tensors.pop("baseline")[0])
            return cls(**tensors, baseline=baseline)
        except (SafetensorError, KeyError, TypeError, IndexError) as error:
            raise DamagedBlob(f"expected a task's evaluation set, got bytes that are none: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownTask:
    """A task as its measurement needs it."""

    name: str
    labels: tuple[str, ...]
    rows: EvaluationSet

    def label_of(self, number: int) -> str | None:
        return None if number == UNKNOWN_LABEL else self.labels[number]


@dataclass(frozen=True, slots=True)
class Astray:
    """A test row that went to another task which knows its label, so that the other adapter must be asked."""

    row: int
    label: str
    chosen: str


# Called with a task and its rows that went astray: for each, whether the chosen adapter said the right label; None
# where the texts cannot be read any more.
AskAstray = Callable[[KnownTask, Sequence[Astray]], list[bool] | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One row of the results matrices, and what became of the rows behind it."""

    cells: tuple[Cell, ...]
    outcomes: Outcomes


def measure(
    step: str,
    tasks: Sequence[KnownTask],
    router: Cascade,
    ask: AskAstray,
    others: Sequence[KnownTask] = (),
    allowed: Sequence[str] | None = None,
) -> Measured:
    """The row of the results matrices named `step`: one cell for each of `tasks`, forced choices.

    A cell's routed score is None where rows went astray to adapters that would have to be asked and the texts are gone.

    Args:
        others: tasks that the router knows and that are not measured.
        allowed: the tasks, one at least, that the router may choose from; all by default.
    """
    labels = {task.name: task.labels for task in (*tasks, *others)}
    measured = [_measure(step, task, labels, router, ask, allowed) for task in tasks]
    outcomes = Outcomes(names=router.tasks, tasks=tuple(outcomes for _, outcomes in measured))
    return Measured(cells=tuple(cell for cell, _ in measured), outcomes=outcomes)


def _measure(
    step: str,
    task: KnownTask,
    labels: Mapping[str, Sequence[str]],
    router: Cascade,
    ask: AskAstray,
    allowed: Sequence[str] | None,
) -> tuple[Cell, TaskOutcomes]:
    rows = task.rows
    if len(rows.test_labels) == 0:
        return Cell(step=step, task=task.name, rows=0), _outcomes_of_no_row(task.name)
    number = {name: place for place, name in enumerate(router.tasks)}
    chosen, abstain = _chosen(rows.test_features, router, allowed, number)
    own = rows.test_predictions == rows.test_labels
    home = chosen == number.get(task.name, NOBODY)
    right = _right(task, own & home, chosen, labels, router.tasks, ask)
    runner_up, lead = _leads(task, np.flatnonzero(~home), router, allowed, number)
    outcomes = TaskOutcomes(
        task=task.name,
        own_right=own,
        chosen=chosen.astype(np.int32),
        right=right,
        kept=~abstain,
        runner_up=runner_up,
        lead=lead,
    )
    floor = _floor(task, labels, router.tasks, router.whole.choose(rows.test_features))
    return _cell(step, outcomes, home, floor=floor, baseline=rows.baseline), outcomes


def _chosen(
    features: Float32, router: Cascade, allowed: Sequence[str] | None, number: Mapping[str, int]
) -> tuple[Int64, Bool]:
    """(N,) each: the number of the task that a row goes to, and whether the router would rather abstain."""
    if allowed is None:
        choices = router.choose(features).choices
        return choices.tasks, choices.abstain
    looked = router.route(features[:, : router.first_width], lambda rows: features[rows], allowed=allowed)
    chosen = [number[one.decision.tasks[0]] for one in looked]
    return np.array(chosen, dtype=np.int64), np.array([one.decision.abstain for one in looked], dtype=np.bool_)


def _cell(step: str, outcomes: TaskOutcomes, home: Bool, *, floor: float, baseline: float) -> Cell:
    right, kept = outcomes.right == 1, outcomes.kept
    is_known = not (outcomes.right == UNASKED).any()
    return Cell(
        step=step,
        task=outcomes.task,
        rows=len(home),
        oracle=float(outcomes.own_right.mean()),
        routed=float(right.mean()) if is_known else None,
        routing=float(home.mean()),
        coverage=float(kept.mean()),
        selective=float(right[kept].mean()) if is_known and kept.any() else None,
        floor=floor,
        baseline=baseline,
        astray_right=float((right & ~home).mean()) if is_known else None,
    )


def _right(
    task: KnownTask,
    own_at_home: Bool,
    sent: Int64,
    labels: Mapping[str, Sequence[str]],
    tasks: Sequence[str],
    ask: AskAstray,
) -> Int8:
    """(N,): 1 where the row is answered rightly, 0 where not, UNASKED where nobody could be asked."""
    astray = []
    for row, number in enumerate(sent):
        label, chosen = task.label_of(int(task.rows.test_labels[row])), tasks[number]
        if chosen != task.name and label is not None and label in labels[chosen]:
            astray.append(Astray(row=row, label=label, chosen=chosen))
    right = own_at_home.astype(np.int8)
    said = ask(task, astray) if astray else []
    right[[one.row for one in astray]] = UNASKED if said is None else said
    return right


def _leads(
    task: KnownTask, astray: Int64, router: Cascade, allowed: Sequence[str] | None, number: Mapping[str, int]
) -> tuple[Int32, Float32]:
    """(N,) each: of rows that went astray, the second best task, and how far the best is ahead of their own."""
    features = task.rows.test_features
    runner_up, lead = np.full(len(features), NOBODY, dtype=np.int32), np.zeros(len(features), dtype=np.float32)
    if not len(astray):
        return runner_up, lead
    some = features[astray]
    top_k = min(LED_BY, len(number if allowed is None else allowed))
    looked = router.route(some[:, : router.first_width], lambda rows: some[rows], top_k=top_k, allowed=allowed)
    for row, one in zip(astray, looked, strict=True):
        decision = one.decision
        scores = dict(zip(decision.tasks, decision.scores, strict=True))
        runner_up[row] = NOBODY if decision.runner_up is None else number[decision.runner_up]
        lead[row] = decision.scores[0] - scores.get(task.name, 0.0)
    return runner_up, lead


def _outcomes_of_no_row(task: str) -> TaskOutcomes:
    numbers = np.zeros(0, dtype=np.int32)
    return TaskOutcomes(
        task=task,
        own_right=np.zeros(0, dtype=np.bool_),
        chosen=numbers,
        right=np.zeros(0, dtype=np.int8),
        kept=np.zeros(0, dtype=np.bool_),
        runner_up=numbers,
        lead=np.zeros(0, dtype=np.float32),
    )


def _floor(task: KnownTask, labels: Mapping[str, Sequence[str]], tasks: Sequence[str], choices: Choices) -> float:
    """Routed accuracy with no adapter at all: the label of the nearest whitened class centroid."""
    nearest = zip(choices.nearest_tasks, choices.nearest_classes, strict=True)
    said = [labels[tasks[number]][label] for number, label in nearest]
    truth = [task.label_of(int(number)) for number in task.rows.test_labels]
    return float(np.mean([a == b for a, b in zip(said, truth, strict=True)]))
