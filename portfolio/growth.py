"""A portfolio grows and shrinks: train a task's adapter, keep its statistics, measure every task, commit; or take one out.

Training holds no lock. What depends on the other tasks (the router's sums, thresholds, the results row) is computed
against one generation of the store and committed only if that generation still stands; otherwise it is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from portfolio.asking import Newcomer, ReadAgain, asker
from portfolio.calibrating import calibrated_router, known_tasks, totals_of, totals_without, wishes_of
from portfolio.engine import Engine, Moment, champion_of, load_adapter, load_centroids
from portfolio.errors import Conflict, DataError
from portfolio.evaluation import EvaluationSet, KnownTask, measure
from portfolio.hosting.trunk import prepare
from portfolio.hosting.weights import to_bytes
from portfolio.methods.config import AdapterConfig
from portfolio.methods.table import config_to_json
from portfolio.records import BARE_BASE, UNKNOWN_LABEL, AdapterRecord, Cell, Snapshot, TaskRecord, to_json
from portfolio.refs import require_free, require_known
from portfolio.store.store import GenerationMoved
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData
from portfolio.training import Labelled, Progress, Trained, TrainingConfig, predict_logits, train_adapter
from routing.statistics import (
    Centroids,
    Float64,
    centroids_to_bytes,
    scatter_to_bytes,
    summarise,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Learned:
    """All that training and the bare base gave for one task, before it meets the other tasks."""

    data: TaskData
    trained: Trained
    centroids: Centroids
    scatter: Float64
    rows: EvaluationSet

    @property
    def known(self) -> KnownTask:
        return KnownTask(name=self.data.name, labels=self.data.labels, rows=self.rows)

    @property
    def newcomer(self) -> Newcomer:
        return Newcomer(name=self.data.name, test=self.data.test, labels=self.data.labels, adapter=self.trained.adapter)


def add_task(
    engine: Engine,
    data: TaskData,
    config: AdapterConfig,
    training: TrainingConfig,
    *,
    reading: str,
    read_again: ReadAgain,
    progress: Progress,
    tags: Mapping[str, str] | None = None,
) -> AdapterRecord:
    """Train the task's adapter and commit it with its statistics and a row of both results matrices.

    Args:
        reading: canonical JSON of how the task's files were read, stored so that they can be read again.

    Raises:
        Conflict: the name is taken, also if by another process meanwhile.
        TrainingDiverged, ConfigError, Unwritable: nothing is changed.
    """
    require_free(data.name, _names_of(engine.refresh().snapshot))
    learned = _learn(engine, data, config, training, progress)
    store = engine.store
    blob = to_bytes(learned.trained.adapter)
    adapter = AdapterRecord(
        name=data.name,
        version=1,
        task=data.name,
        digest=store.put(blob),
        method=config.method,
        config=config_to_json(config),
        training=to_json(training),
        parameters=learned.trained.adapter.parameters,
        bytes=len(blob),
        seconds=learned.trained.seconds,
        epochs=learned.trained.epochs,
        seed=training.seed,
        validation_score=learned.trained.validation_score,
        notes=learned.trained.notes,
    )
    task = TaskRecord(
        name=data.name,
        kind="classification",
        labels=data.labels,
        has_pairs=data.train.pairs is not None,
        columns=data.columns,
        sources=data.sources,
        seed=data.seed,
        reading=reading,
        centroids=store.put(centroids_to_bytes(learned.centroids)),
        scatter=store.put(scatter_to_bytes(learned.scatter)),
        evaluation=store.put(learned.rows.to_bytes()),
        notes=data.notes,
        tags=tuple(sorted((tags or {}).items())),
    )
    while True:
        try:
            _join(engine, learned, task, adapter, read_again)
        except GenerationMoved:
            continue
        return adapter


def _join(engine: Engine, learned: _Learned, task: TaskRecord, adapter: AdapterRecord, read_again: ReadAgain) -> None:
    """Bring a learned task together with those that are here now, and commit.

    Raises:
        GenerationMoved: the portfolio changed meanwhile; nothing was committed.
    """
    name, store = task.name, engine.store
    now = engine.refresh()
    snapshot = now.snapshot
    require_free(name, _names_of(snapshot))
    foretold = _foretold(engine, now, learned)
    totals = totals_of(engine, snapshot).add(learned.centroids, learned.scatter)
    known = [*known_tasks(engine, snapshot), learned.known]
    centroids = {record.name: load_centroids(store, record) for record in snapshot.tasks}
    router, state, _ = calibrated_router(
        engine, totals, {**centroids, name: learned.centroids}, known, wishes_of(snapshot)
    )
    cells = [*foretold, *measure(name, known, router, asker(engine, snapshot, read_again, learned.newcomer))]
    store.commit_task(expected_generation=snapshot.generation, task=task, adapter=adapter, router=state, cells=cells)


def remove_task(engine: Engine, name: str, *, read_again: ReadAgain) -> None:
    """Take a task out: its sums are subtracted, and the tasks that stay are measured again.

    Raises:
        NotFound: no such task, also if another process took it out meanwhile.
        Conflict: the task is the fallback.
    """
    while True:
        try:
            _leave(engine, name, read_again)
        except GenerationMoved:
            continue
        return


def _leave(engine: Engine, name: str, read_again: ReadAgain) -> None:
    """Take a task out of the portfolio as it is now, and commit; GenerationMoved if it changed meanwhile."""
    store = engine.store
    snapshot = engine.refresh().snapshot
    require_known(name, _names_of(snapshot))
    wishes = wishes_of(snapshot)
    if name == wishes.fallback != BARE_BASE:  # a task may be called `base`, too
        raise Conflict(
            f"task {name!r} is the fallback for what no task knows; choose another first with: "
            "portfolio calibrate --fallback none"
        )
    [record] = [task for task in snapshot.tasks if task.name == name]
    staying = tuple(task for task in snapshot.tasks if task.name != name)
    state, cells = None, []
    if staying:
        totals = totals_without(engine, snapshot, record)
        known = [task for task in known_tasks(engine, snapshot) if task.name != name]
        centroids = {task.name: load_centroids(store, task) for task in staying}
        router, state, _ = calibrated_router(engine, totals, centroids, known, wishes)
        cells = measure(staying[-1].name, known, router, asker(engine, snapshot, read_again))
    store.commit_removal(expected_generation=snapshot.generation, name=name, router=state, cells=cells)


def evaluate(engine: Engine, *, read_again: ReadAgain) -> None:
    """Run every test split again from its source, through base, router and adapters, and store the last row anew.

    Raises:
        DataError: a test split is gone or changed.
    """
    while True:
        try:
            _measure_all_again(engine, read_again)
        except GenerationMoved:
            continue
        return


def _measure_all_again(engine: Engine, read_again: ReadAgain) -> None:
    now = engine.refresh()
    snapshot, router = now.snapshot, now.router
    if router is None:
        return
    known = [_measured_again(engine, snapshot, task, read_again) for task in snapshot.tasks]
    cells = measure(snapshot.tasks[-1].name, known, router, asker(engine, snapshot, read_again))
    engine.store.commit_cells(expected_generation=snapshot.generation, cells=cells)


def _measured_again(engine: Engine, snapshot: Snapshot, task: TaskRecord, read_again: ReadAgain) -> KnownTask:
    split = read_again(task)
    if split is None:
        raise DataError(
            f"the test rows of task {task.name!r} can no longer be read as they were when it was added; put back what "
            f"they were read from: {', '.join(dict.fromkeys(source.path for source in task.sources))}"
        )
    before = EvaluationSet.from_bytes(engine.store.get(task.evaluation))
    adapter = load_adapter(engine.store, champion_of(snapshot, task.name))
    prepared = prepare(engine.host, engine.encode(split.texts, split.pairs))
    number = {label: index for index, label in enumerate(task.labels)}
    rows = EvaluationSet(
        validation_features=before.validation_features,
        test_features=engine.view(prepared.features),
        test_labels=np.array([number.get(label, UNKNOWN_LABEL) for label in split.labels], dtype=np.int64),
        test_predictions=predict_logits(engine.host, adapter, prepared).argmax(1).numpy(),
        baseline=before.baseline,
    )
    return KnownTask(name=task.name, labels=task.labels, rows=rows)


def _names_of(snapshot: Snapshot) -> list[str]:
    """The names of all tasks, in order."""
    return [task.name for task in snapshot.tasks]


def _learn(
    engine: Engine, data: TaskData, config: AdapterConfig, training: TrainingConfig, progress: Progress
) -> _Learned:
    engine.host.sites_for(config)  # an adapter that fits no site is refused before the long work
    number = {label: index for index, label in enumerate(data.labels)}
    train = _labelled(engine, data.train, number, training.cache_bytes, progress)
    left = max(0, training.cache_bytes - train.prepared.kept_bytes)
    validation = _labelled(engine, data.validation, number, left, progress)
    trained = train_adapter(engine.host, config, train, validation, len(data.labels), training, progress)
    test = _labelled(engine, data.test, number, 0, progress)
    predictions = predict_logits(engine.host, trained.adapter, test.prepared).argmax(1)
    labels = train.labels.numpy()
    features = engine.view(train.prepared.features)
    centroids, scatter = summarise(features, labels, len(data.labels), corner=engine.block_width)
    most_frequent = int(np.bincount(labels).argmax())
    rows = EvaluationSet(
        validation_features=engine.view(validation.prepared.features),
        test_features=engine.view(test.prepared.features),
        test_labels=test.labels.numpy(),
        test_predictions=predictions.numpy(),
        baseline=float((test.labels == most_frequent).double().mean()) if len(test.labels) else 0.0,
    )
    return _Learned(data=data, trained=trained, centroids=centroids, scatter=scatter, rows=rows)


def _labelled(engine: Engine, split: Split, number: dict[str, int], keep_bytes: int, progress: Progress) -> Labelled:
    encoded = engine.encode(split.texts, split.pairs)
    prepared = prepare(engine.host, encoded, keep_bytes=keep_bytes, advance=progress.prepared)
    labels = torch.tensor([number.get(label, UNKNOWN_LABEL) for label in split.labels], dtype=torch.int64)
    return Labelled(prepared=prepared, labels=labels)


def _foretold(engine: Engine, now: Moment, learned: _Learned) -> list[Cell]:
    """How the portfolio did on the new task before it came: R[i-1, i], where its labels were all known."""
    snapshot = now.snapshot
    known_labels = {label for task in snapshot.tasks for label in task.labels}
    if now.router is None or not set(learned.data.labels) <= known_labels:
        return []
    known = known_tasks(engine, snapshot)
    ask = asker(engine, snapshot, lambda task: None, learned.newcomer)
    [cell] = measure(snapshot.tasks[-1].name, [learned.known], now.router, ask, others=known)
    return [Cell(step=cell.step, task=cell.task, rows=cell.rows, routed=cell.routed, baseline=cell.baseline)]
