"""Heads of different sizes, stacked, so that one product serves a mixed batch.

logits = W h + b, with rows beyond a head's own labels at minus infinity, which a softmax turns into 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from portfolio.hosting.weights import Head


class HeadStack:
    """Linear heads by the reference of their adapter. Grows by doubling; guarded by the bank's lock."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._weight = torch.zeros(0, 0, 0)  # (capacity, labels, width)
        self._bias = torch.zeros(0, 0)  # (capacity, labels)
        self._end = 0

    def add(self, ref: str, head: Head) -> None:
        labels, width = head.weight.shape
        if self._end == len(self._weight) or labels > self._weight.shape[1]:
            self._grow(labels, width, head.weight)
        self._weight[self._end, :labels] = head.weight
        self._bias[self._end, :labels] = head.bias
        self._rows[ref] = self._end
        self._end += 1

    def remove(self, ref: str) -> None:
        del self._rows[ref]

    def logits(self, features: Tensor, refs: Sequence[str]) -> Tensor:
        """Each row under its own adapter's head.

        Args:
            features: (batch, width), see `Host.features`.
            refs: for each row, whose head.

        Returns:
            (batch, most labels of any head), minus infinity beyond a head's own.
        """
        rows = [self._rows[ref] for ref in refs]
        if len(set(rows)) == 1:
            return torch.addmm(self._bias[rows[0]], features, self._weight[rows[0]].T)
        members = torch.tensor(rows)
        return torch.einsum("bld,bd->bl", self._weight[members], features) + self._bias[members]

    def _grow(self, labels: int, width: int, like: Tensor) -> None:
        weight, bias = self._weight, self._bias
        widest, capacity = max(labels, weight.shape[1]), 2 * (len(self._rows) + 1)
        self._weight = like.new_zeros(capacity, widest, width)
        self._bias = like.new_full((capacity, widest), -torch.inf)
        for new, (ref, old) in enumerate(list(self._rows.items())):
            self._weight[new, : weight.shape[1]] = weight[old]
            self._bias[new, : bias.shape[1]] = bias[old]
            self._rows[ref] = new
        self._end = len(self._rows)
