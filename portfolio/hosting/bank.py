"""The adapters now in memory, stacked per site, so that one batch can use any number of them.

At each site there is one stack per activation: `down` (capacity, rank, in) and `up` (capacity, rank, out), narrower
adapters padded with zeros, row 0 all zeros for rows of a batch that have no adapter there. A plan for a mixed batch holds the
stacks as they are now and, for each row of the batch, which rows of the stack it uses; the slots gather and do one
batched product. Stacks grow by doubling into new tensors and a freed row is never written again before that, so plans in flight
stay whole while adapters come and go. Nothing here walks over the model.

Adapters made of others (fusions, stacks) are no rows of a stack: each acts on its own rows of the batch, one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from portfolio.errors import Conflict, NotFound
from portfolio.hosting.heads import Heads, HeadStack
from portfolio.hosting.plan import PerRow, Plan, Selected, Shared, Update
from portfolio.hosting.ready import Pass, Updates
from portfolio.methods.low_rank import LowRank

Mix = tuple[tuple[str, float], ...]  # adapters of one row with their weights; empty: the bare base


class Bank:
    """Adapters by reference (`name@version`), ready to be planned with."""

    def __init__(self) -> None:
        self._stacks: dict[tuple[str, str], _Stack] = {}  # (site key, activation)
        self._composed: dict[str, Updates] = {}
        self._adapters: dict[str, tuple[str, ...]] = {}  # reference -> site keys, in order of arrival
        self._lock = threading.Lock()
        self._heads = HeadStack()

    def __contains__(self, ref: str) -> bool:
        return ref in self._adapters

    @property
    def refs(self) -> tuple[str, ...]:
        return tuple(self._adapters)

    def add(self, ref: str, one: Pass) -> None:
        """Take one pass of an adapter in; what is made of other adapters does not need those here.

        Raises:
            Conflict: one of that reference is here already.
        """
        # stacks made in inference mode could not be written to outside of it
        with self._lock, torch.inference_mode(False), torch.no_grad():
            if ref in self._adapters:
                raise Conflict(f"{ref} is in the bank already")
            plain = _plain(one.updates)
            if plain is None:
                self._composed[ref] = one.updates
            for key, update in (plain or {}).items():
                if (key, update.activation) not in self._stacks:
                    self._stacks[key, update.activation] = _Stack(update)
                self._stacks[key, update.activation].add(ref, update)
            self._heads.add(ref, one.head)
            self._adapters[ref] = tuple(one.updates)

    def remove(self, ref: str) -> None:
        """Forget an adapter; plans made before stay valid.

        Raises:
            NotFound: it is not here.
        """
        with self._lock:
            if ref not in self._adapters:
                raise NotFound(f"{ref} is not in the bank; it holds {', '.join(self._adapters) or 'nothing'}")
            for key in [k for k, stack in self._stacks.items() if ref in stack.rows]:
                self._stacks[key].remove(ref)
                if not self._stacks[key].rows:
                    del self._stacks[key]
            self._composed.pop(ref, None)
            self._heads.remove(ref)
            del self._adapters[ref]

    def plan(self, mixes: Sequence[Mix]) -> Plan:
        """The plan for a batch whose row i uses mixes[i].

        Raises:
            NotFound: a mix names an adapter that is not here.
        """
        with self._lock:
            refs = sorted({ref for mix in mixes for ref, _ in mix})
            self._require(refs)
            if len(refs) == 1 and all(mix == ((refs[0], 1.0),) for mix in mixes):
                if refs[0] in self._composed:
                    return Plan(self._composed[refs[0]])
                return _plan_of((key[0], stack.shared(refs[0])) for key, stack in self._used(refs))
            plain = [ref for ref in refs if ref not in self._composed]
            numbers, weights = _as_arrays(mixes, plain)
            updates: list[tuple[str, Update]] = []
            for ref in refs:  # before the plain ones, as a stack reads what stands before it
                if ref in self._composed:
                    updates += _selected(self._composed[ref], mixes, ref, self._heads.dtype)
            updates += [(key[0], stack.per_row(plain, numbers, weights)) for key, stack in self._used(plain)]
            return _plan_of(updates)

    def heads(self, refs: Sequence[str]) -> Heads:
        """The heads for a batch whose row i is answered under refs[i].

        Raises:
            NotFound: one of them is not here.
        """
        with self._lock:
            self._require(refs)
            return self._heads.of(refs)

    def _require(self, refs: Sequence[str]) -> None:
        missing = [ref for ref in refs if ref not in self._adapters]
        if missing:
            raise NotFound(f"{', '.join(missing)} not in the bank; add it before planning with it")

    def _used(self, refs: Sequence[str]) -> list[tuple[tuple[str, str], _Stack]]:
        return [(key, stack) for key, stack in self._stacks.items() if any(ref in stack.rows for ref in refs)]


def _plain(updates: Updates) -> dict[str, LowRank] | None:
    """What a plain adapter does at each site; None for one that is made of others."""
    plain = {}
    for key, here in updates.items():
        if len(here) != 1 or not isinstance(here[0], Shared):
            return None
        plain[key] = here[0].update
    return plain


def _plan_of(updates: Iterable[tuple[str, Update]]) -> Plan:
    by_site: dict[str, tuple[Update, ...]] = {}
    for key, update in updates:
        by_site[key] = (*by_site.get(key, ()), update)
    return Plan(by_site)


def _selected(updates: Updates, mixes: Sequence[Mix], ref: str, dtype: torch.dtype) -> list[tuple[str, Update]]:
    """A composition at its sites, for the rows whose mix names it."""
    used = [(row, weight) for row, mix in enumerate(mixes) for one, weight in mix if one == ref]
    rows = torch.tensor([row for row, _ in used])
    full = all(weight == 1 for _, weight in used)
    weights = None if full else torch.tensor([weight for _, weight in used], dtype=dtype)
    return [(key, Selected(rows=rows, weights=weights, updates=here)) for key, here in updates.items()]


def _as_arrays(mixes: Sequence[Mix], refs: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """(batch, k) numbers in `refs` from 1, 0 for none of them, and their weights, or None where every weight is 1."""
    widest = max(1, max(len(mix) for mix in mixes))
    number = {ref: index + 1 for index, ref in enumerate(refs)}
    numbers = np.zeros((len(mixes), widest), dtype=np.int64)
    weights = np.ones((len(mixes), widest), dtype=np.float64)
    for row, mix in enumerate(mixes):
        for column, (ref, weight) in enumerate(mix):
            if ref in number:
                numbers[row, column], weights[row, column] = number[ref], weight
    return numbers, None if (weights == 1).all() else weights


class _Stack:
    """The adapters of one activation at one site."""

    def __init__(self, like: LowRank) -> None:
        self.activation = like.activation
        self.rows: dict[str, int] = {}
        self._ranks: dict[str, int] = {}
        self._end = 1  # row 0 is the adapter that does nothing
        self._biased = False
        self._allocate(2, like.rank, like)

    def add(self, ref: str, update: LowRank) -> None:
        self._biased = self._biased or update.down_bias is not None or update.up_bias is not None
        if self._end == len(self.down) or update.rank > self.down.shape[1]:
            self._grow(update)
        row, rank = self._end, update.rank
        self.down[row, :rank] = update.down
        self.up[row, :rank] = update.up.T
        if update.down_bias is not None:
            self.down_bias[row, :rank] = update.down_bias
        if update.up_bias is not None:
            self.up_bias[row] = update.up_bias
        self.rows[ref], self._ranks[ref] = row, rank
        self._end += 1

    def remove(self, ref: str) -> None:
        del self.rows[ref], self._ranks[ref]

    def shared(self, ref: str) -> Shared:
        """The one adapter, for every row of a batch."""
        row, rank = self.rows[ref], self._ranks[ref]
        return Shared(
            LowRank(
                down=self.down[row, :rank],
                down_bias=self.down_bias[row, :rank] if self._biased else None,
                up=self.up[row, :rank].T,
                up_bias=self.up_bias[row] if self._biased else None,
                activation=self.activation,
            )
        )

    def per_row(self, refs: Sequence[str], numbers: np.ndarray, weights: np.ndarray | None) -> PerRow:
        """Args: numbers: (batch, k), positions in `refs` from 1, 0 for none; weights: (batch, k)."""
        rows = np.array([0, *[self.rows.get(ref, 0) for ref in refs]])
        return PerRow(
            down=self.down,
            down_bias=self.down_bias if self._biased else None,
            up=self.up,
            up_bias=self.up_bias if self._biased else None,
            activation=self.activation,
            members=torch.from_numpy(rows[numbers]),
            weights=None if weights is None else torch.from_numpy(weights).to(self.down.dtype),
        )

    def _grow(self, update: LowRank) -> None:
        """Into new tensors, without the removed: the old ones may be in a plan."""
        old = (self.down, self.down_bias, self.up, self.up_bias)
        kept = torch.tensor([0, *self.rows.values()])
        rank = old[0].shape[1]
        self._allocate(2 * (len(kept) + 1), max(rank, update.rank), update)
        for new, stack in zip((self.down, self.down_bias, self.up, self.up_bias), old, strict=True):
            target = new[: len(kept), :rank] if new.shape[1] != stack.shape[1] else new[: len(kept)]
            target.copy_(stack[kept])
        self.rows = {ref: row + 1 for row, ref in enumerate(self.rows)}
        self._end = len(kept)

    def _allocate(self, capacity: int, rank: int, like: LowRank) -> None:
        features_in, features_out = like.down.shape[1], like.up.shape[0]
        self.down: Tensor = like.down.new_zeros(capacity, rank, features_in)
        self.down_bias: Tensor = like.down.new_zeros(capacity, rank)
        self.up: Tensor = like.down.new_zeros(capacity, rank, features_out)
        self.up_bias: Tensor = like.down.new_zeros(capacity, features_out)
