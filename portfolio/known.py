"""The tasks of a portfolio as the router and their measurement need them: each is read from its blobs when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import overload

from portfolio.evaluation import KnownTask
from portfolio.evaluation_set import EvaluationSet, mapped_test_features
from portfolio.outcomes import Float32
from portfolio.records import AdapterRecord, TaskRecord
from portfolio.router_cache import StoredCentroids
from portfolio.standing import Mark
from portfolio.store.store import Store


class KnownTasks(Sequence[KnownTask]):
    """Tasks whose blobs are in the store; one that comes may not be on record yet."""

    def __init__(self, store: Store, tasks: Sequence[TaskRecord], champions: Mapping[str, AdapterRecord]) -> None:
        """
        Args:
            tasks: in the router's order.
            champions: who answers for each of these tasks at least.
        """
        self.labels = {task.name: task.labels for task in tasks}
        self.centroids = StoredCentroids(store, tasks)
        self.digests = {task.name: task.centroids for task in tasks}  # of the centroids
        self._store = store
        self._tasks = tuple(tasks)
        self._champions = champions

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def __getitem__(self, place: int) -> KnownTask: ...

    @overload
    def __getitem__(self, place: slice) -> KnownTasks: ...

    def __getitem__(self, place: int | slice) -> KnownTask | KnownTasks:
        if isinstance(place, slice):
            return KnownTasks(self._store, self._tasks[place], self._champions)
        task = self._tasks[place]
        rows = EvaluationSet.from_bytes(self._store.get(task.evaluation))
        return KnownTask(name=task.name, labels=task.labels, rows=rows)

    def marks(self) -> tuple[Mark, ...]:
        """What each task is measured by."""
        return tuple(self._mark(task) for task in self._tasks)

    def _mark(self, task: TaskRecord) -> Mark:
        measured_by = (task.evaluation, self._champions[task.name].digest, *task.labels)
        rest = hashlib.sha256("\n".join(measured_by).encode("utf-8", errors="backslashreplace")).hexdigest()
        return Mark(name=task.name, centroids=task.centroids, rest=rest)

    def glance(self, place: int) -> Float32:
        """The test features (N, d) of one task, memory-mapped; their digest is not checked."""
        return mapped_test_features(self._store.mapped(self._tasks[place].evaluation))
