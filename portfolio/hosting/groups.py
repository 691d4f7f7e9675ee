"""Which row of a batch uses which adapters, so that a product can be done for many of them at once.

Weights differ from adapter to adapter, so a batched product needs either each row's weights side by side (gathered: the
weights are copied), or the rows of each adapter side by side (grouped: the rows are copied, and padded to the largest group).
Which is less work depends on the batch: many rows of few tokens under few wide adapters are better grouped, others better
gathered. docs/decisions/0012-mixed-batches.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

PRODUCTS_A_COPY = 30  # so many multiplications take as long as copying one number
PRODUCTS_A_WEIGHT = 12  # as reading and writing one number of a layer's weight, many in a row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """The pairs of a row and an adapter in one batch. Adapters are known by number, in order of appearance."""

    row: Int64  # (pairs,), of the batch
    adapter: Int64  # (pairs,)
    of_row: Int64  # (batch, most of any row), numbers of pairs; -1 beyond a row's own
    members: Int64  # (adapters, most of any), rows of the batch; 0 beyond an adapter's own
    place: Int64  # (pairs,), where a pair stands in `members` laid out flat

    def of(self, adapters: Int64) -> tuple[Int64, Int64]:
        """The pairs of some adapters, and where each stands in `members[adapters]` laid out flat."""
        number = np.full(len(self.members), -1)
        number[adapters] = np.arange(len(adapters))
        pairs = np.flatnonzero(number[self.adapter] >= 0)
        most = self.members.shape[1]
        return pairs, number[self.adapter[pairs]] * most + self.place[pairs] % most


def pairs_of(rows: Sequence[Sequence[str]]) -> tuple[Pairs, list[str]]:
    """The pairs of a batch whose row i uses the adapters rows[i]; and the adapters by number."""
    known: dict[str, int] = {}
    adapter = np.array([known.setdefault(ref, len(known)) for refs in rows for ref in refs], dtype=np.int64)
    lengths = np.array([len(refs) for refs in rows], dtype=np.int64)
    row = np.repeat(np.arange(len(rows)), lengths)
    of_row = np.full((len(rows), int(lengths.max(initial=0))), -1)
    of_row[row, _within(lengths)] = np.arange(len(row))
    counts = np.bincount(adapter, minlength=len(known))
    in_order = np.argsort(adapter, kind="stable")
    within = np.empty(len(adapter), dtype=np.int64)
    within[in_order] = _within(counts)
    members = np.zeros((len(counts), int(counts.max(initial=0))), dtype=np.int64)
    members[adapter, within] = row
    place = adapter * members.shape[1] + within
    return Pairs(row=row, adapter=adapter, of_row=of_row, members=members, place=place), list(known)


def _within(lengths: Int64) -> Int64:
    """0, 1, … for each length: [2, 3] -> [0, 1, 0, 1, 2]"""
    numbers: Int64 = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return numbers


def is_better_grouped(
    *, batch: int, mixed: int, pairs: int, adapters: int, most: int, time: int, rank: int, both: int, out: int
) -> bool:
    """Whether grouping makes less work than gathering; see `PRODUCTS_A_COPY`.

    Args:
        mixed: adapters of the row that has most.
        most: rows of the adapter that has most.
        both: widths of what the site reads and writes together.
        out: width of what it writes.
    """
    gathered = batch * mixed * rank * both * (1 + time / PRODUCTS_A_COPY)
    padded = adapters * most * time
    grouped = adapters * rank * both + padded * both + pairs * time * out + padded * rank * both / PRODUCTS_A_COPY
    return grouped < gathered


def is_better_merged(*, tokens: int, rank: int, width_in: int, width_out: int) -> bool:
    """Whether making a layer's weight anew, with an update in it, is less work than adding the update for each token."""
    return width_in * width_out * (rank + PRODUCTS_A_WEIGHT) < tokens * rank * (width_in + width_out)
