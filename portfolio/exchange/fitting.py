"""Whether an adapter fits the base it is to act in: the last of the checks, and the only one for which the base is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from portfolio.errors import ConfigError, DamagedBlob, Untrusted
from portfolio.evidence.fitting import faults_of
from portfolio.exchange.strict import keys_of, record_of, strict_json
from portfolio.hosting.host import Host
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, from_bytes
from portfolio.methods.compositions import COMPOSITIONS, composition_to_json
from portfolio.methods.config import AdapterConfig
from portfolio.methods.table import METHODS, config_to_json
from portfolio.records import AdapterRecord

_TOLD = 3  # faults that a refusal tells


def require_fits(host: Host, record: AdapterRecord, blob: bytes, members: Sequence[bytes], labels: int) -> None:
    """Nothing, if the adapter can run on that host.

    Args:
        blob: its weights, whose tensors fit its record (shapes.py).
        members: of a composition, in its order.
        labels: how many its heads tell apart.

    Raises:
        Untrusted: it cannot.
    """
    _require_settings(record)
    try:
        parts = [_plain(from_bytes(member)) for member in members]
        faults = faults_of(host, from_bytes(blob), parts, labels)
    except (ConfigError, DamagedBlob) as error:
        faults = (str(error),)
    if faults:
        raise Untrusted(f"adapter {record.ref} does not fit the base of this portfolio: {'; '.join(faults[:_TOLD])}")


def _require_settings(record: AdapterRecord) -> None:
    """The config holds the settings of its method, of their types, and is written as this package writes it."""
    where = f"the config of adapter {record.ref}"
    fields = strict_json(record.config, where)
    kind: type[Any] = METHODS.get(record.method) or COMPOSITIONS[record.method]
    keys_of(fields, ["method", *(field.name for field in dataclasses.fields(kind))], where)
    try:
        config: Any = record_of(kind, {key: value for key, value in fields.items() if key != "method"}, where)
    except ConfigError as error:
        raise Untrusted(f"{where} cannot be: {error}") from error
    written = config_to_json(config) if isinstance(config, AdapterConfig) else composition_to_json(config)
    if written != record.config:
        raise Untrusted(f"{where} is not written as this package writes it")


def _plain(adapter: AdapterWeights | ComposedWeights) -> AdapterWeights:
    if isinstance(adapter, ComposedWeights):
        raise DamagedBlob("it is made of an adapter that is itself made of others, which none is")
    return adapter
