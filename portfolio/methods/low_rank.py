"""The one form that bottlenecks and LoRA share, so that one computation serves any mix of them:

    y + U (w ∘ f(D x + b)) + w c        D: (rank, in), U: (out, rank)

A bottleneck's scale and LoRA's alpha / rank are folded into U and c. Two adapters of weights w1 and w2 side by side are
one wider adapter: D and U stacked, f(D x) weighted block by block (DESIGN, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """One adapter's weights at one site, scale folded in."""

    down: Tensor  # (rank, in)
    down_bias: Tensor | None  # (rank,)
    up: Tensor  # (out, rank)
    up_bias: Tensor | None  # (out,)
    activation: str

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def add_to(self, y: Tensor, x: Tensor, dropout: float = 0.0) -> Tensor:
        """y + U f(D x + b) + c, the same adapter for every row.

        Args:
            y: (batch, time, out), what the base made at this site. Where no gradients flow, the result may be made in
                its place: for one adapter that saves as much time as its products take.
            x: (batch, time, in), what the adapter reads.
            dropout: of f(D x + b); above 0 only while training.
        """
        hidden = ACTIVATIONS[self.activation](functional.linear(x, self.down, self.down_bias))  # (batch, time, rank)
        if dropout:
            hidden = functional.dropout(hidden, dropout)
        flat, hidden = y.flatten(0, -2), hidden.flatten(0, -2)
        if torch.is_grad_enabled():
            flat = torch.addmm(flat, hidden, self.up.T)
            return flat.view_as(y) if self.up_bias is None else flat.view_as(y) + self.up_bias
        flat.addmm_(hidden, self.up.T)
        if self.up_bias is not None:
            flat += self.up_bias
        return flat.view_as(y)
