"""This package as users run it: a portfolio in its own directory, grown task by task, routed without abstaining.

    free:  label(x) = argmax P(label | x, t),  t = argmax_t P(t | x) by the router
    given: the same with t the task

Adapters and heads of earlier tasks are never touched, no text is kept; what changes with every task is the router. Growing
prepares a task's rows again from their texts, as it does for users: one more pass of the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from portfolio.calibrating import known_tasks
from portfolio.champions import champion_of
from portfolio.compare.contestant import Answers, Contestant, Int64, Keeps, Method, Settings
from portfolio.compare.in_turn import ADAPTER_RATES
from portfolio.compare.rows import picked_of
from portfolio.compare.world import World
from portfolio.engine import Engine, load_centroids
from portfolio.errors import NotFound
from portfolio.growth import add_task
from portfolio.hosting.host import Host
from portfolio.hosting.ready import Pass
from portfolio.hosting.trunk import Prepared
from portfolio.loading import load_passes
from portfolio.making import way_of
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.records import BaseContract, TaskRecord
from portfolio.running import predict_logits
from portfolio.store.store import Store
from portfolio.tasks.splits import Split
from portfolio.training import Silent, TrainingConfig
from routing.projection import width_of_each

_NOT_READ = "{}"  # instead of how a task's files were read: the rows are here


class Grown:
    """A portfolio that grows. Its directory is all of its state: what is in it was committed whole."""

    def __init__(self, world: World, settings: Settings, directory: Path) -> None:
        try:
            store = Store.open(directory / "portfolio")
        except NotFound:
            store = Store.create(directory / "portfolio", _contract(world))
        self._world = world
        self._settings = settings
        self._engine = Engine(store, host=world.host)  # one set of slots on the base is enough
        self._tests = {task.name: task.data.test for task in world.tasks}
        self._passes: dict[str, tuple[Pass, ...]] = {}

    def learn(self, number: int) -> None:
        data = self._world.tasks[number].data
        if data.name in self._here():
            return  # committed just before an interruption
        training = training_of(self._settings)
        way = way_of(BottleneckConfig())
        add_task(self._engine, data, way, training, reading=_NOT_READ, read_again=self._test_of, progress=Silent())

    def answer(self, number: int, split: str) -> Answers:
        task = self._world.tasks[number]
        prepared = task.split(split).prepared
        router = self._engine.refresh().router
        if router is None:
            raise NotFound("this portfolio has learned no task yet; let it learn one before it is asked")
        chosen = router.choose(self._engine.view(prepared.features)).choices.tasks
        free = np.zeros(len(prepared), dtype=np.int64)
        for place in np.unique(chosen):
            rows = np.flatnonzero(chosen == place)
            free[rows] = self._said(router.tasks[place], picked_of(prepared, rows.tolist()))
        if task.name in self._here():
            return Answers(free=free, given=self._said(task.name, prepared))
        own = np.isin(free, task.classes)  # nobody was trained for this task: the first of its labels is a guess
        return Answers(free=free, given=np.where(own, free, task.classes[0]))

    def keeps(self) -> Keeps:
        snapshot = self._engine.refresh().snapshot
        width = self._engine.router_width
        numbers = width + width * (width + 1) // 2 if snapshot.tasks else 0  # sums over all tasks
        for record, known in zip(snapshot.tasks, known_tasks(self._engine, snapshot), strict=True):
            centroids = load_centroids(self._engine.store, record)
            numbers += centroids.means.size + centroids.counts.size
            numbers += 0 if centroids.corner is None else centroids.corner.size
            numbers += known.rows.validation_features.size  # calibrate the router when the next task comes
        return Keeps(parameters=sum(one.parameters for one in snapshot.adapters), numbers=numbers, texts=0)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        wanted = [task.name for task in self._world.tasks[:learned]]
        missing = [name for name in wanted if name not in self._here()]
        if missing:
            raise NotFound(
                f"expected a portfolio of {', '.join(wanted)} at {self._engine.store.path}, but {', '.join(missing)} "
                "are not in it; delete the run's directory to begin it again"
            )

    def _here(self) -> list[str]:
        return [record.name for record in self._engine.refresh().snapshot.tasks]

    def _said(self, name: str, prepared: Prepared) -> Int64:
        """(rows,), classes of the world: what the adapter of that task says."""
        snapshot = self._engine.refresh().snapshot
        if name not in self._passes:
            self._passes[name] = load_passes(self._engine.store, champion_of(snapshot, name), host=self._engine.host)
        said = predict_logits(self._engine.host, self._passes[name], prepared).argmax(1).numpy()
        [record] = [one for one in snapshot.tasks if one.name == name]
        classes: Int64 = np.array([self._world.labels.index(label) for label in record.labels], dtype=np.int64)[said]
        return classes

    def _test_of(self, task: TaskRecord) -> Split:
        return self._tests[task.name]


def training_of(settings: Settings) -> TrainingConfig:
    """The portfolio's training, all at its defaults but what a comparison decides."""
    return TrainingConfig(
        epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.rate, seed=settings.seed
    )


def _contract(world: World) -> BaseContract:
    """Of a portfolio whose base is read as the world's is."""
    host: Host = world.host
    config = host.base.model.config
    return BaseContract(
        name=host.base.name,
        revision=host.base.revision,
        fingerprint=host.base.fingerprint,
        model_type=config.model_type,
        hidden_size=config.hidden_size,
        blocks=len(host.blocks),
        trunk=host.trunk,
        pooling=host.pooling,
        max_tokens=world.max_tokens,
        feature_blocks=host.feature_blocks,
        router_width=width_of_each(config.hidden_size, len(host.feature_blocks)),
    )


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    return Grown(world, settings, directory)


PORTFOLIO = Method(
    name="portfolio",
    words="portfolio: an adapter a task, routed",
    source="this package",
    is_joint=False,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=begin,
)
ORACLE = Method(
    name="oracle",
    words="portfolio: an adapter a task, the task given",
    source="this package",
    is_joint=False,
    knows_task=True,
    rates=ADAPTER_RATES,
    begin=begin,
)
