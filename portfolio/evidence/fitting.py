"""Whether weights are finite and fit the base: every name and shape that their method would make there, and no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from portfolio.errors import ConfigError, DamagedBlob
from portfolio.hosting.host import Host
from portfolio.hosting.ready import gates_of, members_at
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, Head
from portfolio.methods.compositions import Ensemble, Fusion, Stack
from portfolio.methods.config import AdapterConfig
from portfolio.methods.table import config_from_json

Sites = Mapping[str, Mapping[str, Tensor]]


def faults_of(
    host: Host, adapter: AdapterWeights | ComposedWeights, members: Sequence[AdapterWeights], labels: int | None
) -> tuple[str, ...]:
    """What speaks against running it on this host, in words; nothing where it fits.

    Args:
        members: of a composition, in its config's order.
        labels: that its heads must tell apart; None: any number, as a member's own head is not used.
    """
    if isinstance(adapter, AdapterWeights):
        heads: tuple[Head, ...] = (adapter.head,)
        sites = list(_site_faults(host, adapter.config, adapter.sites))
    else:
        heads = adapter.heads
        sites = list(_composed_faults(host, adapter, members))
    tensors = {f"{key} {name}": tensor for key, site in adapter.sites.items() for name, tensor in site.items()}
    tensors |= {f"head {number} {what}": tensor for number, head in enumerate(heads) for what, tensor in _parts(head)}
    broken = [f"{name} holds numbers that are not finite" for name, tensor in tensors.items() if not _is_finite(tensor)]
    wrong = [fault for number, head in enumerate(heads) for fault in _head_faults(host, number, head, labels)]
    return (*broken, *sites, *wrong)


def _site_faults(host: Host, config: AdapterConfig, sites: Sites) -> Iterable[str]:
    """Of a plain adapter: sites that are missing or not its own, and shapes other than a fresh one would have."""
    try:
        expected = {site.key: site.shape for site in host.sites_for(config)}
    except ConfigError as error:
        yield str(error)
        return
    yield from (f"it has no weights at {key}" for key in expected if key not in sites)
    yield from (f"it has weights at {key}, where its method does not act" for key in sites if key not in expected)
    for key, shape in expected.items():
        fresh = {name: tuple(tensor.shape) for name, tensor in config.fresh(shape, torch.Generator()).items()}
        found = {name: tuple(tensor.shape) for name, tensor in sites.get(key, {}).items()}
        if key in sites and fresh != found:
            yield f"at {key} expected the shapes {fresh}, got {found}"


def _composed_faults(host: Host, adapter: ComposedWeights, members: Sequence[AdapterWeights]) -> Iterable[str]:
    config = adapter.config
    broken = [
        f"member {number}: {fault}"
        for number, member in enumerate(members, start=1)
        for fault in faults_of(host, member, (), None)
    ]
    yield from broken
    heads = len(members) if isinstance(config, Ensemble) else 1
    if len(adapter.heads) != heads:
        yield f"expected {heads} heads, got {len(adapter.heads)}"
    if isinstance(config, Stack):
        yield from _site_faults(host, config_from_json(config.top), adapter.sites)
    elif not broken:
        gated = members_at(members) if isinstance(config, Fusion) else {}
        yield from (f"it has weights at {key}, where it has no gate" for key in adapter.sites if key not in gated)
        if isinstance(config, Fusion):
            yield from _gate_faults(adapter, config, members)


def _gate_faults(adapter: ComposedWeights, config: Fusion, members: Sequence[AdapterWeights]) -> Iterable[str]:
    try:
        gates_of(adapter, config, members)
    except DamagedBlob as error:
        yield str(error)


def _head_faults(host: Host, number: int, head: Head, labels: int | None) -> Iterable[str]:
    weight, bias = tuple(head.weight.shape), tuple(head.bias.shape)
    rows = weight[0] if labels is None and weight else labels
    expected = ((rows, host.feature_width), (rows,))
    if (weight, bias) != expected:
        yield f"head {number}: expected weights {expected[0]} and biases {expected[1]}, got {weight} and {bias}"


def _parts(head: Head) -> tuple[tuple[str, Tensor], ...]:
    return ("weight", head.weight), ("bias", head.bias)


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
