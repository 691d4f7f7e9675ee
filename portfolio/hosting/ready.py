"""An adapter ready to run, whatever it is made of: what acts at each site, and the head above.

A plain adapter is one pass of its own updates. A composition becomes updates too, with everything that no input changes
computed once: a fusion is folded (package `fusion`), a blend is its members side by side, a stack is one update on top of
another. An ensemble is a pass for each member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fusion.config import FusionConfig, LightConfig
from fusion.gates import Gate, GateConfig, fixed, folded, fresh_gate
from fusion.members import Member, identity
from portfolio.errors import ConfigError, DamagedBlob, require
from portfolio.hosting.plan import Blended, OnTop, Shared, Update
from portfolio.hosting.sites import reads_own_output
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, Head
from portfolio.methods.compositions import LIGHT, Blend, Ensemble, Fusion, Stack
from portfolio.methods.config import AdapterConfig
from portfolio.methods.low_rank import ACTIVATIONS, LowRank
from portfolio.methods.table import config_from_json

Updates = Mapping[str, tuple[Update, ...]]  # site key -> what acts there, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass above the trunk."""

    updates: Updates
    head: Head
    weight: float = 1.0  # of its probabilities in the answer; those of all passes add up to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How members count at inference, instead of what was learned. Given by their place among the members."""

    dropped: frozenset[int] = frozenset()
    weights: tuple[float, ...] | None = None  # a constant for each member; None: the learned gate decides


AS_LEARNED = Variation()


def passes_of(
    adapter: AdapterWeights | ComposedWeights,
    members: Sequence[AdapterWeights] = (),
    variation: Variation = AS_LEARNED,
) -> tuple[Pass, ...]:
    """What it takes to run an adapter.

    Args:
        members: of a composition, in the order of its config.

    Raises:
        ConfigError: a variation that leaves nobody, or of an adapter that has no members to vary.
        DamagedBlob: the weights do not fit the members.
    """
    if isinstance(adapter, AdapterWeights):
        require(variation == AS_LEARNED, "only fusions, blends and ensembles have members to drop or to weigh")
        return (Pass(updates=shared(adapter.updates()), head=adapter.head),)
    config = adapter.config
    if isinstance(config, Stack):
        require(variation == AS_LEARNED, "a stack's parts cannot be dropped or weighed; each needs the other")
        return (Pass(updates=_stacked(members[0], _top_of(adapter, config)), head=adapter.heads[0]),)
    if variation.weights is not None and len(variation.weights) != len(members):
        raise ConfigError(f"expected a weight for each of {len(members)} members, got {len(variation.weights)}")
    if len(variation.dropped) >= len(members):
        raise ConfigError(f"expected at least one of {len(members)} members to stay, but all are dropped")
    if isinstance(config, Fusion):
        gates = gates_of(adapter, config, members)
        return (Pass(updates=_fused(gates, members, variation), head=adapter.heads[0]),)
    weights = _constant(config, variation)
    if isinstance(config, Blend):
        return (Pass(updates=blended(members, weights), head=adapter.heads[0]),)
    return tuple(
        Pass(updates=shared(member.updates()), head=head, weight=weight)
        for member, head, weight in zip(members, adapter.heads, weights, strict=True)
        if weight
    )


def shared(updates: Mapping[str, LowRank], dropout: float = 0.0) -> dict[str, tuple[Update, ...]]:
    """The same adapter for every row of a batch."""
    return {key: (Shared(update, dropout),) for key, update in updates.items()}


def blended(members: Sequence[AdapterWeights], weights: Sequence[float]) -> dict[str, tuple[Update, ...]]:
    """Members side by side, each update with its constant weight; what weighs nothing is left out."""
    acting: dict[str, tuple[Update, ...]] = {}
    for member, weight in zip(members, weights, strict=True):
        for key, update in member.updates().items():
            if weight:
                acting[key] = (*acting.get(key, ()), Shared(_weighed(update, weight)))
    return acting


def on_top(
    below: Mapping[str, LowRank], top: Mapping[str, LowRank], dropout: float = 0.0
) -> dict[str, tuple[Update, ...]]:
    """`top` reads what `below` has changed: in the same block where the site reads its own output, above it in any case."""
    acting = shared(below)
    for key, update in top.items():
        one: Update = Shared(update, dropout)
        acting[key] = (*acting.get(key, ()), OnTop(one) if reads_own_output(key) else one)
    return acting


# Gates of a fusion


def members_at(members: Sequence[AdapterWeights]) -> dict[str, tuple[Member | None, ...]]:
    """Site key -> the members as the package `fusion` takes them, None for one that does not act there."""
    updates = [member.updates() for member in members]
    keys = dict.fromkeys(key for one in updates for key in one)
    return {key: tuple(None if key not in one else as_member(one[key]) for one in updates) for key in keys}


def gate_config(config: Fusion) -> GateConfig:
    """What the package `fusion` is told."""
    if config.gate == LIGHT:
        return LightConfig(width=config.width, dropout=config.dropout, regulariser=config.regulariser)
    return FusionConfig(dropout=config.dropout, regulariser=config.regulariser)


def fresh_gates(
    config: Fusion, members: Mapping[str, Sequence[Member | None]], generator: torch.Generator
) -> dict[str, Gate]:
    """A gate at every site, before training."""
    gates = {}
    for key, here in members.items():
        acting = next(member for member in here if member is not None)
        gates[key] = fresh_gate(
            gate_config(config),
            here,
            features_in=acting.features_in,
            features_out=acting.features_out,
            generator=generator,
        )
    return gates


def gates_of(adapter: ComposedWeights, config: Fusion, members: Sequence[AdapterWeights]) -> dict[str, Gate]:
    """The trained gates of a stored fusion.

    Raises:
        DamagedBlob: they do not fit the members.
    """
    gates = fresh_gates(config, members_at(members), torch.Generator())
    try:
        for key, gate in gates.items():
            weights = {name.replace("/", "."): tensor for name, tensor in adapter.sites[key].items()}
            gate.to(next(iter(weights.values())))
            gate.load_state_dict(weights)
    except (KeyError, RuntimeError, StopIteration) as error:
        raise DamagedBlob(f"the weights of a fusion do not fit its members: {error}") from error
    return {key: gate.requires_grad_(False).eval() for key, gate in gates.items()}


def weights_of_gates(gates: Mapping[str, Gate]) -> dict[str, dict[str, Tensor]]:
    """As `ComposedWeights.sites` holds them: a dot would end the site's key there."""
    return {
        key: {name.replace(".", "/"): tensor.detach().clone() for name, tensor in gate.state_dict().items()}
        for key, gate in gates.items()
    }


def _fused(
    gates: Mapping[str, Gate], members: Sequence[AdapterWeights], variation: Variation
) -> dict[str, tuple[Update, ...]]:
    acting: dict[str, tuple[Update, ...]] = {}
    for key, here in members_at(members).items():
        staying = [None if place in variation.dropped else member for place, member in enumerate(here)]
        if all(member is None for member in staying):
            continue  # only the dropped acted here
        if variation.weights is None:
            acting[key] = (Blended(folded(gates[key], staying)),)
        else:
            parts = fixed(gates[key], staying, variation.weights)
            acting[key] = tuple(Blended(part.output) for part in parts if part is not None)
    return acting


def _constant(config: Blend | Ensemble, variation: Variation) -> tuple[float, ...]:
    """The members' weights, 0 for the dropped; an ensemble's add up to 1 again."""
    given = config.weights if variation.weights is None else variation.weights
    weights = tuple(0.0 if place in variation.dropped else weight for place, weight in enumerate(given))
    require(any(weights), "expected at least one member with a weight other than 0")
    if isinstance(config, Blend):
        return weights
    require(min(weights) >= 0, f"an ensemble's weights must be 0 or more, got {given}")
    return tuple(weight / sum(weights) for weight in weights)


def _stacked(below: AdapterWeights, top: AdapterWeights) -> dict[str, tuple[Update, ...]]:
    return on_top(below.updates(), top.updates())


def _top_of(adapter: ComposedWeights, config: Stack) -> AdapterWeights:
    top: AdapterConfig = config_from_json(config.top)
    return AdapterWeights(config=top, sites=adapter.sites, head=adapter.heads[0])


def _weighed(update: LowRank, weight: float) -> LowRank:
    if weight == 1:
        return update
    return replace(update, up=update.up * weight, up_bias=None if update.up_bias is None else update.up_bias * weight)


def as_member(update: LowRank) -> Member:
    """What an adapter does at one site, as the package `fusion` takes it."""
    return Member(
        down=update.down.detach(),
        down_bias=None if update.down_bias is None else update.down_bias.detach(),
        up=update.up.detach(),
        up_bias=None if update.up_bias is None else update.up_bias.detach(),
        activation=identity if update.activation == "identity" else ACTIVATIONS[update.activation],
    )
