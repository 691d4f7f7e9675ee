"""An adapter in memory: its config, its weights at every site, its head; to safetensors bytes and back.

Keys in the file: `sites.SITE_KEY.NAME` (such as `sites.3.ffn_output.down`), `head.weight` (labels, feature width), `head.bias`
(labels,). The config travels in the file's metadata, so a blob can be understood alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from portfolio.errors import DamagedBlob
from portfolio.methods.config import AdapterConfig
from portfolio.methods.low_rank import LowRank
from portfolio.methods.table import config_from_json, config_to_json


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


def to_bytes(adapter: AdapterWeights) -> bytes:
    """Safetensors: equal adapters give equal bytes."""
    tensors = {f"sites.{key}.{name}": t for key, weights in adapter.sites.items() for name, t in weights.items()}
    tensors |= {"head.weight": adapter.head.weight, "head.bias": adapter.head.bias}
    contiguous = {key: tensors[key].detach().contiguous() for key in sorted(tensors)}
    return save(contiguous, metadata={"config": config_to_json(adapter.config)})


def from_bytes(data: bytes) -> AdapterWeights:
    """The adapter that `to_bytes` wrote.

    Raises:
        DamagedBlob: these are not the bytes of an adapter.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        tensors = load(data)
        config = config_from_json(header["__metadata__"]["config"])
        head = Head(tensors.pop("head.weight"), tensors.pop("head.bias"))
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedBlob(f"expected an adapter in safetensors form, got bytes that are none: {error}") from error
    sites: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        site, _, name = key.removeprefix("sites.").rpartition(".")
        sites.setdefault(site, {})[name] = tensor
    return AdapterWeights(config=config, sites=sites, head=head)
