"""A light gate: queries and keys in a space of a few numbers, keys read from the members' hidden layers.

    q = A x + a,   key_k = B_k z_k + b_k,   z_k = f(D_k x + d_k)        A: (width, in), B_k: (width, rank_k)
    w = softmax_k(dropout(q · key_k)),   y = Σ_k w_k g_k (U_k z_k + c_k),   penalty = regulariser · Σ_k (g_k − 1)²

The second choice beside AdapterFusion's attention, without a matrix of d × d numbers. The gain g_k, one number a member,
stands where AdapterFusion has W_v: it starts at 1. A and B start small, so a gate starts near the plain average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from fusion.attention import check_input
from fusion.config import LightConfig
from fusion.folded import FoldedFusion
from fusion.members import Member, check_members, stack_members


class LightGate(nn.Module):
    """What is learned at one site: width · (in + 1) numbers, and width · (rank_k + 1) + 1 for each acting member."""

    def __init__(
        self,
        config: LightConfig,
        *,
        ranks: Sequence[int | None],  # of each member of the fusion; None where it has no weights at this site
        features_in: int,
        features_out: int,
        generator: Generator,
    ) -> None:
        super().__init__()
        acting = [rank for rank in ranks if rank is not None]
        if not acting:
            raise ValueError(
                f"expected a member that acts at this site, got none in {len(ranks)}; build no gate where nobody acts"
            )
        self.config = config
        self.ranks = tuple(ranks)
        self.features_in = features_in
        self.features_out = features_out
        self.query = nn.Parameter(torch.empty(config.width, features_in))  # A
        self.query_bias = nn.Parameter(torch.zeros(config.width))  # a
        self.key = nn.Parameter(torch.empty(config.width, sum(acting)))  # [B_1 … B_K] of the acting members
        self.key_bias = nn.Parameter(torch.zeros(config.width, len(acting)))  # [b_1 … b_K]
        self.gain = nn.Parameter(torch.ones(len(acting)))  # g
        for weight in (self.query, self.key):
            nn.init.normal_(weight, std=config.initial_deviation, generator=generator)

    def penalty(self) -> Tensor:
        """What the loss grows by at this site as the gains leave 1; a scalar, 0 at the start."""
        distance: Tensor = (self.gain - 1).square().sum()
        return self.config.regulariser * distance

    def check(self, members: Sequence[Member | None]) -> None:
        """Raise ValueError unless these are the members of this gate, apart from some that are left out."""
        check_members(members, self.features_in, self.features_out)
        if len(members) != len(self.ranks):
            raise ValueError(
                f"expected {len(self.ranks)} members, as this gate was made for, got {len(members)}; "
                "put None in the place of one to leave it out"
            )
        for number, (member, rank) in enumerate(zip(members, self.ranks, strict=True)):
            if member is not None and member.rank != rank:
                wanted = "no member" if rank is None else f"one of rank {rank}"
                raise ValueError(
                    f"expected {wanted} in place {number}, as this gate was made for, got one of rank {member.rank}"
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """The gate's numbers for the members of a stack."""

    key: Tensor  # (width, acting · rank), columns of zeros where the stack is filled up
    key_bias: Tensor  # (width, acting)
    gain: Tensor  # (acting,)


class TrainableLight(nn.Module):
    """One site's fusion with the light gate as its only parameters; the members are copied and frozen.

    Its `state_dict` holds the gate alone. A member left out by None takes no part in the softmax.
    """

    down: Tensor  # (acting · rank, in)
    down_bias: Tensor  # (acting · rank,)
    up: Tensor  # (out, acting · rank)
    up_bias: Tensor  # (out, acting)
    columns: Tensor  # (acting · rank,), of the gate's key; one behind the last where the stack is filled up
    numbers: Tensor  # (acting,), where the gate holds the bias and the gain of each

    def __init__(self, gate: LightGate, members: Sequence[Member | None]) -> None:
        """Raises ValueError where `members` are not those of the gate, or none of them acts here."""
        super().__init__()
        gate.check(members)
        self.gate = gate
        stack = stack_members(members, gate.gain)
        self.layout = stack.layout
        columns, numbers = _places_in_gate(gate.ranks, members, stack.layout.rank)
        for name, buffer in (
            ("down", stack.down),
            ("down_bias", stack.down_bias),
            ("up", stack.up),
            ("up_bias", stack.up_bias),
            ("columns", columns.to(gate.gain.device)),
            ("numbers", numbers.to(gate.gain.device)),
        ):
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), to be added to what the site gives without any adapter"""
        gate, parts = self.gate, self._parts()
        check_input(x, None, features_in=gate.features_in, features_out=gate.features_out, with_residual=False)
        hidden = self.layout.activate(functional.linear(x, self.down, self.down_bias))  # (..., acting, rank)
        query = functional.linear(x, gate.query, gate.query_bias)  # q: (..., width)
        scores = (hidden * (query @ parts.key).view_as(hidden)).sum(-1) + query @ parts.key_bias  # (..., acting)
        weights = torch.softmax(functional.dropout(scores, gate.config.dropout, self.training), dim=-1)
        gained = weights * parts.gain
        weighted = (hidden * gained.unsqueeze(-1)).flatten(-2)  # (..., acting · rank)
        return functional.linear(weighted, self.up) + functional.linear(gained, self.up_bias)

    @torch.no_grad()
    def fold(self) -> FoldedFusion:
        """The same function with all that no input changes computed once; dropout is over. Shares no memory with this.

        The queries that meet member k's hidden layer are B_kᵀ (A x + a); what b_k adds to its score is b_k · (A x + a).
        """
        gate, parts = self.gate, self._parts()
        return FoldedFusion(
            layout=self.layout,
            into=torch.cat([self.down, parts.key.T @ gate.query, parts.key_bias.T @ gate.query]),
            into_bias=torch.cat([self.down_bias, parts.key.T @ gate.query_bias, parts.key_bias.T @ gate.query_bias]),
            out=self.up * parts.gain.repeat_interleave(self.layout.rank),
            out_bias=self.up_bias * parts.gain,
            value=None,
        )

    def _parts(self) -> _Parts:
        gate = self.gate
        with_zeros = functional.pad(gate.key, (0, 1))  # a unit that fills up is f(0), which is not 0 for every f
        return _Parts(
            key=with_zeros[:, self.columns], key_bias=gate.key_bias[:, self.numbers], gain=gate.gain[self.numbers]
        )


def _places_in_gate(
    ranks: Sequence[int | None], members: Sequence[Member | None], padded: int
) -> tuple[Tensor, Tensor]:
    """Where the gate holds what belongs to the members that are there: the columns of their keys, and their numbers."""
    behind_last = sum(rank or 0 for rank in ranks)
    columns: list[int] = []
    numbers: list[int] = []
    first = number = 0
    for rank, member in zip(ranks, members, strict=True):
        if rank is None:
            continue
        if member is not None:
            columns += [*range(first, first + rank), *[behind_last] * (padded - rank)]
            numbers.append(number)
        first, number = first + rank, number + 1
    return torch.tensor(columns), torch.tensor(numbers)
