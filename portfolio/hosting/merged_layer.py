"""A linear layer that does the update at its site along with its own product.

    y = (W + U D) x        instead of        W x + U (D x)

The same numbers, up to rounding. Where all rows of a batch use one LoRA it is less work from a few hundred tokens on:
the weight is made anew for the batch, and nothing is done for each token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from portfolio.hosting.per_row import PerRow
from portfolio.hosting.plan import CALL
from portfolio.hosting.sites import Site


def has_plain_weight(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether next to nothing is lost of an update in this module's weight; in 8 or 16 bits it would be."""
    if type(module) is not nn.Linear or type(module.weight) is not nn.Parameter:
        return False
    return module.weight.dtype in (torch.float32, torch.float64)


def merging(host: object, linear: nn.Linear, sites: Sequence[Site]) -> Callable[[Tensor], Tensor]:
    """The layer's forward in passes of a host: it does what the slot would do after it, where that is less work.

    Only an update by itself is merged: beside it another may read what the layer makes without it.

    Args:
        sites: all that write to the layer's output.
    """
    run = linear.forward
    reads_own_input = {site.key: site.reads_input and site.reads == site.writes for site in sites}

    def forward(x: Tensor) -> Tensor:
        call = CALL.get()
        if call is None or call.host is not host or torch.is_grad_enabled():
            return run(x)
        acting = [(key, update) for key in reads_own_input for update in call.plan.updates.get(key, ())]
        if len(acting) != 1:
            return run(x)
        [(key, update)] = acting
        if not reads_own_input[key] or not isinstance(update, PerRow):
            return run(x)
        weight = update.merged_into(linear.weight, tokens=x.shape[:-1].numel())
        if weight is None:
            return run(x)
        call.merged = linear
        return functional.linear(x, weight, linear.bias)

    return forward
