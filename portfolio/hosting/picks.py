"""Which rows of the bank's matrices a batch uses, as the products at a site need them.

Adapters of one shape have the same rows at many sites; then all of those sites share one of these, and each list of indices
is made once for a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from portfolio.hosting.groups import Int64, Pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouped:
    """Rows of a batch put side by side by adapter, each adapter's padded to the most of any."""

    rows: Tensor  # (adapters * rank,), of the matrices
    members: Tensor  # (adapters * most,), rows of the batch; 0 where padded
    taken: Tensor | None  # (pairs,), places in `members` that are no padding, in rising order; None: all of them
    row: Tensor  # (pairs,), of the batch, in that order
    pairs: Tensor  # (pairs,), their numbers, in that order


@dataclass(frozen=True, kw_only=True, eq=False)
class Picks:
    """`rank` is that of the widest adapter; a narrower one points at row 0 of the matrices, which is all zeros."""

    rows: Int64  # (adapters, rank), of the matrices; all 0 for an adapter that does not act here
    pairs: Pairs  # which row of the batch uses which adapter
    device: torch.device

    @cached_property
    def acting(self) -> Int64:
        """The adapters that do anything here."""
        return np.flatnonzero(self.rows.any(axis=1))

    @cached_property
    def alike(self) -> Tensor | None:
        """(rank,), rows of the matrices: those of the one adapter that every row of the batch uses once; else None."""
        if len(self.acting) != 1:
            return None
        used = self.pairs.row[self.pairs.of(self.acting)[0]]
        return (
            self._there(self.rows[self.acting[0]]) if np.array_equal(used, np.arange(len(self.pairs.of_row))) else None
        )

    @cached_property
    def gathered(self) -> Tensor:
        """(batch * most of any row * rank,), rows of the matrices."""
        nobody = np.zeros_like(self.rows[:1])
        pair = self.pairs.of_row
        return self._there(np.vstack([self.rows, nobody])[np.where(pair < 0, -1, self.pairs.adapter[pair])].ravel())

    @cached_property
    def grouped(self) -> Grouped:
        pairs, place = self.pairs.of(self.acting)
        order = np.argsort(place)
        members = self.pairs.members[self.acting].ravel()
        return Grouped(
            rows=self._there(self.rows[self.acting].ravel()),
            members=self._there(members),
            taken=None if len(place) == len(members) else self._there(place[order]),
            row=self._there(self.pairs.row[pairs[order]]),
            pairs=self._there(pairs[order]),
        )

    @cached_property
    def of_row(self) -> Tensor:
        """(batch, most of any row), numbers of pairs; some other pair's beyond a row's own."""
        return self._there(self.pairs.of_row)

    def _there(self, numbers: Int64) -> Tensor:
        with torch.inference_mode(False):  # the next pass under this plan may be one with gradients
            return torch.from_numpy(numbers).to(self.device)
