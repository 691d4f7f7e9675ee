"""Nearest class mean of the frozen base's features, whitened by the covariance that all classes share: incremental LDA.

    y(x) = argmin_c (x − m_c)ᵀ Σ⁻¹ (x − m_c),   Σ: within classes, from running sums, shrunk (routing/whitening.py)

Fisher, 1936, equal priors; with running sums on a frozen network: Hayes and Kanan, 2020, Deep SLDA, arXiv:1909.01520. It is
the portfolio's router in its plain form, before anything of it is calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from portfolio.compare.class_means import ClassMeans, features_of
from portfolio.compare.contestant import Answers, Contestant, Keeps, Method, Settings
from portfolio.compare.world import World
from routing.router import covariance_of
from routing.whitening import Whitening


class FrozenWhitened:
    """Class means and one covariance."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = ClassMeans(world)
        self._whitening: Whitening | None = None  # of the sums as they are now, once it is needed

    def learn(self, number: int) -> None:
        self._kept.learn(number)
        self._whitening = None

    def answer(self, number: int, split: str) -> Answers:
        if self._whitening is None:
            covariance = covariance_of(self._kept.totals)
            self._whitening = covariance.whitening(covariance.oas)
        points = self._whitening.apply(features_of(self._world, number, split))
        return self._kept.answers(number, points, self._whitening.apply(self._kept.means))

    def keeps(self) -> Keeps:
        width = self._kept.totals.width
        covariance = width * (width + 1) // 2  # it is symmetric
        return Keeps(parameters=self._kept.means.size + covariance, numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return self._kept.state()

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        self._kept.restore(state)
        self._whitening = None


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    return FrozenWhitened(world)


FROZEN_WHITENED = Method(
    name="frozen-whitened",
    words="frozen features, whitened, nearest class mean",
    source="Hayes and Kanan, 2020, arXiv:1909.01520",
    is_joint=False,
    knows_task=False,
    rates=(),
    begin=begin,
)
