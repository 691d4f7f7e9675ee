"""Heads of different sizes, stacked, so that one product serves a mixed batch.

logits = W h + b, with rows beyond a head's own labels at minus infinity, which a softmax turns into 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio.hosting.weights import Head


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads for one batch: a value, whole whatever the bank takes in or drops meanwhile."""

    weight: Tensor  # (stacked, labels, width)
    bias: Tensor  # (stacked, labels)
    members: tuple[int, ...]  # for each row of the batch, its row of the stack

    def logits(self, features: Tensor) -> Tensor:
        """Each row under its own adapter's head.

        Args:
            features: (batch, width), see `Host`.

        Returns:
            (batch, most labels of any head), minus infinity beyond a head's own.
        """
        if len(set(self.members)) == 1:
            return torch.addmm(self.bias[self.members[0]], features, self.weight[self.members[0]].T)
        members = torch.tensor(self.members)
        return torch.einsum("bld,bd->bl", self.weight[members], features) + self.bias[members]


class HeadStack:
    """Linear heads by the reference of their adapter. Grows by doubling into new tensors; guarded by the bank's lock."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._weight = torch.zeros(0, 0, 0)  # (capacity, labels, width)
        self._bias = torch.zeros(0, 0)  # (capacity, labels)
        self._end = 0

    @property
    def dtype(self) -> torch.dtype:
        return self._weight.dtype

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

    def of(self, refs: Sequence[str]) -> Heads:
        """For a batch whose row i is for refs[i]."""
        return Heads(self._weight, self._bias, tuple(self._rows[ref] for ref in refs))

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
