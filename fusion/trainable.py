"""AdapterFusion while it is trained: the written-out numbers, from tensors no larger than the members' hidden layers.

    q · (W_k o_k + b_k) = p · (U_k z_k + c_k) + (q · b_k + p · residual),   p = W_kᵀ q,   z_k = f(D_k x + d_k)
    Σ_k a_k W_v o_k     = W_v (U [a_1 z_1 … a_K z_K] + C a + residual)

The last bracket of the first line is the same for every member. The softmax would not see it, but dropout of single scores
does, so it stays while training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.attention import FusionAttention, check_input
from fusion.members import Member, check_members, stack_members


class TrainableFusion(nn.Module):
    """One site's fusion with `attention` as its only parameters; the members are copied and frozen.

    Its `state_dict` holds the attention alone.
    """

    down: Tensor  # (acting · rank, in)
    down_bias: Tensor  # (acting · rank,)
    up: Tensor  # (out, acting · rank)
    up_bias: Tensor  # (out, acting)

    def __init__(self, attention: FusionAttention, members: Sequence[Member | None]) -> None:
        """`members` has None for a member that has no weights at this site. Raises ValueError as `fold` does."""
        super().__init__()
        check_members(members, attention.features_in, attention.features_out)
        self.attention = attention
        stack = stack_members(members, attention.query.weight)
        self.layout = stack.layout
        for name in ("down", "down_bias", "up", "up_bias"):
            self.register_buffer(name, getattr(stack, name), persistent=False)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out)

        Args:
            residual: (..., out), what the site gives without any adapter; exactly for a config `with_residual`. The
                result then takes its place; without, the result is to be added to it.
        """
        attention, config = self.attention, self.attention.config
        width_in, width_out = attention.features_in, attention.features_out
        check_input(x, residual, features_in=width_in, features_out=width_out, with_residual=config.with_residual)
        hidden = self.layout.activate(functional.linear(x, self.down, self.down_bias))  # (..., acting, rank)
        scores = self._scores(x, hidden, residual)  # (..., acting)
        weights = torch.softmax(functional.dropout(scores, config.dropout, self.training), dim=-1)
        weighted = (hidden * weights.unsqueeze(-1)).flatten(-2)  # (..., acting · rank)
        blend = functional.linear(weighted, self.up) + functional.linear(weights, self.up_bias)  # (..., out)
        output: Tensor = attention.value(blend if residual is None else blend + residual)
        return output

    def _scores(self, x: Tensor, hidden: Tensor, residual: Tensor | None) -> Tensor:
        key = self.attention.key
        query = self.attention.query(x)  # q: (..., out)
        wanted = query @ key.weight  # p: (..., out)
        of_hidden = (hidden * (wanted @ self.up).view_as(hidden)).sum(-1)  # (..., acting)
        for_all = query @ key.bias if residual is None else query @ key.bias + (wanted * residual).sum(-1)
        scores: Tensor = of_hidden + wanted @ self.up_bias + for_all.unsqueeze(-1)
        return scores
