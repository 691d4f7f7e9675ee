"""LoRA: a low-rank update beside a frozen linear layer.

    y = W x + (alpha / rank) · B A x        A: (rank, in), B: (out, rank); B = 0 at the start

Source: Hu et al., 2021, arXiv:2106.09685, section 4.1. Dropout acts on A x, not on x as in the paper, so that training
and serving share one computation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from portfolio.errors import require
from portfolio.methods.config import AdapterConfig, SiteShape, check_common
from portfolio.methods.low_rank import LowRank

EVERY_LINEAR = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig(AdapterConfig):
    """How large the update is, how strongly it counts, and beside which linear layers it stands."""

    method: ClassVar[str] = "lora"
    rank: int = 8
    alpha: float = 16.0  # the update is scaled by alpha / rank
    targets: tuple[str, ...] = (EVERY_LINEAR,)  # last parts of module names in a block, such as `query`, or `all`
    dropout: float = 0.0  # of A x, while training
    blocks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_common(self)
        require(math.isfinite(self.alpha) and self.alpha != 0, f"alpha must be finite and not 0, got {self.alpha}")
        require(
            not isinstance(self.targets, str) and len(self.targets) > 0 and all(self.targets),
            "targets must name at least one linear layer, such as query,value, or be 'all'",
        )

    def site_kinds(self) -> tuple[str, ...]:
        return tuple(f"linear:{target}" for target in self.targets)

    def fresh(self, shape: SiteShape, generator: Generator) -> dict[str, Tensor]:
        down = torch.empty(self.rank, shape.features_in)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        return {"down": down, "up": torch.zeros(shape.features_out, self.rank)}  # A, B

    def update(self, weights: Mapping[str, Tensor]) -> LowRank:
        return LowRank(
            down=weights["down"],
            down_bias=None,
            up=weights["up"] * (self.alpha / self.rank),
            up_bias=None,
            activation="identity",
        )
