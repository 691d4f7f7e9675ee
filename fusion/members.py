"""The adapters that a fusion blends, at one site.

    o = U f(D x + d) + c        D: (rank, in), U: (out, rank)

A bottleneck is this form with its scale in U and c; LoRA is this form with f the identity, no d and no c, and
alpha / rank in U.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """The activation of LoRA."""
    return x


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """One adapter's weights at the site, scale folded in."""

    down: Tensor  # (rank, in)
    down_bias: Tensor | None = None  # (rank,)
    up: Tensor  # (out, rank)
    up_bias: Tensor | None = None  # (out,)
    activation: Activation = identity  # element by element

    def __post_init__(self) -> None:
        if self.down.ndim != 2 or self.up.ndim != 2 or self.down.shape[0] != self.up.shape[1] or self.rank < 1:
            raise ValueError(
                f"expected down (rank, in) and up (out, rank), got {tuple(self.down.shape)} and {tuple(self.up.shape)}"
            )
        biases = {"down_bias": (self.down_bias, self.rank), "up_bias": (self.up_bias, self.features_out)}
        for name, (bias, length) in biases.items():
            if bias is not None and bias.shape != (length,):
                raise ValueError(f"expected {name} of shape ({length},), got {tuple(bias.shape)}")

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def features_in(self) -> int:
        return self.down.shape[1]

    @property
    def features_out(self) -> int:
        return self.up.shape[0]

    def output(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out): what this adapter adds to the site."""
        hidden = self.activation(functional.linear(x, self.down, self.down_bias))  # (..., rank)
        return functional.linear(hidden, self.up, self.up_bias)


def check_members(members: Sequence[Member | None], features_in: int, features_out: int) -> None:
    """Raise ValueError unless at least one member acts at the site and each that does fits its shape."""
    if all(member is None for member in members):
        raise ValueError(
            f"expected a member that acts at this site, got none in {len(members)}; build no fusion where nobody acts"
        )
    for number, member in enumerate(members):
        if member is not None and (member.features_in, member.features_out) != (features_in, features_out):
            raise ValueError(
                f"expected members from {features_in} to {features_out} features, "
                f"got member {number} from {member.features_in} to {member.features_out}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLayout:
    """Who stands where in a stack."""

    total: int  # members of the fusion
    places: tuple[int, ...]  # of these, the numbers of those that act at this site
    rank: int  # the highest one; lower ranks are filled up with zeros
    activations: tuple[tuple[Activation, int], ...]  # for how many neighbours in the stack each one serves

    @property
    def acting(self) -> int:
        return len(self.places)

    def activate(self, hidden: Tensor) -> Tensor:
        """f of each member on its own part: (..., acting · rank) -> (..., acting, rank)"""
        apart = hidden.view(*hidden.shape[:-1], self.acting, self.rank)
        if len(self.activations) == 1:
            return self.activations[0][0](apart)
        parts = torch.split(apart, [length for _, length in self.activations], dim=-2)
        return torch.cat([f(part) for (f, _), part in zip(self.activations, parts, strict=True)], dim=-2)

    def at_places(self, weights: Tensor) -> Tensor:
        """(..., acting) -> (..., total), with 0 for a member that does not act at this site."""
        everyone = weights.new_zeros(*weights.shape[:-1], self.total)
        everyone[..., list(self.places)] = weights
        return everyone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemberStack:
    """The members that act at the site side by side, so that one product serves them all; detached copies.

    A row of D and a column of U that are zero add nothing. Equal ranks let plain views stand in for a loop over members.
    """

    layout: StackLayout
    down: Tensor  # (acting · rank, in)
    down_bias: Tensor  # (acting · rank,)
    up: Tensor  # (out, acting · rank)
    up_bias: Tensor  # (out, acting)


def stack_members(members: Sequence[Member | None], like: Tensor) -> MemberStack:
    """The members stacked, of the dtype and on the device of `like`; None stands for a member without weights here."""
    acting = [member for member in members if member is not None]
    same = groupby(acting, key=lambda member: member.activation)
    layout = StackLayout(
        total=len(members),
        places=tuple(place for place, member in enumerate(members) if member is not None),
        rank=max(member.rank for member in acting),
        activations=tuple((activation, len(list(group))) for activation, group in same),
    )
    down_biases = [or_zeros(member.down_bias, member.down[:, 0]) for member in acting]
    up_biases = [or_zeros(member.up_bias, member.up[:, 0]) for member in acting]
    return MemberStack(
        layout=layout,
        down=_side_by_side([member.down.T for member in acting], layout.rank, like).T.contiguous(),
        down_bias=_side_by_side(down_biases, layout.rank, like),
        up=_side_by_side([member.up for member in acting], layout.rank, like),
        up_bias=torch.stack([bias.detach().to(like) for bias in up_biases], dim=-1),
    )


def _side_by_side(tensors: Sequence[Tensor], width: int, like: Tensor) -> Tensor:
    """Along the last dimension, each filled up with zeros to this width."""
    return torch.cat([functional.pad(t.detach().to(like), (0, width - t.shape[-1])) for t in tensors], dim=-1)


def or_zeros(bias: Tensor | None, like: Tensor) -> Tensor:
    """The bias, or zeros in its place."""
    return torch.zeros_like(like) if bias is None else bias
