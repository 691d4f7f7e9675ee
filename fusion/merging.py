"""Merging in weight space: the members of one site become one member, without training.

    linear           Σ_k w_k M_k / Σ_k w_k
    task-arithmetic  Σ_k w_k M_k                    Ilharco et al., 2023, arXiv:2212.04089, section 2
    svd              the same, cut to a rank
    ties             trim, elect sign, disjoint mean         Yadav et al., 2023, arXiv:2306.01708, section 3
    dare             Σ_k w_k B_k ∘ M_k / p,  B_k ~ Bernoulli(p)   Yu et al., 2024, arXiv:2311.03099, section 3

M_k = U_k D_k is a LoRA member's update, 0 for a member that does not act here. The first two stand the factors side by side,
which is exact; so they serve bottlenecks too, whose update is no matrix. The last two look at each number of M_k. Trimming
is done site by site, where the paper ranks all numbers of a model together.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from fusion.factors import Merged, cut, factor, side_by_side
from fusion.members import Member, check_members, identity

ROUNDING = 1e-12  # a sum of weights that is this much smaller than they are is 0


class Merger(ABC):
    """One way to merge, with its settings. Never instantiated itself: see `MERGERS` for the ways there are."""

    name: ClassVar[str]
    rank: int | None  # the most that the result may have

    @abstractmethod
    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        """One member for these.

        Args:
            members: those that act at the site, at least one.
            weights: one for each of them.
            total: of the weights of all members, also of those that do not act here.

        Raises:
            ValueError: the weights or the members are none that this way can merge.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Merger):
    """The average of the updates: weights are divided by their sum."""

    name: ClassVar[str] = "linear"
    rank: int | None = None  # None: as many as the members have together, which is exact

    def __post_init__(self) -> None:
        _check_rank(self.rank)

    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        if abs(total) <= ROUNDING * sum(abs(weight) for weight in weights):
            raise ValueError(
                "linear divides the weights by their sum, which must not be 0; change a weight, or add the updates as "
                "they are with task-arithmetic"
            )
        return _sum(self, members, [weight / total for weight in weights], self.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskArithmetic(Merger):
    """The sum of the updates, times their weights as given; a negative weight takes away."""

    name: ClassVar[str] = "task-arithmetic"
    rank: int | None = None  # None: as many as the members have together, which is exact

    def __post_init__(self) -> None:
        _check_rank(self.rank)

    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        return _sum(self, members, weights, self.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class Svd(Merger):
    """The sum of the updates, times their weights as given, and of that the largest singular values."""

    name: ClassVar[str] = "svd"
    rank: int | None = None  # None: the largest of the members'

    def __post_init__(self) -> None:
        _check_rank(self.rank)

    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        return _sum(self, members, weights, self.rank or _largest_rank(members))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties(Merger):
    """The mean over those members that agree with the elected sign, number by number, of what each does most.

    Trim: of each update the share `density` of largest absolute values stays. Elect: the sign of the weighted sum. Disjoint
    mean: of what has that sign, weighted; all weights equal, it is the paper's.
    """

    name: ClassVar[str] = "ties"
    rank: int | None = None  # None: the largest of the members'
    density: float = 0.2  # share of an update's numbers that stay

    def __post_init__(self) -> None:
        _check_rank(self.rank)
        _check_density(self.density)

    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        if min(weights) < 0 or total <= 0:
            raise ValueError(
                f"ties weighs votes, so its weights must be 0 or more and one of them above 0, got {_listed(weights)}; "
                "an update is taken away with task-arithmetic"
            )
        trimmed = torch.stack([_trim(update, self.density) for update in _matrices(self, members)])
        votes = trimmed.new_tensor(weights).view(-1, 1, 1)
        agrees = (trimmed.sign() == (votes * trimmed).sum(0).sign()) & (trimmed != 0)  # (members, out, in)
        voters = (votes * agrees).sum(0)
        mean = (votes * agrees * trimmed).sum(0) / torch.where(voters > 0, voters, 1.0)
        return factor(mean, self.rank or _largest_rank(members), like=members[0].down)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dare(Merger):
    """The sum of the updates, times their weights as given, after most numbers of each are dropped at random.

    What stays is divided by `density`, so that the expected update is the whole one.
    """

    name: ClassVar[str] = "dare"
    rank: int | None = None  # None: the largest of the members'
    density: float = 0.2  # probability that a number stays

    def __post_init__(self) -> None:
        _check_rank(self.rank)
        _check_density(self.density)

    def merge(self, members: Sequence[Member], weights: Sequence[float], total: float, generator: Generator) -> Merged:
        kept = []
        for update, weight in zip(_matrices(self, members), weights, strict=True):
            drawn = torch.rand(update.shape, generator=generator, device=generator.device).to(update.device)
            kept.append(weight * update * (drawn < self.density))
        summed = torch.stack(kept).sum(0) / self.density
        return factor(summed, self.rank or _largest_rank(members), like=members[0].down)


MERGERS: dict[str, type[Linear] | type[TaskArithmetic] | type[Ties] | type[Dare] | type[Svd]] = {
    Linear.name: Linear,
    TaskArithmetic.name: TaskArithmetic,
    Ties.name: Ties,
    Dare.name: Dare,
    Svd.name: Svd,
}


@torch.no_grad()
def merge(members: Sequence[Member | None], weights: Sequence[float], merger: Merger, generator: Generator) -> Merged:
    """One member in place of several, of the first one's dtype.

    Args:
        members: one entry for each adapter, None where it has no weights at this site.
        weights: one finite number for each entry.
        generator: what `dare` draws from; the others leave it alone.

    Raises:
        ValueError: no member acts here, widths differ, or the weights or members are none that this way can merge.
    """
    acting = [(member, weight) for member, weight in zip(members, weights, strict=False) if member is not None]
    if len(members) != len(weights) or not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"expected a finite weight for each of {len(members)} members, got {_listed(weights)}")
    first = acting[0][0] if acting else None
    check_members(members, first.features_in if first else 0, first.features_out if first else 0)
    return merger.merge([member for member, _ in acting], [weight for _, weight in acting], sum(weights), generator)


def _sum(merger: Merger, members: Sequence[Member], weights: Sequence[float], rank: int | None) -> Merged:
    """Exact, or cut to a rank."""
    if rank is not None:
        _require_matrices(merger, members)
        return cut(side_by_side(members, weights), rank)
    if any(member.activation is not members[0].activation for member in members):
        raise ValueError(
            "members of different activations make no one member; merge those of one activation, or blend their outputs "
            "with a fusion"
        )
    return Merged(member=side_by_side(members, weights), error=0.0)


def _matrices(merger: Merger, members: Sequence[Member]) -> list[Tensor]:
    """Each member's update (out, in), float64."""
    _require_matrices(merger, members)
    return [member.up.double() @ member.down.double() for member in members]


def _require_matrices(merger: Merger, members: Sequence[Member]) -> None:
    for member in members:
        if member.activation is not identity or member.down_bias is not None or member.up_bias is not None:
            asked = f"{merger.name} at rank {merger.rank}" if merger.rank is not None else merger.name
            raise ValueError(
                f"{asked} merges updates that are matrices, as LoRA's are, but here is a bottleneck, which has an "
                "activation or biases between its matrices; merge bottlenecks with linear or task-arithmetic and no rank, "
                "which stand them side by side exactly"
            )


def _trim(update: Tensor, density: float) -> Tensor:
    """The update with all but its largest numbers set to 0; numbers as large as the last that stays, stay too."""
    kept = max(1, round(density * update.numel()))
    sizes = update.abs()
    least = sizes.flatten().kthvalue(update.numel() - kept + 1).values
    return torch.where(sizes >= least, update, 0.0)


def _largest_rank(members: Sequence[Member]) -> int:
    return max(member.rank for member in members)


def _check_rank(rank: int | None) -> None:
    if rank is not None and rank < 1:
        raise ValueError(f"rank must be 1 or more, got {rank}")


def _check_density(density: float) -> None:
    if not 0 < density <= 1:
        raise ValueError(f"density must be above 0 and at most 1, got {density}")


def _listed(weights: Sequence[float]) -> str:
    return ", ".join(f"{weight:g}" for weight in weights) or "none"
