"""What a reference trains: one adapter on the frozen base, or a copy of the whole base; one linear head above.

The head has a row for every class of the world from the start, all zero until it learns; what is not known yet is masked
out of loss and answers. Either reads the same features as the portfolio's heads: pooled states after several blocks, each
of unit length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from portfolio.compare.contestant import Int64
from portfolio.hosting.base import twin_of
from portfolio.hosting.encode import batches_of_like_length, pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import NO_ADAPTER
from portfolio.hosting.ready import shared
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import AdapterWeights, Head, placed
from portfolio.methods.config import AdapterConfig
from portfolio.running import BATCH_ROWS, BATCH_TOKENS, logits_of, run_rows


class Trainee(Protocol):
    """Tensors that learn, and what they say to prepared rows."""

    def tensors(self) -> Mapping[str, Tensor]:
        """All that learns, by name; the head's weight and bias last."""

    def logits(self, prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        """(some, classes of the world): these rows in one batch; whether gradients flow is the caller's choice."""


class OneAdapter:
    """An adapter above the trunk; it starts from the trunk's kept states."""

    def __init__(self, host: Host, config: AdapterConfig, classes: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._host = host
        fresh = AdapterWeights(
            config=config,
            sites={site.key: config.fresh(site.shape, generator) for site in host.sites_for(config)},
            head=zero_head(classes, host),
        )
        self.adapter = placed(fresh, host.device)

    def tensors(self) -> Mapping[str, Tensor]:
        return tensors_of(self.adapter)

    def logits(self, prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        updates = shared(self.adapter.updates(), self.adapter.config.dropout if training else 0.0)
        return logits_of(self.adapter.head, run_rows(self._host, updates, prepared, rows))


class WholeBase:
    """Every weight of a copy of the base; it runs all blocks. Its own dropout acts while training, as when pretrained."""

    def __init__(self, host: Host, classes: int) -> None:
        base = twin_of(host.base, shared=False)
        # it is never handed kept states of a trunk, so every block runs and learns
        self._host = Host(base, trunk=0, pooling=host.pooling, feature_blocks=host.feature_blocks)
        self._head = zero_head(classes, host)
        self._weights = dict(base.model.requires_grad_(True).named_parameters())

    def tensors(self) -> Mapping[str, Tensor]:
        return {**self._weights, **_named(self._head)}

    def logits(self, prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        base = self._host.base
        base.model.train(training)
        batch = pad([prepared.encoded[row] for row in rows], base.pad_id)
        return logits_of(self._head, self._host.run(batch, NO_ADAPTER).features)


def tensors_of(adapter: AdapterWeights) -> dict[str, Tensor]:
    """All that an adapter holds, by name; the head's weight and bias last."""
    sites = adapter.sites
    named = {f"sites.{key}.{name}": tensor for key, site in sites.items() for name, tensor in site.items()}
    return {**named, **_named(adapter.head)}


def zero_head(classes: int, host: Host) -> Head:
    """A head on a host's features that says the same of every class."""
    return Head(torch.zeros(classes, host.feature_width, device=host.device), torch.zeros(classes, device=host.device))


def logits_of_all(trainee: Trainee, prepared: Prepared) -> Tensor:
    """(rows, classes) on the CPU: every row, in order, without gradients."""
    batches = batches_of_like_length([len(row.ids) for row in prepared.encoded], BATCH_ROWS, BATCH_TOKENS)
    classes = len(list(trainee.tensors().values())[-1])
    out = torch.zeros(len(prepared), classes)
    with torch.no_grad():
        for rows in batches:
            out[rows] = trainee.logits(prepared, rows, training=False).cpu()
    return out


def best_of(logits: Tensor, classes: Sequence[int]) -> Int64:
    """(rows,): the likeliest among these classes, of equals the first. Args: logits: (rows, classes), on the CPU."""
    numbers = torch.tensor(classes, dtype=torch.int64)
    best: Int64 = numbers[logits[:, numbers].argmax(1)].numpy()
    return best


def copied_tensors(trainee: Trainee) -> dict[str, Tensor]:
    """Everything that learns as it is now."""
    return {name: tensor.detach().clone() for name, tensor in trainee.tensors().items()}


def put_back(trainee: Trainee, tensors: Mapping[str, Tensor]) -> None:
    """Make the trainee what it was when these were copied."""
    with torch.no_grad():
        for name, tensor in trainee.tensors().items():
            tensor.copy_(tensors[name])


def count_parameters(trainee: Trainee) -> int:
    return sum(tensor.numel() for tensor in trainee.tensors().values())


def _named(head: Head) -> dict[str, Tensor]:
    return {"head.weight": head.weight, "head.bias": head.bias}
