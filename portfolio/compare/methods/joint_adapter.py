"""One adapter on the rows of all tasks at once, trained as the portfolio trains one: what isolating the tasks may cost.

Early stopping, the first head and the running mean of the weights are those of `portfolio add-task`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from portfolio.compare.contestant import Answers, Contestant, Keeps, Method, Settings
from portfolio.compare.in_turn import ADAPTER_RATES, adapter_of, answers_of
from portfolio.compare.methods.portfolio import training_of
from portfolio.compare.rows import joined
from portfolio.compare.trainee import copied_tensors, count_parameters, put_back
from portfolio.compare.world import World
from portfolio.training import train_adapter


class JointAdapter:
    """One training for all tasks."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._trainee = adapter_of(world, settings)
        self._learned = 0

    def learn(self, number: int) -> None:
        self._learned = number + 1
        tasks, training = self._world.tasks[: self._learned], training_of(self._settings)
        train, validation = joined([task.train for task in tasks]), joined([task.validation for task in tasks])
        config, classes = self._trainee.adapter.config, len(self._world.labels)
        trained = train_adapter(self._world.host, config, train, validation, classes, training)
        adapter = trained.learner.adapter
        sites = {f"sites.{key}.{name}": tensor for key, site in adapter.sites.items() for name, tensor in site.items()}
        put_back(self._trainee, {**sites, "head.weight": adapter.head.weight, "head.bias": adapter.head.bias})

    def answer(self, number: int, split: str) -> Answers:
        return answers_of(self._trainee, self._world, self._learned, number, split)

    def keeps(self) -> Keeps:
        return Keeps(parameters=count_parameters(self._trainee), numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return copied_tensors(self._trainee)

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        put_back(self._trainee, state)
        self._learned = learned


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    return JointAdapter(world, settings)


JOINT_ADAPTER = Method(
    name="joint-adapter",
    words="one adapter on all tasks at once",
    source="the usual upper reference",
    is_joint=True,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=begin,
)
