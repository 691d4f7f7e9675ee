"""A contestant that trains one thing, task after task, and what it may do against forgetting.

The guard does not know what learns, an adapter or the whole base; the trainee does not know that it is guarded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from portfolio.compare.contestant import Answers, Contestant, Keeps, Settings
from portfolio.compare.loop import Lesson, Loss, lesson_of, plain_loss, train
from portfolio.compare.trainee import (
    OneAdapter,
    Trainee,
    WholeBase,
    best_of,
    copied_tensors,
    count_parameters,
    logits_of_all,
    put_back,
)
from portfolio.compare.world import World
from portfolio.methods.bottleneck import BottleneckConfig

ADAPTER_RATES = (3e-3, 1e-3, 1e-2)  # of a bottleneck; the first is the portfolio's own default
FULL_RATES = (2e-4, 5e-5, 5e-4)  # of all weights of the base


class Guard(Protocol):
    """What a method does against forgetting."""

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        """What is made small in this lesson. Called once before its first step: the trainee is as the earlier left it."""

    def end(self, trainee: Trainee, lesson: Lesson) -> None:
        """Keep for later lessons whatever of this one is needed."""

    def keeps(self) -> Keeps:
        """What it carries beside the trainee's tensors."""

    def state(self) -> dict[str, Tensor]:
        """The same as tensors."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Carry what `state` gave."""


class NoGuard:
    """Nothing is done: plain fine-tuning."""

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        return plain_loss(trainee, lesson)

    def end(self, trainee: Trainee, lesson: Lesson) -> None: ...

    def keeps(self) -> Keeps:
        return Keeps(parameters=0, numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


class InTurn:
    """Learns the tasks one after the other."""

    def __init__(self, world: World, settings: Settings, trainee: Trainee, guard: Guard) -> None:
        self._world = world
        self._settings = settings
        self._trainee = trainee
        self._guard = guard
        self._learned = 0  # tasks

    def learn(self, number: int) -> None:
        lesson = lesson_of(self._world, number, self._settings)
        train(self._trainee, lesson, self._guard.loss(self._trainee, lesson))
        self._guard.end(self._trainee, lesson)
        self._learned = number + 1

    def answer(self, number: int, split: str) -> Answers:
        return answers_of(self._trainee, self._world, self._learned, number, split)

    def keeps(self) -> Keeps:
        beside = self._guard.keeps()
        return Keeps(
            parameters=count_parameters(self._trainee) + beside.parameters, numbers=beside.numbers, texts=beside.texts
        )

    def state(self) -> dict[str, Tensor]:
        trained = {f"trainee {name}": tensor for name, tensor in copied_tensors(self._trainee).items()}
        return trained | {f"guard {name}": tensor for name, tensor in self._guard.state().items()}

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        self._guard.restore(_named(state, "guard "))
        put_back(self._trainee, _named(state, "trainee "))
        self._learned = learned


def answers_of(trainee: Trainee, world: World, learned: int, number: int, split: str) -> Answers:
    """Of a trainee that has learned the first so many tasks."""
    task = world.tasks[number]
    logits = logits_of_all(trainee, task.split(split).prepared)
    return Answers(free=best_of(logits, world.known_classes(learned)), given=best_of(logits, task.classes))


def adapter_of(world: World, settings: Settings) -> OneAdapter:
    """A bottleneck as the portfolio makes it by default, that changes nothing yet."""
    return OneAdapter(world.host, BottleneckConfig(), len(world.labels), settings.seed)


def whole_base_of(world: World, settings: Settings) -> WholeBase:
    """A copy of the base as it was pretrained."""
    return WholeBase(world.host, len(world.labels))


def in_turn(
    trainee: Callable[[World, Settings], Trainee], guard: Callable[[World], Guard]
) -> Callable[[World, Settings, Path], Contestant]:
    """How a contestant of this trainee under this guard begins."""

    def begin(world: World, settings: Settings, directory: Path) -> Contestant:
        return InTurn(world, settings, trainee(world, settings), guard(world))

    return begin


def _named(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
