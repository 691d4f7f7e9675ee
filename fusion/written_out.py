"""AdapterFusion with every step written out: the reference that the other forms are compared with.

    o_k = U_k f(D_k x + d_k) + c_k  (+ the residual)
    q = W_q x + b_q,   key_k = W_k o_k + b_k,   value_k = W_v o_k
    a = softmax_k(dropout(q · key_k)),   y = Σ_k a_k value_k

Source: Pfeiffer et al., 2021, arXiv:2005.00247, section 3. No division by √d, as there. A member that is missing at the
site takes no part in the softmax. Needs (batch, time, members, features) numbers three times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fusion.attention import FusionAttention, check_input
from fusion.members import Member, check_members


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blend:
    """What a fusion makes at one site."""

    output: Tensor  # (..., out)
    weights: Tensor  # (..., members), each row adding up to 1; 0 for a member that is missing here


def blend_written_out(
    attention: FusionAttention, members: Sequence[Member | None], x: Tensor, residual: Tensor | None = None
) -> Blend:
    """The members' outputs, each token attending to those it can use.

    Args:
        members: one entry for each member of the fusion, None where it has no weights at this site.
        x: (..., in), what the members read.
        residual: (..., out), what the site gives without any adapter; exactly for a config `with_residual`.

    Raises:
        ValueError: no member acts here, or a shape does not fit.
    """
    width_in, width_out, config = attention.features_in, attention.features_out, attention.config
    check_members(members, width_in, width_out)
    check_input(x, residual, features_in=width_in, features_out=width_out, with_residual=config.with_residual)
    places = [place for place, member in enumerate(members) if member is not None]
    outputs = torch.stack([member.output(x) for member in members if member is not None], dim=-2)  # (..., acting, out)
    if residual is not None:
        outputs = outputs + residual.unsqueeze(-2)
    query, keys, values = attention.query(x), attention.key(outputs), attention.value(outputs)
    scores = (query.unsqueeze(-2) * keys).sum(-1)  # (..., acting)
    weights = torch.softmax(functional.dropout(scores, config.dropout, attention.training), dim=-1)
    everyone = torch.zeros(*x.shape[:-1], len(members), dtype=x.dtype, device=x.device)
    everyone[..., places] = weights
    return Blend(output=(weights.unsqueeze(-1) * values).sum(-2), weights=everyone)
