"""A portfolio grows and shrinks: train a task's adapter, keep its statistics, measure every task, commit; or take one out.

Training holds no lock. What depends on the other tasks (the router's sums, thresholds, the results row) is computed
against one generation of the store and committed only if that generation still stands; otherwise it is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from portfolio.asking import ReadAgain, asker
from portfolio.calibrating import calibrated_router, results_of, totals_of, totals_without, wishes_of
from portfolio.candidates import Arrival, Candidate, arrival_of, learn_candidate
from portfolio.champions import champion_of, champions_of
from portfolio.drafts import Make
from portfolio.engine import Engine, Moment
from portfolio.errors import Conflict, DataError
from portfolio.evaluation import KnownTask, measure
from portfolio.evaluation_set import EvaluationSet
from portfolio.hosting.trunk import prepare
from portfolio.known import KnownTasks
from portfolio.loading import load_passes
from portfolio.members import require_unneeded
from portfolio.records import BARE_BASE, UNKNOWN_LABEL, AdapterRecord, Cell, Results, Snapshot, TaskRecord
from portfolio.refs import require_all_known, require_free
from portfolio.remeasuring import remeasure
from portfolio.running import predict_logits
from portfolio.store.changes import until_it_stands
from portfolio.tasks.recipe import Recipe
from portfolio.tasks.task import TaskData
from portfolio.training import Progress, TrainingConfig


def add_task(
    engine: Engine,
    data: TaskData,
    make: Make,
    training: TrainingConfig,
    *,
    reading: str,
    read_again: ReadAgain,
    progress: Progress,
    tags: Mapping[str, str] | None = None,
) -> AdapterRecord:
    """Make the task's adapter and commit it with its statistics and a row of both results matrices.

    Args:
        make: trains it, or puts it together of adapters that are here.
        reading: canonical JSON of how the task's files were read, stored so that they can be read again.

    Returns:
        The version that answers.

    Raises:
        Conflict: the name is taken, also if by another process meanwhile; or a member of the adapter was removed.
        TrainingDiverged, ConfigError, Unwritable: nothing is changed.
    """
    require_free(data.name, _names_of(engine.refresh().snapshot))
    candidate = learn_candidate(engine, data, make, training, reading=reading, tags=tags or {}, progress=progress)
    return join(engine, candidate, read_again=read_again)


def join(engine: Engine, candidate: Candidate, *, read_again: ReadAgain) -> AdapterRecord:
    """Take a learned task in, with a row of both results matrices; the version that answers.

    Raises:
        Conflict: the name is taken meanwhile, or a member of the adapter was removed.
    """
    arrival = arrival_of(engine, candidate)
    until_it_stands(lambda: _join(engine, arrival, candidate.task, candidate.adapters, read_again))
    return candidate.adapters[-1]


def _join(
    engine: Engine,
    arrival: Arrival,
    task: TaskRecord,
    adapters: Sequence[AdapterRecord],
    read_again: ReadAgain,
) -> None:
    """Bring a learned task together with those that are here now, and commit.

    Raises:
        GenerationMoved: the portfolio changed meanwhile; nothing was committed.
    """
    name, store = task.name, engine.store
    now = engine.refresh()
    snapshot = now.snapshot
    require_free(name, _names_of(snapshot))
    foretold = _foretold(engine, now, arrival)
    totals = totals_of(engine, snapshot).add(arrival.centroids, arrival.scatter)
    known = KnownTasks(store, (*snapshot.tasks, task), {**champions_of(snapshot), name: adapters[-1]})
    router, state, _ = calibrated_router(engine, totals, known, wishes_of(snapshot))
    measured = remeasure(store, name, known, router, asker(engine, snapshot, read_again, arrival.newcomer))
    store.commit_task(
        expected_generation=snapshot.generation,
        task=task,
        adapters=adapters,
        router=state,
        results=results_of(store, measured, foretold),
    )


def remove_tasks(engine: Engine, names: Sequence[str], *, read_again: ReadAgain) -> None:
    """Take tasks out together: their sums are subtracted, and the tasks that stay are measured again.

    Raises:
        NotFound: no such task, also if another process took it out meanwhile.
        Conflict: one is the fallback, or an adapter of a task that stays is made of one that would go.
    """
    until_it_stands(lambda: _leave(engine, names, read_again))


def _leave(engine: Engine, names: Sequence[str], read_again: ReadAgain) -> None:
    """Take tasks out of the portfolio as it is now, and commit; GenerationMoved if it changed meanwhile."""
    store = engine.store
    snapshot = engine.refresh().snapshot
    require_all_known(names, _names_of(snapshot))
    require_unneeded(snapshot.adapters, names)
    wishes = wishes_of(snapshot)
    if wishes.fallback in names and wishes.fallback != BARE_BASE:  # a task may be called `base`, too
        raise Conflict(
            f"task {wishes.fallback!r} is the fallback for what no task knows; choose another first with: "
            "portfolio calibrate --fallback none"
        )
    staying = tuple(task for task in snapshot.tasks if task.name not in names)
    state, results = None, Results()
    if staying:
        totals = totals_without(engine, snapshot, [task for task in snapshot.tasks if task.name in names])
        known = KnownTasks(store, staying, champions_of(snapshot))
        router, state, _ = calibrated_router(engine, totals, known, wishes)
        ask = asker(engine, snapshot, read_again)
        results = results_of(store, remeasure(store, staying[-1].name, known, router, ask))
    store.commit_removal(expected_generation=snapshot.generation, names=names, router=state, results=results)


def evaluate(engine: Engine, *, read_again: ReadAgain) -> None:
    """Run every test split again from its source, through base, router and adapters, and store the last row anew.

    Of tasks that were imported, what is kept of their rows is measured.

    Raises:
        DataError: a test split is gone or changed.
    """
    until_it_stands(lambda: _measure_all_again(engine, read_again))


def _measure_all_again(engine: Engine, read_again: ReadAgain) -> None:
    now = engine.refresh()
    snapshot, router = now.snapshot, now.router
    if router is None:
        return
    known = (_measured_again(engine, snapshot, task, read_again) for task in snapshot.tasks)
    labels = {task.name: task.labels for task in snapshot.tasks}
    measured = measure(snapshot.tasks[-1].name, known, router, asker(engine, snapshot, read_again), labels)
    results = results_of(engine.store, measured)
    engine.store.commit_results(expected_generation=snapshot.generation, results=results)


def _measured_again(engine: Engine, snapshot: Snapshot, task: TaskRecord, read_again: ReadAgain) -> KnownTask:
    split = read_again(task)
    if split is None and Recipe.from_json(task.reading).is_elsewhere:  # no text came with it: what is kept must do
        return KnownTask(
            name=task.name, labels=task.labels, rows=EvaluationSet.from_bytes(engine.store.get(task.evaluation))
        )
    if split is None:
        raise DataError(
            f"the test rows of task {task.name!r} can no longer be read as they were when it was added; put back what "
            f"they were read from: {', '.join(dict.fromkeys(source.path for source in task.sources))}"
        )
    before = EvaluationSet.from_bytes(engine.store.get(task.evaluation))
    passes = load_passes(engine.store, champion_of(snapshot, task.name), host=engine.host)
    prepared = prepare(engine.host, engine.encode(split.texts, split.pairs))
    number = {label: index for index, label in enumerate(task.labels)}
    rows = EvaluationSet(
        validation_features=before.validation_features,
        test_features=engine.view(prepared.features),
        test_labels=np.array([number.get(label, UNKNOWN_LABEL) for label in split.labels], dtype=np.int64),
        test_predictions=predict_logits(engine.host, passes, prepared).argmax(1).numpy(),
        baseline=before.baseline,
    )
    return KnownTask(name=task.name, labels=task.labels, rows=rows)


def _names_of(snapshot: Snapshot) -> list[str]:
    """The names of all tasks, in order."""
    return [task.name for task in snapshot.tasks]


def _foretold(engine: Engine, now: Moment, arrival: Arrival) -> list[Cell]:
    """How the portfolio did on the new task before it came: R[i-1, i], where its labels were all known."""
    snapshot = now.snapshot
    known_labels = {label for task in snapshot.tasks for label in task.labels}
    if now.router is None or not set(arrival.known.labels) <= known_labels:
        return []
    labels = {task.name: task.labels for task in snapshot.tasks} | {arrival.known.name: arrival.known.labels}
    ask = asker(engine, snapshot, lambda task: None, arrival.newcomer)
    [cell] = measure(snapshot.tasks[-1].name, [arrival.known], now.router, ask, labels).cells
    return [Cell(step=cell.step, task=cell.task, rows=cell.rows, routed=cell.routed, baseline=cell.baseline)]
