"""Adapters from the store, with the members they are made of."""

from __future__ import annotations

from portfolio.errors import DamagedBlob
from portfolio.hosting.host import Host
from portfolio.hosting.ready import AS_LEARNED, Pass, Variation, passes_of
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, W, from_bytes, placed
from portfolio.records import AdapterRecord
from portfolio.store.store import Store


def load_adapter(store: Store, record: AdapterRecord) -> AdapterWeights | ComposedWeights:
    """An adapter from its blob, digest checked.

    Raises:
        DamagedBlob: the bytes are missing, changed, or no adapter.
    """
    return from_bytes(store.get(record.digest))


def load_passes(
    store: Store, record: AdapterRecord, variation: Variation = AS_LEARNED, *, host: Host | None = None
) -> tuple[Pass, ...]:
    """What it takes to run an adapter; of a composition, its members are loaded too. Raises as `load_adapter` does.

    Args:
        host: that will run it, on its device and with its numbers; None: on the CPU, as stored.
    """

    def there(weights: W) -> W:
        return weights if host is None else placed(weights, host.device, host.dtype)

    adapter = load_adapter(store, record)
    if isinstance(adapter, AdapterWeights):
        return passes_of(there(adapter), variation=variation)
    members = [there(load_plain(store, digest)) for digest in adapter.config.members]
    return passes_of(there(adapter), members, variation)


def load_plain(store: Store, digest: str) -> AdapterWeights:
    """A plain adapter, such as compositions are made of.

    Raises:
        DamagedBlob: the bytes are missing, changed, or something else.
    """
    member = from_bytes(store.get(digest))
    if isinstance(member, ComposedWeights):
        raise DamagedBlob(f"expected a plain adapter as a member, got one made of others: blob {digest}")
    return member
