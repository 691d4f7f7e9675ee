"""The plain way to serve many LoRAs in one batch: stack, gather, two batched products beside every linear layer.

y_i + (x_i A_k(i)ᵀ) B_k(i)ᵀ        k(i): the adapter of row i; A: (adapters, rank, in), B: (adapters, rank, out)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from portfolio.hosting.sites import blocks_of, place_of
from portfolio.methods.low_rank import LowRank


class PlainBank:
    """LoRAs stacked per linear layer; `members` says which of them each row of the next batch uses."""

    def __init__(self, adapters: Sequence[Mapping[str, LowRank]]) -> None:
        self.members = torch.zeros(0, dtype=torch.int64)  # (batch,)
        self.down = {key: torch.stack([one[key].down for one in adapters]) for key in adapters[0]}
        self.up = {key: torch.stack([one[key].up.T for one in adapters]).contiguous() for key in adapters[0]}

    def add(self, key: str, module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        hidden = inputs[0] @ self.down[key][self.members].mT  # (batch, time, rank)
        return torch.baddbmm(y, hidden, self.up[key][self.members])


def with_plain_bank(model: PreTrainedModel, bank: PlainBank) -> PreTrainedModel:
    """The model with the bank beside its linear layers."""
    for key in bank.down:
        block, kind = place_of(key)
        layer = blocks_of(model)[block].get_submodule(kind.removeprefix("linear:"))
        layer.register_forward_hook(partial(bank.add, key))
    return model
