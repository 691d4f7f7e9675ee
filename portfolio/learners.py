"""What a training changes above a frozen base: an adapter, an adapter on top of another, or the gates of a fusion.

Each begins as (nearly) the identity or the plain average of its members, under a head that knows what the features below
it already say (first_head.py).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from fusion.gates import Gate, trainable
from fusion.light import TrainableLight
from fusion.trainable import TrainableFusion
from portfolio.first_head import first_head
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Blended
from portfolio.hosting.ready import Updates, fresh_gates, members_at, on_top, shared, weights_of_gates
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, Head, placed, placed_head
from portfolio.methods.compositions import Fusion, Stack
from portfolio.methods.config import AdapterConfig
from portfolio.methods.low_rank import LowRank
from portfolio.methods.table import config_to_json
from portfolio.running import Labelled, features_under

L = TypeVar("L", bound="Learner")


class Learner(Protocol):
    """Tensors that learn, and what they do."""

    @property
    def head(self) -> Head: ...

    def site_tensors(self) -> list[Tensor]:
        """All that learns but the head."""

    def updates(self, *, training: bool) -> Updates:
        """What acts at each site, for every row of a batch."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss at each step."""

    def copy(self: L) -> L:
        """As it is now, detached from training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLearner:
    """A plain adapter, alone or on top of another that stays as it is."""

    adapter: AdapterWeights
    below: Mapping[str, LowRank] | None = None  # site key -> what the lower adapter does there

    @property
    def head(self) -> Head:
        return self.adapter.head

    def site_tensors(self) -> list[Tensor]:
        return [tensor for site in self.adapter.sites.values() for tensor in site.values()]

    def updates(self, *, training: bool) -> Updates:
        dropout = self.adapter.config.dropout if training else 0.0
        own = self.adapter.updates()
        return shared(own, dropout) if self.below is None else on_top(self.below, own, dropout)

    def penalty(self) -> Tensor | None:
        return None

    def copy(self) -> AdapterLearner:
        adapter = self.adapter
        sites = {key: {name: t.detach().clone() for name, t in site.items()} for key, site in adapter.sites.items()}
        return AdapterLearner(
            adapter=AdapterWeights(config=adapter.config, sites=sites, head=_copied(adapter.head)), below=self.below
        )

    def stacked(self, member: str) -> ComposedWeights:
        """As it is stored, on top of the adapter with that digest."""
        config = Stack(members=(member,), top=config_to_json(self.adapter.config))
        return ComposedWeights(config=config, sites=self.adapter.sites, heads=(self.adapter.head,))


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionLearner:
    """The gates of a fusion; its members stay as they are."""

    config: Fusion
    gates: Mapping[str, TrainableFusion | TrainableLight]  # site key -> gate before its members
    head: Head

    def site_tensors(self) -> list[Tensor]:
        return [tensor for gate in self.gates.values() for tensor in gate.parameters()]

    def updates(self, *, training: bool) -> Updates:
        return {key: (Blended(gate.train(training)),) for key, gate in self.gates.items()}

    def penalty(self) -> Tensor | None:
        total: Tensor = torch.stack([_gate_of(gate).penalty() for gate in self.gates.values()]).sum()
        return total

    def copy(self) -> FusionLearner:
        gates = {key: copy.deepcopy(gate).requires_grad_(False) for key, gate in self.gates.items()}
        return FusionLearner(config=self.config, gates=gates, head=_copied(self.head))

    def composed(self) -> ComposedWeights:
        """As it is stored."""
        sites = weights_of_gates({key: _gate_of(gate) for key, gate in self.gates.items()})
        return ComposedWeights(config=self.config, sites=sites, heads=(self.head,))


def fresh_adapter(
    host: Host,
    config: AdapterConfig,
    train: Labelled,
    validation: Labelled,
    label_count: int,
    seed: int,
    below: AdapterWeights | None = None,
) -> AdapterLearner:
    """An adapter that changes nothing yet, alone or on top of `below`."""
    generator = torch.Generator().manual_seed(seed)
    sites = {site.key: config.fresh(site.shape, generator) for site in host.sites_for(config)}  # drawn on the CPU
    lower = None if below is None else below.updates()
    known = () if below is None else (below.head,)
    head = head_above(host, None if lower is None else shared(lower), train, validation, label_count, known)
    adapter = placed(AdapterWeights(config=config, sites=sites, head=head), host.device)
    return AdapterLearner(adapter=adapter, below=lower)


def fresh_fusion(
    host: Host,
    config: Fusion,
    members: Sequence[AdapterWeights],
    train: Labelled,
    validation: Labelled,
    label_count: int,
    seed: int,
) -> FusionLearner:
    """A fusion that attends to all its members nearly alike."""
    at_sites = members_at(members)
    gates = fresh_gates(config, at_sites, torch.Generator().manual_seed(seed))
    for gate in gates.values():
        gate.to(host.device)
    before = {key: trainable(gate, at_sites[key]) for key, gate in gates.items()}
    updates: Updates = {key: (Blended(gate.eval()),) for key, gate in before.items()}
    head = head_above(host, updates, train, validation, label_count, [member.head for member in members])
    return FusionLearner(config=config, gates=before, head=head)


def head_above(
    host: Host,
    updates: Updates | None,
    train: Labelled,
    validation: Labelled,
    label_count: int,
    known: Sequence[Head] = (),
) -> Head:
    """The first head above these updates, where the host runs; above the bare base for None, whose features are there."""
    below, judged = (
        data.prepared.features if updates is None else features_under(host, updates, data.prepared)
        for data in (train, validation)
    )
    head = first_head(below, train.labels, judged, validation.labels, label_count, for_training=True, known=known)
    return placed_head(head, host.device)


def _gate_of(gate: TrainableFusion | TrainableLight) -> Gate:
    return gate.attention if isinstance(gate, TrainableFusion) else gate.gate


def _copied(head: Head) -> Head:
    return Head(head.weight.detach().clone(), head.bias.detach().clone())
