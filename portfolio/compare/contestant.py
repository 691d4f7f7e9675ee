"""What a method must do to take part in a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from portfolio.compare.world import World

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run of a method is given beside the world."""

    rate: float  # learning rate at its highest; of a method that has none: not used
    epochs: int  # over each task's rows; of a joint method: over all rows
    batch_size: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a contestant says to the rows of one split of one task: numbers of classes."""

    free: Int64  # (rows,), among all classes that it knows by now: class-incremental
    given: Int64  # (rows,), the task being told, among that task's own: task-given


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeps:
    """What a contestant carries from task to task, by now."""

    parameters: int  # that it changes or adds, heads among them: what must be stored to answer, beside the frozen base
    numbers: int  # kept beside them to learn the next task: statistics, an earlier model, importances
    texts: int  # training texts kept


class Contestant(Protocol):
    """One method on its way through the tasks of one world. Made by `Method.begin`."""

    def learn(self, number: int) -> None:
        """Learn the task of that number; of the earlier ones only what was kept may be used.

        A joint method is called once, with the last number, and learns all tasks at once.
        """

    def answer(self, number: int, split: str) -> Answers:
        """To the rows of that task's `validation` or `test`; also of tasks that come later, over the classes known."""

    def keeps(self) -> Keeps:
        """What it carries now."""

    def state(self) -> dict[str, Tensor]:
        """All that it must have to go on after an interruption; empty where its directory holds it."""

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        """Go on as if it had learned the first so many tasks; `state` is what `state()` gave then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One line of a comparison."""

    name: str  # as on the command line
    words: str  # in a table
    source: str  # the paper
    is_joint: bool  # sees all tasks at once
    knows_task: bool  # only its task-given answers count
    rates: tuple[float, ...]  # learning rates to be tried, the most likely first; empty where there is none to choose
    begin: Callable[[World, Settings, Path], Contestant]  # the directory is its own, and is kept between interruptions
