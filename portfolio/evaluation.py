"""Measure every task under the router as it is now: one row of both results matrices.

What is kept of a task for this is no text: the router's features of its validation and test rows, their labels, and
what its own adapter said. A row that goes to its own task needs no model again. A row that goes astray is wrong for
certain unless the other task knows its label; only then is the other adapter asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import DamagedBlob
from portfolio.records import UNKNOWN_LABEL, Cell
from routing.cascade import Cascade
from routing.decision import Choices

Float32 = npt.NDArray[np.float32]
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


def measure(
    step: str,
    tasks: Sequence[KnownTask],
    router: Cascade,
    ask: AskAstray,
    others: Sequence[KnownTask] = (),
) -> list[Cell]:
    """The row of the results matrices named `step`: one cell for each of `tasks`, forced choices.

    A cell's routed score is None where rows went astray to adapters that would have to be asked and the texts are gone.

    Args:
        others: tasks that the router knows and that are not measured.
    """
    labels = {task.name: task.labels for task in (*tasks, *others)}
    return [_cell(step, task, labels, router, ask) for task in tasks]


def _cell(step: str, task: KnownTask, labels: Mapping[str, Sequence[str]], router: Cascade, ask: AskAstray) -> Cell:
    rows = task.rows
    count = len(rows.test_labels)
    if count == 0:
        return Cell(step=step, task=task.name, rows=0)
    own = rows.test_predictions == rows.test_labels
    choices = router.choose(rows.test_features).choices
    kept = ~choices.abstain
    chosen_names = [router.tasks[number] for number in choices.tasks]
    home = np.array([name == task.name for name in chosen_names])
    astray = []
    for row in np.flatnonzero(~home):
        label, chosen = task.label_of(int(rows.test_labels[row])), chosen_names[row]
        if label is not None and label in labels[chosen]:
            astray.append(Astray(row=int(row), label=label, chosen=chosen))
    right: npt.NDArray[np.bool_] | None = own & home
    said = ask(task, astray) if astray else []
    if said is None:
        right = None
    elif right is not None:
        right[[one.row for one in astray]] = said
    return Cell(
        step=step,
        task=task.name,
        rows=count,
        oracle=float(own.mean()),
        routed=None if right is None else float(right.mean()),
        routing=float(home.mean()),
        coverage=float(kept.mean()),
        selective=float(right[kept].mean()) if right is not None and kept.any() else None,
        floor=_floor(task, labels, router.tasks, router.whole.choose(rows.test_features)),
        baseline=rows.baseline,
        astray_right=None if right is None else float((right & ~home).mean()),
    )


def _floor(task: KnownTask, labels: Mapping[str, Sequence[str]], tasks: Sequence[str], choices: Choices) -> float:
    """Routed accuracy with no adapter at all: the label of the nearest whitened class centroid."""
    nearest = zip(choices.nearest_tasks, choices.nearest_classes, strict=True)
    said = [labels[tasks[number]][label] for number, label in nearest]
    truth = [task.label_of(int(number)) for number in task.rows.test_labels]
    return float(np.mean([a == b for a, b in zip(said, truth, strict=True)]))
