"""For each row of a batch its own mix of adapters, at one site: one batched product for all of them.

Adapters side by side are one wider adapter (DESIGN, section 3), so a row's mix is just a list of rows of the bank's
matrices. How the products are done is chosen for each batch: see groups.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from portfolio.hosting.groups import Int64, Pairs, is_better_grouped
from portfolio.hosting.pages import Lease
from portfolio.methods.low_rank import ACTIVATIONS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerRow:
    """`rank` is that of the widest adapter; a narrower one points at row 0 of the matrices, which is all zeros."""

    down: Tensor  # (stacked, in)
    down_bias: Tensor | None  # (stacked,); None: nobody here has one
    up: Tensor  # (stacked, out)
    activation: str
    rows: Int64  # (adapters, rank), of the matrices; all 0 for an adapter that does not act here
    pairs: Pairs  # which row of the batch uses which adapter
    weights: Tensor | None  # (pairs,); None: every weight is 1
    lease: Lease  # keeps the rows as they are

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            y = y.clone()
        acting = np.flatnonzero(self.rows.any(axis=1))
        if not len(acting):
            return y
        pairs, place = self.pairs.of(acting)
        if len(acting) == 1 and np.array_equal(self.pairs.row[pairs], np.arange(len(y))):
            return self._alike(y, x, acting[0], pairs)
        grouped = is_better_grouped(
            batch=len(y),
            mixed=self.pairs.of_row.shape[1],
            pairs=len(pairs),
            adapters=len(acting),
            most=self.pairs.members.shape[1],
            time=y.shape[1],
            rank=self.rows.shape[1],
            both=x.shape[2] + y.shape[2],
            out=y.shape[2],
        )
        return self._grouped(y, x, acting, pairs, place) if grouped else self._gathered(y, x)

    def _alike(self, y: Tensor, x: Tensor, adapter: int, pairs: Int64) -> Tensor:
        """Every row of the batch with the same adapter: one product."""
        at = _on(self.rows[adapter], y)
        hidden = torch.mm(self.down[at], x.flatten(0, 1).T)  # (rank, batch * time): quicker than its transpose
        if self.down_bias is not None:
            hidden += self.down_bias[at][:, None]
        hidden = ACTIVATIONS[self.activation](hidden)
        if self.weights is not None:
            hidden = hidden * self.weights[_on(pairs, y)].repeat_interleave(y.shape[1])
        return y.flatten(0, 1).addmm_(hidden.T, self.up[at]).view_as(y)

    def _gathered(self, y: Tensor, x: Tensor) -> Tensor:
        """Each row of the batch with a copy of its own weights, those of its adapters side by side."""
        pair = self.pairs.of_row  # (batch, most)
        at = np.where(pair < 0, len(self.rows), self.pairs.adapter[pair])  # the last of what follows: nobody
        rows = np.vstack([self.rows, np.zeros_like(self.rows[:1])])
        down, up = self._weights(rows, y)
        if not np.array_equal(at.ravel(), np.arange(len(self.rows))):  # else each row has its own already
            slabs = _on(at.ravel(), y)
            down, up = down.index_select(0, slabs), up.index_select(0, slabs)
        else:
            down, up = down[:-1], up[:-1]
        down, up = down.reshape(len(y), -1, x.shape[2]), up.reshape(len(y), -1, y.shape[2])
        hidden = torch.bmm(x, down.mT)  # (batch, time, most * rank)
        if self.down_bias is not None:
            hidden += self.down_bias[_on(rows[at], y)].view(len(y), 1, -1)
        hidden = ACTIVATIONS[self.activation](hidden)
        if self.weights is not None:
            weights = self.weights[_on(pair, y)].repeat_interleave(self.rows.shape[1], dim=1)
            hidden = hidden * weights[:, None]
        return y.baddbmm_(hidden, up)

    def _grouped(self, y: Tensor, x: Tensor, acting: Int64, pairs: Int64, place: Int64) -> Tensor:
        """The rows of each adapter together, padded to the most; rows without an adapter here are left out."""
        rows, members = self.rows[acting], self.pairs.members[acting]
        down, up = self._weights(rows, y)
        together = x.index_select(0, _on(members.ravel(), y)).view(len(acting), -1, x.shape[2])
        hidden = torch.bmm(together, down.mT)  # (adapters, most * time, rank)
        if self.down_bias is not None:
            hidden += self.down_bias[_on(rows, y)][:, None]
        hidden = ACTIVATIONS[self.activation](hidden)
        update = torch.bmm(hidden, up).view(-1, *y.shape[1:]).index_select(0, _on(place, y))  # (pairs, time, out)
        if self.weights is not None:
            update = update * self.weights[_on(pairs, y)][:, None, None]
        return y.index_add_(0, _on(self.pairs.row[pairs], y), update)

    def _weights(self, rows: Int64, y: Tensor) -> tuple[Tensor, Tensor]:
        """(adapters, rank, in) and (adapters, rank, out)"""
        at = _on(rows.ravel(), y)
        down, up = self.down.index_select(0, at), self.up.index_select(0, at)
        return down.view(*rows.shape, -1), up.view(*rows.shape, -1)


def _on(numbers: Int64, like: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(like.device)
