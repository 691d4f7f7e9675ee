"""The adapters now in memory, so that one batch can use any number of them.

At each site there are matrices for each activation: `down` (rows, in) and `up` (rows, out), of which an adapter of rank r has r
rows (pages.py). A plan for a mixed batch holds the matrices as they are now and, for each row of the batch, which of their
rows it uses; the slots do one batched product (per_row.py). Plans in flight stay whole while adapters come and go. Nothing here
walks over the model.

The bias of an up-projection is one more row, whose hidden value is the same for every input: f(0 x + 1) = f(1), up = c / f(1).

A fusion, and an adapter on top of another, is more than such rows: it acts on its own rows of the batch, one after the other.
An adapter at a site where the base computes once for all rows, as DeBERTa does of relative positions, has a pass of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence, Set

import torch
from torch import Tensor, nn

from fusion.members import Member
from portfolio.errors import Conflict, NotFound
from portfolio.hosting.groups import pairs_of
from portfolio.hosting.heads import Heads
from portfolio.hosting.pages import Leases, Pages
from portfolio.hosting.per_row import PerRow
from portfolio.hosting.picks import Picks
from portfolio.hosting.plan import Blended, OnTop, Plan, Selected, Shared, Update
from portfolio.hosting.ready import Pass, Updates
from portfolio.hosting.weights import Head
from portfolio.methods.low_rank import ACTIVATIONS, LowRank

Mix = tuple[tuple[str, float], ...]  # adapters of one row with their weights; empty: the bare base
_Key = tuple[str, str]  # site key, activation
_HEADS = ("head", "")


class Bank:
    """Adapters by reference (`name@version`), ready to be planned with. Several threads may use it at once."""

    def __init__(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        most_bytes: int | None = None,
        common_sites: Set[str] = frozenset(),
    ) -> None:
        """
        Args:
            dtype: of what adapters compute; their own by default. Heads keep their own in any case.
            device: where they are kept; theirs by default.
            most_bytes: what `has_room` judges by; no limit by default.
            common_sites: where an adapter must act on all rows of a batch or none; see `runs_alone`.
        """
        self._dtype, self._device = dtype, device
        self._most_bytes = most_bytes
        self._common = frozenset(common_sites)
        self._pages: dict[_Key, Pages] = {}
        self._composed: dict[str, Updates] = {}
        self._adapters: dict[str, tuple[_Key, ...]] = {}  # reference -> where it has rows, in order of arrival
        self._biased: set[_Key] = set()
        self._leases = Leases()
        self._lock = threading.Lock()

    def __contains__(self, ref: str) -> bool:
        return ref in self._adapters

    @property
    def refs(self) -> tuple[str, ...]:
        return tuple(self._adapters)

    @property
    def bytes(self) -> int:
        """What is set aside for adapters, rows that are free among it."""
        composed = sum(_bytes_of(updates) for updates in self._composed.values())
        return composed + sum(pages.bytes for pages in self._pages.values())

    def runs_alone(self, ref: str) -> bool:
        """Whether this adapter shares no pass with others, as it acts at a common site."""
        return not self._common.isdisjoint(self._composed.get(ref, ()))

    def has_room(self, passes: Sequence[Pass]) -> bool:
        """Whether these could be added within the limit."""
        if self._most_bytes is None:
            return True
        with self._lock:
            missing = sum(self._missing_bytes(one) for one in passes)
            return self.bytes + missing <= self._most_bytes

    def trim(self) -> None:
        """Set nothing aside beyond what the adapters here need."""
        with self._lock, torch.inference_mode(False), torch.no_grad():
            for pages in self._pages.values():
                pages.trim()

    def add(self, ref: str, one: Pass) -> None:
        """Take one pass of an adapter in; what is made of other adapters does not need those here.

        Raises:
            Conflict: one of that reference is here already.
        """
        # tensors made in inference mode could not be written to outside of it
        with self._lock, torch.inference_mode(False), torch.no_grad():
            if ref in self._adapters:
                raise Conflict(f"{ref} is in the bank already")
            plain = _plain(one.updates, self._common)
            made = _matrices(one.head, plain or {})
            self._make_room(made)
            for key, matrices in made.items():
                self._pages[key].put(ref, matrices)
            if plain is None:
                self._composed[ref] = one.updates
            else:
                self._biased |= {key for key, updates in plain.items() if any(map(_has_bias, updates))}
            self._adapters[ref] = tuple(made)

    def remove(self, ref: str) -> None:
        """Forget an adapter; plans made before stay valid.

        Raises:
            NotFound: it is not here.
        """
        with self._lock:
            if ref not in self._adapters:
                raise NotFound(f"{ref} is not in the bank; it holds {', '.join(self._adapters) or 'nothing'}")
            for key in self._adapters.pop(ref):
                self._pages[key].remove(ref)
                if not self._pages[key]:
                    del self._pages[key]
                    self._biased.discard(key)
            self._composed.pop(ref, None)

    def plan(self, mixes: Sequence[Mix]) -> Plan:
        """The plan for a batch whose row i uses mixes[i].

        Raises:
            NotFound: a mix names an adapter that is not here.
            Conflict: one that runs alone is named beside others, or with a weight.
        """
        with self._lock:
            refs = sorted({ref for mix in mixes for ref, _ in mix})
            self._require(refs)
            if len(refs) == 1 and refs[0] in self._composed and all(mix == ((refs[0], 1.0),) for mix in mixes):
                return Plan(self._composed[refs[0]])
            alone = next(filter(self.runs_alone, refs), None)
            if alone is not None:
                raise Conflict(
                    f"{alone} acts where this base computes once for all rows of a batch, so that its rows must be a "
                    "batch of their own; got it beside others or with a weight"
                )
            updates: list[tuple[str, Update]] = []
            for ref in refs:  # before the plain ones, as a stack reads what stands before it
                if ref in self._composed:
                    updates += _selected(self._composed[ref], mixes, ref)
            return _plan_of([*updates, *self._per_row(mixes)])

    def heads(self, refs: Sequence[str]) -> Heads:
        """The heads for a batch whose row i is answered under refs[i].

        Raises:
            NotFound: one of them is not here.
        """
        with self._lock:
            self._require(refs)
            pages, (pairs, heads) = self._pages[_HEADS], pairs_of([(ref,) for ref in refs])
            return Heads(
                weight=pages.matrices["weight"],
                bias=pages.matrices["bias"],
                rows=pages.rows_of(heads),
                pairs=pairs,
                lease=self._leases.take(),
            )

    def _per_row(self, mixes: Sequence[Mix]) -> list[tuple[str, Update]]:
        """What the plain adapters do at each site."""
        plain = [tuple(one for one in mix if one[0] not in self._composed) for mix in mixes]
        pairs, refs = pairs_of([[ref for ref, _ in mix] for mix in plain])
        each = [weight for mix in plain for _, weight in mix]
        weights = None if all(weight == 1 for weight in each) else torch.tensor(each, dtype=torch.float64)
        lease = self._leases.take()
        known: dict[tuple[bytes, torch.device], Picks] = {}  # adapters of one shape have the same rows at many sites
        made: list[tuple[str, Update]] = []
        for key, pages in self._pages.items():
            if key == _HEADS:
                continue
            rows = pages.rows_of(refs)
            if not rows.size:
                continue
            down = pages.matrices["down"]
            picks = known.setdefault(
                (rows.tobytes(), down.device), Picks(rows=rows, pairs=pairs, device=down.device)
            )  # the number of adapters is the same for all, so equal bytes are equal rows
            update = PerRow(
                down=down,
                down_bias=pages.matrices["down_bias"] if key in self._biased else None,
                up=pages.matrices["up"],
                activation=key[1],
                picks=picks,
                weights=None if weights is None else weights.to(down),
                lease=lease,
            )
            made.append((key[0], update))
        return made

    def _missing_bytes(self, one: Pass) -> int:
        """How much more must be set aside for an adapter."""
        plain = _plain(one.updates, self._common)
        missing = _bytes_of(one.updates) if plain is None else 0
        needed = {_HEADS: (len(one.head.bias), (one.head.weight.shape[1] + 1) * one.head.weight.itemsize)}
        for key, updates in (plain or {}).items():
            width_out, width_in = updates[0].up.shape[0], updates[0].down.shape[1]
            size = updates[0].down.itemsize if self._dtype is None else self._dtype.itemsize
            needed[key] = (_rows_of(updates), (width_in + width_out + 1) * size)
        for key, (count, row_bytes) in needed.items():
            there = self._pages.get(key)
            missing += row_bytes * (count + 1 if there is None else max(0, count - there.free))  # 1: the row of zeros
        return missing

    def _make_room(self, made: Mapping[_Key, Mapping[str, Sequence[Tensor]]]) -> None:
        """For one adapter; and for as many like it as there are here, or as the limit lets in."""
        for key, matrices in made.items():
            if key not in self._pages:
                widths = {name: None if one.ndim == 1 else one.shape[1] for name, (one, *_) in matrices.items()}
                like = next(iter(matrices.values()))[0]
                dtype = like.dtype if key == _HEADS or self._dtype is None else self._dtype
                self._pages[key] = Pages(widths, dtype, self._device or like.device, self._leases)
        counts = {key: sum(piece.shape[0] for piece in next(iter(matrices.values()))) for key, matrices in made.items()}
        if all(self._pages[key].free >= count for key, count in counts.items()):
            return
        copies = len(self._adapters) + 1
        if self._most_bytes is not None:
            each = sum(count * self._pages[key].row_bytes for key, count in counts.items())
            copies = max(1, min(copies, (self._most_bytes - self.bytes) // each))
        for key, count in counts.items():
            self._pages[key].reserve(copies * count)

    def _require(self, refs: Iterable[str]) -> None:
        missing = [ref for ref in refs if ref not in self._adapters]
        if missing:
            raise NotFound(f"{', '.join(missing)} not in the bank; add it before planning with it")


def _plain(updates: Updates, common_sites: Set[str]) -> dict[_Key, list[LowRank]] | None:
    """What plain adapters do, side by side, by site and activation; None for what is more than that, or runs alone."""
    if not common_sites.isdisjoint(updates):
        return None
    plain: dict[_Key, list[LowRank]] = {}
    for site, here in updates.items():
        for one in here:
            if not isinstance(one, Shared):
                return None
            plain.setdefault((site, one.update.activation), []).append(one.update)
    return plain


def _has_bias(one: LowRank) -> bool:
    return one.down_bias is not None or one.up_bias is not None


def _matrices(head: Head, plain: Mapping[_Key, Sequence[LowRank]]) -> dict[_Key, dict[str, list[Tensor]]]:
    """The rows of an adapter and its head, in pieces, by where they go."""
    made = {_HEADS: {"weight": [head.weight], "bias": [head.bias]}}
    for key, updates in plain.items():
        made[key] = _side_by_side(updates)
    return made


def _rows_of(updates: Sequence[LowRank]) -> int:
    """How many rows `_side_by_side` makes of them."""
    return sum(one.rank for one in updates) + any(one.up_bias is not None for one in updates)


def _side_by_side(updates: Sequence[LowRank]) -> dict[str, list[Tensor]]:
    """Several adapters at one site as rows of `down`, `up` and `down_bias`."""
    down, up = [one.down for one in updates], [one.up.T for one in updates]
    bias = [one.down.new_zeros(one.rank) if one.down_bias is None else one.down_bias for one in updates]
    constants = [one.up_bias for one in updates if one.up_bias is not None]
    if constants:
        one = bias[0].new_ones(1)
        down.append(down[0].new_zeros(1, down[0].shape[1]))
        up.append(torch.stack(constants).sum(0, keepdim=True) / ACTIVATIONS[updates[0].activation](one))
        bias.append(one)
    return {"down": down, "up": up, "down_bias": bias}


def _plan_of(updates: Iterable[tuple[str, Update]]) -> Plan:
    by_site: dict[str, tuple[Update, ...]] = {}
    for key, update in updates:
        by_site[key] = (*by_site.get(key, ()), update)
    return Plan(by_site)


def _selected(updates: Updates, mixes: Sequence[Mix], ref: str) -> list[tuple[str, Update]]:
    """A composition at its sites, for the rows whose mix names it."""
    used = [(row, weight) for row, mix in enumerate(mixes) for one, weight in mix if one == ref]
    rows = torch.tensor([row for row, _ in used])
    full = all(weight == 1 for _, weight in used)
    weights = None if full else torch.tensor([weight for _, weight in used], dtype=torch.float64)
    return [(key, Selected(rows=rows, weights=weights, updates=here)) for key, here in updates.items()]


def _bytes_of(updates: Updates) -> int:
    """What a composition takes."""
    return sum(tensor.nbytes for here in updates.values() for one in here for tensor in _tensors_of(one))


def _tensors_of(update: object) -> list[Tensor]:
    if isinstance(update, OnTop):
        return _tensors_of(update.update)
    if isinstance(update, Shared):
        return _tensors_of(update.update)
    if isinstance(update, Blended):
        return _tensors_of(update.blend)
    if isinstance(update, nn.Module):
        return [*update.parameters(), *update.buffers()]
    if isinstance(update, LowRank | Member):
        found = (update.down, update.down_bias, update.up, update.up_bias)
        return [tensor for tensor in found if tensor is not None]
    return _tensors_of(getattr(update, "__self__", None)) if callable(update) else []
