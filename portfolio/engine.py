"""The base with the router and the adapters of one store, kept up with what the store holds.

Adapters are read from disk when they are first needed. Whatever another process adds or removes is seen at the next
`refresh`, without loading the base again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from portfolio.errors import DamagedBlob, NotFound
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import Base, check_same, load_base
from portfolio.hosting.encode import Encoded, encode
from portfolio.hosting.host import Host
from portfolio.hosting.weights import AdapterWeights, from_bytes
from portfolio.records import AdapterRecord, RouterState, Snapshot, TaskRecord
from portfolio.store.store import Store
from routing.router import CentroidRouter
from routing.statistics import Centroids, centroids_from_bytes, totals_from_bytes


class Engine:
    """Everything that answering needs, in memory."""

    def __init__(self, store: Store, base: Base | None = None) -> None:
        """Load the base that the store's contract names, unless one is handed in.

        Raises:
            BaseUnavailable: it cannot be loaded from here.
            BaseMismatch: it is not the base that this portfolio was made on.
        """
        contract = store.contract
        base = base if base is not None else load_base(contract.name, contract.revision)
        check_same(base, contract.name, contract.fingerprint)
        self.store = store
        self.host = Host(base, trunk=contract.trunk, pooling=contract.pooling)
        self.bank = Bank()
        self.snapshot: Snapshot = store.snapshot()
        self.router: CentroidRouter | None = build_router(store, self.snapshot.tasks, self.snapshot.router)
        self._lock = threading.Lock()

    def refresh(self) -> Snapshot:
        """Catch up with the store, if anything in it moved."""
        with self._lock:
            if self.store.generation() != self.snapshot.generation:
                now = self.store.snapshot()
                self.router = build_router(self.store, now.tasks, now.router)
                gone = set(self.bank.refs) - {str(adapter.ref) for adapter in now.adapters}
                for ref in gone:
                    self.bank.remove(ref)
                self.snapshot = now
            return self.snapshot

    def need(self, adapters: Iterable[AdapterRecord]) -> None:
        """Bring these adapters into the bank, where they are not yet."""
        with self._lock:
            for record in adapters:
                if str(record.ref) not in self.bank:
                    self.bank.add(str(record.ref), load_adapter(self.store, record))

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Encoded]:
        """Token ids, cut to the contract's longest input."""
        return encode(self.host.base.tokenizer, texts, pairs, self.store.contract.max_tokens)


def champion_of(snapshot: Snapshot, task: str) -> AdapterRecord:
    """The version that answers for a task: its newest.

    Raises:
        NotFound: no such task; the message names those there are.
    """
    versions = [adapter for adapter in snapshot.adapters if adapter.task == task]
    if not versions:
        known = ", ".join(record.name for record in snapshot.tasks) or "none yet; add one with: portfolio add-task"
        raise NotFound(f"there is no task {task!r}; the tasks here: {known}")
    return max(versions, key=lambda adapter: adapter.version)


def load_adapter(store: Store, record: AdapterRecord) -> AdapterWeights:
    """An adapter from its blob, digest checked.

    Raises:
        DamagedBlob: the bytes are missing, changed, or no adapter.
    """
    return from_bytes(store.get(record.digest))


def build_router(
    store: Store, tasks: Sequence[TaskRecord], state: RouterState | None
) -> CentroidRouter | None:
    """The router of these tasks from their stored sums; None where there is no task."""
    if state is None:
        return None
    try:
        totals = totals_from_bytes(store.get(state.totals))
        centroids = {task.name: load_centroids(store, task) for task in tasks}
    except ValueError as error:
        raise DamagedBlob(f"the router's statistics cannot be read: {error}; look closer with: portfolio verify") from error
    return CentroidRouter(totals, centroids, threshold=state.threshold, temperature=state.temperature)


def load_centroids(store: Store, task: TaskRecord) -> Centroids:
    """The class counts and means of one task, from its blob."""
    return centroids_from_bytes(store.get(task.centroids))
