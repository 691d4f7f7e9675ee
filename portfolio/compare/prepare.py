"""The world of a comparison, made from a sequence: read, cut to the budget, and prepared once by the frozen base."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from portfolio.compare.budget import Budget
from portfolio.compare.world import World, WorldTask
from portfolio.hosting.encode import encode
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import prepare
from portfolio.records import UNKNOWN_LABEL
from portfolio.running import Labelled
from portfolio.tasks.sequences import Sequence as TaskSequence
from portfolio.tasks.splits import Split, hold_out
from portfolio.tasks.task import TaskData, read_task

KEEP_BYTES = 4 << 30  # of the trunk's states, all splits together
_JUDGING_SEED = 0  # which rows of validation and test judge does not depend on a run's seed


def read_tasks(sequence: TaskSequence, test_rows: int | None = None) -> tuple[TaskData, ...]:
    """Every task of the sequence as written, with about so many of its test rows; None for all.

    Raises:
        DataError, NotFound: some examples cannot be used.
    """
    tasks = (
        read_task(
            spec.name,
            spec.train,
            spec.validation,
            spec.test,
            columns=spec.columns,
            seed=sequence.seed,
            where=dict(spec.where),
            labels=spec.labels,
        )
        for spec in sequence.tasks
    )
    return tuple(task if test_rows is None else _with_fewer_test_rows(task, test_rows) for task in tasks)


def digest_of(tasks: Sequence[TaskData]) -> str:
    """SHA-256 over the names and all rows of these tasks."""
    hashed = hashlib.sha256()
    for task in tasks:
        for part in (task.name, *(source.sha256 for source in task.sources)):
            hashed.update(f"{part}\n".encode())
    return hashed.hexdigest()


def labels_of(tasks: Sequence[TaskData]) -> tuple[str, ...]:
    """The classes: every label's text, in the order in which the tasks name them."""
    return tuple(dict.fromkeys(label for task in tasks for label in task.labels))


def draw(split: Split, per_class: int | None, salt: str) -> Split:
    """At most so many rows of each label, in the order they had; None for all. The same salt draws the same rows."""
    if per_class is None:
        return split
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(split.labels):
        rows[label].append(row)
    drawn = (
        random.Random(f"{salt} {label}").sample(group, min(per_class, len(group))) for label, group in rows.items()
    )
    return split.select(sorted(row for group in drawn for row in group))


def _with_fewer_test_rows(task: TaskData, wanted: int) -> TaskData:
    """Each class gives its share, so that figures mean the same; which rows depends on nothing but the rows."""
    if wanted >= len(task.test):
        return task
    _, drawn = hold_out(task.test, wanted, _JUDGING_SEED, f"compare {task.name}")
    return _with_split(task, "test", drawn)


def _with_split(task: TaskData, name: str, drawn: Split) -> TaskData:
    """The task with what was drawn of that split, and said so in its sources."""
    sources = tuple(
        dataclasses.replace(source, sha256=drawn.digest(), rows=len(drawn)) if source.split == name else source
        for source in task.sources
    )
    changed: dict[str, Any] = {name: drawn, "sources": sources}
    return dataclasses.replace(task, **changed)


class Worlds:
    """The worlds of one sequence, one a seed: validation and test rows are prepared once, and the last seed's train."""

    def __init__(
        self, host: Host, max_tokens: int, tasks: Sequence[TaskData], budget: Budget, *, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._host = host
        self._max_tokens = max_tokens
        self._budget = budget
        self._labels = labels_of(tasks)
        self._number = {label: number for number, label in enumerate(self._labels)}
        self._tasks = [self._with_drawn(task, "validation", _JUDGING_SEED) for task in tasks]
        self._judging: list[tuple[Labelled, Labelled]] = []  # validation and test of each task, once they are needed
        self._last: World | None = None
        self._last_seed: int | None = None
        self._keep_bytes = self._room = keep_bytes

    def of(self, seed: int) -> World:
        """The tasks as written; their train rows drawn with this seed."""
        if self._budget.per_class is None:
            seed = 0  # all rows, whatever the seed
        if self._last is None or self._last_seed != seed:
            self._last = None  # let go of the states of the other seed's rows first
            self._last, self._last_seed = self._made(seed), seed
        return self._last

    def _made(self, seed: int) -> World:
        if not self._judging:
            room = self._keep_bytes
            for task in self._tasks:
                validation, room = self._labelled(task.validation, room)
                test, room = self._labelled(task.test, room)
                self._judging.append((validation, test))
            self._room = room
        tasks, room = [], self._room
        for task, (validation, test) in zip(self._tasks, self._judging, strict=True):
            drawn = self._with_drawn(task, "train", seed)
            train, room = self._labelled(drawn.train, room)
            classes = tuple(sorted(self._number[label] for label in task.labels))
            tasks.append(WorldTask(data=drawn, classes=classes, train=train, validation=validation, test=test))
        return World(host=self._host, max_tokens=self._max_tokens, labels=self._labels, tasks=tuple(tasks))

    def _with_drawn(self, task: TaskData, name: str, seed: int) -> TaskData:
        """The task with its `train` or `validation` cut to the budget."""
        whole = task.train if name == "train" else task.validation
        per_class = self._budget.per_class if name == "train" else self._budget.validation_per_class
        return _with_split(task, name, draw(whole, per_class, f"{seed} {name} {task.name}"))

    def _labelled(self, split: Split, room: int) -> tuple[Labelled, int]:
        """The split after one pass of the base, and how many bytes of `room` its kept states leave."""
        encoded = encode(self._host.base.tokenizer, split.texts, split.pairs, self._max_tokens)
        prepared = prepare(self._host, encoded, keep_bytes=room)
        numbers = [self._number.get(label, UNKNOWN_LABEL) for label in split.labels]
        labelled = Labelled(prepared=prepared, labels=torch.tensor(numbers, dtype=torch.int64))
        return labelled, room - prepared.kept_bytes


def world_of(host: Host, max_tokens: int, sequence: TaskSequence, budget: Budget, seed: int) -> World:
    """The tasks of a sequence as written, for one seed alone; `Worlds` serves several."""
    return Worlds(host, max_tokens, read_tasks(sequence, budget.test_rows), budget).of(seed)
