"""Nearest class mean of the frozen base's features: what the base knows without any training.

    y(x) = argmin_c |x − m_c|²,   m_c: the mean of the class's training rows

Mensink et al., 2013, Distance-based image classification, section 3, without its learned metric; as the classifier of a
continual learner: Rebuffi et al., 2017, iCaRL, arXiv:1611.07725, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from portfolio.compare.class_means import ClassMeans, features_of
from portfolio.compare.contestant import Answers, Contestant, Keeps, Method, Settings
from portfolio.compare.world import World


class FrozenMeans:
    """Class means, and nothing else."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = ClassMeans(world)

    def learn(self, number: int) -> None:
        self._kept.learn(number)

    def answer(self, number: int, split: str) -> Answers:
        return self._kept.answers(number, features_of(self._world, number, split), self._kept.means)

    def keeps(self) -> Keeps:
        return Keeps(parameters=self._kept.means.size, numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return self._kept.state()

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        self._kept.restore(state)


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    return FrozenMeans(world)


FROZEN_MEANS = Method(
    name="frozen-means",
    words="frozen features, nearest class mean",
    source="Mensink et al., 2013; Rebuffi et al., 2017, arXiv:1611.07725",
    is_joint=False,
    knows_task=False,
    rates=(),
    begin=begin,
)
