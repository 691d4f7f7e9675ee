"""Run texts that the bare base has prepared under one adapter, from the trunk's kept states upward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from portfolio.hosting.encode import batches_of_like_length
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import Pass, Updates
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import Head

BATCH_ROWS = 64
BATCH_TOKENS = 64 * 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Prepared texts with the numbers of their labels."""

    prepared: Prepared
    labels: Tensor  # (rows,) int64


def predict_logits(host: Host, passes: Sequence[Pass], prepared: Prepared) -> Tensor:
    """(rows, labels) on the CPU: every row under this one adapter, in their order. Of an ensemble: log-probabilities."""
    if len(passes) == 1:
        return logits_of(passes[0].head, features_under(host, passes[0].updates, prepared)).cpu()
    mixture = torch.zeros(len(prepared), len(passes[0].head.bias))
    for one in passes:
        logits = logits_of(one.head, features_under(host, one.updates, prepared)).cpu()
        mixture += one.weight * torch.softmax(logits, dim=1)
    return mixture.log()


def features_under(host: Host, updates: Updates, prepared: Prepared) -> Tensor:
    """(rows, feature width) on the host's device: what a head reads of every row when these updates act, in their order."""
    out = torch.zeros(len(prepared), host.feature_width, device=host.device)
    with torch.inference_mode():
        for rows in _batches(prepared):
            out[rows] = run_rows(host, updates, prepared, rows)
    return out.clone()


def run_rows(host: Host, updates: Updates, prepared: Prepared, rows: Sequence[int]) -> Tensor:
    """(some, feature width): these rows in one batch; whether gradients flow is the caller's choice."""
    batch, trunk = prepared.batch(host, rows)
    return host.run(batch, Plan(updates), trunk=trunk).features


def logits_of(head: Head, features: Tensor) -> Tensor:
    """(rows, labels)"""
    return functional.linear(features, head.weight, head.bias)


def _batches(prepared: Prepared) -> Iterator[list[int]]:
    yield from batches_of_like_length([len(row.ids) for row in prepared.encoded], BATCH_ROWS, BATCH_TOKENS)
