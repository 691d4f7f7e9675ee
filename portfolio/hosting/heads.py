"""Heads of different sizes in one product for a mixed batch.

logits = W h + b, with labels beyond a head's own at minus infinity, which a softmax turns into 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio.hosting.groups import Int64, Pairs
from portfolio.hosting.pages import Lease


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heads:
    """The heads for one batch: a value, whole whatever the bank takes in or drops meanwhile."""

    weight: Tensor  # (stacked labels, width)
    bias: Tensor  # (stacked labels,)
    rows: Int64  # (heads, most labels of any), of `weight`; 0 beyond a head's own
    pairs: Pairs  # each row of the batch with its head
    lease: Lease  # keeps the rows as they are

    def logits(self, features: Tensor) -> Tensor:
        """Each row under its own adapter's head.

        Args:
            features: (batch, width), see `Host`.

        Returns:
            (batch, most labels of any head), minus infinity beyond a head's own.
        """
        rows = torch.from_numpy(self.rows).to(features.device)
        bias = self.bias[rows].masked_fill(rows == 0, -torch.inf)  # (heads, labels)
        if len(rows) == 1:
            return torch.addmm(bias[0], features, self.weight[rows[0]].T)
        weight = self.weight.index_select(0, rows.flatten()).view(*rows.shape, -1)  # (heads, labels, width)
        members = torch.from_numpy(self.pairs.members).to(features.device)
        together = features[members]  # (heads, most rows, width)
        logits = torch.baddbmm(bias[:, None], together, weight.mT)  # (heads, most rows, labels)
        return logits.flatten(0, 1)[torch.from_numpy(self.pairs.place).to(features.device)]
