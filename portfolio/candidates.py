"""A task that was learned and has not joined the others yet: all that came of it lies in the store, named by records.

Blobs are immutable and nothing refers to them before the task joins, so any process may learn a candidate, and another
may let it join: jobs and candidates are plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from portfolio.asking import Newcomer
from portfolio.drafts import Draft, Make
from portfolio.engine import Engine, load_centroids
from portfolio.evaluation import KnownTask
from portfolio.evaluation_set import EvaluationSet
from portfolio.hosting.weights import ComposedWeights, to_bytes
from portfolio.learning import learn
from portfolio.loading import load_passes
from portfolio.made_of import MadeOf
from portfolio.making import way_of
from portfolio.methods.compositions import composition_to_json
from portfolio.methods.config import AdapterConfig
from portfolio.methods.table import config_to_json
from portfolio.records import AdapterRecord, TaskRecord, to_json
from portfolio.store.store import Store
from portfolio.tasks.recipe import Recipe
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData
from portfolio.training import Progress, TrainingConfig
from routing.statistics import Centroids, Float64, centroids_to_bytes, scatter_from_bytes, scatter_to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task to learn, and how."""

    name: str
    recipe: Recipe
    method: AdapterConfig | MadeOf
    training: TrainingConfig
    tags: Mapping[str, str]
    again: bool = False  # the task is here: what is learned becomes a new version


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A learned task."""

    task: TaskRecord
    adapters: tuple[AdapterRecord, ...]  # by rising versions; the last answers
    test: Split | None  # in memory only: no text is stored; None: of one that was imported
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrival:
    """What a candidate brings to the other tasks, read from the store."""

    centroids: Centroids
    scatter: Float64
    known: KnownTask
    newcomer: Newcomer


def learn_job(engine: Callable[[], Engine], job: Job, progress: Progress) -> Candidate:
    """Read the task and learn it.

    Args:
        engine: called once the task is read, as a base takes long to load.

    Raises:
        DataError, ConfigError: before the long work.
        TrainingDiverged, Unwritable: nothing refers to what was put by then.
    """
    data = job.recipe.read(job.name)
    for note in data.notes:
        progress.say(f"{job.name}: {note}")
    loaded = engine()
    if isinstance(job.method, AdapterConfig):
        loaded.host.sites_for(job.method)  # an adapter that fits no site is refused before the long work
    make, reading = way_of(job.method), job.recipe.to_json()
    learned = learn_candidate(loaded, data, make, job.training, reading=reading, tags=job.tags, progress=progress)
    return replace(learned, again=job.again)


def learn_candidate(
    engine: Engine,
    data: TaskData,
    make: Make,
    training: TrainingConfig,
    *,
    reading: str,
    tags: Mapping[str, str],
    progress: Progress,
) -> Candidate:
    """Make the task's adapter, and put it with the task's statistics into the store.

    Args:
        reading: canonical JSON of how the task's files were read.
    """
    learned = learn(engine, data, make, training, progress)
    store = engine.store
    drafts = enumerate(learned.drafts, start=1)
    adapters = tuple(_stored(store, data.name, version, draft, training) for version, draft in drafts)
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
        tags=tuple(sorted(tags.items())),
    )
    return Candidate(task=task, adapters=adapters, test=data.test)


def arrival_of(engine: Engine, candidate: Candidate) -> Arrival:
    """What joining needs of it: the same bits, whichever process learned it."""
    store, task = engine.store, candidate.task
    rows = EvaluationSet.from_bytes(store.get(task.evaluation))
    passes = load_passes(store, candidate.adapters[-1], host=engine.host)
    return Arrival(
        centroids=load_centroids(store, task),
        scatter=scatter_from_bytes(store.get(task.scatter)),
        known=KnownTask(name=task.name, labels=task.labels, rows=rows),
        newcomer=Newcomer(name=task.name, test=candidate.test, labels=task.labels, passes=passes),
    )


def _stored(store: Store, name: str, version: int, draft: Draft, training: TrainingConfig) -> AdapterRecord:
    """Its bytes on disk, and the record that will name them."""
    adapter = draft.adapter
    blob = adapter.to_bytes() if isinstance(adapter, ComposedWeights) else to_bytes(adapter)
    return AdapterRecord(
        name=name,
        version=version,
        task=name,
        digest=store.put(blob),
        method=adapter.config.method,
        config=composition_to_json(adapter.config)
        if isinstance(adapter, ComposedWeights)
        else config_to_json(adapter.config),
        training=to_json(training),
        parameters=adapter.parameters,
        bytes=len(blob),
        seconds=draft.seconds,
        epochs=draft.epochs,
        seed=training.seed,
        validation_score=draft.validation_score,
        notes=draft.notes,
        members=draft.members,
        comparison=draft.comparison,
        attention=None if draft.attention is None else store.put(to_json(draft.attention).encode()),
    )
