"""One version of an adapter, loaded and checked, and what it says to texts with its task given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from portfolio.engine import Engine
from portfolio.errors import DamagedBlob, DataError
from portfolio.evidence.fitting import faults_of
from portfolio.gates.evidence import Float64, Said
from portfolio.hosting.encode import Encoded
from portfolio.hosting.host import Host
from portfolio.hosting.ready import Pass, passes_of
from portfolio.hosting.trunk import Prepared, unprepared
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, placed
from portfolio.loading import load_adapter, load_plain
from portfolio.records import AdapterRecord
from portfolio.running import features_under, logits_of
from portfolio.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Version:
    """Ready to run."""

    record: AdapterRecord
    labels: tuple[str, ...]
    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """An adapter as stored, with the adapters that it is made of, on the CPU."""

    adapter: AdapterWeights | ComposedWeights
    members: tuple[AdapterWeights, ...]

    def passes(self, host: Host) -> tuple[Pass, ...]:
        """On the host's device and with its numbers."""
        if isinstance(self.adapter, AdapterWeights):
            return passes_of(placed(self.adapter, host.device, host.dtype))
        members = [placed(member, host.device, host.dtype) for member in self.members]
        return passes_of(placed(self.adapter, host.device, host.dtype), members)


def load_parts(store: Store, record: AdapterRecord) -> Parts:
    """From its blob and its members', digests checked.

    Raises:
        DamagedBlob: bytes are missing, changed, or no adapter.
    """
    adapter = load_adapter(store, record)
    members = () if isinstance(adapter, AdapterWeights) else adapter.config.members
    return Parts(adapter=adapter, members=tuple(load_plain(store, digest) for digest in members))


def load_version(engine: Engine, record: AdapterRecord, labels: tuple[str, ...]) -> Version:
    """The version as it would answer.

    Raises:
        DataError: it cannot: it is damaged, or does not fit the base.
    """
    try:
        parts = load_parts(engine.store, record)
        faults = faults_of(engine.host, parts.adapter, parts.members, len(labels))
    except DamagedBlob as error:
        raise DataError(f"{record.ref} cannot be run: {error}") from error
    if faults:
        raise DataError(f"{record.ref} cannot be run: {'; '.join(faults)}")
    return Version(record=record, labels=labels, passes=parts.passes(engine.host))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinion:
    """What a version makes of N texts with its task given."""

    probabilities: Float64  # (N, labels), P(label | task, x)
    states: (
        Tensor  # (N, hidden), pooled after the last block, of unit length; of an ensemble the weighted mean of passes
    )


def opinion_of(host: Host, version: Version, prepared: Prepared) -> Opinion:
    """Of texts that the bare base may have seen, in their order."""
    probabilities = torch.zeros(len(prepared), len(version.labels))
    states = torch.zeros(len(prepared), int(host.base.model.config.hidden_size))
    for one in version.passes:
        features = features_under(host, one.updates, prepared)
        probabilities += one.weight * torch.softmax(logits_of(one.head, features), dim=1).cpu()
        states += one.weight * last_states(host, features)
    return Opinion(probabilities=probabilities.double().numpy(), states=functional.normalize(states, dim=1))


def last_states(host: Host, features: Tensor) -> Tensor:
    """(N, hidden) on the CPU: the part of a host's features that comes after the last block they are read after."""
    return features[:, -int(host.base.model.config.hidden_size) :].cpu()


def says(host: Host, version: Version, encoded: Sequence[Encoded], expected: Sequence[str]) -> Said:
    """What the version says to each, and whether that is what was expected; a label that it lacks it never says."""
    probabilities = opinion_of(host, version, unprepared(encoded)).probabilities
    likeliest = probabilities.argmax(1)
    labels = tuple(version.labels[number] for number in likeliest.tolist())
    return Said(
        labels=labels,
        probabilities=probabilities[np.arange(len(labels)), likeliest],
        right=np.array([said == true for said, true in zip(labels, expected, strict=True)], dtype=np.bool_),
    )
