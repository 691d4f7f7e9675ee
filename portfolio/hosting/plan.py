"""A plan says which update acts at which site, for each row of one batch. It is a value: made once, never changed.

It reaches the slots through a context variable, so that threads do not meet and an exception leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from portfolio.methods.low_rank import ACTIVATIONS, LowRank


class Update(Protocol):
    """What one adapter, or one stack of them, does at one site."""

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """The site's output y (batch, time, out) with the update from x (batch, time, in) added; y is not changed."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The same adapter for every row."""

    update: LowRank
    dropout: float = 0.0

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return self.update.add_to(y, x, self.dropout)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerRow:
    """For each row its own mix of adapters, side by side as one wider adapter.

    `k` is the number of adapters in a row's mix; rows with fewer point at row 0 of the stack, which is all zeros.
    """

    down: Tensor  # (stacked, rank, in)
    down_bias: Tensor | None  # (stacked, rank)
    up: Tensor  # (stacked, rank, out)
    up_bias: Tensor | None  # (stacked, out)
    activation: str
    members: Tensor  # (batch, k), rows of the stack
    weights: Tensor | None  # (batch, k); None: every weight is 1

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        batch = len(self.members)
        down = self.down[self.members].flatten(1, 2)  # (batch, k * rank, in)
        up = self.up[self.members].flatten(1, 2)  # (batch, k * rank, out)
        if self.down_bias is None:
            hidden = x @ down.mT  # (batch, time, k * rank)
        else:
            hidden = (self.down_bias[self.members].view(batch, 1, -1)).baddbmm(x, down.mT)
        hidden = ACTIVATIONS[self.activation](hidden)
        if self.weights is not None:
            wide = self.weights.repeat_interleave(self.down.shape[1], dim=1)  # (batch, k * rank)
            hidden = hidden * wide[:, None]
        y = y.baddbmm(hidden, up)
        if self.up_bias is None:
            return y
        bias = self.up_bias[self.members]  # (batch, k, out)
        if self.weights is not None:
            bias = bias * self.weights[:, :, None]
        return y + bias.sum(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Blended:
    """What several members of a composition do together, as one function of the site's input."""

    blend: Callable[[Tensor], Tensor]  # (batch, time, in) -> (batch, time, out)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return y + self.blend(x)


@dataclass(frozen=True, slots=True)
class OnTop:
    """An update that reads what the updates before it have already changed, at a site that reads its own output."""

    update: Update

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return self.update.add_to(y, y)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Updates for some rows of the batch, one after the other; the other rows keep their bits."""

    rows: Tensor  # (some,)
    weights: Tensor | None  # (some,), how strongly they count; None: every weight is 1
    updates: tuple[Update, ...]

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        before, read = y[self.rows], x[self.rows]
        after = before
        for update in self.updates:
            after = update.add_to(after, read)
        if self.weights is not None:
            after = before + self.weights[:, None, None] * (after - before)
        return y.index_copy(0, self.rows, after)


@dataclass(frozen=True, slots=True)
class Plan:
    """Site key -> the updates that act there, in order. All but those `OnTop` read the same input; their sum is added."""

    updates: Mapping[str, tuple[Update, ...]]


NO_ADAPTER = Plan({})


@dataclass(frozen=True, slots=True)
class Trunk:
    """What the blocks that no adapter touches made of a batch; handed to later passes over the same rows."""

    state: Tensor  # (batch, time, hidden), after the last block of the trunk
    features: Tensor  # (batch, n * hidden), its part of the features

    def select(self, rows: Tensor) -> Trunk:
        """These rows, in this order, as often as they are named."""
        return Trunk(self.state[rows], self.features[rows])


@dataclass(slots=True)
class Call:
    """What one forward pass of a host carries beside its inputs. Lives as long as the pass."""

    host: object  # whose pass it is; slots of another host on the same model keep still
    plan: Plan
    trunk: Trunk | None = None  # given: the trunk's blocks hand its state on and do nothing
    is_trunk_only: bool = False  # the blocks above the trunk do nothing
    states: dict[int, Tensor] = field(default_factory=dict)  # number of blocks passed -> (batch, time, hidden)
    reads: dict[str, Tensor] = field(default_factory=dict)  # site key -> what its adapter will read


CALL: ContextVar[Call | None] = ContextVar("portfolio_call", default=None)
