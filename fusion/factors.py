"""Sums of low-rank updates: exact as one wider member, or cut to a rank.

    Σ_k w_k (U_k f(D_k x + d_k) + c_k) = U f(D x + d) + c    D, d: stacked; U = [w_1 U_1 … w_K U_K]; c = Σ_k w_k c_k

Where f is the identity, U D is a matrix M, and its best approximation of rank r keeps the r largest singular values
(Eckart and Young, 1936). M itself need not be made for that: with U = Q R and Dᵀ = P S they are those of the small R Sᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fusion.members import Member, or_zeros


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """One member that stands for several."""

    member: Member
    error: float  # ‖M − U D‖ / ‖M‖ of the rank cut (Frobenius norms), in [0, 1]; 0 where nothing was cut


def side_by_side(members: Sequence[Member], weights: Sequence[float]) -> Member:
    """The weighted sum of members of one activation, exactly; its rank is the sum of theirs."""
    pairs = list(zip(members, weights, strict=True))
    down_bias = up_bias = None
    if any(member.down_bias is not None for member in members):
        down_bias = torch.cat([or_zeros(member.down_bias, member.down[:, 0]) for member in members])
    if any(member.up_bias is not None for member in members):
        biases = [weight * or_zeros(member.up_bias, member.up[:, 0]) for member, weight in pairs]
        up_bias = torch.stack(biases).sum(0)
    return Member(
        down=torch.cat([member.down for member in members]),
        down_bias=down_bias,
        up=torch.cat([weight * member.up for member, weight in pairs], dim=1),
        up_bias=up_bias,
        activation=members[0].activation,
    )


def cut(member: Member, rank: int) -> Merged:
    """The nearest member of at most this rank, for one that is a matrix. The (out, in) product is never made."""
    if member.rank <= rank:
        return Merged(member=member, error=0.0)
    left, upper = torch.linalg.qr(member.up.double())  # (out, s), (s, rank)
    right, lower = torch.linalg.qr(member.down.double().T)  # (in, t), (t, rank)
    u, singular, v = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    return _of_singular_values(left @ u, singular, v @ right.T, rank, like=member.down)


def factor(matrix: Tensor, rank: int, like: Tensor) -> Merged:
    """The member of at most this rank that is nearest to a matrix (out, in); of the dtype of `like`."""
    u, singular, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    return _of_singular_values(u, singular, v, rank, like=like)


def _of_singular_values(u: Tensor, singular: Tensor, v: Tensor, rank: int, *, like: Tensor) -> Merged:
    """u: (out, n), singular: (n,) falling, v: (n, in). Each factor gets the root of the singular values."""
    root = singular[:rank].sqrt()
    member = Member(down=(root[:, None] * v[:rank]).to(like), up=(u[:, :rank] * root).to(like))
    whole, lost = float(singular.norm()), float(singular[rank:].norm())
    return Merged(member=member, error=lost / whole if lost else 0.0)
