"""All weights of the base on the rows of all tasks at once: the ceiling of whatever learns them one after the other.

So that it is a high one, the head begins as the portfolio's do, with what the frozen features say (first_head.py; why that
helps fine-tuning: Kumar et al., 2022, arXiv:2202.10054), and the epoch that did best on all validation rows is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from portfolio.compare.contestant import Answers, Contestant, Keeps, Method, Settings
from portfolio.compare.in_turn import answers_of
from portfolio.compare.loop import Lesson, plain_loss, train
from portfolio.compare.rows import joined
from portfolio.compare.trainee import WholeBase, copied_tensors, count_parameters, put_back
from portfolio.compare.world import World
from portfolio.first_head import first_head
from portfolio.hosting.weights import Head
from portfolio.running import Labelled

_RATES = (5e-5, 2e-4, 2e-5)  # lower than from a head of zeros, which has to be found first


class JointFull:
    """One training for all tasks."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._trainee = WholeBase(world.host, len(world.labels))
        self._learned = 0

    def learn(self, number: int) -> None:
        self._learned = number + 1
        tasks = self._world.tasks[: self._learned]
        lesson = Lesson(
            number=number,
            rows=joined([task.train for task in tasks]),
            known=self._world.known_classes(self._learned),
            earlier=(),
            settings=self._settings,
        )
        judging = joined([task.validation for task in tasks])
        head = _first_head(lesson.rows, judging, len(self._world.labels))
        put_back(self._trainee, {**self._trainee.tensors(), "head.weight": head.weight, "head.bias": head.bias})
        train(self._trainee, lesson, plain_loss(self._trainee, lesson), judging)

    def answer(self, number: int, split: str) -> Answers:
        return answers_of(self._trainee, self._world, self._learned, number, split)

    def keeps(self) -> Keeps:
        return Keeps(parameters=count_parameters(self._trainee), numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return copied_tensors(self._trainee)

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        put_back(self._trainee, state)
        self._learned = learned


def _first_head(train: Labelled, judging: Labelled, classes: int) -> Head:
    """Of the features of the base before it learns."""
    return first_head(
        train.prepared.features,
        train.labels,
        judging.prepared.features,
        judging.labels,
        classes,
        for_training=True,
    )


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    return JointFull(world, settings)


JOINT_FULL = Method(
    name="joint-full",
    words="all weights on all tasks at once",
    source="the usual upper reference; Kumar et al., 2022, arXiv:2202.10054",
    is_joint=True,
    knows_task=False,
    rates=_RATES,
    begin=begin,
)
