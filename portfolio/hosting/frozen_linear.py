"""Frozen linear layers in training, forward and backward by oneDNN, with weights laid out once in the order it reads them:

    y = x Wᵀ + b,   ∂x = ∂y W;   W and b are asked for no gradient

These products are three quarters of a training step, and for float32 torch takes MKL's. Under the names by which torch's
compiler calls them; where torch has none, the layer's own forward stays. Gain and price: docs/decisions/0017-side-by-side.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, slots=True)
class _Packed:
    forward: Tensor  # of W
    backward: Tensor  # of Wᵀ
    bias: Tensor | None


# of this thread's training: layer -> its packed weights, made when gradients first flow through it; None: no training
_PACKED: ContextVar[dict[nn.Module, _Packed] | None] = ContextVar("portfolio_packed", default=None)


@contextmanager
def packed_weights() -> Iterator[None]:
    """Within, layers opened by `differentiated` keep a second and third copy of their weights once gradients flow."""
    token = _PACKED.set({})
    try:
        yield
    finally:
        _PACKED.reset(token)


def can_pack(layer: nn.Module) -> TypeGuard[nn.Linear]:
    """A plain frozen linear layer in float32 on the CPU, where torch has both MKL, thus x86, and oneDNN."""
    if (
        type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter
    ):  # weights of 8 bits are of a type of theirs
        return False
    here = layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"
    return here and not layer.weight.requires_grad and _HAS_PRODUCTS


def differentiated(layer: nn.Linear, run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The layer's forward, (..., in) -> (..., out), that takes packed weights where gradients flow in a training."""

    def forward(x: Tensor) -> Tensor:
        known = _PACKED.get()
        if known is None or not (torch.is_grad_enabled() and x.requires_grad):
            return run(x)
        if layer not in known:
            weight = layer.weight.detach()
            known[layer] = _Packed(_laid_out(weight), _laid_out(weight.t().contiguous()), layer.bias)
        made: Tensor = _FrozenLinear.apply(x, known[layer])  # type: ignore[no-untyped-call]
        return made

    return forward


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: _Packed) -> Tensor:
        ctx.packed = packed
        return _product(x, packed.forward, packed.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _product(gradient, ctx.packed.backward, None), None


def _laid_out(weight: Tensor) -> Tensor:
    made: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return made


def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return made


_HAS_PRODUCTS = (
    torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
)
