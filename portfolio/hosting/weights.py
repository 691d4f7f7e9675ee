"""An adapter in memory: its config, its weights at every site, its head; to safetensors bytes and back.

Keys in the file: `sites.SITE_KEY.NAME` (such as `sites.3.ffn_output.down`), `head.weight` (labels, feature width), `head.bias`
(labels,); `head.K.weight` and `head.K.bias` for each head of a composition. The config travels in the file's metadata, so a
blob can be understood alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from portfolio.errors import ConfigError, DamagedBlob
from portfolio.methods.compositions import COMPOSITIONS, Composition, composition_from_fields, composition_to_json
from portfolio.methods.config import AdapterConfig
from portfolio.methods.low_rank import LowRank
from portfolio.methods.table import config_from_json, config_to_json

W = TypeVar("W", "AdapterWeights", "ComposedWeights")


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier on a host's features."""

    weight: Tensor  # (labels, feature width)
    bias: Tensor  # (labels,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterWeights:
    """One adapter: what it does at each site, and its head."""

    config: AdapterConfig
    sites: Mapping[str, Mapping[str, Tensor]]  # site key -> weight name -> tensor
    head: Head

    def updates(self) -> dict[str, LowRank]:
        """Site key -> what the adapter does there."""
        return {key: self.config.update(weights) for key, weights in self.sites.items()}

    @property
    def parameters(self) -> int:
        """How many numbers it holds, the head's among them."""
        tensors = [t for weights in self.sites.values() for t in weights.values()]
        return sum(t.numel() for t in [*tensors, self.head.weight, self.head.bias])


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedWeights:
    """An adapter made of others: what it learned beside them, and its heads."""

    config: Composition
    sites: Mapping[
        str, Mapping[str, Tensor]
    ]  # site key -> weight name -> tensor; of a gate, or of a stack's upper adapter
    heads: tuple[Head, ...]  # one; for an ensemble one a member

    @property
    def parameters(self) -> int:
        """How many numbers it adds to its members, the heads' among them."""
        return sum(tensor.numel() for tensor in self._tensors().values())

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"sites.{key}.{name}": t for key, weights in self.sites.items() for name, t in weights.items()}
        for number, head in enumerate(self.heads):
            tensors |= {f"head.{number}.weight": head.weight, f"head.{number}.bias": head.bias}
        return tensors

    def to_bytes(self) -> bytes:
        """Safetensors: equal compositions give equal bytes."""
        return _saved(self._tensors(), composition_to_json(self.config))


def placed(adapter: W, device: torch.device, dtype: torch.dtype | None = None) -> W:
    """The adapter on that device; what it does at sites with those numbers, its heads with their own."""
    sites = {
        key: {name: tensor.to(device, dtype) for name, tensor in site.items()} for key, site in adapter.sites.items()
    }
    if isinstance(adapter, ComposedWeights):
        return replace(adapter, sites=sites, heads=tuple(placed_head(head, device) for head in adapter.heads))
    return replace(adapter, sites=sites, head=placed_head(adapter.head, device))


def placed_head(head: Head, device: torch.device) -> Head:
    """The head on that device."""
    return Head(head.weight.to(device), head.bias.to(device))


def to_bytes(adapter: AdapterWeights) -> bytes:
    """Safetensors: equal adapters give equal bytes."""
    tensors = {f"sites.{key}.{name}": t for key, weights in adapter.sites.items() for name, t in weights.items()}
    tensors |= {"head.weight": adapter.head.weight, "head.bias": adapter.head.bias}
    return _saved(tensors, config_to_json(adapter.config))


def from_bytes(data: bytes) -> AdapterWeights | ComposedWeights:
    """The adapter that `to_bytes` wrote, or `ComposedWeights.to_bytes`.

    Raises:
        DamagedBlob: these are not the bytes of an adapter.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        tensors = load(data)
        if not all(tensor.is_floating_point() for tensor in tensors.values()):
            raise ValueError("some of its tensors hold whole numbers")
        text = header["__metadata__"]["config"]
        fields = json.loads(text)
        if fields["method"] in COMPOSITIONS:
            heads = len([key for key in tensors if key.startswith("head.") and key.endswith(".bias")])
            return ComposedWeights(
                config=composition_from_fields(fields),
                heads=tuple(_popped_head(tensors, f"head.{number}.") for number in range(heads)),
                sites=_by_site(tensors),
            )
        return AdapterWeights(
            config=config_from_json(text), head=_popped_head(tensors, "head."), sites=_by_site(tensors)
        )
    except (SafetensorError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise DamagedBlob(f"expected an adapter in safetensors form, got bytes that are none: {error}") from error


def _saved(tensors: Mapping[str, Tensor], config: str) -> bytes:
    contiguous = {key: tensors[key].detach().contiguous() for key in sorted(tensors)}
    return save(contiguous, metadata={"config": config})


def _popped_head(tensors: dict[str, Tensor], prefix: str) -> Head:
    return Head(tensors.pop(f"{prefix}weight"), tensors.pop(f"{prefix}bias"))


def _by_site(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What is left once the heads are taken out."""
    sites: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        site, _, name = key.removeprefix("sites.").rpartition(".")
        sites.setdefault(site, {})[name] = tensor
    return sites
