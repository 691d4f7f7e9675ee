"""Packed weights in training: the same numbers to rounding, and nothing of it outside."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from portfolio.hosting.encode import pad
from portfolio.hosting.frozen_linear import can_pack, differentiated, packed_weights
from portfolio.methods.bottleneck import BottleneckConfig


def layer_of(bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(24, 40, bias=bias, dtype=dtype).requires_grad_(False)


needs_products = pytest.mark.skipif(not can_pack(layer_of()), reason="this torch has no packed products")


@needs_products
@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 5, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradient_are_those_of_the_layer(shape, bias):
    layer, taken = layer_of(bias), []
    forward = differentiated(layer, taken.append)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    wide = torch.randn(*shape[:-1], 80, generator=torch.Generator().manual_seed(2))[..., ::2]  # not contiguous
    with packed_weights():
        for _ in range(2):  # packed, then found packed
            made = forward(x)
            (gradient,) = torch.autograd.grad(made, x, wide)
            torch.testing.assert_close(made, layer(x), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(gradient, wide @ layer.weight, rtol=1e-5, atol=1e-5)
    assert not taken


def test_outside_of_training_and_where_no_gradient_flows_the_layers_own_forward_runs():
    layer, taken = layer_of(), []
    forward = differentiated(layer, taken.append)
    x = torch.randn(2, 24, requires_grad=True)
    forward(x)
    with packed_weights():
        forward(x.detach())
        with torch.no_grad():
            forward(x)
    forward(x)
    assert len(taken) == 4


def test_layers_that_learn_or_compute_in_other_numbers_are_left_alone():
    assert not can_pack(layer_of().requires_grad_(True))
    assert not can_pack(layer_of(dtype=torch.float64))
    assert not can_pack(nn.LayerNorm(4))


@needs_products
def test_a_host_in_training_gives_the_plain_gradients_and_detached_leaves_every_forward_as_it_was(
    base_of, rows_of, host_on, adapter_of, plan_of
):
    host = host_on(base_of("bert"))
    adapter = adapter_of(host, BottleneckConfig(rank=3))
    weights = [tensor.requires_grad_() for site in adapter.sites.values() for tensor in site.values()]
    batch, gradients, ran = pad(rows_of(), host.base.pad_id), [], []
    watched = host.blocks[-1].get_submodule("intermediate.dense")
    handle = watched.register_forward_hook(lambda _, given, made: ran.append("Frozen" in type(made.grad_fn).__name__))
    weighing = torch.arange(host.feature_width, dtype=torch.float32)
    for packed in (False, True):
        with packed_weights() if packed else torch.enable_grad():
            loss = (host.run(batch, plan_of(adapter)).features.square() * weighing).sum()
            gradients.append(torch.autograd.grad(loss, weights))
    handle.remove()
    assert ran == [False, True]
    for plain, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
    host.detach()
    assert all("forward" not in module.__dict__ for module in host.base.model.modules())
