"""Rows of several matrices that belong together, shared out to adapters: what the bank keeps its weights in.

An adapter of rank r takes r rows of `down` and of `up` at each of its sites, a head of n labels n rows: any rows that are
free, as they are gathered for each batch anyway. So nothing is padded to the widest adapter, and what one gives back another
can take: the idea of S-LoRA's unified paging (Sheng et al., 2023, arXiv:2311.03285).

Row 0 belongs to nobody and changes nothing; whatever has fewer rows than its neighbour in a batch points there.

A plan under way reads the rows that it was made with. Rows given back are written again only once no lease from before is
held; tensors that grow are made anew, so a plan's own stay as they are.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Int64 = npt.NDArray[np.int64]


class Lease:
    """Held by whatever reads rows: as long as it lives, they are not given to another."""

    __slots__ = ("__weakref__", "moment")

    def __init__(self, moment: int) -> None:
        self.moment = moment


class Leases:
    """The leases that are out. Guarded by the bank's lock."""

    def __init__(self) -> None:
        self._moment = 0
        self._out: weakref.WeakSet[Lease] = weakref.WeakSet()

    def take(self) -> Lease:
        lease = Lease(self._moment)
        self._out.add(lease)
        return lease

    def returned(self) -> int:
        """A moment after every lease until now; rows that are given back are stamped with it."""
        self._moment += 1
        return self._moment

    @property
    def oldest(self) -> float:
        """Rows stamped up to this moment are read by nobody any more."""
        return min((lease.moment for lease in self._out), default=math.inf)


class Pages:
    """Matrices with the same number of rows. Guarded by the bank's lock."""

    def __init__(
        self, widths: Mapping[str, int | None], dtype: torch.dtype, device: torch.device, leases: Leases
    ) -> None:
        """
        Args:
            widths: name of a matrix -> how wide it is; None for a vector.
        """
        self._widths = dict(widths)
        self._leases = leases
        self._dtype, self._device = dtype, device
        self._free: list[int] = []
        self._returned: deque[tuple[int, list[int]]] = deque()  # stamp, rows; the oldest first
        self._rows: dict[str, list[int]] = {}
        self._slot: dict[str, int] = {}  # reference -> row of the table
        self._left: list[int] = []  # rows of the table between others
        self._table = np.zeros((1, 0), dtype=np.int64)  # (slots, most rows of any), 0 beyond what one has
        self._counts = np.zeros(1, dtype=np.int64)  # (slots,)
        self.matrices: dict[str, Tensor] = {}
        self._allocate(1)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def row_bytes(self) -> int:
        """What a row takes over all matrices."""
        return sum(1 if width is None else width for width in self._widths.values()) * self._dtype.itemsize

    @property
    def bytes(self) -> int:
        return self._capacity * self.row_bytes

    @property
    def free(self) -> int:
        """How many rows can be written now."""
        while self._returned and self._returned[0][0] <= self._leases.oldest:
            self._free += self._returned.popleft()[1]
        return len(self._free)

    def put(self, ref: str, matrices: Mapping[str, Sequence[Tensor]]) -> None:
        """Write rows for a reference that has none here; there must be so many free.

        Args:
            matrices: (rows, width) or (rows,), in pieces one below the other.
        """
        count = sum(piece.shape[0] for piece in next(iter(matrices.values())))
        assert count <= self.free
        rows = self._free[: -count - 1 : -1]
        del self._free[len(self._free) - count :]
        for name, pieces in matrices.items():
            self._write(self.matrices[name], rows, pieces)
        self._rows[ref] = rows
        self._enter(ref, rows)

    def _write(self, matrix: Tensor, rows: list[int], pieces: Sequence[Tensor]) -> None:
        start = rows[0]
        if rows == list(range(start, start + len(rows))):  # one after the other: nothing else is as quick
            for piece in pieces:
                end = start + piece.shape[0]  # len() of a tensor is slow
                matrix[start:end] = piece
                start = end
        else:
            matrix[torch.tensor(rows, device=self._device)] = torch.cat(list(pieces)).to(matrix)

    def remove(self, ref: str) -> None:
        """Give the rows of a reference back."""
        rows, slot = self._rows.pop(ref), self._slot.pop(ref)
        self._table[slot], self._counts[slot] = 0, 0
        self._left.append(slot)
        self._returned.append((self._leases.returned(), rows))

    def reserve(self, count: int) -> None:
        """Have at least so many rows free, in new tensors if need be."""
        if self.free < count:
            old, before = self.matrices, self._capacity
            self._free += [row for _, rows in self._returned for row in rows]  # nobody reads them in the new tensors
            self._returned.clear()
            self._allocate(before + max(0, count - len(self._free)))
            for name, matrix in old.items():
                self.matrices[name][:before] = matrix
            self._free = [*range(self._capacity - 1, before - 1, -1), *self._free]  # the last is given out first

    def trim(self) -> None:
        """Keep no row free, in new tensors."""
        old, kept = self.matrices, self._rows
        order = torch.tensor([0, *[row for rows in kept.values() for row in rows]], device=self._device)
        self._free, self._rows, self._slot, self._left = [], {}, {}, []
        self._returned.clear()
        self._table, self._counts = np.zeros((1, 0), dtype=np.int64), np.zeros(1, dtype=np.int64)
        self._capacity = len(order)
        self.matrices = {name: matrix.index_select(0, order) for name, matrix in old.items()}
        end = 1
        for ref, rows in kept.items():
            self._rows[ref] = list(range(end, end + len(rows)))
            self._enter(ref, self._rows[ref])
            end += len(rows)

    def rows_of(self, refs: Sequence[str]) -> Int64:
        """(refs, most rows of any of them); 0 beyond what one has, and for one that has none here."""
        slots = [self._slot.get(ref, 0) for ref in refs]
        most = int(self._counts[slots].max(initial=0))
        rows: Int64 = self._table[slots, :most]
        return rows

    def _enter(self, ref: str, rows: Sequence[int]) -> None:
        """Into the table, which grows by doubling."""
        slot = self._left.pop() if self._left else len(self._slot) + 1
        slots, width = self._table.shape
        if slot >= slots or len(rows) > width:
            table = np.zeros((max(slots, 2 * slot), max(width, len(rows))), dtype=np.int64)
            table[:slots, :width] = self._table
            self._table, self._counts = table, np.pad(self._counts, (0, len(table) - slots))
        self._table[slot, : len(rows)] = rows
        self._counts[slot] = len(rows)
        self._slot[ref] = slot

    def _allocate(self, capacity: int) -> None:
        self._capacity = capacity
        self.matrices = {
            name: torch.empty(
                (capacity,) if width is None else (capacity, width), dtype=self._dtype, device=self._device
            )
            for name, width in self._widths.items()
        }
        for matrix in self.matrices.values():
            matrix[0] = 0
