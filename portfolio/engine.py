"""The base with the router and the adapters of one store, kept up with what the store holds.

Adapters are read from disk when they are first needed. Whatever another process adds, removes, promotes or disables is seen
at the next `refresh`, without loading the base again; the router is built again only if something of it changed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from torch import Tensor

from portfolio.champions import champions_of
from portfolio.errors import DamagedBlob, NotFound
from portfolio.execution import PLAIN, Execution
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import Base, check_same, load_base
from portfolio.hosting.encode import Encoded, encode
from portfolio.hosting.heads import Heads
from portfolio.hosting.host import Host
from portfolio.hosting.numbers import ready_base
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import AS_LEARNED, Variation
from portfolio.loading import load_passes
from portfolio.methods.table import METHODS, config_from_json
from portfolio.records import AdapterRecord, RouterState, Snapshot, TaskRecord
from portfolio.refs import Ref
from portfolio.router_cache import RouterCache
from portfolio.store.store import Store
from portfolio.traffic import Tried
from routing.cascade import Cascade, CascadeCalibration, FirstLook
from routing.projection import Projection
from routing.router import Calibration, CentroidRouter
from routing.statistics import Centroids, centroids_from_bytes, totals_from_bytes

Float32 = npt.NDArray[np.float32]

_Key = tuple[str, Variation]  # an adapter by its digest, and how its members count
_TOGETHER = ""  # who shares a pass with others
MOST_VARIED = 8  # variations of compositions that are kept in memory, beside those as learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the store held at one moment, the router of exactly those tasks, and who answers for them."""

    snapshot: Snapshot
    router: Cascade | None  # None while there is no task
    labels: Mapping[str, tuple[str, ...]]  # by task; of ten thousand it takes a while to gather them
    champions: Mapping[str, AdapterRecord]  # by task
    tried: Mapping[str, Tried]  # by task: a challenger that is tried beside its champion
    leaves_prelude: bool  # none of them changes what the bare base makes first above the trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What it takes to run one pass under its adapters; whole whatever comes or goes meanwhile.

    A row comes once for each member of an ensemble, under any other adapter once.
    """

    plan: Plan
    heads: Heads
    rows: tuple[int, ...]  # of the batch
    weights: tuple[float, ...]  # how much the probabilities of each count; those of a row of the batch add up to 1


class Engine:
    """Everything that answering needs, in memory."""

    def __init__(
        self, store: Store, base: Base | None = None, host: Host | None = None, execution: Execution = PLAIN
    ) -> None:
        """Load the base that the store's contract names, unless one is handed in.

        Args:
            host: with its slots on that base already, set as the contract says; it runs as it is.
            execution: how the base is run; one that is handed in is not changed.

        Raises:
            BaseUnavailable: it cannot be loaded from here.
            BaseMismatch: it is not the base that this portfolio was made on.
            ConfigError: it cannot be run like that here.
        """
        contract = store.contract
        if host is not None:
            base = host.base
        base = base if base is not None else load_base(contract.name, contract.revision)
        check_same(base, contract.name, contract.fingerprint)
        self.store = store
        self.host = host or Host(
            ready_base(base, execution, trunk=contract.trunk),
            trunk=contract.trunk,
            pooling=contract.pooling,
            feature_blocks=contract.feature_blocks,
        )
        self.bank = Bank(
            dtype=self.host.dtype,
            device=self.host.device,
            most_bytes=execution.bank_bytes,
            common_sites=self.host.common_sites,
        )
        self._served: dict[_Key, tuple[float, ...]] = {}  # weights of its passes; what was used last comes last
        self.router_cache = RouterCache(store.path, self.router_width, self.first_width)
        self._moment = self._read()
        self._lock = threading.Lock()

    @property
    def first_width(self) -> int:
        """How many of the router's features the trunk alone makes; they come first."""
        return len([number for number in self.host.feature_blocks if number <= self.host.trunk]) * self.block_width

    @property
    def block_width(self) -> int:
        """How many of the router's features come from one block."""
        return self.store.contract.router_width or int(self.host.base.model.config.hidden_size)

    @property
    def router_width(self) -> int:
        return len(self.host.feature_blocks) * self.block_width

    def view(self, features: Tensor) -> Float32:
        """What the router sees of a host's features: all of them, or a fixed projection of each block's."""
        hidden, width = int(self.host.base.model.config.hidden_size), self.block_width
        rows = features.cpu().numpy()
        if width == hidden:
            return rows
        by_block = rows.reshape(-1, hidden)
        return Projection(width_in=hidden, width_out=width).apply(by_block).reshape(len(rows), -1)

    def refresh(self) -> Moment:
        """Catch up with the store, if anything in it moved."""
        with self._lock:
            if self.store.generation() != self._moment.snapshot.generation:
                self._moment = self._read(self._moment)
                staying = {one.digest for one in self._moment.snapshot.adapters}
                self._forget([key for key in self._served if key[0] not in staying])
            return self._moment

    def services(
        self, adapters: Sequence[AdapterRecord], variations: Mapping[str, Variation] | None = None
    ) -> tuple[Service, ...]:
        """For a batch whose row i is answered by adapters[i], each read from disk when it is first needed: one pass for all,
        and one more for each adapter that shares none.

        The bank knows them by digest: a name and version may come again with other weights, once its task was removed.

        Args:
            variations: by digest, how the members of an adapter count instead of as learned.
        """
        keys = [(one.digest, (variations or {}).get(one.digest, AS_LEARNED)) for one in adapters]
        passes: dict[str, list[tuple[int, float, str]]] = {}  # row, weight and reference; by who shares a pass
        with self._lock:
            records = dict(zip(keys, adapters, strict=True))
            for key, record in records.items():
                self._take_in(key, record, needed=records)
            for row, key in enumerate(keys):
                for number, weight in enumerate(self._served[key]):
                    ref = _bank_ref(*key, number)
                    passes.setdefault(ref if self.bank.runs_alone(ref) else _TOGETHER, []).append((row, weight, ref))
            return tuple(self._service(*zip(*one, strict=True)) for one in passes.values())

    def _service(self, rows: tuple[int, ...], weights: tuple[float, ...], refs: tuple[str, ...]) -> Service:
        plan = self.bank.plan([((ref, 1.0),) for ref in refs])
        return Service(plan=plan, heads=self.bank.heads(refs), rows=rows, weights=weights)

    def _take_in(self, key: _Key, record: AdapterRecord, needed: Container[_Key]) -> None:
        """Have an adapter in the bank; those not used for longest leave for it, but none that is needed."""
        if key in self._served:
            self._served[key] = self._served.pop(key)  # the last used
            return
        passes = load_passes(self.store, record, key[1], host=self.host)
        if key[1] != AS_LEARNED:
            varied = [one for one in self._served if one[1] != AS_LEARNED and one not in needed]
            self._forget(varied[: max(0, len(varied) - MOST_VARIED + 1)])
        while not self.bank.has_room(passes):
            oldest = next((one for one in self._served if one not in needed), None)
            if oldest is None:
                self.bank.trim()  # what is needed at once is taken in, whatever it takes
                break
            self._forget([oldest])
        for number, one in enumerate(passes):
            self.bank.add(_bank_ref(*key, number), one)
        self._served[key] = tuple(one.weight for one in passes)

    def _forget(self, keys: Sequence[_Key]) -> None:
        """Take adapters out of the bank; plans made before stay whole."""
        for key in keys:
            for number, _ in enumerate(self._served.pop(key)):
                self.bank.remove(_bank_ref(*key, number))

    def _read(self, before: Moment | None = None) -> Moment:
        """What the store holds now; its router is the one from before, if that is of the same."""
        snapshot = self.store.snapshot(history=False)  # answering and measuring ask for no earlier results
        if before is not None and _routed_by(before.snapshot) == _routed_by(snapshot):
            router = before.router
        else:
            router = build_router(self.store, snapshot.tasks, snapshot.router, self.first_width, self.router_cache)
        champions = champions_of(snapshot)
        tried = _tried(self.store, snapshot, champions)
        methods = {(one.method, one.config) for one in who_may_answer(champions, tried)}
        return Moment(
            snapshot=snapshot,
            router=router,
            labels={task.name: task.labels for task in snapshot.tasks},
            champions=champions,
            tried=tried,
            leaves_prelude=all(map(self._leaves_prelude, methods)),
        )

    def _leaves_prelude(self, method_and_config: tuple[str, str]) -> bool:
        """Of an adapter; of one that is made of others it is not asked."""
        method, config = method_and_config
        return method in METHODS and self.host.leaves_prelude(
            one.key for one in self.host.sites_for(config_from_json(config))
        )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Encoded]:
        """Token ids, cut to the contract's longest input."""
        return encode(self.host.base.tokenizer, texts, pairs, self.store.contract.max_tokens)


def who_may_answer(champions: Mapping[str, AdapterRecord], tried: Mapping[str, Tried]) -> Iterator[AdapterRecord]:
    """The champions, and the challengers that are tried beside them."""
    return chain(champions.values(), (one.challenger for one in tried.values()))


def _bank_ref(digest: str, variation: Variation, number: int) -> str:
    """One pass of one adapter."""
    varied = "" if variation == AS_LEARNED else f" without {sorted(variation.dropped)} weighed {variation.weights}"
    return f"{digest}{varied}" if number == 0 else f"{digest}{varied} pass {number}"


def _routed_by(snapshot: Snapshot) -> tuple[RouterState | None, list[tuple[str, str, tuple[str, ...]]]]:
    """All that a router is built of."""
    return snapshot.router, [(task.name, task.centroids, task.labels) for task in snapshot.tasks]


def _tried(store: Store, snapshot: Snapshot, champions: Mapping[str, AdapterRecord]) -> dict[str, Tried]:
    """By task, the challenger that is tried beside its champion."""
    records = {adapter.ref: adapter for adapter in snapshot.adapters} if snapshot.traffic else {}
    tried: dict[str, Tried] = {}
    for traffic in snapshot.traffic:
        challenger = records[Ref(traffic.name, traffic.version)]
        with contextlib.suppress(NotFound):  # its task was removed since, as the next refresh will say
            labels = store.releases.lineage(challenger.ref).labels
            beside = champions[challenger.task].version
            tried[challenger.task] = Tried(traffic=traffic, challenger=challenger, labels=labels, beside=beside)
    return tried


def build_router(
    store: Store, tasks: Sequence[TaskRecord], state: RouterState | None, first_width: int, cache: RouterCache
) -> Cascade | None:
    """The router of these tasks from their stored sums; None where there is no task."""
    if state is None:
        return None
    try:
        totals = totals_from_bytes(store.get(state.totals))
        centroids, space = cache.opened(store, tasks, totals, state.shrinkage)
    except ValueError as error:
        raise DamagedBlob(
            f"the router's statistics cannot be read: {error}; look closer with: portfolio verify"
        ) from error
    settings = settings_of(state)
    names = {task.name: task.labels for task in tasks}
    whole = CentroidRouter(totals, centroids, settings=settings.whole, class_names=names, space=space)
    return Cascade(whole, first_width, settings.first)


def settings_of(state: RouterState) -> CascadeCalibration:
    """What was chosen for the router, as it takes it."""
    whole = Calibration(
        threshold=state.threshold,
        temperature=state.temperature,
        shrinkage=state.shrinkage,
        own_share=state.own_share,
    )
    look = state.first_look
    first = (
        None if look is None else FirstLook(margin=look.margin, in_scope=look.in_scope, temperature=look.temperature)
    )
    return CascadeCalibration(whole=whole, first=first)


def load_centroids(store: Store, task: TaskRecord) -> Centroids:
    """The class counts and means of one task, from its blob."""
    return centroids_from_bytes(store.get(task.centroids))
