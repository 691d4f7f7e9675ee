"""A plan says which update acts at which site, for each row of one batch. It is a value: made once, never changed.

It reaches the slots through a context variable, so that threads do not meet and an exception leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from portfolio.methods.low_rank import LowRank


class Update(Protocol):
    """What one adapter, or one stack of them, does at one site."""

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """The site's output y (batch, time, out) with the update from x (batch, time, in) added.

        Where no gradients flow, y is given away: the result may be made in its place. x is not changed, unless it is y.
        """


@dataclass(frozen=True, slots=True)
class Shared:
    """The same adapter for every row."""

    update: LowRank
    dropout: float = 0.0

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return self.update.add_to(y, x, self.dropout)


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
        rows = self.rows.to(y.device)
        before, read = y[rows], x[rows]
        after = before.clone()
        for update in self.updates:
            after = update.add_to(after, read)
        if self.weights is not None:
            after = before + self.weights.to(y)[:, None, None] * (after - before)
        return y.index_copy(0, rows, after)


@dataclass(frozen=True, slots=True)
class Plan:
    """Site key -> the updates that act there, in order. All but those `OnTop` read the same input; their sum is added."""

    updates: Mapping[str, tuple[Update, ...]]


NO_ADAPTER = Plan({})


@dataclass(frozen=True, slots=True)
class Prelude:
    """What the first block above the trunk makes before an adapter at its feed-forward layer acts."""

    attention: Tensor  # (batch, time, hidden), what its attention gives
    feed_forward: Tensor  # (batch, time, hidden), of the linear layer that ends its feed-forward layer

    def select(self, rows: Tensor) -> Prelude:
        """These rows, in this order, as often as they are named."""
        return Prelude(self.attention[rows], self.feed_forward[rows])


@dataclass(frozen=True, slots=True)
class Trunk:
    """What the blocks that no adapter touches made of a batch; handed to later passes over the same rows."""

    state: Tensor  # (batch, time, hidden), after the last block of the trunk
    features: Tensor  # (batch, n * hidden), its part of the features
    prelude: Prelude | None = None  # where it is kept, as for training, or made for several passes

    def select(self, rows: Tensor) -> Trunk:
        """These rows, in this order, as often as they are named."""
        prelude = None if self.prelude is None else self.prelude.select(rows)
        return Trunk(self.state[rows], self.features[rows], prelude)


@dataclass(slots=True)
class Call:
    """What one forward pass of a host carries beside its inputs. Lives as long as the pass."""

    host: object  # whose pass it is; slots of another host on the same model keep still
    plan: Plan
    trunk: Trunk | None = None  # given: the trunk's blocks hand its state on and do nothing
    prelude: Prelude | None = None  # given: the layers that make it hand it on and do nothing
    blocks: int | None = None  # given: those above so many do nothing
    merged: object = None  # the layer that just ran, where it has done what its slot would do
    states: dict[int, Tensor] = field(default_factory=dict)  # number of blocks passed -> (batch, time, hidden)
    reads: dict[str, Tensor] = field(default_factory=dict)  # site key -> what its adapter will read
    prelude_made: dict[str, Tensor] = field(default_factory=dict)  # by the names of the fields of `Prelude`


CALL: ContextVar[Call | None] = ContextVar("portfolio_call", default=None)
