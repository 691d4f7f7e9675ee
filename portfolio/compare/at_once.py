"""A contestant that is taught all tasks at once, whatever learns and however it is taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from portfolio.compare.contestant import Answers, Contestant, Keeps, Settings
from portfolio.compare.in_turn import answers_of
from portfolio.compare.rows import joined
from portfolio.compare.trainee import Trainee, copied_tensors, count_parameters, put_back
from portfolio.compare.world import World
from portfolio.running import Labelled

T = TypeVar("T", bound=Trainee)
Teach = Callable[
    [T, World, int, Labelled, Labelled, Settings], None
]  # with tasks learned, their train and validation rows


class AtOnce:
    """One training for all tasks."""

    def __init__(self, world: World, settings: Settings, trainee: T, teach: Teach[T]) -> None:
        self._world = world
        self._trainee: Trainee = trainee
        self._teach: Callable[[int, Labelled, Labelled], None] = lambda learned, rows, judging: teach(
            trainee, world, learned, rows, judging, settings
        )
        self._learned = 0

    def learn(self, number: int) -> None:
        self._learned = number + 1
        tasks = self._world.tasks[: self._learned]
        self._teach(self._learned, joined([one.train for one in tasks]), joined([one.validation for one in tasks]))

    def answer(self, number: int, split: str) -> Answers:
        return answers_of(self._trainee, self._world, self._learned, number, split)

    def keeps(self) -> Keeps:
        return Keeps(parameters=count_parameters(self._trainee), numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return copied_tensors(self._trainee)

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        put_back(self._trainee, state)
        self._learned = learned


def at_once(trainee: Callable[[World, Settings], T], teach: Teach[T]) -> Callable[[World, Settings, Path], Contestant]:
    """How a contestant of this trainee, taught like this, begins."""

    def begin(world: World, settings: Settings, directory: Path) -> Contestant:
        return AtOnce(world, settings, trainee(world, settings), teach)

    return begin
