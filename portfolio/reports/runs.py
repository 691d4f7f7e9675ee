"""What standings are made of: what was compared, and what every method answered, as plain data.

A run is one method, order and seed. Its steps are the tasks in that order, counted from 0; a joint method has the last
step alone. Answers are numbers of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A way through the tasks of a sequence."""

    name: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is the same for every method of a contest."""

    sequence: str
    digest: str  # of all rows of its tasks
    base: str
    fingerprint: str
    per_class: int | None  # training rows of each class; None for all
    epochs: int
    trials: int  # learning rates that each method may try
    orders: tuple[Order, ...]
    seeds: tuple[int, ...]
    versions: tuple[tuple[str, str], ...]  # of what computes: package and version
    test_rows: int | None = None  # about so many of each task; None for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One method, as the standings name it."""

    name: str
    words: str
    source: str  # the paper
    is_joint: bool  # saw all tasks at once
    knows_task: bool  # only its task-given answers count
    same_run: str | None = None  # the method whose runs it reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The learning rates that a method tried, all on the first order and seed."""

    rates: tuple[float, ...]
    scores: tuple[float | None, ...]  # mean validation accuracy after the last task; None where training diverged
    chosen: float | None  # None where all of them diverged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What a method answered after one task, and what that task cost."""

    free: Mapping[int, Int32]  # by number of the task in the run's order: class-incremental answers to its test rows
    given: Mapping[int, Int32]  # the same with the task given
    seconds: float  # of learning
    peak_bytes: int | None  # of memory held while learning; None where the system does not tell
    parameters: int  # what it keeps by then: see `Keeps`
    numbers: int
    texts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNotes:
    """How one run ended."""

    rate: float | None  # None for a method without
    seconds: tuple[float, ...]  # of each step
    peak_bytes: int | None
    parameters: int
    numbers: int
    texts: int
    validation_score: float | None  # mean over tasks after the last; None where there are no such rows, or it diverged
    diverged: str | None = None  # what was said when training diverged; then it has no steps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One method, order and seed, ended."""

    method: str
    order: Order
    seed: int
    notes: RunNotes
    steps: Mapping[int, Step]  # by number of the task after which they were measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contest:
    """All that is known of a comparison."""

    terms: Terms
    truth: Mapping[str, Int32]  # by task: the classes of its test rows
    entries: tuple[Entry, ...]
    sweeps: Mapping[str, Sweep]  # by method
    runs: tuple[Run, ...]
    faults: tuple[str, ...] = ()  # files that could not be read
