"""Bottleneck adapters: a narrow two-layer network beside a sub-layer of the base.

    x + scale · (U f(D x + b) + c)        D: (rank, in), U: (out, rank); U = 0 and c = 0 at the start

    pfeiffer  after the feed-forward output                  Pfeiffer et al., 2021, arXiv:2005.00247, section 3.2
    houlsby   after the attention and feed-forward outputs   Houlsby et al., 2019, arXiv:1902.00751, section 2.1
    parallel  reads what the feed-forward layer reads and
              adds to what it writes                         He et al., 2022, arXiv:2110.04366, section 4.3

Sub-layer outputs are read and written before the residual is added, for pre-norm and post-norm bases alike.
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
from portfolio.methods.low_rank import ACTIVATIONS, LowRank

PLACEMENTS: dict[str, tuple[str, ...]] = {
    "pfeiffer": ("ffn_output",),
    "houlsby": ("attention_output", "ffn_output"),
    "parallel": ("ffn_parallel",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckConfig(AdapterConfig):
    """How wide the bottleneck is, and where it stands."""

    method: ClassVar[str] = "bottleneck"
    rank: int = 48
    placement: str = "pfeiffer"
    activation: str = "relu"
    dropout: float = 0.0  # of f(D x + b), while training
    scale: float = 1.0
    blocks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_common(self)
        require(
            self.placement in PLACEMENTS,
            f"placement must be one of {', '.join(PLACEMENTS)}; got {self.placement!r}",
        )
        require(
            self.activation in ACTIVATIONS,
            f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.activation!r}",
        )
        require(math.isfinite(self.scale) and self.scale != 0, f"scale must be finite and not 0, got {self.scale}")

    def site_kinds(self) -> tuple[str, ...]:
        return PLACEMENTS[self.placement]

    def fresh(self, shape: SiteShape, generator: Generator) -> dict[str, Tensor]:
        down = torch.empty(self.rank, shape.features_in)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        return {
            "down": down,
            "down_bias": torch.zeros(self.rank),
            "up": torch.zeros(shape.features_out, self.rank),
            "up_bias": torch.zeros(shape.features_out),
        }

    def update(self, weights: Mapping[str, Tensor]) -> LowRank:
        return LowRank(
            down=weights["down"],
            down_bias=weights["down_bias"],
            up=_scaled(weights["up"], self.scale),
            up_bias=_scaled(weights["up_bias"], self.scale),
            activation=self.activation,
        )


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1 else tensor * scale
