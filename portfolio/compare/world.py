"""What every contestant of a comparison is given: the tasks of a sequence in one order, prepared by the frozen base.

A class is a label's text: tasks that share a label share its class, as in the portfolio's routed scores. Classes are
numbered in the order in which the tasks of the sequence name them, whatever the order of this run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portfolio.hosting.host import Host
from portfolio.running import Labelled
from portfolio.tasks.task import TaskData

SPLITS = ("validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorldTask:
    """One task; the labels of its rows are numbers of classes, UNKNOWN_LABEL for one that no task's train names."""

    data: TaskData
    classes: tuple[int, ...]  # its own, rising
    train: Labelled
    validation: Labelled
    test: Labelled

    @property
    def name(self) -> str:
        return self.data.name

    def split(self, name: str) -> Labelled:
        """`validation` or `test`."""
        return self.validation if name == "validation" else self.test


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """All tasks in the order in which they come."""

    host: Host  # the frozen base with its slots; no contestant changes it
    max_tokens: int
    labels: tuple[str, ...]  # of all classes
    tasks: tuple[WorldTask, ...]

    def known_classes(self, tasks: int) -> tuple[int, ...]:
        """The classes of the first so many tasks, rising."""
        return tuple(sorted({number for task in self.tasks[:tasks] for number in task.classes}))

    def in_order(self, names: Sequence[str]) -> World:
        """The same tasks in another order."""
        by_name = {task.name: task for task in self.tasks}
        return World(
            host=self.host,
            max_tokens=self.max_tokens,
            labels=self.labels,
            tasks=tuple(by_name[name] for name in names),
        )
