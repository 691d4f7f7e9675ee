"""AdapterFusion after training, folded: one product, one small softmax, one product back.

    z   = f(D x + d)
    s_k = z_k · (Q_k x + e_k) + g_k · x + h_k     Q_k = U_kᵀ W_kᵀ W_q,  e_k = U_kᵀ W_kᵀ b_q   what member k's hidden layer
                                                  g_k = W_qᵀ W_k c_k,   h_k = b_q · W_k c_k   and its bias add to the score
    y   = (W_v U) [a_1 z_1 … a_K z_K] + (W_v C) a  (+ W_v residual),   a = softmax(s)

Exact, because what a score has in common for all members, q · (W_k residual + b_k), drops out of the softmax. D, Q and g are
stacked, so x is read once. To leave a member out, fold again with None in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.attention import FusionAttention, check_input
from fusion.members import Member, StackLayout, check_members, stack_members


@torch.no_grad()
def fold(attention: FusionAttention, members: Sequence[Member | None]) -> FoldedFusion:
    """The same function as the trained fusion's, with all that no input changes computed once; dropout is over.

    The result shares no memory with what it was made of.

    Args:
        members: one entry for each member of the fusion, None where it has no weights at this site.

    Raises:
        ValueError: no member acts here, or one has other widths than the attention.
    """
    check_members(members, attention.features_in, attention.features_out)
    query, key, value = attention.query, attention.key, attention.value.weight
    stack = stack_members(members, query.weight)
    hidden_keys = stack.up.T @ key.weight.T  # W_k U, transposed: (acting · rank, out)
    bias_keys = stack.up_bias.T @ key.weight.T  # W_k C, transposed: (acting, out)
    return FoldedFusion(
        layout=stack.layout,
        into=torch.cat([stack.down, hidden_keys @ query.weight, bias_keys @ query.weight]),
        into_bias=torch.cat([stack.down_bias, hidden_keys @ query.bias, bias_keys @ query.bias]),
        out=value @ stack.up,
        out_bias=value @ stack.up_bias,
        value=value.clone() if attention.config.with_residual else None,
    )


class FoldedFusion(nn.Module):
    """One site's fusion, for inference; `fold` makes it."""

    into: Tensor
    into_bias: Tensor
    out: Tensor
    out_bias: Tensor
    value: Tensor | None

    def __init__(
        self,
        *,
        layout: StackLayout,
        into: Tensor,  # D, Q and g: (2 · acting · rank + acting, in)
        into_bias: Tensor,  # d, e and h: (2 · acting · rank + acting,)
        out: Tensor,  # W_v U: (out, acting · rank)
        out_bias: Tensor,  # W_v C: (out, acting)
        value: Tensor | None,  # W_v: (out, out), for a fusion `with_residual`
    ) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("into", into)
        self.register_buffer("into_bias", into_bias)
        self.register_buffer("out", out)
        self.register_buffer("out_bias", out_bias)
        self.register_buffer("value", value)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out)

        Args:
            residual: (..., out), what the site gives without any adapter; exactly for a config `with_residual`. The
                result then takes its place; without, the result is to be added to it.
        """
        width_in, width_out = self.into.shape[1], self.out.shape[0]
        with_residual = self.value is not None
        check_input(x, residual, features_in=width_in, features_out=width_out, with_residual=with_residual)
        hidden, weights = self._attend(x)
        weighted = (hidden * weights.unsqueeze(-1)).flatten(-2)  # (..., acting · rank)
        blend = functional.linear(weighted, self.out) + functional.linear(weights, self.out_bias)  # (..., out)
        if residual is None or self.value is None:
            return blend
        return blend + functional.linear(residual, self.value)

    def weights(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., members): how much each token attends to each member, a row adding up to 1.

        A member that has no weights at this site gets 0.
        """
        return self.layout.at_places(self._attend(x)[1])

    def _attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden layers (..., acting, rank) and the weights (..., acting)."""
        wide = self.out.shape[1]  # acting · rank
        projected = functional.linear(x, self.into, self.into_bias)
        before, queries, of_bias = torch.split(projected, [wide, wide, self.layout.acting], dim=-1)
        hidden = self.layout.activate(before)
        scores = (hidden * queries.view(hidden.shape)).sum(-1) + of_bias
        return hidden, torch.softmax(scores, dim=-1)
