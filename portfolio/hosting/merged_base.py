"""A copy of the frozen base with one LoRA folded into its weights, in memory.

    W' = W + (alpha / rank) · B A        beside every linear layer where the adapter acts; biases stay

Source: Hu et al., 2021, arXiv:2106.09685, section 4.1. The sum is computed in float64 and rounded once.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from portfolio.errors import require
from portfolio.hosting.base import Base, twin_of
from portfolio.hosting.sites import Site, blocks_of, find_sites, linear_shape
from portfolio.hosting.weights import AdapterWeights
from portfolio.methods.config import SiteShape
from portfolio.methods.lora import LoraConfig
from portfolio.methods.low_rank import LowRank


def merged_model(base: Base, adapter: AdapterWeights) -> PreTrainedModel:
    """A model that computes without any adapter what the base computes with this one; frozen, in evaluation mode.

    The base is left as it is, and so are hosts on it: their slots are not copied.

    Raises:
        ConfigError: the adapter is no LoRA, or it was made for another base.
    """
    require(
        isinstance(adapter.config, LoraConfig),
        f"only LoRA can be folded into a base's weights, got an adapter of method {adapter.config.method!r}, which computes "
        "more than a sum of matrices; train the task with method lora and merge that, or keep answering with the portfolio",
    )
    sites = find_sites(base.model)
    model = twin_of(base, device=torch.device("cpu"), shared=False).model
    blocks = blocks_of(model)
    for key, update in adapter.updates().items():
        site = sites.get(key)
        require(
            site is not None, f"base {base.name!r} has no site {key!r}; load the base that the adapter was made for"
        )
        assert site is not None
        _require_fit(base, site, update)
        _fold_in(blocks[site.block].get_submodule(site.writes), update)
    return model


def _require_fit(base: Base, site: Site, update: LowRank) -> None:
    came = SiteShape(update.down.shape[1], update.up.shape[0])
    require(
        came == site.shape,
        f"base {base.name!r} goes from {site.shape.features_in} to {site.shape.features_out} features at site {site.key!r}, "
        f"the adapter from {came.features_in} to {came.features_out}; load the base that the adapter was made for",
    )


def _fold_in(layer: nn.Module, update: LowRank) -> None:
    assert isinstance(layer, (nn.Linear, Conv1D)) and linear_shape(layer).features_out == update.up.shape[0]
    change = update.up.double() @ update.down.double()  # (out, in)
    stored = change.T if isinstance(layer, Conv1D) else change  # GPT-2 keeps its weights (in, out)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() + stored)
