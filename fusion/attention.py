"""What a fusion learns at one site: who attends to what, and how outputs are changed before they are added up.

    a = softmax_k((W_q x + b_q) · (W_k o_k + b_k)),   y = Σ_k a_k W_v o_k,   penalty = regulariser · ‖I − W_v‖²

Source: Pfeiffer et al., 2021, arXiv:2005.00247, section 3. W_v starts as the identity, W_q and W_k as small numbers, so a
fusion starts near the plain average of its members.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from fusion.config import FusionConfig


class FusionAttention(nn.Module):
    """The learned matrices: 3d² + 2d numbers where the site is d wide on both sides."""

    def __init__(self, config: FusionConfig, *, features_in: int, features_out: int, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.features_in = features_in
        self.features_out = features_out
        self.query = _empty_linear(features_in, features_out)  # W_q, b_q
        self.key = _empty_linear(features_out, features_out)  # W_k, b_k
        self.value = _empty_linear(features_out, features_out, bias=False)  # W_v
        for linear in (self.query, self.key):
            nn.init.normal_(linear.weight, std=config.initial_deviation, generator=generator)
            nn.init.zeros_(linear.bias)
        nn.init.eye_(self.value.weight)

    def penalty(self) -> Tensor:
        """What the loss grows by at this site as W_v leaves the identity; a scalar, 0 at the start."""
        identity = torch.eye(self.features_out, dtype=self.value.weight.dtype, device=self.value.weight.device)
        distance: Tensor = (identity - self.value.weight).square().sum()
        return self.config.regulariser * distance


def _empty_linear(features_in: int, features_out: int, bias: bool = True) -> nn.Linear:
    """Without the usual start, which would draw from the global random generator."""
    linear = nn.utils.skip_init(nn.Linear, features_in, features_out, bias=bias)  # type: ignore[no-untyped-call]
    assert isinstance(linear, nn.Linear)
    return linear


def check_input(
    x: Tensor, residual: Tensor | None, *, features_in: int, features_out: int, with_residual: bool
) -> None:
    """Raise ValueError unless x and the residual are what a fusion of this shape reads."""
    if x.shape[-1] != features_in:
        raise ValueError(f"expected x of shape (..., {features_in}), got {tuple(x.shape)}")
    if with_residual != (residual is not None):
        wanted = "a residual, as" if with_residual else "no residual, as"
        came = "none" if residual is None else f"one of shape {tuple(residual.shape)}"
        raise ValueError(f"expected {wanted} this fusion has with_residual={with_residual}; got {came}")
    if residual is not None and residual.shape != (*x.shape[:-1], features_out):
        raise ValueError(f"expected a residual of shape {(*x.shape[:-1], features_out)}, got {tuple(residual.shape)}")
