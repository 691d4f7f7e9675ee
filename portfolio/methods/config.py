"""What a method must say of itself: where it acts, how its weights begin, and what they become."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from portfolio.errors import require
from portfolio.methods.low_rank import LowRank


@dataclass(frozen=True, slots=True)
class SiteShape:
    """All that a method knows of a site."""

    features_in: int  # width of what the adapter reads
    features_out: int  # width of what it adds to


class AdapterConfig(ABC):
    """A method with its settings. Never instantiated itself: see `METHODS` for the methods there are.

    Every config has `rank`, `dropout` and `blocks` (block numbers from 0; None: every block above the trunk).
    """

    method: ClassVar[str]
    rank: int
    dropout: float
    blocks: tuple[int, ...] | None

    @abstractmethod
    def site_kinds(self) -> tuple[str, ...]:
        """The kinds of sites it acts on: `attention_output`, `ffn_output`, `ffn_parallel`, or `linear:NAME`."""

    @abstractmethod
    def fresh(self, shape: SiteShape, generator: Generator) -> dict[str, Tensor]:
        """Weights for one site, float32, such that a fresh adapter changes nothing."""

    @abstractmethod
    def update(self, weights: Mapping[str, Tensor]) -> LowRank:
        """What the weights of one site do, with every scale folded in. Differentiable."""


def check_common(config: AdapterConfig) -> None:
    """The checks that every method shares."""
    require(config.rank >= 1, f"rank must be 1 or more, got {config.rank}")
    require(0 <= config.dropout < 1, f"dropout must be in [0, 1), got {config.dropout}")
    require(
        config.blocks is None or (len(config.blocks) > 0 and min(config.blocks) >= 0),
        f"blocks must be block numbers from 0, such as 3,4,5; got {config.blocks}",
    )
